//! Servers that are published as Java libraries: fetched with everything that they need by Maven, as it is set up here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;

/// A library: group, artefact, version.
pub(crate) type Artefact = (&'static str, &'static str, &'static str);

/// The folder with the libraries and all that they depend on.
pub(crate) fn libraries(name: &str, artefacts: &[Artefact]) -> PathBuf {
    let version = artefacts.first().map(|(_, _, version)| *version).unwrap_or_default();
    cache::entry(&format!("{name}-{version}"), |folder| fetch(folder, artefacts)).join("libraries")
}

fn fetch(folder: &Path, artefacts: &[Artefact]) {
    let dependency = |(group, artefact, version): &Artefact| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artefact}</artifactId><version>{version}</version></dependency>"
        )
    };
    let dependencies: String = artefacts.iter().map(dependency).collect();
    let project = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>servers</artifactId>\
         <version>1</version><packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    );
    let file = folder.join("pom.xml");
    std::fs::write(&file, project).expect("a project file for Maven");
    let output = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(&file)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", folder.join("libraries").display()))
        .output()
        .unwrap_or_else(|error| panic!("this test needs Maven (Debian: apt-get install maven): {error}"));
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "Maven could not fetch {artefacts:?}:\n{said}{complained}");
}
