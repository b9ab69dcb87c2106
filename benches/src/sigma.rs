//! Reads a folder of Sigma rules as it lies on disk: just enough to measure with it.
//!
//! Enters: a folder. Leaves: the built-in rules, and beside them all Sigma files below the folder.

use std::path::{Path, PathBuf};

use threatlockdown_ruleset::{Origin, RuleText, Texts};

/// The built-in rules and the Sigma files of a folder.
///
/// # Errors
/// A file or folder that cannot be read, with its path.
pub fn with_builtin(folder: &Path) -> Result<Texts, String> {
    let mut texts = Texts::builtin();
    for path in files(folder)? {
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        texts.add(RuleText { path: path.to_string_lossy().into(), text, origin: Origin::User });
    }
    Ok(texts)
}

/// Files whose names end in `.yml`, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(failed)?.collect();
    let mut files = Vec::new();
    for entry in entries.map_err(failed)? {
        let path = entry.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
