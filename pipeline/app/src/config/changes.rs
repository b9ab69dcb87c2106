//! Whether a configuration says something else than when it was read.
//!
//! Enters: a configuration that was read from a file. Leaves: the configuration as it is now, each time that its file or one that it takes a value from has
//! changed. One with faults, as while it is being written, is passed over: what was read before stands. Commands
//! (`${exec:…}`) run again only when a file has changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Config, load, validate};

/// See the module.
pub(crate) struct Changes {
    path: PathBuf,
    /// The files that it was made of, and how they were; `None`: not there.
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

/// Differs when a file was written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    written: Option<SystemTime>,
    length: u64,
    file: u64,
}

impl Changes {
    /// Since it was read; `None` for one that was not read from a file.
    pub(crate) fn since(config: &Config) -> Option<Self> {
        Some(Self { path: config.files.first()?.clone(), seen: stamps(&config.files) })
    }

    /// The configuration as it is now, if that differs from what was seen last.
    pub(crate) fn look(&mut self) -> Option<Config> {
        let files: Vec<PathBuf> = self.seen.iter().map(|(file, _)| file.clone()).collect();
        let now = stamps(&files);
        if now == self.seen {
            return None;
        }
        // Stamps of before: what changes while it is read is found by the next look.
        self.seen = now;
        let (config, mut faults) = load(&self.path);
        faults.extend(validate(&config));
        if let Some(fault) = faults.first() {
            tracing::warn!(%fault, "the configuration has changed and has faults: what was read before stands");
            return None;
        }
        let more: Vec<PathBuf> = config.files.iter().filter(|file| !files.contains(file)).cloned().collect();
        self.seen.extend(stamps(&more));
        Some(config)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<(PathBuf, Option<Stamp>)> {
    files.iter().map(|file| (file.clone(), stamp(file))).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(file).ok()?;
    Some(Stamp { written: found.modified().ok(), length: found.len(), file: found.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_and_a_faulty_one_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (path, secret) = (folder.path().join("c.yaml"), folder.path().join("secret"));
        std::fs::write(&secret, "one").unwrap();
        std::fs::write(&path, "data_dir: ${file:secret}\n").unwrap();
        let (config, faults) = load(&path);
        assert!(faults.is_empty(), "{faults:?}");
        let mut changes = Changes::since(&config).unwrap();
        assert!(changes.look().is_none(), "nothing has changed");
        std::fs::write(&secret, "other").unwrap();
        assert_eq!(changes.look().unwrap().data_dir, Path::new("other"));
        assert!(changes.look().is_none());
        std::fs::write(&path, "data_dir: ${file:not-yet}\n").unwrap();
        assert!(changes.look().is_none(), "it names a file that is not there");
        std::fs::write(&path, "data_dir: ${file:secret}\nworkers: 3\n").unwrap();
        assert_eq!(changes.look().unwrap().workers, 3);
        // As secrets are replaced in a cluster: by another file of the same name.
        std::fs::write(folder.path().join("new"), "other").unwrap();
        std::fs::rename(folder.path().join("new"), &secret).unwrap();
        assert!(changes.look().is_some());
    }
}
