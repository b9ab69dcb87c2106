//! Reads a folder of Sigma rules, just enough to measure with them.
//!
//! Enters: a folder. Leaves: the texts of all `*.yml` in it and below it, in the order of their paths.

use std::path::{Path, PathBuf};

use threatlockdown_ruleset::{Origin, RuleText};

/// Reads them.
///
/// # Errors
/// What cannot be read, with its path.
pub fn read(folder: &Path) -> Result<Vec<RuleText>, String> {
    let mut paths = Vec::new();
    find(folder, &mut paths)?;
    paths.sort();
    paths.iter().map(|path| file(path)).collect()
}

fn find(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            find(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            paths.push(path);
        }
    }
    Ok(())
}

fn file(path: &Path) -> Result<RuleText, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(RuleText { path: path.to_string_lossy().into(), text, origin: Origin::User })
}
