//! The stateful stage: counts candidates in the order of event time and writes what they come to.
//!
//! ```text
//! commit log ─▶ Sequencer: order, watermark ─▶ Judge: rules with memory ─▶ alerts ─▶ committer
//! ```
//!
//! Enters: commits, in the order of the log. Leaves: alerts of composite rules, and of others whose verdict earlier events
//! could take back. [`Correlator`] is a pure function of the log and knows no clock, no thread and no disk, so `scan` and
//! tests use it as it is; [`Stage`] runs it on a thread of `run`, restores it at the start, and writes down what the wall
//! clock decides.

mod buffer;
mod checkpoint;
mod clock;
mod correlations;
mod evictions;
mod handle;
mod judge;
mod patience;
mod sequencer;
mod snapshots;
mod stage;
#[cfg(test)]
mod tests;
mod throttle;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use threatlockdown_event::{Alert, Millis};
use threatlockdown_ruleset::correlate::MemoryOptions;
use threatlockdown_topics::{Commit, Lane, LogPosition, Marker};

pub use self::checkpoint::SnapshotError;
use self::evictions::Evictions;
pub use self::handle::StageHandle;
use self::judge::Judge;
pub use self::judge::Remembered;
pub use self::patience::Patience;
use self::sequencer::Due;
use self::sequencer::Sequencer;
pub use self::sequencer::Span;
pub use self::stage::{CORRELATE_STREAM, Inputs, Parts, Stage, StageOptions};
use crate::active::ActiveProgram;
use crate::metrics::Metrics;

/// How a [`Correlator`] works.
#[derive(Debug, Clone)]
pub struct CorrelatorOptions {
    /// Verdicts below this level are no alerts.
    pub min_level: u8,
    /// Name of this host, which alerts show.
    pub host: Arc<str>,
    /// How what is remembered between events behaves.
    pub memory: MemoryOptions,
    /// Most bytes of what is remembered.
    pub max_bytes: u64,
    /// Bytes of waiting candidates in memory; more go to a file.
    pub buffer_bytes: usize,
    /// Where that file is, while it is needed.
    pub folder: PathBuf,
}

/// See the module.
pub struct Correlator {
    sequencer: Sequencer,
    judge: Judge,
    /// Whose turn it is; empty between two commits.
    due: Vec<Due>,
    memory: MemoryOptions,
    active: Arc<ActiveProgram>,
    generation: u64,
    /// When rules were replaced last, and how long candidates of those before may come.
    replaced: Instant,
    keeps_earlier: Duration,
    evictions: Evictions,
    metrics: Metrics,
}

/// The partition that counts for throttles, of those among which candidates are divided.
pub(crate) const FIRST: u32 = 0;
/// Candidates between two looks at what had to be forgotten: one commit can make very many due.
const LOOK_EVERY: u64 = 8192;
/// Other copies may judge by the rules before for so long: until they have seen the new ones and committed.
const EARLIER: Duration = Duration::from_secs(180);
/// Candidates that are announced together before they are judged: enough that their waits for memory are one, few enough
/// that what was looked at for the first is still near for the last.
const AT_ONCE: usize = 32;

impl Correlator {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(options: &CorrelatorOptions, active: &Arc<ActiveProgram>, metrics: &Metrics) -> Self {
        let generation = active.generation();
        let CorrelatorOptions { min_level, host, memory, max_bytes, buffer_bytes, folder } = options;
        Self {
            sequencer: Sequencer::new(*buffer_bytes, folder.clone()),
            judge: Judge::new(&active.current(), memory, *max_bytes, (host, *min_level), metrics),
            due: Vec::new(),
            memory: memory.clone(),
            active: Arc::clone(active),
            generation,
            replaced: Instant::now(),
            keeps_earlier: Duration::ZERO,
            evictions: Evictions::default(),
            metrics: metrics.clone(),
        }
    }

    /// One of several among which candidates are divided: it counts nothing before the word to begin, and of Sigma's correlations
    /// what is its share.
    #[must_use]
    pub fn of_partition(mut self, partition: u32, partitions: u32) -> Self {
        self.sequencer.hold();
        self.keeps_earlier = EARLIER;
        self.judge.divide((partition, partitions));
        self
    }

