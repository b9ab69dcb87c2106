//! The stateful stage as `run` wires it: its options, what it may ask of the sources, and the first and last word to it.
//!
//! Enters: the configuration, the commit log. Leaves: the running stage. The first word holds its counting back until
//! what was there at the start is read; the last tells it that the inputs have ended, or only this process.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use anyhow::Context as _;
use threatlockdown_analysis::correlator::{CORRELATE_STREAM, Inputs, Parts, Patience};
use threatlockdown_analysis::{
    ActiveProgram, CorrelatorOptions, Metrics, Outcome, Stage, StageHandle, StageOptions, WorkerOptions,
};
use threatlockdown_connectors::SourceStats;
use threatlockdown_topics::{CommitLog, Kept, Marker, Publisher, Store};

use crate::commands::rule_set;
use crate::config::Config;
use crate::host::host_name;

/// File in the data directory that holds what rules remember.
const SNAPSHOT: &str = "memory.snapshot";
/// The stream of the words to the stage.
const CONTROL_STREAM: &str = "control";
/// Of the memory for state, candidates that wait have one part in so many.
const BUFFER_SHARE: u64 = 4;

/// Tells the stage when what it hears begins and ends.
pub(super) struct Control {
    outcomes: SyncSender<Outcome>,
    words: u64,
}

impl Control {
    /// Before anything else comes: what is there at the start can be of any time.
    pub(super) fn hold(outcomes: &SyncSender<Outcome>) -> Self {
        let mut control = Self { outcomes: outcomes.clone(), words: 0 };
        control.say(Marker::Hold);
        control
    }

    /// After everything else has been said.
    pub(super) fn end(mut self, marker: Marker) {
        self.say(marker);
    }

    fn say(&mut self, marker: Marker) {
        let outcome = Outcome::empty(CONTROL_STREAM.into(), self.words);
        self.words += 1;
        // If nobody listens, the committer has died, which is noticed elsewhere.
        self.outcomes.send(Outcome { markers: vec![marker], ..outcome }).ok();
    }
}

/// The sources that have something to catch up with; known once they run.
pub(super) type CatchingUp = Arc<OnceLock<Vec<Arc<SourceStats>>>>;

struct Reading {
    publisher: Publisher,
    catching_up: CatchingUp,
    /// What was published when all had caught up.
    mark: Option<u64>,
}

impl Inputs for Reading {
    fn holds(&self, stream: &str) -> bool {
        self.publisher.holds(stream)
    }

    fn times_blocked(&self) -> u64 {
        self.publisher.times_blocked()
    }

    fn are_caught_up(&mut self) -> bool {
        let Some(sources) = self.catching_up.get() else { return false };
        if !sources.iter().all(|source| source.is_caught_up.load(Ordering::Relaxed)) {
            return false;
        }
        let mark = *self.mark.get_or_insert_with(|| self.publisher.mark());
        self.publisher.is_settled(mark)
    }
}

/// What the stage is started with.
pub(super) struct Start<'a> {
    pub(super) config: &'a Config,
    pub(super) once: bool,
    pub(super) log: &'a CommitLog,
    pub(super) store: &'a Arc<Store>,
    pub(super) publisher: &'a Publisher,
    pub(super) active: &'a Arc<ActiveProgram>,
    pub(super) outcomes: &'a SyncSender<Outcome>,
    pub(super) metrics: &'a Metrics,
}

/// Starts the stage; the sources that it waits for are named in what it returns when they run.
pub(super) fn start(start: &Start<'_>) -> anyhow::Result<(StageHandle, JoinHandle<bool>, CatchingUp)> {
    let Start { config, once, log, store, publisher, active, outcomes, metrics } = *start;
    let state = &config.state;
    let options = StageOptions {
        correlator: correlator_options(config),
        patience: patience(config),
        catch_up: (!once).then_some(state.catch_up),
    };
    let catching_up = CatchingUp::default();
    let inputs = Reading { publisher: publisher.clone(), catching_up: Arc::clone(&catching_up), mark: None };
    let kept = Kept::at(config.data_dir.join(SNAPSHOT));
    kept.probe().with_context(|| {
        format!(
            "cannot read what rules remember, {}: make it readable, or move it away; then counting begins with what \
             the commit log still holds",
            kept.path().display()
        )
    })?;
    let store = Arc::clone(store);
    let parts = Parts {
        reader: log.state_reader(None),
        outcomes: outcomes.clone(),
        kept,
        checkpoint: Box::new(move || store.checkpoint(CORRELATE_STREAM)),
        inputs: Box::new(inputs),
        active: Arc::clone(active),
        metrics: metrics.clone(),
    };
    let (handle, thread) = Stage::spawn(options, parts).context("cannot start the stateful stage")?;
    Ok((handle, thread, catching_up))
}

/// How candidates are counted with this configuration.
pub(in crate::commands) fn correlator_options(config: &Config) -> CorrelatorOptions {
    let max_bytes = config.state.max_bytes;
    let buffer_bytes = max_bytes / BUFFER_SHARE;
    CorrelatorOptions {
        min_level: config.min_level,
        host: host_name(),
        memory: rule_set::memory_options(&config.rules.time_zone),
        max_bytes: max_bytes - buffer_bytes,
        buffer_bytes: usize::try_from(buffer_bytes).unwrap_or(usize::MAX),
        folder: config.data_dir.clone(),
    }
}

/// How long the lanes of this configuration may be silent.
pub(in crate::commands) fn patience(config: &Config) -> Patience {
    let lateness: HashMap<_, _> = config.state.lateness.clone();
    Patience { idle: config.state.idle, lateness: Arc::new(lateness) }
}

/// How the workers of this configuration behave.
pub(in crate::commands) fn worker_options(config: &Config) -> WorkerOptions {
    WorkerOptions {
        min_level: config.min_level,
        host: host_name(),
        memory: rule_set::memory(&config.rules.time_zone),
        composites: config.state.composites,
        lateness: patience(config).lateness,
    }
}
