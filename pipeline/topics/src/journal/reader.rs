//! Reads entries back, in order, from the committed position on.

use std::collections::VecDeque;
use std::time::Duration;

use super::entry::{Entry, decode_group};
use super::position::JournalPosition;
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
}

impl JournalReader {
    pub(super) fn new(reader: SegmentReader, committed: Option<JournalPosition>) -> Self {
        let (start, end) = (LogPosition::default(), LogPosition::default());
        Self { reader, ready: VecDeque::new(), start, end, given: 0, committed }
    }

    /// The next entry, with the checkpoint of [`JOURNAL_STREAM`](super::JOURNAL_STREAM) after it; `None` when none
    /// came within `timeout`.
    ///
    /// # Errors
    /// When the journal cannot be read or is corrupt. The position stays where it is: nothing is skipped.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<(Vec<u8>, Entry)>, LogError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                self.given += 1;
                let after = if self.ready.is_empty() {
                    JournalPosition { frame: self.end, entries: 0 }
                } else {
                    JournalPosition { frame: self.start, entries: self.given }
                };
                return Ok(Some((after.encode(), entry)));
            }
            let Some(frame) = self.reader.next(timeout, decode_group)? else { return Ok(None) };
            (self.start, self.end, self.given) = (frame.start, frame.end, 0);
            self.ready = frame.value.into();
            if let Some(committed) = self.committed.take()
                && committed.frame == frame.start
            {
                self.given = committed.entries;
                self.ready.drain(..self.ready.len().min(committed.entries as usize));
            }
        }
    }
}
