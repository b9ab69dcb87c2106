//! Puts outcomes back into the order of their streams and commits them.
//!
//! Enters: outcomes of all workers, in any order, and of the stateful stage. Leaves: commits to a [`Target`], each atomic:
//! the alerts, dead letters and candidates of whole units together with the checkpoints that they allow. A checkpoint never moves past a unit that is
//! not in a commit. A commit that fails (a full disk) is tried again until it succeeds: meanwhile memory budgets fill
//! and sources stop reading, so nothing is lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use threatlockdown_event::{AlertId, EventId, Millis, Reason};
use threatlockdown_topics::commit_log::{Candidate, Commit, Lane, Marker};
use tracing::{error, info};

use crate::metrics::{LevelLabel, Metrics, ReasonLabel};
use crate::outcome::Outcome;

/// How often the target may tidy up.
const TICK: Duration = Duration::from_secs(1);

/// Size of a commit after which no more outcomes are gathered, and at which what has come is cut into several.
const GATHER_BYTES: usize = 8 * 1024 * 1024;

/// How long commits without alerts wait for company: each costs a disk flush and nobody is waiting for it.
const LINGER: Duration = Duration::from_millis(50);

/// Why a commit was not taken.
#[derive(Debug, Error)]
pub enum TargetError {
    /// May go well later: a full disk.
    #[error("{0}")]
    Retry(String),
    /// Nobody will ever take it: a closed pipe.
    #[error("{0}")]
    Gone(String),
}

/// Where commits go.
pub trait Target: Send {
    /// Whether an alert with this id has been committed before.
    fn is_known(&self, _id: &AlertId) -> bool {
        false
    }

    /// Whether a candidate of this event has been committed before.
    fn is_counted(&self, _event: &EventId) -> bool {
        false
    }

    /// Whether an alert is delivered once however often its event is read.
    fn dedupes(&self) -> bool {
        true
    }

    /// Takes a commit whole or not at all; durable on return.
    ///
    /// # Errors
    /// When it was not taken.
    fn commit(&mut self, commit: &Commit) -> Result<(), TargetError>;

    /// Called about once a second and at the end.
    fn tick(&mut self) {}
}

/// What others may see of the committer.
#[derive(Debug, Clone, Default)]
pub struct CommitterHandle {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    failing: AtomicBool,
    abandon: AtomicBool,
    last_commit: AtomicI64,
}

impl CommitterHandle {
    /// Whether the last commit failed and is being tried again.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// When the last commit went through; `None` before the first.
    #[must_use]
    pub fn last_commit(&self) -> Option<Millis> {
        let time = self.shared.last_commit.load(Ordering::Relaxed);
        (time != 0).then_some(Millis(time))
    }

    /// Stops trying: what is not committed will be read again.
    pub fn abandon(&self) {
        self.shared.abandon.store(true, Ordering::Relaxed);
    }
}

/// The committer; see the file's comment.
pub struct Committer<T> {
    target: T,
    streams: HashMap<Arc<str>, Stream>,
    metrics: Metrics,
    handle: CommitterHandle,
}

#[derive(Default)]
struct Stream {
    next: u64,
    waiting: BTreeMap<u64, Outcome>,
}

/// Outcomes that may be committed together.
#[derive(Default)]
struct Batch {
    outcomes: Vec<Outcome>,
    bytes: usize,
    has_news: bool,
}

impl Batch {
    fn push(&mut self, outcome: Outcome) {
        self.bytes += size(&outcome);
        self.has_news |= !outcome.alerts.is_empty() || !outcome.dead_letters.is_empty();
        self.outcomes.push(outcome);
    }

    /// As many outcomes as make one commit; one at least. A gap that closes can release a whole memory budget at once.
    fn split(self) -> Vec<Batch> {
        let mut parts = vec![Batch::default()];
        for outcome in self.outcomes {
            match parts.last_mut() {
                Some(last) if last.outcomes.is_empty() || last.bytes + size(&outcome) <= GATHER_BYTES => {
                    last.push(outcome);
                }
                _ => {
                    let mut next = Batch::default();
                    next.push(outcome);
                    parts.push(next);
                }
            }
        }
        parts
    }
}

fn size(outcome: &Outcome) -> usize {
    let alerts: usize = outcome.alerts.iter().map(|alert| alert.json.len()).sum();
    let dead_letters: usize = outcome.dead_letters.iter().map(|(_, line)| line.len()).sum();
    let candidates: usize = outcome.candidates.iter().map(Candidate::bytes).sum();
    alerts + dead_letters + candidates
}

