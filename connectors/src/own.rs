//! What this process writes itself, and therefore must not read.
//!
//! Enters: the paths of its outputs. Leaves: for a file that was found, whether it is one of them. An alert that is read
//! as an event makes another alert that holds it, and so on until the disk is full: a folder or a pattern that happens to
//! take in the alerts or the data directory must not do that.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct OwnFiles {
    /// Files, each with its rotated copies `<path>.1`, `<path>.2` …
    pub files: Vec<PathBuf>,
    /// Folders with all that is below them.
    pub folders: Vec<PathBuf>,
}

impl OwnFiles {
    /// Whether `path` leads to one of them; to be asked of a new file only, since it looks at the file system.
    #[must_use]
    pub fn holds(&self, path: &Path, metadata: &Metadata) -> bool {
        if is_standard_output(metadata) {
            return true;
        }
        if self.files.is_empty() && self.folders.is_empty() {
            return false;
        }
        let Ok(real) = path.canonicalize() else { return false };
        let below = |folder: &PathBuf| folder.canonicalize().is_ok_and(|folder| real.starts_with(folder));
        let is = |file: &PathBuf| {
            // The output itself may be a link, and may not be there yet.
            let resolved = file.canonicalize().ok().or_else(|| in_real_folder(file));
            resolved.is_some_and(|output| is_same_or_rotated(&real, &output))
                || in_real_folder(file).is_some_and(|output| is_same_or_rotated(&real, &output))
        };
        self.folders.iter().any(below) || self.files.iter().any(is)
    }
}

/// Whether the file is where standard output or standard error goes.
#[must_use]
pub fn is_standard_output(metadata: &Metadata) -> bool {
    let same = |descriptor: io::Result<std::os::fd::OwnedFd>| {
        let output = descriptor.and_then(|descriptor| std::fs::File::from(descriptor).metadata());
        // A terminal or `/dev/null` may be both input and output.
        output.is_ok_and(|output| {
            output.is_file() && (output.dev(), output.ino()) == (metadata.dev(), metadata.ino())
        })
    };
    same(io::stdout().as_fd().try_clone_to_owned()) || same(io::stderr().as_fd().try_clone_to_owned())
}

fn in_real_folder(file: &Path) -> Option<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(file.file_name()?))
}

fn is_same_or_rotated(found: &Path, output: &Path) -> bool {
    if found == output {
        return true;
    }
    let name = |path: &Path| path.file_name().map(OsStr::as_encoded_bytes).map(<[u8]>::to_vec);
    let (Some(found_name), Some(output_name)) = (name(found), name(output)) else { return false };
    let number = found_name.strip_prefix(output_name.as_slice()).and_then(|rest| rest.strip_prefix(b"."));
    found.parent() == output.parent()
        && number.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn knows_outputs_by_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("data/commit")).unwrap();
        fs::create_dir(at("elsewhere")).unwrap();
        for name in
            ["in.json", "alerts.jsonl", "alerts.jsonl.1", "alerts.jsonl.old", "data/commit/1.log", "data/x"]
        {
            fs::write(at(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(at("alerts.jsonl"), at("link.json")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("elsewhere/round")).unwrap();
        let own = OwnFiles {
            files: vec![at("data/../alerts.jsonl"), at("not/there"), "relative".into()],
            folders: vec![at("data/commit")],
        };
        let holds = |name: &str| own.holds(&at(name), &fs::metadata(at(name)).unwrap());
        for name in [
            "alerts.jsonl",
            "alerts.jsonl.1",
            "link.json",
            "elsewhere/round/alerts.jsonl",
            "data/commit/1.log",
        ] {
            assert!(holds(name), "{name}");
        }
        for name in ["in.json", "alerts.jsonl.old", "data/x"] {
            assert!(!holds(name), "{name}");
        }
    }
}
