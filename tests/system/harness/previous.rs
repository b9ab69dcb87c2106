//! The binary of an earlier release: that of a commit, built from this repository's history.
//!
//! `THREATLOCKDOWN_PREVIOUS` names another one, for example that of a package. The sources lie in `<target>/previous`, and so does the
//! binary: the one under test is not touched. What both releases depend on is built once (`build.build-dir`, which Cargo
//! knows from 1.91 on; an earlier one builds it twice), so the first build takes minutes, and further ones nothing.
//!
//! Cargo names what it builds of a workspace by the places in it, not by the place of it. So that crates of the two releases have
//! names of their own, those of the earlier one are built in another number of units, which is part of the name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::binary::{Place, cargo_build, file_name};
use super::repository;

/// In so many units nothing else is built.
const UNITS: u32 = 19;

/// The binary of a commit, or why there is none.
pub(crate) fn previous(commit: &str) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("THREATLOCKDOWN_PREVIOUS") {
        return Ok(path.into());
    }
    git(&["cat-file", "-e", &format!("{commit}^{{commit}}")], None).map_err(|why| {
        format!(
            "{why}; without the history, let THREATLOCKDOWN_PREVIOUS name the binary of an earlier release"
        )
    })?;
    let Place { target, profile, .. } = Place::of_tests();
    let folder = target.join("previous").join(&commit[..12]);
    let sources = folder.join("source");
    if !sources.exists() {
        check_out(commit, &folder, &sources)?;
    }
    build(&sources, &profile, &target, &folder.join("target"))
}

/// Writes the files of a commit into a folder. Nothing in the repository knows of it.
fn check_out(commit: &str, folder: &Path, sources: &Path) -> Result<(), String> {
    let own = format!("arriving-{}", std::process::id());
    let (arriving, index) = (folder.join(&own), folder.join(own + ".index"));
    fs::create_dir_all(&arriving).unwrap();
    git(&["read-tree", commit], Some(&index))?;
    git(&["checkout-index", "--all", &format!("--prefix={}/", arriving.display())], Some(&index))?;
    fs::remove_file(&index).unwrap();
    // Another process may have been faster.
    if fs::rename(&arriving, sources).is_err() {
        assert!(sources.exists(), "cannot make {}", sources.display());
        fs::remove_dir_all(&arriving).unwrap();
    }
    Ok(())
}

fn git(args: &[&str], index: Option<&Path>) -> Result<(), String> {
    let mut command = Command::new("git");
    command.current_dir(repository()).args(args);
    index.map(|index| command.env("GIT_INDEX_FILE", index));
    let output = command.output().map_err(|error| format!("cannot run git: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`git {}`: {}", args.join(" "), said.trim()))
}

/// The crates of a workspace: those that come from nowhere else.
fn members(sources: &Path) -> Vec<String> {
    let lock = fs::read_to_string(sources.join("Cargo.lock")).unwrap();
    let packages = lock.split("[[package]]").skip(1).filter(|package| !package.contains("\nsource = "));
    let name = |package: &str| package.split('"').nth(1).unwrap().to_owned();
    let members: Vec<String> = packages.map(name).collect();
    assert!(!members.is_empty(), "{} has no crates", sources.display());
    members
}

fn build(sources: &Path, profile: &str, shared: &Path, own: &Path) -> Result<PathBuf, String> {
    let members = members(sources);
    let run = |offline: &[&str]| {
        let mut command = cargo_build(sources, profile, own);
        command.arg("--locked").args(offline);
        for name in &members {
            command.args(["--config", &format!("profile.{profile}.package.{name}.codegen-units={UNITS}")]);
        }
        if std::env::var_os("CARGO_BUILD_BUILD_DIR").is_none() {
            command.env("CARGO_BUILD_BUILD_DIR", shared);
        }
        command.output().unwrap()
    };
    let mut output = run(&[]);
    if !output.status.success() {
        // Without a network what is at hand may do.
        output = run(&["--offline"]);
    }
    assert!(
        output.status.success(),
        "cannot build the earlier release:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(own.join(folder).join(file_name()))
}