impl<T: Target + 'static> Committer<T> {
    /// A committer to `target`.
    pub fn new(target: T, metrics: &Metrics) -> Self {
        Self { target, streams: HashMap::new(), metrics: metrics.clone(), handle: CommitterHandle::default() }
    }

    /// Runs on its own thread until all senders of outcomes are gone; gives the target back.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn spawn(self, outcomes: Receiver<Outcome>) -> std::io::Result<(CommitterHandle, JoinHandle<T>)> {
        let handle = self.handle.clone();
        let thread =
            std::thread::Builder::new().name("committer".to_owned()).spawn(move || self.run(&outcomes))?;
        Ok((handle, thread))
    }

    /// Runs until all senders of outcomes are gone, or the target is.
    pub fn run(mut self, outcomes: &Receiver<Outcome>) -> T {
        let mut ticked = Instant::now();
        loop {
            let mut batch = Batch::default();
            let open = match outcomes.recv_timeout(TICK) {
                Ok(outcome) => {
                    self.accept(outcome, &mut batch);
                    self.gather(outcomes, &mut batch)
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            if !batch.outcomes.is_empty() && !batch.split().into_iter().all(|part| self.commit(part)) {
                break;
            }
            if !open {
                break;
            }
            if ticked.elapsed() >= TICK {
                self.target.tick();
                ticked = Instant::now();
            }
        }
        self.target.tick();
        self.target
    }

    /// Takes what else is there; false when all senders are gone.
    fn gather(&mut self, outcomes: &Receiver<Outcome>, batch: &mut Batch) -> bool {
        let deadline = Instant::now() + LINGER;
        while batch.bytes < GATHER_BYTES {
            let wait = if batch.has_news {
                Duration::ZERO
            } else {
                deadline.saturating_duration_since(Instant::now())
            };
            match outcomes.recv_timeout(wait) {
                Ok(outcome) => self.accept(outcome, batch),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    /// Files an outcome and moves all that are now in order into the batch.
    fn accept(&mut self, outcome: Outcome, batch: &mut Batch) {
        let stream = self.streams.entry(Arc::clone(&outcome.stream)).or_default();
        stream.waiting.insert(outcome.sequence, outcome);
        while let Some(outcome) = stream.waiting.remove(&stream.next) {
            stream.next += 1;
            batch.push(outcome);
        }
    }

    /// False when the target is gone or the commit was abandoned.
    fn commit(&mut self, mut batch: Batch) -> bool {
        let (commit, reasons) = self.assemble(&mut batch);
        let mut pause = Duration::from_millis(50);
        loop {
            match self.target.commit(&commit) {
                Ok(()) => break,
                Err(TargetError::Gone(reason)) => {
                    info!(%reason, "output is gone");
                    return false;
                }
                Err(TargetError::Retry(reason)) => {
                    let failing = self.handle.shared.failing.swap(true, Ordering::Relaxed);
                    if !failing {
                        error!(%reason, "commit failed, trying again until it succeeds");
                    }
                    self.metrics.commit_retries.inc();
                    if self.handle.shared.abandon.load(Ordering::Relaxed) {
                        return false;
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
        if self.handle.shared.failing.swap(false, Ordering::Relaxed) {
            info!("commits succeed again");
        }
        self.count(&commit, &reasons, &batch);
        true
    }

    fn assemble(&mut self, batch: &mut Batch) -> (Commit, Vec<Reason>) {
        let mut commit = Commit::default();
        let mut reasons = Vec::new();
        let mut last: HashMap<Arc<str>, Vec<u8>> = HashMap::new();
        let mut seen: HashSet<AlertId> = HashSet::new();
        let mut counted: HashSet<EventId> = HashSet::new();
        let mut progress: HashMap<Lane, Millis> = HashMap::new();
        let mut decisions: Vec<Marker> = Vec::new();
        for outcome in &mut batch.outcomes {
            for alert in outcome.alerts.drain(..) {
                if self.target.is_known(&alert.id) || (self.target.dedupes() && !seen.insert(alert.id)) {
                    self.metrics.repeated.inc();
                } else {
                    commit.alerts.push(alert);
                }
            }
            for (reason, line) in outcome.dead_letters.drain(..) {
                reasons.push(reason);
                commit.dead_letters.push(line);
            }
            for candidate in outcome.candidates.drain(..) {
                let is_known = self.target.is_counted(&candidate.event);
                if !is_known && (!self.target.dedupes() || counted.insert(candidate.event)) {
                    commit.candidates.push(candidate);
                }
            }
            for marker in outcome.markers.drain(..) {
                match marker {
                    // One for each lane is enough.
                    Marker::Progress { lane, until } => {
                        let known = progress.entry(lane).or_insert(until);
                        *known = until.max(*known);
                    }
                    other => decisions.push(other),
                }
            }
            if let Some(checkpoint) = outcome.checkpoint.take() {
                last.insert(Arc::clone(&outcome.stream), checkpoint);
            }
        }
        // What lanes have said comes before what was decided in its knowledge: the end of all is the last word.
        commit.markers = progress.into_iter().map(|(lane, until)| Marker::Progress { lane, until }).collect();
        commit.markers.append(&mut decisions);
        for (stream, checkpoint) in &last {
            // An empty checkpoint retires the stream; nothing more will come of it.
            if checkpoint.is_empty()
                && self.streams.get(stream).is_some_and(|stream| stream.waiting.is_empty())
            {
                self.streams.remove(stream);
            }
        }
        commit.checkpoints = last.into_iter().collect();
        (commit, reasons)
    }

    fn count(&self, commit: &Commit, reasons: &[Reason], batch: &Batch) {
        let now = Millis::now();
        self.handle.shared.last_commit.store(now.0, Ordering::Relaxed);
        for alert in &commit.alerts {
            self.metrics.alerts.get_or_create(&LevelLabel { level: u32::from(alert.level) }).inc();
        }
        self.metrics.candidates.inc_by(commit.candidates.len() as u64);
        for reason in reasons {
            self.metrics.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
        }
        for outcome in &batch.outcomes {
            #[allow(clippy::cast_precision_loss)] // milliseconds of one batch
            let seconds = (now.0 - outcome.ingested.0).max(0) as f64 / 1000.0;
            self.metrics.batch_latency.observe(seconds);
        }
    }
}
