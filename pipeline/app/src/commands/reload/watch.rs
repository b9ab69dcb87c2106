//! Whether files are as they were.
//!
//! Enters: paths. Leaves: a [`Baseline`] of them, which later tells whether anything about them is different. Asking the
//! system again and again is dull, but it sees what notifications miss: network file systems, links that are turned
//! around, files that editors replace by renaming.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Some files and folders at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Baseline {
    seen: BTreeMap<PathBuf, Seen>,
}

/// What is seen of a path without reading it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing there, or nothing that may be looked at.
    Nothing(ErrorKind),
    /// The names in it.
    Folder(u64),
    File {
        length: u64,
        modified: Option<SystemTime>,
        identity: [u64; 4],
    },
}

impl Baseline {
    /// These paths as they are now.
    pub(super) fn of(paths: BTreeSet<PathBuf>) -> Self {
        let look = |path: PathBuf| {
            let seen = see(&path);
            (path, seen)
        };
        Self { seen: paths.into_iter().map(look).collect() }
    }

    /// Whether all of them are as they were.
    pub(super) fn holds(&self) -> bool {
        self.seen.iter().all(|(path, seen)| see(path) == *seen)
    }

    /// Whether it is one of exactly these paths.
    pub(super) fn is_of(&self, paths: &BTreeSet<PathBuf>) -> bool {
        self.seen.keys().eq(paths)
    }
}

fn see(path: &Path) -> Seen {
    let found = std::fs::metadata(path)
        .and_then(|found| if found.is_dir() { names(path).map(Seen::Folder) } else { Ok(file(&found)) });
    found.unwrap_or_else(|error| Seen::Nothing(error.kind()))
}

/// A hash over the names, without those that editors and copying tools make for a moment.
fn names(folder: &Path) -> std::io::Result<u64> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let shown = name.to_string_lossy();
        let passing = [".tmp", ".swp", ".swx", ".part", "~"].iter().any(|end| shown.ends_with(end));
        if !(passing || shown.starts_with(['.', '#'])) {
            names.insert(name);
        }
    }
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    Ok(hasher.finish())
}

fn file(found: &Metadata) -> Seen {
    Seen::File { length: found.len(), modified: found.modified().ok(), identity: identity(found) }
}

/// Device, inode and the time of the last change of either file or inode, which no tool can set.
#[cfg(unix)]
fn identity(found: &Metadata) -> [u64; 4] {
    use std::os::unix::fs::MetadataExt as _;
    [found.dev(), found.ino(), found.ctime().cast_unsigned(), found.ctime_nsec().cast_unsigned()]
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> [u64; 4] {
    [0; 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&Path]) -> Baseline {
        Baseline::of(paths.iter().map(|path| path.to_path_buf()).collect())
    }

    #[test]
    fn every_way_to_change_a_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.xml"), folder.path().join("b.xml"));
        let missing = of(&[&path]);
        assert!(missing.holds());
        std::fs::write(&path, "one").unwrap();
        assert!(!missing.holds());
        let written = of(&[&path]);
        assert!(written.holds());
        // Of the same length and, as `cp -p` makes it, with the same time: it is another file.
        std::fs::write(&other, "two").unwrap();
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(!written.holds());
        let replaced = of(&[&path]);
        std::fs::remove_file(&path).unwrap();
        assert!(!replaced.holds());
    }

    #[test]
    fn folders_change_with_the_names_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let empty = of(&[folder.path()]);
        for passing in [".a.xml.swp", "a.xml~", ".#a.xml", "#a.xml#", "x.tmp"] {
            std::fs::write(folder.path().join(passing), "x").unwrap();
        }
        assert!(empty.holds());
        std::fs::write(folder.path().join("a.xml"), "x").unwrap();
        assert!(!empty.holds());
        assert!(of(&[folder.path()]).is_of(&BTreeSet::from([folder.path().to_path_buf()])));
        assert!(!of(&[folder.path()]).is_of(&BTreeSet::new()));
    }
}
