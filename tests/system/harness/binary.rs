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

fn build() -> PathBuf {
    // <target>/<profile folder>/deps/system-<hash>
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).expect("the tests lie in a target folder");
    let target = folder.parent().expect("a profile's folder lies in the target folder");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(other) => other,
        None => panic!("{} has no name", folder.display()),
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    command.current_dir(repository());
    command.args(["build", "--quiet", "--package", "threatlockdown-app", "--bin", "threatlockdown"]);
    command.args(["--profile", profile, "--target-dir"]).arg(target);
    let output = command.output().unwrap();
    assert!(output.status.success(), "cannot build the binary:\n{}", String::from_utf8_lossy(&output.stderr));
    let built = folder.join(format!("threatlockdown{}", std::env::consts::EXE_SUFFIX));
    // A copy, so that a build in another terminal does not change or remove it between two starts.
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (arriving, own) = (own.join(format!("arriving-{}", std::process::id())), own.join("threatlockdown"));
    std::fs::copy(&built, &arriving).unwrap();
    std::fs::rename(&arriving, &own).unwrap();
    own
}
