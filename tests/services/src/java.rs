//! Which Java runs a server.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A `java` of at least that version: that of `JAVA_HOME`, of the path, or one installed beside it.
pub(crate) fn find(least: u32) -> PathBuf {
    installed(least).unwrap_or_else(|| {
        let found = candidates();
        panic!("this test needs Java {least} or newer (Debian: apt-get install default-jdk-headless); found {found:?}")
    })
}

/// The same, where there is one.
pub(crate) fn installed(least: u32) -> Option<PathBuf> {
    candidates().into_iter().find(|java| version(java).is_some_and(|version| version >= least))
}

fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    found.extend(std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("java")).find(|java| java.exists());
    if let Some(java) = on_path {
        let real = java.canonicalize().unwrap_or_else(|_| java.clone());
        found.push(java);
        // …/jvm/<one>/bin/java
        let siblings = real.ancestors().nth(3).and_then(|jvm| std::fs::read_dir(jvm).ok());
        found.extend(siblings.into_iter().flatten().flatten().map(|home| home.path().join("bin/java")));
    }
    found.retain(|java| java.exists());
    found
}

/// `openjdk version "17.0.15" …` → 17.
fn version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = text.split('"').nth(1)?;
    number.split(['.', '-', '+']).next()?.parse().ok()
}
