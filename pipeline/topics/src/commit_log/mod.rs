//! The commit log: the durable truth about what was done.
//!
//! Enters: commits, each the alerts and dead letters of some units together with the checkpoints that say these units
//! are done. Leaves: the same commits to each sink's reader, and the checkpoints to the store. One append is atomic, so
//! after a kill a unit is either done with all its alerts or not done at all, and then it is read again.
//!
//! An alert whose id was appended in the last 24 hours is left out: that makes a unit that is read again under another
//! checkpoint (a rotated file found at its new name, an object listed twice) harmless. The same holds for candidates by
//! the ids of their events: what is read twice counts once.

mod candidate;
mod form;
mod marker;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use threatlockdown_event::{Alert, AlertId, EventId, Millis};

pub use self::candidate::{Candidate, Held, decode_candidates, encode_candidates};
use self::form::{Parts, Wanted, decode, encode};
pub use self::form::{decode_state, encode_state};
pub use self::marker::{Lane, Marker};
use crate::segment::{
    LogError, LogPosition, Opener, SegmentReader, SegmentedLog, Settings, Tail, open_file, start_frame,
};
use crate::sliding::Sliding;
use crate::store::{RECENT_ALERTS, RECENT_CANDIDATES, Store, StoreError};

const KIND: u8 = b'c';

/// Most alert ids that are remembered.
const RECENT_ALERT_IDS: usize = 1_000_000;
/// Most events of candidates that are remembered.
const RECENT_CANDIDATE_IDS: usize = 1_000_000;

/// A frame buffer larger than this is not kept for the next commit.
const KEPT_BUFFER: usize = 8 * 1024 * 1024;

/// What becomes durable in one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// Streams, each with where to go on in it. An empty value retires the stream: its checkpoint is removed.
    pub checkpoints: Vec<(Arc<str>, Vec<u8>)>,
    /// Alerts for the sinks.
    pub alerts: Vec<Alert>,
    /// Dead letters, each one JSON object without a line end.
    pub dead_letters: Vec<Vec<u8>>,
    /// How far time has come.
    pub markers: Vec<Marker>,
    /// Events for the stateful stage.
    pub candidates: Vec<Candidate>,
}

/// Settings of the commit log.
#[derive(Debug, Clone)]
pub struct CommitLogOptions {
    /// A segment that has reached this size is closed and the next one begun.
    pub segment_bytes: u64,
}

impl Default for CommitLogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024 }
    }
}

/// The appending end, which the committer has.
pub struct CommitLog {
    log: SegmentedLog,
    store: Arc<Store>,
    recent: Sliding<()>,
    recent_candidates: Sliding<()>,
    /// Up to here the store's file knows the commits.
    snapshot: LogPosition,
    frame: Vec<u8>,
}

impl CommitLog {
    /// Opens the log in `<data_dir>/commit`: cuts off a torn tail and brings the store's memory up to date.
    ///
    /// # Errors
    /// When files cannot be read or written, or hold something else than was written.
    #[allow(clippy::needless_pass_by_value, reason = "options are taken over, whatever they will hold")]
    pub fn open(
        data_dir: &Path,
        store: Arc<Store>,
        options: CommitLogOptions,
    ) -> Result<CommitLog, LogError> {
        Self::open_with(data_dir, store, &options, Arc::new(open_file))
    }

    pub(crate) fn open_with(
        data_dir: &Path,
        store: Arc<Store>,
        options: &CommitLogOptions,
        opener: Opener,
    ) -> Result<CommitLog, LogError> {
        let durable = store.snapshot_position()?;
        let log = SegmentedLog::open(Settings {
            directory: data_dir.join("commit"),
            kind: KIND,
            segment_bytes: options.segment_bytes,
            durable,
            opener,
        })?;
        let recent = Sliding::load(RECENT_ALERT_IDS, &store.rows(RECENT_ALERTS)?)
            .map_err(|error| store.corrupt("recent alerts", error))?;
        let recent_candidates = Sliding::load(RECENT_CANDIDATE_IDS, &store.rows(RECENT_CANDIDATES)?)
            .map_err(|error| store.corrupt("recent candidates", error))?;
        let start = log.tail().start();
        let snapshot = durable.unwrap_or(start).max(start);
        let mut log = Self { log, store, recent, recent_candidates, snapshot, frame: Vec::new() };
        log.replay()?;
        Ok(log)
    }

