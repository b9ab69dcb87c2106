//! Which files a path, a directory or a pattern names, in an order that does not depend on the file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use crate::pattern::check_pattern;
use crate::pattern::{expand, is_pattern};

/// Files, and what could not be looked into.
#[derive(Debug, Default)]
pub struct Found {
    /// Sorted within each path that was asked for.
    pub files: Vec<PathBuf>,
    /// With the reason.
    pub failed: Vec<(PathBuf, io::Error)>,
}

impl Found {
    /// Adds the file, or the files below the directory. Hidden files and directories below it are passed over, links to
    /// directories are not followed (they may form a circle).
    pub fn add(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.add_directory(path),
            Ok(_) => self.files.push(path.to_owned()),
            Err(error) => self.failed.push((path.to_owned(), error)),
        }
    }

    /// Adds what the pattern matches now; a path without wildcards need not exist yet.
    pub fn add_pattern(&mut self, pattern: &str) {
        let path = Path::new(pattern);
        if !is_pattern(pattern) || path.exists() {
            if let Err(error) = fs::metadata(path)
                && error.kind() == io::ErrorKind::NotFound
            {
                return;
            }
            self.add(path);
            return;
        }
        let matches = expand(pattern);
        for path in &matches.paths {
            self.add(path);
        }
        self.failed.extend(matches.failed);
    }

    fn add_directory(&mut self, directory: &Path) {
        // A stack, not recursion: the depth of a tree is not ours to choose.
        let mut pending = vec![directory.to_owned()];
        let begin = self.files.len();
        while let Some(directory) = pending.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    self.failed.push((directory, error));
                    continue;
                }
            };
            for entry in entries {
                match entry {
                    Ok(entry) if entry.file_name().as_encoded_bytes().starts_with(b".") => {}
                    Ok(entry) => match entry.file_type() {
                        Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                        Ok(_) if entry.path().is_file() => self.files.push(entry.path()),
                        // Sockets, pipes, links to directories or to nothing.
                        Ok(_) => {}
                        Err(error) => self.failed.push((entry.path(), error)),
                    },
                    Err(error) => self.failed.push((directory.clone(), error)),
                }
            }
        }
        self.files[begin..].sort();
    }
}
