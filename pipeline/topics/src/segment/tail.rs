//! How far a log is durable: written by the one appender, waited on by readers, consulted for deletion.
//!
//! Readers go by this and not by the length of the file, so that they never see bytes that a crash could take back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{HEADER_BYTES, LogPosition, segment_path};

/// Durable lengths of all segments that are kept.
pub(crate) struct Tail {
    state: Mutex<State>,
    /// Readers wait here for an append.
    advanced: Condvar,
}

struct State {
    /// Segment → durable bytes; never empty, without gaps; the last one is appended to.
    sizes: BTreeMap<u64, u64>,
    end: LogPosition,
}

/// What a reader finds at its position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// At least one frame, in a segment that is durable up to `limit`.
    Frame { limit: u64 },
    /// The end of a segment that has a successor.
    NextSegment,
    /// The segment was deleted; this is the oldest one.
    Deleted { oldest: u64 },
    /// The position lies beyond the end.
    Beyond { end: LogPosition },
    /// The end, and nothing came before the deadline.
    Nothing,
}

impl Tail {
    /// From the segments that there are and their durable lengths.
    pub(crate) fn new(sizes: BTreeMap<u64, u64>) -> Self {
        let end = sizes.last_key_value().map(|(&segment, &offset)| LogPosition { segment, offset });
        Self { state: Mutex::new(State { sizes, end: end.unwrap_or_default() }), advanced: Condvar::new() }
    }

    /// After the last durable frame.
    pub(crate) fn end(&self) -> LogPosition {
        self.lock().end
    }

    /// Before the first frame that is kept.
    pub(crate) fn start(&self) -> LogPosition {
        LogPosition::start_of(self.lock().sizes.first_key_value().map_or(0, |(&segment, _)| segment))
    }

    /// The log is durable up to `end` now.
    pub(crate) fn advance(&self, end: LogPosition) {
        let mut state = self.lock();
        state.sizes.insert(end.segment, end.offset);
        state.end = end;
        drop(state);
        self.advanced.notify_all();
    }

    /// What is at `position`; at the end, waits for an append until `deadline`.
    pub(crate) fn wait(&self, position: LogPosition, deadline: Instant) -> Found {
        let mut state = self.lock();
        loop {
            let found = state.at(position);
            if found != Found::Nothing {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Found::Nothing;
            }
            state = self.advanced.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Bytes of frames from `from` to the end.
    pub(crate) fn bytes_after(&self, from: LogPosition) -> u64 {
        let state = self.lock();
        let later = state.sizes.range(from.segment.saturating_add(1)..);
        let later: u64 = later.map(|(_, size)| size.saturating_sub(HEADER_BYTES)).sum();
        let here = state
            .sizes
            .get(&from.segment)
            .map_or(0, |size| size.saturating_sub(from.offset.max(HEADER_BYTES)));
        here + later
    }

    /// Whether there are segments below `keep`, not counting the last one.
    pub(crate) fn has_below(&self, keep: u64) -> bool {
        let state = self.lock();
        state.sizes.first_key_value().is_some_and(|(&oldest, _)| oldest < keep.min(state.end.segment))
    }

    /// Deletes the files of the segments below `keep`, but never the last one, oldest first so that no gap can arise.
    pub(crate) fn delete_below(&self, keep: u64, directory: &Path) -> io::Result<()> {
        // Under the lock, so that no reader opens a file that is going; unlinking is quick and rare.
        let mut state = self.lock();
        while let Some((&oldest, _)) = state.sizes.first_key_value() {
            if oldest >= keep || oldest >= state.end.segment {
                break;
            }
            fs::remove_file(segment_path(directory, oldest))?;
            // Durable one by one: a crash must not leave an older segment while a younger one is gone.
            File::open(directory)?.sync_all()?;
            state.sizes.remove(&oldest);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn at(&self, position: LogPosition) -> Found {
        let Some(&size) = self.sizes.get(&position.segment) else {
            return match self.sizes.first_key_value() {
                Some((&oldest, _)) if position.segment < oldest => Found::Deleted { oldest },
                _ => Found::Beyond { end: self.end },
            };
        };
        if position.offset < size {
            Found::Frame { limit: size }
        } else if position.offset > size {
            Found::Beyond { end: self.end }
        } else if position.segment < self.end.segment {
            Found::NextSegment
        } else {
            Found::Nothing
        }
    }
}
