//! One value in a file of its own, replaced whole: what is too large for the store and too rare for a log.
//!
//! Enters: bytes. Leaves: the same bytes, or none where there are none. The file is written beside its place, synced and
//! renamed, so that a kill leaves the old value or the new one; a checksum tells what a disk did to it later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 7] = b"TLDKEEP";
const FORMAT: u8 = 1;
/// Magic, format and checksum.
const HEAD: usize = MAGIC.len() + 1 + 4;

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
    /// Of the kind [`io::ErrorKind::InvalidData`] when the file is not what was written, else when it cannot be read.
    pub fn load(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open()? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        let format = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first());
        if let Some(format) = format.filter(|format| **format != FORMAT) {
            return invalid(format!("it has format {format}, this version reads format {FORMAT}"));
        }
        let sum = bytes.get(MAGIC.len() + 1..HEAD).and_then(|sum| <[u8; 4]>::try_from(sum).ok());
        let is_whole = format.is_some()
            && sum.is_some_and(|sum| u32::from_le_bytes(sum) == crc32c::crc32c(&bytes[HEAD..]));
        if !is_whole {
            return invalid("it is not what was written".to_owned());
        }
        bytes.drain(..HEAD);
        Ok(Some(bytes))
    }

    /// Looks whether the file can be read at all, without reading it: what the system refuses now, it will refuse later.
    ///
    /// # Errors
    /// When it cannot be read. Whether it is what was written only [`Kept::load`] tells.
    pub fn probe(&self) -> io::Result<()> {
        let Some(mut file) = self.open()? else { return Ok(()) };
        file.read(&mut [0]).map(drop)
    }

    /// To open a pipe would be to wait for ever.
    fn open(&self) -> io::Result<Option<File>> {
        match fs::metadata(&self.path) {
            Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is not a regular file")),
            Ok(_) => File::open(&self.path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps a value in place of the one before. Durable on return.
    ///
    /// # Errors
    /// When it cannot be written; the one before is then still there.
    pub fn save(&self, value: &[u8]) -> io::Result<()> {
        let begun = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&begun)?;
        file.write_all(MAGIC)?;
        file.write_all(&[FORMAT])?;
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
    fn another_format_is_named_and_what_is_no_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::at(dir.path().join("value"));
        kept.probe().unwrap();
        kept.save(b"one").unwrap();
        kept.probe().unwrap();
        let mut bytes = fs::read(kept.path()).unwrap();
        bytes[MAGIC.len()] = 2;
        fs::write(kept.path(), &bytes).unwrap();
        kept.probe().unwrap();
        let error = kept.load().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(error.to_string(), "it has format 2, this version reads format 1");
        for name in ["folder", "loop"] {
            let kept = Kept::at(dir.path().join(name));
            match name {
                "folder" => fs::create_dir(kept.path()).unwrap(),
                _ => std::os::unix::fs::symlink(kept.path(), kept.path()).unwrap(),
            }
            assert!(kept.probe().is_err(), "{name}");
            assert_ne!(kept.load().unwrap_err().kind(), io::ErrorKind::InvalidData, "{name}");
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
