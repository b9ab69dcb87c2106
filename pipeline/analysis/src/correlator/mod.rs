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
mod judge;
mod sequencer;
mod stage;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use threatlockdown_event::{Alert, Millis};
use threatlockdown_ruleset::correlate::Memory;
use threatlockdown_topics::{Commit, Lane, LogPosition};

pub use self::checkpoint::SnapshotError;
use self::judge::Judge;
use self::sequencer::Sequencer;
pub use self::sequencer::Span;
pub use self::stage::{CORRELATE_STREAM, Inputs, Parts, Stage, StageHandle, StageOptions};
use crate::active::ActiveProgram;
use crate::metrics::Metrics;

/// How a [`Correlator`] works.
#[derive(Debug, Clone)]
pub struct CorrelatorOptions {
    /// Verdicts below this level are no alerts.
    pub min_level: u8,
    /// Name of this host, which alerts show.
    pub host: Arc<str>,
    /// What is remembered between events.
    pub memory: Arc<Memory>,
    /// Bytes of waiting candidates in memory; more go to a file.
    pub buffer_bytes: usize,
    /// Where that file is, while it is needed.
    pub folder: PathBuf,
}

/// See the module.
pub struct Correlator {
    sequencer: Sequencer,
    judge: Judge,
    memory: Arc<Memory>,
    active: Arc<ActiveProgram>,
    generation: u64,
    metrics: Metrics,
}

impl Correlator {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(options: &CorrelatorOptions, active: &Arc<ActiveProgram>, metrics: &Metrics) -> Self {
        let generation = active.generation();
        let memory = Arc::clone(&options.memory);
        Self {
            sequencer: Sequencer::new(options.buffer_bytes, options.folder.clone()),
            judge: Judge::new(
                &active.current(),
                Arc::clone(&memory),
                &options.host,
                options.min_level,
                metrics,
            ),
            memory,
            active: Arc::clone(active),
            generation,
            metrics: metrics.clone(),
        }
    }

    /// Takes a commit and hands on the alerts that it makes due.
    ///
    /// # Errors
    /// When the file of waiting candidates cannot be written or read. The correlator cannot be used any more then.
    pub fn apply(&mut self, span: Span, commit: Commit, alert: &mut dyn FnMut(Alert)) -> io::Result<()> {
        if self.active.generation() != self.generation {
            self.generation = self.active.generation();
            self.judge.adopt(&self.active.current());
        }
        let (judge, metrics) = (&mut self.judge, &self.metrics);
        self.sequencer.apply(span, commit, |due| {
            metrics.judged_candidates.inc();
            metrics.late_candidates.inc_by(u64::from(due.is_late));
            judge.judge(due.candidate, alert);
        })?;
        if self.sequencer.waiting() == 0 {
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

    /// Time of the youngest candidate that waits.
    #[must_use]
    pub fn newest_waiting(&self) -> Option<Millis> {
        self.sequencer.newest_waiting()
    }

    /// Before the oldest commit of which a candidate waits.
    fn oldest_commit(&self) -> Option<LogPosition> {
        self.sequencer.oldest_commit()
    }

    /// Silence is counted from now on.
    fn listen_anew(&mut self) {
        self.sequencer.listen_anew();
    }

    /// Lanes of which nothing was heard for so long, with where they were heard of last.
    #[must_use]
    pub fn silent(&self, idle: Duration) -> Vec<(Lane, LogPosition)> {
        self.sequencer.silent(idle)
    }
}
