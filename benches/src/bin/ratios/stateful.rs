//! Both halves of the engine in turn, as `run` has them: a worker sets candidates apart, the stateful stage counts them.
//!
//! Enters: chunks of events. Leaves: what an event costs in either half. The stage's part is everything that its thread does: it reads
//! candidates from their stored form, puts them in order, judges them again with what is remembered, and counts.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use threatlockdown_analysis::correlator::{Remembered, Span};
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{ActiveProgram, Correlator, CorrelatorOptions, Metrics, WorkerOptions};
use threatlockdown_benches::context;
use threatlockdown_benches::failures::PER_SECOND;
use threatlockdown_event::Context;
use threatlockdown_ruleset::program::Program;
use threatlockdown_topics::commit_log::{decode_candidates, encode_candidates};
use threatlockdown_topics::{Commit, LogPosition};

use crate::chunk::{Chunk, Corpus};
use crate::load::resident;
use crate::rounds::{Compared, middle, nanoseconds, sorted, summed_up};

/// Users of five kinds of events each: a million keys.
const USERS: u64 = 200_000;
/// Events of a round, and of a step towards it.
const EVENTS: usize = 2_000;
/// What may be remembered: what [`USERS`] need and a half.
const LIVE_BYTES: u64 = 768 << 20;
/// The same for an hour of failed logins.
const HOUR_BYTES: u64 = 1 << 30;
const MINUTES: usize = 60;
/// Bytes that a live key has at least.
const LEAST_BYTES: u64 = 64;

/// What a million live keys cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live {
    /// Nanoseconds of an event in the stateful stage: the middle round, the quickest and the slowest.
    pub(crate) stage: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// Middle nanoseconds in the worker before.
    pub(crate) worker: f64,
    pub(crate) keys: u64,
    /// MiB that are accounted for, that the process took for them, and that were allowed.
    pub(crate) accounted: f64,
    pub(crate) resident: f64,
    pub(crate) allowed: f64,
    pub(crate) evicted: u64,
}

/// See the module.
struct Stateful {
    worker: Worker,
    correlator: Correlator,
    context: Arc<Context>,
    commits: u64,
    alerts: u64,
    stored: Vec<u8>,
}

impl Stateful {
    fn new(program: &Arc<Program>, source: &str, max_bytes: u64) -> Self {
        let metrics = Metrics::unregistered();
        // Composite rules alone are alerts.
        let (min_level, host) = (10, Arc::from("bench"));
        let options = CorrelatorOptions {
            min_level,
            host: Arc::clone(&host),
            memory: threatlockdown_ruleset::correlate::MemoryOptions::default(),
            max_bytes,
            buffer_bytes: 64 << 20,
            folder: std::env::temp_dir(),
        };
        let worker = WorkerOptions { min_level, host, ..WorkerOptions::default() };
        Self {
            worker: Worker::new(program, &worker, &metrics),
            correlator: Correlator::new(&options, &ActiveProgram::new(Arc::clone(program)), &metrics),
            context: context(source).into(),
            commits: 0,
            alerts: 0,
            stored: Vec::new(),
        }
    }

    /// How long an event takes in the worker and in the stage.
    fn run(&mut self, chunk: &Chunk) -> Result<(f64, f64), String> {
        let unit = chunk.unit(&self.context);
        let started = Instant::now();
        let outcome = self.worker.analyze(unit);
        self.stored.clear();
        encode_candidates(&outcome.candidates, &mut self.stored);
        black_box(outcome.alerts.len());
        let judged = started.elapsed();
        if let Some((_, letter)) = outcome.dead_letters.first() {
            return Err(format!("an event cannot be read: {}", String::from_utf8_lossy(letter)));
        }
        drop(outcome.candidates);
        let at = |offset| LogPosition { segment: 1, offset };
        let span = Span { start: at(self.commits), end: at(self.commits + 1) };
        self.commits += 1;
        let counted = self.count(span, outcome.markers)?;
        let events = chunk.len() as f64;
        Ok((nanoseconds(judged) / events, nanoseconds(counted) / events))
    }

