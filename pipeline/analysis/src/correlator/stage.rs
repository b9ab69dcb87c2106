//! The stateful stage of `run`, on a thread of its own.
//!
//! Enters: the commit log, from where the last snapshot stands. Leaves: alerts and what the wall clock decides, as
//! outcomes for the committer, and now and then a snapshot. What was alerted before the restart is not alerted again: up
//! to its checkpoint the log is replayed silently. Any fault (a full disk, a file that cannot be read) begins the stage
//! anew from its snapshot; candidates are durable in the log meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use threatlockdown_event::{Alert, Millis};
use threatlockdown_ruleset::correlate::{Memory, MemoryOptions};
use threatlockdown_topics::{Commit, Kept, Lane, LogError, LogPosition, LogReader, Marker};

use super::checkpoint::{self, SnapshotError};
use super::{Correlator, CorrelatorOptions, Span};
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
/// Bytes of the log between two snapshots, at least …
const SNAPSHOT_EVERY: u64 = 64 * 1024 * 1024;
/// … and by how much they exceed the last snapshot, so that writing snapshots stays a small part of all writing.
const SNAPSHOT_SHARE: u64 = 4;
/// How long the end waits for the last alerts to be durable before it leaves out the last snapshot.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Pauses after faults: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How the stage works.
#[derive(Debug, Clone)]
pub struct StageOptions {
    /// See [`CorrelatorOptions`]; the memory in it is made from `memory` at each beginning.
    pub correlator: CorrelatorOptions,
    /// How the memory behaves.
    pub memory: MemoryOptions,
    /// After so long a silence of a lane it holds nothing back.
    pub idle: Duration,
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

/// What others may see of the stage.
#[derive(Debug, Clone)]
pub struct StageHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    needs: Mutex<LogPosition>,
    memory: Mutex<Arc<Memory>>,
    watermark: AtomicI64,
    newest: AtomicI64,
    waiting: AtomicU64,
    ending: AtomicBool,
    stopped: AtomicBool,
}

impl StageHandle {
    /// The log is still needed from here on.
    #[must_use]
    pub fn needs(&self) -> LogPosition {
        *self.shared.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What rules remember.
    #[must_use]
    pub fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// By how much the watermark is behind the youngest candidate that waits.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let lag = self
            .shared
            .newest
            .load(Ordering::Relaxed)
            .saturating_sub(self.shared.watermark.load(Ordering::Relaxed));
        if self.waiting() == 0 { Duration::ZERO } else { Duration::from_millis(lag.max(0).unsigned_abs()) }
    }

    /// Candidates that wait for the watermark.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// A fault ends the stage from now on, for nobody will mend it.
    pub fn ask_to_end(&self) {
        self.shared.ending.store(true, Ordering::Relaxed);
    }

