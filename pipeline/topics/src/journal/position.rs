//! A place in the journal: a frame, how many of its entries are done, and how many records of the next.

use crate::codec::{DecodeError, Decoder, put_u32, put_u64};
use crate::segment::LogPosition;

/// Between two entries.
const BETWEEN: u8 = 1;
/// Within one.
const WITHIN: u8 = 2;

/// The checkpoint of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct JournalPosition {
    /// Before this frame …
    pub(super) frame: LogPosition,
    /// … after so many of its entries …
    pub(super) entries: u32,
    /// … and so many records of the one that follows.
    pub(super) records: u32,
}

impl JournalPosition {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(25);
        out.push(if self.records == 0 { BETWEEN } else { WITHIN });
        put_u64(&mut out, self.frame.segment);
        put_u64(&mut out, self.frame.offset);
        put_u32(&mut out, self.entries);
        if self.records > 0 {
            put_u32(&mut out, self.records);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let is_within = match decoder.u8()? {
            BETWEEN => false,
            WITHIN => true,
            other => return Err(DecodeError::Version(other)),
        };
        let frame = LogPosition { segment: decoder.u64()?, offset: decoder.u64()? };
        let entries = decoder.u32()?;
        let records = if is_within { decoder.u32()? } else { 0 };
        decoder.finish()?;
        Ok(Self { frame, entries, records })
    }
}

/// Where an entry stands that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryPlace {
    pub(super) before: JournalPosition,
    pub(super) after: JournalPosition,
}

impl EntryPlace {
    /// How many of its records were committed before.
    #[must_use]
    pub fn committed(&self) -> usize {
        self.before.records as usize
    }

    /// The checkpoint of [`JOURNAL_STREAM`](super::JOURNAL_STREAM) after so many of its records, of which there are more.
    #[must_use]
    pub fn within(&self, records: usize) -> Vec<u8> {
        JournalPosition { records: u32::try_from(records).unwrap_or(u32::MAX), ..self.before }.encode()
    }

    /// The checkpoint after it.
    #[must_use]
    pub fn after(&self) -> Vec<u8> {
        self.after.encode()
    }
}
