//! The stateful stage of `run`, on a thread of its own.
//!
//! Enters: the commit log, from where the last snapshot stands. Leaves: alerts and what the wall clock decides, as
//! outcomes for the committer, and now and then a snapshot. What was alerted before the restart is not alerted again: up
//! to its checkpoint the log is replayed silently. Any fault (a full disk, a file that cannot be read) begins the stage
//! anew from its snapshot; candidates are durable in the log meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use threatlockdown_event::{Alert, Millis};
use threatlockdown_topics::{Commit, Kept, LogError, LogPosition, LogReader, Marker};

use super::checkpoint::{self, SnapshotError};
use super::clock::Clock;
use super::handle::StageHandle;
use super::snapshots::{Pending, Snapshots};
use super::{Correlator, CorrelatorOptions, Patience, Span};
use crate::active::ActiveProgram;
use crate::metrics::Metrics;
use crate::outcome::Outcome;

/// The stream of the stage's outcomes; connectors' streams have a `/` or are the journal's.
pub const CORRELATE_STREAM: &str = "correlate";

/// How long an end may go unnoticed.
const POLL: Duration = Duration::from_millis(50);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of alerts in one outcome.
const OUTCOME_BYTES: usize = 4 * 1024 * 1024;
/// How long the end waits for the last alerts to be durable before it leaves out the last snapshot.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Pauses after faults: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How the stage works.
#[derive(Debug, Clone)]
pub struct StageOptions {
    /// See [`CorrelatorOptions`].
    pub correlator: CorrelatorOptions,
    /// After so long a silence of a lane it holds nothing back.
    pub patience: Patience,
    /// So long at most counting waits at the start for what was there already to be read; `None`: until the end.
    pub catch_up: Option<Duration>,
}

/// What the stage asks of those who read.
pub trait Inputs: Send {
    /// Whether a unit of the stream is read and not yet committed.
    fn holds(&self, stream: &str) -> bool;
    /// How often a reader had to wait for room.
    fn times_blocked(&self) -> u64;
    /// Whether everything that was there at the start is read and committed.
    fn are_caught_up(&mut self) -> bool;
}

/// What the stage is connected to.
pub struct Parts {
    /// Of the commit log.
    pub reader: LogReader,
    /// The committer's.
    pub outcomes: SyncSender<Outcome>,
    /// Where snapshots are.
    pub kept: Kept,
    /// Reads the checkpoint of [`CORRELATE_STREAM`].
    pub checkpoint: Box<dyn Fn() -> Option<Vec<u8>> + Send>,
    /// See [`Inputs`].
    pub inputs: Box<dyn Inputs>,
    /// The rules in force.
    pub active: Arc<ActiveProgram>,
    /// What is counted.
    pub metrics: Metrics,
}

/// See the module.
pub struct Stage {
    options: StageOptions,
    parts: Parts,
    handle: StageHandle,
    /// Where the log ended when the process began: what comes later is its own.
    born: LogPosition,
    started: Instant,
    sequence: u64,
    /// The last checkpoint that was handed to the committer.
    handed_over: LogPosition,
    has_resumed: bool,
    clock: Clock,
    snapshots: Snapshots,
}

/// Why a run of the stage ended early.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("cannot sort what waits: {0}")]
    Buffer(#[from] std::io::Error),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("cannot read what rules remember, {path}: {error}")]
    Kept { path: PathBuf, error: std::io::Error },
    /// Nobody takes outcomes any more.
    #[error("the committer is gone")]
    Gone,
}

