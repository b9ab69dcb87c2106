//! What is stored of each followed file: how to know it again, and where to go on.
//!
//! Versioned JSON, small enough to be written with every unit. An empty value retires the stream.

use serde::{Deserialize, Serialize};

use super::identity::{Hex, Print};
use crate::formats::{Format, Resume, json};
use crate::pump::Progress;

const VERSION: u32 = 1;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    v: u32,
    /// Where the file was found first: what rules see as location.
    pub(super) path: String,
    pub(super) dev: u64,
    pub(super) ino: u64,
    /// Of the first bytes.
    pub(super) head: Print,
    /// Of the last bytes before `offset`.
    pub(super) tail: Print,
    /// Everything before this offset (after decompression) is done.
    pub(super) offset: u64,
    /// Where splitting begins anew to find what follows: `offset` or the beginning of a document.
    resume: u64,
    /// See [`Resume::lines`].
    lines: bool,
    /// Plain lines, or JSON.
    text: bool,
    pub(super) compressed: bool,
    /// Records published.
    pub(super) records: u64,
    /// Identity of the origin, and what it was made of.
    pub(super) origin: Hex,
    pub(super) first: Hex,
    pub(super) ordinal: u64,
    /// A compressed file that was read to its end when it had this size and time of change.
    pub(super) finished: Option<(u64, i64)>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not what this version writes.
    #[error("the checkpoint of stream {stream} is damaged: {cause}")]
    Damaged {
        /// Which.
        stream: String,
        /// The parser's words.
        #[source]
        cause: serde_json::Error,
    },
    /// Written by a later version.
    #[error("the checkpoint of stream {stream} has version {version}, this program knows {VERSION}")]
    Version {
        /// Which.
        stream: String,
        /// Its version.
        version: u32,
    },
}

impl Checkpoint {
    pub(super) fn new(
        path: String,
        (dev, ino): (u64, u64),
        first: Hex,
        ordinal: u64,
        origin: [u8; 16],
    ) -> Self {
        Self {
            v: VERSION,
            path,
            dev,
            ino,
            head: Print::of(b""),
            tail: Print::of(b""),
            offset: 0,
            resume: 0,
            lines: false,
            text: false,
            compressed: false,
            records: 0,
            origin: Hex(origin),
            first,
            ordinal,
            finished: None,
        }
    }

    pub(super) fn parse(stream: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let damaged = |cause| CheckpointError::Damaged { stream: stream.to_owned(), cause };
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v: version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(CheckpointError::Version { stream: stream.to_owned(), version });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers only: serialising them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn advance(&mut self, format: Format, resume: Resume, offset: u64) {
        self.text = format == Format::Lines;
        self.resume = resume.offset;
        self.lines = resume.lines;
        self.offset = offset;
    }

    pub(super) fn progress(&self, source: &str) -> Progress {
        Progress {
            format: if self.text { Format::Lines } else { json(source) },
            resume: Resume { offset: self.resume, lines: self.lines },
            done: self.offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_being_stored() {
        let mut stored = Checkpoint::new("a b".into(), (1, 2), Hex([3; 16]), 4, [0xab; 16]);
        stored.advance(json("aws.cloudtrail"), Resume { offset: 5, lines: true }, 6);
        stored.tail = Print::of(b"tail");
        let read = Checkpoint::parse("s", &stored.to_bytes()).unwrap();
        assert_eq!(read.to_bytes(), stored.to_bytes());
        assert_eq!((read.offset, read.progress("aws.cloudtrail").resume.offset), (6, 5));
        assert_eq!(read.origin, Hex([0xab; 16]));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = Checkpoint::parse("c/file/1", b"{\"v\":9}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the checkpoint of stream c/file/1 has version 9, this program knows 1"
        );
        assert!(Checkpoint::parse("c/file/1", b"{\"v\":1}").unwrap_err().to_string().contains("c/file/1"));
    }
}
