//! One value in a file of its own, replaced whole: what is too large for the store and too rare for a log.
//!
//! Enters: bytes. Leaves: the same bytes, or none where there are none. The file is written beside its place, synced and
//! renamed, so that a kill leaves the old value or the new one; a checksum tells what a disk did to it later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"TLDKEEP\x01";
const HEAD: usize = MAGIC.len() + 4;

/// A file with one value.
#[derive(Debug, Clone)]
pub struct Kept {
    path: PathBuf,
}

impl Kept {
    /// At that place; nothing is touched yet.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value; `None` where none was kept.
    ///
    /// # Errors
    /// When the file cannot be read, or is not what was written.
    pub fn load(&self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let sum = bytes.get(MAGIC.len()..HEAD).and_then(|sum| <[u8; 4]>::try_from(sum).ok());
        let is_whole = bytes.starts_with(MAGIC)
            && sum.is_some_and(|sum| u32::from_le_bytes(sum) == crc32c::crc32c(&bytes[HEAD..]));
        if !is_whole {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what was written"));
        }
        bytes.drain(..HEAD);
        Ok(Some(bytes))
    }

    /// Keeps a value in place of the one before. Durable on return.
    ///
    /// # Errors
    /// When it cannot be written; the one before is then still there.
    pub fn save(&self, value: &[u8]) -> io::Result<()> {
        let begun = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&begun)?;
        file.write_all(MAGIC)?;
        file.write_all(&crc32c::crc32c(value).to_le_bytes())?;
        file.write_all(value)?;
        file.sync_all()?;
        fs::rename(&begun, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_replaced_whole_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::at(dir.path().join("value"));
        assert_eq!(kept.load().unwrap(), None);
        kept.save(b"one").unwrap();
        kept.save(b"another").unwrap();
        assert_eq!(kept.load().unwrap().as_deref(), Some(&b"another"[..]));
        let whole = fs::read(kept.path()).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(kept.path(), &damaged).unwrap();
            assert!(kept.load().is_err(), "byte {at}");
            fs::write(kept.path(), &whole[..at]).unwrap();
            assert!(kept.load().is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_kill_while_writing_leaves_the_value_before() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::at(dir.path().join("value"));
        kept.save(b"one").unwrap();
        fs::write(dir.path().join("value.new"), b"half").unwrap();
        assert_eq!(kept.load().unwrap().as_deref(), Some(&b"one"[..]));
        kept.save(b"two").unwrap();
        assert_eq!(kept.load().unwrap().as_deref(), Some(&b"two"[..]));
    }
}