impl Stage {
    /// Starts the stage. It ends after the commit with this process's [`Marker::Stop`] or [`Marker::End`]; the thread
    /// tells whether it has come so far.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn spawn(options: StageOptions, parts: Parts) -> std::io::Result<(StageHandle, JoinHandle<bool>)> {
        let handle = StageHandle::default();
        let longest = options.catch_up.unwrap_or(Duration::MAX);
        let stage = Self {
            born: parts.reader.end().position(),
            handle: handle.clone(),
            started: Instant::now(),
            sequence: 0,
            handed_over: LogPosition::default(),
            has_resumed: false,
            clock: Clock::new(options.patience.clone(), longest),
            snapshots: Snapshots::default(),
            options,
            parts,
        };
        let thread = std::thread::Builder::new().name("correlator".to_owned()).spawn(move || stage.run())?;
        Ok((handle, thread))
    }

    fn run(mut self) -> bool {
        let (mut pause, longest) = PAUSES;
        loop {
            match self.work() {
                Ok(()) => return true,
                Err(Trouble::Gone) => return false,
                Err(error) => {
                    tracing::error!(%error, "the stateful stage begins anew from its last snapshot");
                    if self.handle.is_ending() {
                        return false;
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// From the snapshot to the end of the process.
    fn work(&mut self) -> Result<(), Trouble> {
        let mut correlator = self.begin()?;
        let emitted = self.durable();
        while !self.handle.is_stopped() {
            let start = self.parts.reader.position();
            if let Some((end, commit)) = self.parts.reader.next(POLL)? {
                let ends = end > self.born && commit.markers.iter().any(ends_process);
                match end <= emitted {
                    true => correlator.replay(Span { start, end }, commit)?,
                    false => self.take(&mut correlator, Span { start, end }, commit)?,
                }
                if ends {
                    self.tick(&mut correlator)?;
                    correlator.tell_evictions(true);
                    return self.finish(&correlator, end);
                }
            }
            if self.clock.ticked.elapsed() >= TICK {
                self.tick(&mut correlator)?;
            }
        }
        Err(Trouble::Gone)
    }

    /// A correlator as the snapshot has it, with the reader where it goes on.
    fn begin(&mut self) -> Result<Correlator, Trouble> {
        let options = &self.options.correlator;
        let mut correlator = Correlator::new(options, &self.parts.active, &self.parts.metrics);
        self.snapshots.pending = None;
        self.clock.forget();
        let restored = match self.parts.kept.load() {
            Ok(None) => None,
            Ok(Some(bytes)) => match correlator.restore(&bytes) {
                Ok(places) => {
                    self.snapshots.bytes = bytes.len() as u64;
                    Some(places)
                }
                Err(error) => return Ok(self.begin_without(&error.to_string())),
            },
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Ok(self.begin_without(&error.to_string()));
            }
            Err(error) => return Err(Trouble::Kept { path: self.parts.kept.path().to_path_buf(), error }),
        };
        self.parts.reader.seek(None);
        let Some((from, upto)) = restored else { return Ok(correlator) };
        if upto > self.parts.reader.end().position() {
            return Ok(
                self.begin_without("it is of a commit log that had come further than the one that is here")
            );
        }
        self.snapshots.at = upto;
        self.handle.set_needs(from);
        // Where the log was begun anew, nothing of it is in the snapshot.
        let from = from.max(self.parts.reader.position());
        self.parts.reader.seek(Some(from));
        while self.parts.reader.position() < upto {
            let start = self.parts.reader.position();
            let Some((end, commit)) = self.parts.reader.next(Duration::ZERO)? else { break };
            correlator.refill(Span { start, end }, commit)?;
        }
        Ok(correlator)
    }

    /// A correlator that knows what the log still holds, where the snapshot cannot be used.
    fn begin_without(&mut self, why: &str) -> Correlator {
        let path = self.parts.kept.path().display();
        tracing::error!(%path, why, "what rules remembered cannot be read; counting begins anew with what the log holds");
        self.parts.reader.seek(None);
        Correlator::new(&self.options.correlator, &self.parts.active, &self.parts.metrics)
    }

    /// Takes a commit; what it makes due goes to the committer with the checkpoint behind it.
    fn take(&mut self, correlator: &mut Correlator, span: Span, commit: Commit) -> Result<(), Trouble> {
        let mut alerts: Vec<Alert> = Vec::new();
        let (mut bytes, mut is_gone) = (0, false);
        let Self { parts, sequence, .. } = self;
        correlator.apply(span, commit, &mut |alert| {
            if is_gone {
                return;
            }
            bytes += alert.json.len();
            alerts.push(alert);
            if bytes >= OUTCOME_BYTES {
                // Without a checkpoint: after a kill they come again, and their ids are known.
                let outcome = Outcome { alerts: std::mem::take(&mut alerts), ..next_outcome(sequence) };
                is_gone = parts.outcomes.send(outcome).is_err();
                bytes = 0;
            }
        })?;
        if is_gone {
            return Err(Trouble::Gone);
        }
        if !alerts.is_empty() {
            let checkpoint = Some(checkpoint::encode(span.end));
            self.send(|outcome| Outcome { alerts, checkpoint, ..outcome })?;
            self.handed_over = span.end;
        }
        Ok(())
    }

    /// What the clock decides, what others see, and the snapshot.
    fn tick(&mut self, correlator: &mut Correlator) -> Result<(), Trouble> {
        self.clock.ticked = Instant::now();
        let remembered = correlator.remembered();
        correlator.tell_evictions(false);
        self.handle.show(correlator, remembered);
        if self.parts.reader.position() < self.born {
            return Ok(());
        }
        let mut markers = Vec::new();
        if !self.has_resumed {
            let is_late = self.options.catch_up.is_some_and(|most| self.started.elapsed() >= most);
            let may_resume = self.options.catch_up.is_some();
            if is_late || (may_resume && self.parts.inputs.are_caught_up()) {
                markers.push(Marker::Resume);
                correlator.listen_anew();
                self.has_resumed = true;
            }
        } else {
            markers = self.clock.idle(correlator, &*self.parts.inputs);
            markers.extend(self.clock.passed(correlator, Millis::now()));
        }
        if !markers.is_empty() {
            self.send(|outcome| Outcome { markers, ..outcome })?;
        }
        self.keep_snapshot(correlator)
    }

    /// Makes a snapshot when enough has been read since the last, and writes it when it may count.
    fn keep_snapshot(&mut self, correlator: &Correlator) -> Result<(), Trouble> {
        let end = self.parts.reader.end();
        let position = self.parts.reader.position();
        let read = end.bytes_after(self.snapshots.at).saturating_sub(end.bytes_after(position));
        if self.snapshots.is_due(read) {
            self.prepare_snapshot(correlator, position)?;
        }
        self.write_snapshot();
        Ok(())
    }

    fn prepare_snapshot(&mut self, correlator: &Correlator, at: LogPosition) -> Result<(), Trouble> {
        let bytes = correlator.snapshot(at)?;
        let needs = correlator.oldest_commit().unwrap_or(at);
        self.snapshots.pending = Some(Pending { bytes, at, needs, after: self.handed_over });
        Ok(())
    }

    fn write_snapshot(&mut self) {
        match self.snapshots.write(&self.parts.kept, self.durable()) {
            Ok(Some(needs)) => self.handle.set_needs(needs),
            Ok(None) => {}
            Err(error) => {
                let path = self.parts.kept.path().display();
                tracing::warn!(%path, %error, "cannot write what rules remember; the log is kept for longer");
            }
        }
    }

    /// The last word of the process: a snapshot, so that the next one need not replay.
    fn finish(&mut self, correlator: &Correlator, end: LogPosition) -> Result<(), Trouble> {
        self.prepare_snapshot(correlator, end)?;
        let begin = Instant::now();
        self.write_snapshot();
        while self.snapshots.pending.is_some() && begin.elapsed() < LAST_WAIT {
            std::thread::sleep(Duration::from_millis(5));
            self.write_snapshot();
        }
        Ok(())
    }

    /// Up to here all alerts are durable.
    fn durable(&self) -> LogPosition {
        (self.parts.checkpoint)().and_then(|bytes| checkpoint::decode(&bytes)).unwrap_or_default()
    }

    fn send(&mut self, fill: impl FnOnce(Outcome) -> Outcome) -> Result<(), Trouble> {
        let outcome = fill(next_outcome(&mut self.sequence));
        self.parts.outcomes.send(outcome).map_err(|_| Trouble::Gone)
    }
}

fn next_outcome(sequence: &mut u64) -> Outcome {
    let outcome = Outcome::empty(CORRELATE_STREAM.into(), *sequence);
    *sequence += 1;
    outcome
}

fn ends_process(marker: &Marker) -> bool {
    matches!(marker, Marker::Stop | Marker::End)
}
