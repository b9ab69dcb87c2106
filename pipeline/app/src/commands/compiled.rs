//! Compiled rule sets on disk.
//!
//! Enters: a path, and for writing a set. Leaves: a file that is whole or as it was before; or the program of one, or
//! the fault that keeps it from being used. What is in the file is the ruleset crate's affair.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::{Place, RuleSet};
use threatlockdown_ruleset::{artefact, build};

use super::home::{Pipes, open};
use super::rule_set::Loaded;

/// More than any set of rules takes; a larger file is something else.
const MAX_BYTES: u64 = 512 << 20;

/// Loads the compiled set that was read from `path`; what is wrong with it is in the result.
pub(super) fn load(path: &Path, bytes: std::io::Result<Vec<u8>>) -> Loaded {
    let place = Place::new(&Arc::from(path.to_string_lossy()), 1, 1);
    let fault = |message: String, help: &str| {
        let diagnostics = vec![Diagnostic::error(place.clone(), "", message, help)];
        Loaded { program: None, set: RuleSet::default(), diagnostics }
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return fault(format!("cannot read: {error}"), "check the path and its permissions"),
    };
    match artefact::read(&bytes) {
        Err(error) => fault(error.to_string(), "threatlockdown rules compile --rules PATH -o FILE"),
        Ok((set, version)) => match build(&set, version) {
            Ok(program) => Loaded { program: Some(program), set, diagnostics: Vec::new() },
            Err(diagnostics) => Loaded { program: None, set, diagnostics },
        },
    }
}

/// The bytes of a compiled set, or as many as show that it is none.
pub(super) fn read(path: &Path, pipes: Pipes) -> std::io::Result<Vec<u8>> {
    let file = open(path, pipes)?;
    let mut bytes = Vec::new();
    (&file).take(artefact::HEADER as u64).read_to_end(&mut bytes)?;
    let Ok(length) = artefact::length(&bytes) else { return Ok(bytes) };
    if length > MAX_BYTES {
        return Err(std::io::Error::other(format!(
            "its header tells of {length} bytes, the limit is {MAX_BYTES}"
        )));
    }
    // One byte more shows that there are too many.
    file.take(length + 1 - bytes.len() as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes `bytes` so that there is never half a file at `path`, whenever the process or the machine ends. A link is
/// followed, and what is no regular file (a device, a pipe) is written into: neither may be replaced by a file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let written = File::options().write(true).open(path).and_then(|mut file| file.write_all(bytes));
        return written.with_context(|| format!("cannot write {}", path.display()));
    }
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let arriving = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = File::create(&arriving)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&arriving, path))
        .and_then(|()| File::open(&folder)?.sync_all());
    if written.is_err() {
        std::fs::remove_file(&arriving).ok();
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.tld");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        // A folder stands where the file belongs: nothing is left of the attempt.
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        std::fs::write(taken.join("x"), "x").unwrap();
        assert!(write(&taken, b"three").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_and_a_link_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("rules.tld"), folder.path().join("link"));
        std::fs::write(&path, "one").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert!(link.is_symlink());
        // A link to the device stands for it: without care the link would be replaced, not the device itself.
        let device = folder.path().join("device");
        std::os::unix::fs::symlink("/dev/full", &device).unwrap();
        assert!(write(&device, b"three").unwrap_err().to_string().contains("cannot write"));
        assert!(device.is_symlink());
    }

    #[test]
    fn no_more_is_read_than_the_header_tells_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.tld");
        let read = |path: &Path| read(path, Pipes::Wanted);
        assert_eq!(read(Path::new("/dev/zero")).unwrap().len(), artefact::HEADER);
        let whole = artefact::write(&RuleSet::default(), "v").unwrap();
        // A file that goes on for ever, without using the disk.
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read(&path).unwrap(), whole);
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&path).unwrap().len(), whole.len() + 1);
        // A header that promises too much is believed, and therefore refused.
        let mut long = whole;
        let length_at = artefact::HEADER - 32 - 8;
        long[length_at..length_at + 8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
        std::fs::write(&path, &long).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("the limit is 536870912"));
    }

    #[test]
    fn what_cannot_be_used_is_one_fault_at_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.tld");
        let message = |path: &Path| {
            let loaded = load(path, read(path, Pipes::Wanted));
            assert!(loaded.program.is_none());
            loaded.diagnostics[0].to_string()
        };
        assert!(message(&path).contains("cannot read"));
        std::fs::write(&path, "<group>").unwrap();
        assert!(message(&path).contains("rules.tld:1:1: error: this is not a compiled rule set"));
    }
}
