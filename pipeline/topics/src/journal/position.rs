//! A place between two entries of the journal: a frame, and how many of its entries are done.

use crate::codec::{DecodeError, Decoder, put_u32, put_u64};
use crate::segment::LogPosition;

const VERSION: u8 = 1;

/// The checkpoint of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JournalPosition {
    /// Before this frame …
    pub(super) frame: LogPosition,
    /// … and after so many of its entries.
    pub(super) entries: u32,
}

impl JournalPosition {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(21);
        out.push(VERSION);
        put_u64(&mut out, self.frame.segment);
        put_u64(&mut out, self.frame.offset);
        put_u32(&mut out, self.entries);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        decoder.version(VERSION)?;
        let frame = LogPosition { segment: decoder.u64()?, offset: decoder.u64()? };
        let entries = decoder.u32()?;
        decoder.finish()?;
        Ok(Self { frame, entries })
    }
}