    /// Ends the stage at once: the committer is gone, and nothing more will come.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

/// See the module.
pub struct Stage {
    options: StageOptions,
    parts: Parts,
    shared: Arc<Shared>,
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

/// What the wall clock has said so far.
struct Clock {
    ticked: Instant,
    blocked: u64,
    blocked_at: Option<Instant>,
    /// Lanes that were said to be idle, by where they were heard of last.
    decided: HashMap<Lane, LogPosition>,
}

/// The snapshot that is there, and the one that is to be.
struct Snapshots {
    /// Where the one on disk stands.
    at: LogPosition,
    /// Its size.
    bytes: u64,
    pending: Option<Pending>,
}

struct Pending {
    bytes: Vec<u8>,
    at: LogPosition,
    needs: LogPosition,
    /// Alerts up to here have to be durable before it may count.
    after: LogPosition,
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
        let shared = Arc::new(Shared {
            needs: Mutex::default(),
            memory: Mutex::new(Arc::clone(&options.correlator.memory)),
            watermark: AtomicI64::new(i64::MIN),
            newest: AtomicI64::new(i64::MIN),
            waiting: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let stage = Self {
            born: parts.reader.end().position(),
            shared: Arc::clone(&shared),
            started: Instant::now(),
            sequence: 0,
            handed_over: LogPosition::default(),
            has_resumed: false,
            clock: Clock { ticked: Instant::now(), blocked: 0, blocked_at: None, decided: HashMap::new() },
            snapshots: Snapshots { at: LogPosition::default(), bytes: 0, pending: None },
            options,
            parts,
        };
        let thread = std::thread::Builder::new().name("correlator".to_owned()).spawn(move || stage.run())?;
        Ok((StageHandle { shared }, thread))
    }

    fn run(mut self) -> bool {
        let (mut pause, longest) = PAUSES;
        loop {
            match self.work() {
                Ok(()) => return true,
                Err(Trouble::Gone) => return false,
                Err(error) => {
                    tracing::error!(%error, "the stateful stage begins anew from its last snapshot");
                    if self.shared.ending.load(Ordering::Relaxed) {
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
        while !self.shared.stopped.load(Ordering::Relaxed) {
            let start = self.parts.reader.position();
            if let Some((end, commit)) = self.parts.reader.next(POLL)? {
                let ends = end > self.born && commit.markers.iter().any(ends_process);
                self.take(&mut correlator, Span { start, end }, commit, end <= emitted)?;
                if ends {
                    self.tick(&mut correlator)?;
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
        let memory = Memory::new(self.options.memory.clone());
        *self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&memory);
        let options = CorrelatorOptions { memory, ..self.options.correlator.clone() };
        let mut correlator = Correlator::new(&options, &self.parts.active, &self.parts.metrics);
        self.snapshots.pending = None;
        self.clock.decided.clear();
        let Some(bytes) = self.parts.kept.load()? else {
            self.parts.reader.seek(None);
            return Ok(correlator);
        };
        let (from, upto) = correlator.restore(&bytes)?;
        self.snapshots.at = upto;
        self.snapshots.bytes = bytes.len() as u64;
        self.set_needs(from);
        self.parts.reader.seek(Some(from));
        while self.parts.reader.position() < upto {
            let start = self.parts.reader.position();
            let Some((end, commit)) = self.parts.reader.next(Duration::ZERO)? else { break };
            correlator.refill(Span { start, end }, commit)?;
        }
        Ok(correlator)
    }

    /// Takes a commit; what it makes due goes to the committer with the checkpoint behind it.
    fn take(
        &mut self,
        correlator: &mut Correlator,
        span: Span,
        commit: Commit,
        is_replay: bool,
    ) -> Result<(), Trouble> {
        let mut alerts: Vec<Alert> = Vec::new();
        let (mut bytes, mut is_gone) = (0, false);
        let Self { parts, sequence, .. } = self;
        correlator.apply(span, commit, &mut |alert| {
            if is_replay || is_gone {
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
        let shared = &self.shared;
        let watermark = correlator.watermark().map_or(i64::MIN, |watermark| watermark.0);
        shared.watermark.store(watermark, Ordering::Relaxed);
        let newest = correlator.newest_waiting().map_or(i64::MIN, |newest: Millis| newest.0);
        shared.newest.store(newest, Ordering::Relaxed);
        shared.waiting.store(correlator.waiting() as u64, Ordering::Relaxed);
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
            self.find_idle(correlator, &mut markers);
        }
        if !markers.is_empty() {
            self.send(|outcome| Outcome { markers, ..outcome })?;
        }
        self.keep_snapshot(correlator)
    }

    /// Lanes that hold nothing back any more. While readers wait for room, a silent lane may only be behind.
    fn find_idle(&mut self, correlator: &Correlator, markers: &mut Vec<Marker>) {
        let blocked = self.parts.inputs.times_blocked();
        if blocked != self.clock.blocked {
            self.clock.blocked = blocked;
            self.clock.blocked_at = Some(Instant::now());
        }
        let idle = self.options.idle;
        let is_behind = self.clock.blocked_at.is_some_and(|at| at.elapsed() < idle);
        let most = self.options.catch_up.unwrap_or(Duration::MAX).max(idle);
        let silent = correlator.silent(if is_behind { most } else { idle });
        self.clock.decided.retain(|lane, seen| silent.iter().any(|(other, at)| other == lane && at == seen));
        for (lane, seen) in silent {
            if !self.clock.decided.contains_key(&lane) && !self.parts.inputs.holds(&lane.stream) {
                self.clock.decided.insert(lane.clone(), seen);
                markers.push(Marker::Idle { lane, seen });
            }
        }
    }

    /// Makes a snapshot when enough has been read since the last, and writes it when all alerts before it are durable.
    fn keep_snapshot(&mut self, correlator: &Correlator) -> Result<(), Trouble> {
        let end = self.parts.reader.end();
        let position = self.parts.reader.position();
        let read = end.bytes_after(self.snapshots.at).saturating_sub(end.bytes_after(position));
        let due = SNAPSHOT_EVERY.max(self.snapshots.bytes.saturating_mul(SNAPSHOT_SHARE));
        if self.snapshots.pending.is_none() && read >= due {
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

    /// Whether nothing is pending any more.
    fn write_snapshot(&mut self) -> bool {
        let Some(pending) = self.snapshots.pending.take() else { return true };
        if self.durable() < pending.after {
            self.snapshots.pending = Some(pending);
            return false;
        }
        if let Err(error) = self.parts.kept.save(&pending.bytes) {
            let path = self.parts.kept.path().display();
            tracing::warn!(%path, %error, "cannot write what rules remember; the log is kept for longer");
            return true;
        }
        self.snapshots.at = pending.at;
        self.snapshots.bytes = pending.bytes.len() as u64;
        self.set_needs(pending.needs);
        true
    }

    /// The last word of the process: a snapshot, so that the next one need not replay.
    fn finish(&mut self, correlator: &Correlator, end: LogPosition) -> Result<(), Trouble> {
        self.prepare_snapshot(correlator, end)?;
        let begin = Instant::now();
        while !self.write_snapshot() && begin.elapsed() < LAST_WAIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Up to here all alerts are durable.
    fn durable(&self) -> LogPosition {
        (self.parts.checkpoint)().and_then(|bytes| checkpoint::decode(&bytes)).unwrap_or_default()
    }

    fn set_needs(&self, needs: LogPosition) {
        *self.shared.needs.lock().unwrap_or_else(PoisonError::into_inner) = needs;
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
