//! The file that a log appends to, behind a small trait so that tests can put a full disk in its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// What a log needs of its last segment's file.
pub(crate) trait AppendFile: Send {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes contents and length durable.
    fn sync(&mut self) -> io::Result<()>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// Opens a segment file, which it creates where there is none.
pub(crate) type Opener = Arc<dyn Fn(&Path) -> io::Result<Box<dyn AppendFile>> + Send + Sync>;

/// The opener for real files. Mode 0640: a log holds what may be anyone's activity.
pub(crate) fn open_file(path: &Path) -> io::Result<Box<dyn AppendFile>> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(path)?;
    Ok(Box::new(file))
}

impl AppendFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