    /// Appends a commit, without the alerts that [`CommitLog::is_recent`] knows and without the candidates that
    /// [`CommitLog::is_counted`] knows; the caller leaves out those that stand twice in it. It is durable on return.
    ///
    /// # Errors
    /// When the disk refuses. The log is then as it was, and the same commit can be tried again.
    pub fn append(&mut self, commit: &Commit) -> Result<LogPosition, LogError> {
        let mut seen = HashSet::with_capacity(commit.alerts.len());
        let is_new = |alert: &&Alert| self.recent.get(&alert.id.0).is_none() && seen.insert(alert.id);
        let alerts: Vec<&Alert> = commit.alerts.iter().filter(is_new).collect();
        let Commit { checkpoints, dead_letters, markers, candidates, .. } = commit;
        let is_empty = checkpoints.is_empty() && alerts.is_empty() && dead_letters.is_empty();
        if is_empty && markers.is_empty() && candidates.is_empty() {
            return Ok(self.end());
        }
        let now = Millis::now();
        start_frame(&mut self.frame);
        let parts = Parts { written: now, checkpoints, alerts: &alerts, dead_letters, markers, candidates };
        encode(&mut self.frame, &parts);
        let position = self.log.append(&mut self.frame)?;
        if self.frame.capacity() > KEPT_BUFFER {
            self.frame = Vec::new();
        }
        self.store.apply(commit.checkpoints.clone());
        for alert in alerts {
            self.recent.insert(alert.id.0, now, ());
        }
        for candidate in candidates {
            self.recent_candidates.insert(candidate.event.0, now, ());
        }
        Ok(position)
    }

    /// Writes checkpoints and recent alert ids into the store, as far as they changed, so that the next start need not
    /// read the log from its beginning. To be called about once a second, and at the end.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is lost by that, and the next snapshot writes it all.
    pub fn snapshot(&mut self) -> Result<(), StoreError> {
        let end = self.end();
        if end == self.snapshot {
            return Ok(());
        }
        let now = Millis::now();
        self.recent.expire(now);
        self.recent_candidates.expire(now);
        let changes =
            [(RECENT_ALERTS, self.recent.change()), (RECENT_CANDIDATES, self.recent_candidates.change())];
        self.store.snapshot(end, &changes)?;
        self.recent.mark_saved();
        self.recent_candidates.mark_saved();
        self.snapshot = end;
        Ok(())
    }

    /// Whether an alert with this id was appended in the last 24 hours (of the last million).
    #[must_use]
    pub fn is_recent(&self, id: &AlertId) -> bool {
        self.recent.get(&id.0).is_some()
    }

    /// Whether a candidate of this event was appended in the last 24 hours (of the last million).
    #[must_use]
    pub fn is_counted(&self, event: &EventId) -> bool {
        self.recent_candidates.get(&event.0).is_some()
    }

    /// A reader for a sink, which sees no markers and no candidates, from a position on, or from the oldest commit that is
    /// kept.
    #[must_use]
    pub fn reader(&self, from: Option<LogPosition>) -> LogReader {
        LogReader { reader: self.log.reader(from), wanted: Wanted::Delivery }
    }

    /// A reader for the stateful stage, which sees markers and candidates alone.
    #[must_use]
    pub fn state_reader(&self, from: Option<LogPosition>) -> LogReader {
        LogReader { reader: self.log.reader(from), wanted: Wanted::State }
    }

    /// Deletes the segments that neither the slowest reader (`keep_from`) nor the next start needs.
    pub fn expire(&mut self, keep_from: LogPosition) {
        let keep = keep_from.segment.min(self.snapshot.segment);
        if let Err(error) = self.log.tail().delete_below(keep, self.log.directory()) {
            tracing::warn!(log = %self.log.directory().display(), %error, "cannot delete old segments");
        }
    }

    /// After the last commit.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        self.log.end()
    }

    fn replay(&mut self) -> Result<(), LogError> {
        let mut reader = self.log.reader(Some(self.snapshot));
        while let Some(frame) = reader.next(Duration::ZERO, |payload| decode(payload, Wanted::All))? {
            let (written, commit) = frame.value;
            self.store.apply(commit.checkpoints);
            for alert in &commit.alerts {
                self.recent.insert(alert.id.0, written, ());
            }
            for candidate in &commit.candidates {
                self.recent_candidates.insert(candidate.event.0, written, ());
            }
        }
        Ok(())
    }
}

/// Reads commits, in order, each as soon as it is durable.
pub struct LogReader {
    reader: SegmentReader,
    wanted: Wanted,
}

impl LogReader {
    /// The next commit and the position after it; `None` when none came within `timeout`.
    ///
    /// # Errors
    /// When the log cannot be read or is corrupt. The position stays where it is: nothing is skipped.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<(LogPosition, Commit)>, LogError> {
        let wanted = self.wanted;
        let frame = self.reader.next(timeout, |payload| decode(payload, wanted))?;
        Ok(frame.map(|frame| (frame.end, frame.value.1)))
    }

    /// Before the next commit.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.reader.position()
    }

    /// Goes to a position, or to the oldest commit that is kept.
    pub fn seek(&mut self, position: Option<LogPosition>) {
        self.reader.seek(position);
    }

    /// A view of the log's end that can be given to another thread.
    #[must_use]
    pub fn end(&self) -> LogEnd {
        LogEnd { tail: self.reader.tail() }
    }
}

/// Knows how much of the log lies behind a position; for metrics.
#[derive(Clone)]
pub struct LogEnd {
    tail: Arc<Tail>,
}

impl LogEnd {
    /// After the last commit.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.tail.end()
    }

    /// Bytes of commits after `position`.
    #[must_use]
    pub fn bytes_after(&self, position: LogPosition) -> u64 {
        self.tail.bytes_after(position)
    }
}

#[cfg(test)]
mod tests;
