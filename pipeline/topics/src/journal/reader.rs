//! Reads entries back, in order, from the committed position on.

use std::collections::VecDeque;
use std::time::Duration;

use super::entry::{Entry, decode_group};
use super::position::{EntryPlace, JournalPosition};
use crate::segment::{LogError, LogPosition, SegmentReader};

/// The reading end of the journal; there is one.
pub struct JournalReader {
    reader: SegmentReader,
    /// Entries of the current frame that were not given out yet.
    ready: VecDeque<Entry>,
    start: LogPosition,
    end: LogPosition,
    /// Entries of the current frame that were given out.
    given: u32,
    /// How many entries of the first frame are committed.
    committed: Option<JournalPosition>,
    /// How many records of the next entry are.
    records: u32,
}

impl JournalReader {
    pub(super) fn new(reader: SegmentReader, committed: Option<JournalPosition>) -> Self {
        let (start, end) = (LogPosition::default(), LogPosition::default());
        Self { reader, ready: VecDeque::new(), start, end, given: 0, committed, records: 0 }
    }

    /// The next entry, with its place; `None` when none came within `timeout`.
    ///
    /// # Errors
    /// When the journal cannot be read or is corrupt. The position stays where it is: nothing is skipped.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<(EntryPlace, Entry)>, LogError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                let records = std::mem::take(&mut self.records);
                let before = JournalPosition { frame: self.start, entries: self.given, records };
                self.given += 1;
                let after = if self.ready.is_empty() {
                    JournalPosition { frame: self.end, entries: 0, records: 0 }
                } else {
                    JournalPosition { frame: self.start, entries: self.given, records: 0 }
                };
                return Ok(Some((EntryPlace { before, after }, entry)));
            }
            let Some(frame) = self.reader.next(timeout, decode_group)? else { return Ok(None) };
            (self.start, self.end, self.given) = (frame.start, frame.end, 0);
            self.ready = frame.value.into();
            if let Some(committed) = self.committed.take()
                && committed.frame == frame.start
            {
                self.given = committed.entries;
                self.ready.drain(..self.ready.len().min(committed.entries as usize));
                self.records = committed.records;
            }
        }
    }
}
