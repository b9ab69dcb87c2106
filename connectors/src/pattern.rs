//! Patterns of paths: `*`, `?` and `[…]` within a name, `**` for any number of folders.
//!
//! Enters: a pattern. Leaves: the paths that it matches now, sorted, and the folders that cannot be looked into. The
//! crate behind it matches single names; the walk is ours, because its own ends the process at a file whose name is not
//! UTF-8, which anyone may put into a log folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};

/// A dot at the beginning of a name has to be written out.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether the text holds anything that is not taken literally.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a pattern can be used.
///
/// # Errors
/// Says what is wrong with it, and where.
pub fn check_pattern(pattern: &str) -> Result<(), PatternError> {
    Pattern::new(pattern)?;
    parts(pattern).map(drop)
}

/// What a pattern matches.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    pub(crate) paths: BTreeSet<PathBuf>,
    pub(crate) failed: Vec<(PathBuf, io::Error)>,
}

/// One name of a path.
enum Part<'a> {
    Name(&'a str),
    Pattern(Pattern),
    Folders,
}

fn parts(pattern: &str) -> Result<Vec<Part<'_>>, PatternError> {
    let part = |part| match part {
        "**" => Ok(Part::Folders),
        part if is_pattern(part) => Pattern::new(part).map(Part::Pattern),
        part => Ok(Part::Name(part)),
    };
    pattern.split('/').filter(|part| !part.is_empty()).map(part).collect()
}

/// Looks up what there is. Links to folders are followed where a name or `*` leads to them, but not below `**`, where
/// they may form a circle.
pub(crate) fn expand(pattern: &str) -> Matches {
    let mut matches = Matches::default();
    let Ok(parts) = parts(pattern) else { return matches };
    let root = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
    let mut pending = vec![(root, &parts[..])];
    while let Some((path, rest)) = pending.pop() {
        let Some((part, rest_behind)) = rest.split_first() else {
            matches.paths.insert(path);
            continue;
        };
        match part {
            Part::Name(name) => {
                let path = path.join(name);
                match fs::symlink_metadata(&path) {
                    Ok(_) => pending.push((path, rest_behind)),
                    Err(error) => matches.fail(path, error),
                }
            }
            Part::Folders => {
                // At the end it means all that is below, which is what a folder means anyway.
                if !rest_behind.is_empty() {
                    for folder in matches.list(&path, |entry| {
                        entry.file_type().is_ok_and(|kind| kind.is_dir())
                            && !entry.file_name().as_encoded_bytes().starts_with(b".")
                    }) {
                        pending.push((folder, rest));
                    }
                }
                pending.push((path, rest_behind));
            }
            Part::Pattern(pattern) => {
                let is_match = |entry: &fs::DirEntry| {
                    pattern.matches_with(&entry.file_name().to_string_lossy(), OPTIONS)
                };
                for found in matches.list(&path, is_match) {
                    if rest_behind.is_empty() || found.is_dir() {
                        pending.push((found, rest_behind));
                    }
                }
            }
        }
    }
    matches
}

impl Matches {
    fn list(&mut self, folder: &Path, keep: impl Fn(&fs::DirEntry) -> bool) -> Vec<PathBuf> {
        let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let entries = match fs::read_dir(shown) {
            Ok(entries) => entries,
            Err(error) => {
                self.fail(shown.to_owned(), error);
                return Vec::new();
            }
        };
        let mut kept = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) if keep(&entry) => kept.push(folder.join(entry.file_name())),
                Ok(_) => {}
                Err(error) => self.fail(shown.to_owned(), error),
            }
        }
        kept
    }

    /// What is not there is not matched; that is no failure.
    fn fail(&mut self, path: PathBuf, error: io::Error) {
        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            self.failed.push((path, error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn found(root: &Path, pattern: &str) -> Vec<String> {
        let matches = expand(&format!("{}/{pattern}", root.display()));
        assert!(matches.failed.is_empty(), "{:?}", matches.failed);
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        matches.paths.iter().map(name).collect()
    }

    #[test]
    fn matches_names_and_folders() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::create_dir_all(root.join("a/.git")).unwrap();
        for name in ["a/1.log", "a/b/2.log", "a/b/c/3.log", "a/.git/4.log", "a/.5.log", "a/b/x.txt"] {
            fs::write(root.join(name), "x").unwrap();
        }
        symlink(root, root.join("a/b/circle")).unwrap();
        symlink(root.join("a/b"), root.join("link")).unwrap();
        symlink("nowhere", root.join("a/gone.log")).unwrap();
        assert_eq!(found(root, "a/*.log"), ["a/1.log", "a/gone.log"]);
        assert_eq!(found(root, "a/**/*.log"), ["a/1.log", "a/b/2.log", "a/b/c/3.log", "a/gone.log"]);
        assert_eq!(found(root, "**/b/?.log"), ["a/b/2.log"]);
        assert_eq!(found(root, "l*/[0-9].log"), ["link/2.log"]);
        assert_eq!(found(root, "a/.*.log"), ["a/.5.log"]);
        assert_eq!(found(root, "a/**"), ["a"]);
        assert_eq!(found(root, "a/1.log/*"), [""; 0]);
        assert_eq!(found(root, "none/*"), [""; 0]);
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join(OsStr::from_bytes(b"bad\xff.json"));
        fs::write(&odd, "x").unwrap();
        fs::create_dir(dir.path().join(OsStr::from_bytes(b"\xfe"))).unwrap();
        for pattern in ["bad*.json", "**/bad*", "*.json"] {
            let matches = expand(&format!("{}/{pattern}", dir.path().display()));
            assert_eq!(
                matches.paths.into_iter().collect::<Vec<_>>(),
                std::slice::from_ref(&odd),
                "{pattern}"
            );
        }
    }

    #[test]
    fn says_what_is_no_pattern() {
        assert!(check_pattern("/a/[0-9]*/**/x?").is_ok());
        assert!(check_pattern("/a/[z").is_err() && check_pattern("a**b").is_err());
        assert!(check_pattern("x/[a/b]").is_err(), "a class does not reach over a separator");
    }
}
