//! The binary under test: built once for each test process, in the profile and target folder of the tests themselves.
//!
//! `THREATLOCKDOWN_BIN` names another one, for example that of a package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Path of `threatlockdown`.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("THREATLOCKDOWN_BIN") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// Root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// Where the tests lie, and by what profile they were built.
pub(super) struct Place {
    /// The target folder.
    pub(super) target: PathBuf,
    /// The profile's folder in it.
    folder: PathBuf,
    pub(super) profile: String,
}

impl Place {
    pub(super) fn of_tests() -> Self {
        // <target>/<profile folder>/deps/system-<hash>
        let tests = std::env::current_exe().unwrap();
        let folder = tests.parent().and_then(Path::parent).expect("the tests lie in a target folder");
        let target = folder.parent().expect("a profile's folder lies in the target folder");
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(other) => other,
            None => panic!("{} has no name", folder.display()),
        };
        Self { target: target.to_path_buf(), folder: folder.to_path_buf(), profile: profile.to_owned() }
    }
}

/// `cargo build` of the binary, of the sources in a folder.
pub(super) fn cargo_build(sources: &Path, profile: &str, target: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    command.current_dir(sources);
    command.args(["build", "--quiet", "--package", "threatlockdown-app", "--bin", "threatlockdown"]);
    command.args(["--profile", profile, "--target-dir"]).arg(target);
    command
}

/// What the binary's file is called.
pub(super) fn file_name() -> String {
    format!("threatlockdown{}", std::env::consts::EXE_SUFFIX)
}

fn build() -> PathBuf {
    let Place { target, folder, profile } = Place::of_tests();
    let output = cargo_build(repository(), &profile, &target).output().unwrap();
    assert!(output.status.success(), "cannot build the binary:\n{}", String::from_utf8_lossy(&output.stderr));
    let built = folder.join(file_name());
    // A copy, so that a build in another terminal does not change or remove it between two starts.
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (arriving, own) = (own.join(format!("arriving-{}", std::process::id())), own.join("threatlockdown"));
    std::fs::copy(&built, &arriving).unwrap();
    std::fs::rename(&arriving, &own).unwrap();
    own
}