    fn count(&mut self, span: Span, markers: Vec<threatlockdown_topics::Marker>) -> Result<Duration, String> {
        let started = Instant::now();
        let candidates = decode_candidates(&self.stored).ok_or("candidates cannot be read back")?;
        let commit = Commit { candidates, markers, ..Commit::default() };
        let alerts = &mut self.alerts;
        let done = self.correlator.apply(span, commit, &mut |alert| {
            black_box(alert.json.len());
            *alerts += 1;
        });
        done.map_err(|error| error.to_string())?;
        Ok(started.elapsed())
    }

    /// Bytes that are accounted for, and what was forgotten for want of room.
    fn remembered(&self) -> (u64, u64) {
        let remembered = self.correlator.remembered();
        (remembered.iter().map(|one| one.bytes).sum(), remembered.iter().map(|one| one.evicted).sum())
    }
}

/// Frequency rules and correlations while [`USERS`] times five keys are live.
pub(crate) fn live(program: &Arc<Program>, rounds: usize) -> Result<Live, Box<dyn std::error::Error>> {
    let mut corpus = Corpus::logins(USERS);
    let keys = USERS * 5;
    let mut chunk = Chunk::default();
    let mut stateful = Stateful::new(program, "aws.cloudtrail", LIVE_BYTES);
    let before = resident()?;
    for _ in 0..keys.div_ceil(EVENTS as u64) {
        corpus.fill(&mut chunk, EVENTS);
        stateful.run(&chunk)?;
    }
    let (bytes, resident) = (stateful.remembered().0, resident()? - before);
    let is_live = |one: &Remembered| one.bytes >= USERS * LEAST_BYTES;
    if !stateful.correlator.remembered().iter().all(is_live) {
        return Err("a rule does not count its users".into());
    }
    let mut measured = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        corpus.fill(&mut chunk, EVENTS);
        measured.push(stateful.run(&chunk)?);
    }
    let stage = sorted(measured.iter().map(|(_, stage)| *stage));
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(Live {
        stage: middle(&stage),
        least: stage.first().copied().unwrap_or_default(),
        most: stage.last().copied().unwrap_or_default(),
        worker: middle(&sorted(measured.iter().map(|(worker, _)| *worker))),
        keys,
        accounted: mebibytes(bytes),
        resident: resident / 1024.0,
        allowed: mebibytes(LIVE_BYTES),
        evicted: stateful.remembered().1,
    })
}

/// The first minute of an hour of failed logins against the last: in each round a process that has seen nothing yet.
pub(crate) fn hour(program: &Arc<Program>, rounds: usize) -> Result<Compared, String> {
    let minute = usize::try_from(60 * PER_SECOND).unwrap_or_default();
    let mut measured = Vec::with_capacity(rounds);
    let mut matches = 0.0;
    // What a round remembers stays: the next one's first minute takes its memory from the system too, as its last one does.
    // The buffer between the halves is no part of that, so it is handed on.
    let mut earlier: Vec<Stateful> = Vec::with_capacity(rounds);
    for round in 0..rounds + 1 {
        let mut corpus = Corpus::failures();
        let mut chunk = Chunk::default();
        let mut stateful = Stateful::new(program, "syslog", HOUR_BYTES);
        stateful.stored = earlier.last_mut().map(|last| std::mem::take(&mut last.stored)).unwrap_or_default();
        let mut minutes = Vec::with_capacity(MINUTES);
        for _ in 0..MINUTES {
            corpus.fill(&mut chunk, minute);
            let (worker, stage) = stateful.run(&chunk)?;
            minutes.push(worker + stage);
        }
        let evicted = stateful.remembered().1;
        if evicted > 0 {
            return Err(format!("{evicted} events were forgotten: this is no hour"));
        }
        matches = stateful.alerts as f64 * 100.0 / (MINUTES * minute) as f64;
        // The first round fills the caches of the processor and of the allocator.
        if round > 0
            && let (Some(first), Some(last)) = (minutes.first(), minutes.last())
        {
            measured.push((*first, *last));
        }
        earlier.push(stateful);
    }
    Ok(summed_up(&measured, matches))
}