    /// Whether it waits for the word to begin.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.sequencer.is_held()
    }

    /// Takes a commit and hands on the alerts that it makes due.
    ///
    /// # Errors
    /// When the file of waiting candidates cannot be written or read. The correlator cannot be used any more then.
    pub fn apply(&mut self, span: Span, commit: Commit, alert: &mut dyn FnMut(Alert)) -> io::Result<()> {
        self.step(span, commit, Some(alert))
    }

    /// Takes a commit again whose alerts are durable: what it leaves in memory is wanted, and nothing is told or counted.
    ///
    /// # Errors
    /// As for [`Correlator::apply`].
    pub fn replay(&mut self, span: Span, commit: Commit) -> io::Result<()> {
        self.step(span, commit, None)
    }

    fn step(
        &mut self,
        span: Span,
        commit: Commit,
        mut alert: Option<&mut dyn FnMut(Alert)>,
    ) -> io::Result<()> {
        if self.active.generation() != self.generation {
            self.generation = self.active.generation();
            self.replaced = Instant::now();
            self.judge.adopt(&self.active.current(), &self.memory);
        }
        let is_end = commit.markers.contains(&Marker::End);
        let Self { sequencer, judge, due: turn, metrics, evictions, .. } = self;
        let mut judged = 0_u64;
        let mut take_turns = |turn: &mut Vec<Due>| {
            judge.expect(turn);
            for due in turn.drain(..) {
                judged += 1;
                if judged.is_multiple_of(LOOK_EVERY) && evictions.are_due() {
                    evictions.tell(&judge.remembered());
                }
                if alert.is_some() {
                    metrics.judged_candidates.inc();
                    metrics.late_candidates.inc_by(u64::from(due.is_late));
                }
                for found in judge.judge(due.candidate, alert.is_some()) {
                    if let Some(alert) = &mut alert {
                        alert(found);
                    }
                }
            }
        };
        sequencer.apply(span, commit, |due| {
            turn.push(due);
            if turn.len() >= AT_ONCE {
                take_turns(turn);
            }
        })?;
        take_turns(turn);
        let is_told = alert.is_some();
        let watermark = sequencer.watermark();
        let mut decided = watermark.map(|time| judge.advance(time, is_told)).unwrap_or_default();
        if is_end {
            decided.extend(judge.end(is_told));
        }
        if let Some(alert) = &mut alert {
            decided.into_iter().for_each(alert);
        }
        if self.sequencer.waiting() == 0 && self.replaced.elapsed() >= self.keeps_earlier {
            self.judge.forget_earlier();
        }
        Ok(())
    }

    /// Candidates older than this have been counted; `None` before the first.
    #[must_use]
    pub fn watermark(&self) -> Option<Millis> {
        self.sequencer.watermark()
    }

    /// Candidates that wait for the watermark.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sequencer.waiting()
    }

    /// When the next window of a Sigma correlation ends, where no lane says how far time has come: only a clock can.
    pub(crate) fn next_end(&self) -> Option<Millis> {
        self.judge.next_end().filter(|_| self.sequencer.is_silent())
    }

    /// Whether nothing waits for older events, and no window for a time that has come.
    pub(crate) fn is_settled(&self, until: Millis) -> bool {
        self.waiting() == 0 && self.judge.next_end().is_none_or(|end| end >= until)
    }

    /// What the rules of each component and each Sigma correlation remember.
    #[must_use]
    pub fn remembered(&self) -> Vec<Remembered> {
        self.judge.remembered()
    }

    /// What had to be forgotten so far, and by which rules; `None` where nothing had.
    #[must_use]
    pub fn forgotten(&self) -> Option<String> {
        Evictions::all(&self.judge.remembered())
    }

    /// Tells in the log what had to be forgotten, once a minute; at the end what was not told yet.
    pub fn tell_evictions(&mut self, is_end: bool) {
        if is_end || self.evictions.are_due() {
            self.evictions.tell(&self.judge.remembered());
        }
    }

    /// Time of the youngest candidate that waits.
    #[must_use]
    pub fn newest_waiting(&self) -> Option<Millis> {
        self.sequencer.newest_waiting()
    }

    /// Before the oldest commit of which a candidate waits.
    pub(crate) fn oldest_commit(&self) -> Option<LogPosition> {
        self.sequencer.oldest_commit()
    }

    /// Silence is counted from now on.
    fn listen_anew(&mut self) {
        self.sequencer.listen_anew();
    }

    /// By how much the watermark is behind the youngest candidate that waits.
    pub(crate) fn lag(&self) -> Duration {
        let (newest, watermark) = (self.sequencer.newest_waiting(), self.sequencer.watermark());
        let lag = newest.zip(watermark).map_or(0, |(newest, watermark)| newest.0.saturating_sub(watermark.0));
        Duration::from_millis(lag.max(0).unsigned_abs())
    }

    /// Lanes that are silent, by how long nothing was heard of them and up to when they are known, with where they were heard of
    /// last.
    #[must_use]
    pub fn silent(&self, is_silent: impl Fn(&Lane, Duration, Millis) -> bool) -> Vec<(Lane, LogPosition)> {
        self.sequencer.silent(is_silent)
    }
}
