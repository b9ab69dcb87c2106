//! A log on disk: frames in numbered files, appended and made durable one at a time.
//!
//! Enters: payloads. Leaves: the same payloads in order, to any number of readers, or an error that names file and
//! offset. The commit log and the journal are both this.
//!
//! ```text
//! segment file:  "TLDLOG" kind version | frame | frame | …          named 00000000000000000001.log, …
//! frame:         length u32 | CRC32C u32 | payload                   little-endian
//! ```
//!
//! The checksum covers the frame's place as well as its length and payload, so that no bytes of a payload can pass for
//! a frame, and neither can a run of zeros. A frame is written by one call and synced before the next one begins:
//! after a crash at most the last frame of the last segment is torn, and `recover` cuts it off. Anything else that
//! does not check out is corruption, and nobody reads past it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::StoreError;

mod file;
mod reader;
mod recover;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

pub(crate) use file::{Opener, open_file};
pub(crate) use reader::SegmentReader;
pub(crate) use tail::Tail;
pub(crate) use writer::{SegmentedLog, Settings, start_frame};

/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: u64 = 8;
const HEADER_MAGIC: &[u8; 6] = b"TLDLOG";
const HEADER_VERSION: u8 = 1;

/// Bytes before the payload of a frame.
pub(crate) const FRAME_BYTES: usize = 8;

/// Largest payload of a frame.
pub(crate) const MAX_PAYLOAD: usize = 256 * 1024 * 1024;

/// A place in a log: a segment, and the byte offset in its file, between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LogPosition {
    /// Number of the segment; they begin at 1.
    pub segment: u64,
    /// Byte offset in it.
    pub offset: u64,
}

impl LogPosition {
    /// Beyond every position that a log can have.
    pub const MAX: LogPosition = LogPosition { segment: u64::MAX, offset: u64::MAX };

    /// Before the first frame of a segment.
    pub(crate) fn start_of(segment: u64) -> Self {
        Self { segment, offset: HEADER_BYTES }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

/// Why a log cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record in the middle of a log is not what was written.
    #[error(
        "{} is corrupt at byte {offset}: {detail}; put it back from a copy, or begin anew with another data directory",
        path.display()
    )]
    Corrupt {
        /// Segment file.
        path: PathBuf,
        /// First byte of the record.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// The log lacks what was known to be durable: files were removed, or put back from an older copy.
    #[error("the log in {} ends at {end}, but {wanted} was reached before; \
         put back what was removed, or begin anew with another data directory", directory.display())]
    Behind {
        /// Folder of the log.
        directory: PathBuf,
        /// Where it ends.
        end: LogPosition,
        /// What it should hold.
        wanted: LogPosition,
    },
    /// One record is larger than a frame may be.
    #[error("a record of {bytes} bytes is more than the log in {} takes", directory.display())]
    TooLarge {
        /// Folder of the log.
        directory: PathBuf,
        /// Size of the record.
        bytes: usize,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LogError {
    /// For `map_err`: adds what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
        move |source| LogError::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, detail: impl Into<String>) -> LogError {
        LogError::Corrupt { path: path.to_owned(), offset, detail: detail.into() }
    }
}

/// File of a segment.
pub(crate) fn segment_path(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{segment:020}.log"))
}

fn header(kind: u8) -> [u8; HEADER_BYTES as usize] {
    let [a, b, c, d, e, f] = *HEADER_MAGIC;
    [a, b, c, d, e, f, kind, HEADER_VERSION]
}

/// Checks the first bytes of a segment.
fn check_header(bytes: [u8; HEADER_BYTES as usize], kind: u8, path: &Path) -> Result<(), LogError> {
    if bytes == header(kind) {
        return Ok(());
    }
    let detail = if bytes[..6] != *HEADER_MAGIC || bytes[6] != kind {
        String::from("it does not begin like a segment of this log")
    } else {
        format!("it has format version {}, which this release does not know", bytes[7])
    };
    Err(LogError::corrupt(path, 0, detail))
}

/// Checksum of a frame that begins at `at`.
fn checksum(at: LogPosition, payload: &[u8]) -> u32 {
    let mut head = [0; 20];
    head[..8].copy_from_slice(&at.segment.to_le_bytes());
    head[8..16].copy_from_slice(&at.offset.to_le_bytes());
    head[16..].copy_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

/// Length and checksum from the first bytes of a frame.
fn parse_frame_header(bytes: [u8; FRAME_BYTES]) -> (usize, u32) {
    let [a, b, c, d, e, f, g, h] = bytes;
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]))
}
