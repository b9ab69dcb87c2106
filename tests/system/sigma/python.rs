//! Python with the packages that the script needs, in a folder of its own below the target folder.
//!
//! Made once and again when `requirements.txt` changes; versions and hashes are pinned there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::skip;

use super::oracle;

/// The interpreter; `None` where `test` has to be skipped, which has been said then.
pub(super) fn with_packages(test: &str) -> Option<PathBuf> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match MADE.get_or_init(environment) {
        Ok(python) => Some(python.clone()),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
            skip(test, why);
            None
        }
    }
}

fn environment() -> Result<PathBuf, String> {
    let requirements = oracle::folder().join("requirements.txt");
    let wanted = fs::read(&requirements).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sigma-oracle");
    let (python, done) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read(&done).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    let _ = fs::remove_dir_all(&folder);
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder), "python3 (3.10 or later, with venv)")?;
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
    ]);
    run(install.arg("--require-hashes").arg("-r").arg(&requirements), "pip and a package index")?;
    fs::write(done, wanted).unwrap();
    Ok(python)
}

fn run(command: &mut Command, need: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("needs {need}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("needs {need}: {}", said.lines().last().unwrap_or_default()))
}
