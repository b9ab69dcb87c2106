//! The loop that everything else exists for: take a unit, judge its records, pass on what came of it.
//!
//! Enters: units of the raw topic. Leaves: one [`Outcome`] per unit, always, so that the stream's order can be kept.
//! One OS thread per worker with its own scratch; the program is shared and never changes under a worker. A worker knows
//! nothing of earlier events: what depends on them it sets apart as a candidate for the stateful stage
//! ([`crate::correlator`]), so that neither the number of workers nor their pace decides what is counted first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use threatlockdown_event::{Alert, DeadLetter, EventId, Millis, Reason, Record, Unit};
use threatlockdown_ruleset::correlate::Memory;
use threatlockdown_ruleset::correlate::sigma::Matched;
use threatlockdown_ruleset::matcher::{Fault, Input, Scratch, Verdict};
use threatlockdown_ruleset::program::{BindingIndex, Program, Rule};
use threatlockdown_ruleset::suppress::Ask;
use threatlockdown_topics::raw::{Consumer, Delivered};
use threatlockdown_topics::{Candidate, Held, Lane, Marker};

use crate::active::ActiveProgram;
use crate::alert::{AlertWriter, Described, Raw};
use crate::gate::{Gate, Passage};
use crate::metrics::{Metrics, ReasonLabel, SourceLabel};
use crate::outcome::Outcome;

/// What becomes of the verdict without regard to earlier events, where regarding them may give another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Composites {
    /// Its alert is written at once, and that of the composite rule comes beside it. Where earlier events could take it
    /// back, it is awaited all the same.
    #[default]
    Add,
    /// It is awaited, and its place is taken, as in the reference.
    Replace,
}

/// How workers behave.
#[derive(Debug, Clone, Default)]
pub struct WorkerOptions {
    /// Verdicts below this level are no alerts; level 0 never is.
    pub min_level: u8,
    /// Name of this host, which alerts show as agent and manager.
    pub host: Arc<str>,
    /// What decoders remember of events that come in several lines, shared by all workers.
    pub memory: Arc<Memory>,
    /// See [`Composites`].
    pub composites: Composites,
    /// By log source, how much later than younger ones an event may come and still be counted in its place.
    pub lateness: Arc<HashMap<String, Duration>>,
}

/// Starts one worker per consumer. They end when the topic is closed and drained, or when nobody takes outcomes.
///
/// # Errors
/// When the system refuses a thread.
pub fn spawn_workers(
    consumers: Vec<Consumer>,
    active: &Arc<ActiveProgram>,
    options: &WorkerOptions,
    outcomes: &SyncSender<Outcome>,
    metrics: &Metrics,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let spawn = |(index, consumer): (usize, Consumer)| {
        let mut generation = active.generation();
        let mut worker = Worker::new(&active.current(), options, metrics);
        let outcomes = outcomes.clone();
        let active = Arc::clone(active);
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            while let Some(Delivered { unit, permit }) = consumer.next() {
                if active.generation() != generation {
                    generation = active.generation();
                    worker.adopt(&active.current());
                }
                let outcome = Outcome { permit: Some(permit), ..worker.analyze(unit) };
                if outcomes.send(outcome).is_err() {
                    return;
                }
            }
        })
    };
    consumers.into_iter().enumerate().map(spawn).collect()
}

/// How far time has come within a unit.
#[derive(Default)]
struct Clock {
    /// The time of the next record is to be read, candidate or not.
    wanted: bool,
    newest: Option<Millis>,
}

/// One worker's state, for use without threads as well.
pub struct Worker {
    program: Arc<Program>,
    scratch: Scratch,
    writer: AlertWriter,
    gate: Gate,
    memory: Arc<Memory>,
    host: Arc<str>,
    min_level: u8,
    composites: Composites,
    /// Candidates are divided among partitions: each says where correlations count it.
    is_divided: bool,
    lateness: Arc<HashMap<String, Duration>>,
    version: Arc<str>,
    metrics: Metrics,
}

impl Worker {
    /// A worker for `program`.
    #[must_use]
    pub fn new(program: &Arc<Program>, options: &WorkerOptions, metrics: &Metrics) -> Self {
        Self {
            program: Arc::clone(program),
            scratch: Scratch::sharing(program, Arc::clone(&options.memory)),
            writer: AlertWriter::new(program, &options.host),
            gate: Gate::new(program, &options.host, metrics),
            host: Arc::clone(&options.host),
            memory: Arc::clone(&options.memory),
            min_level: options.min_level.max(1),
            composites: options.composites,
            is_divided: false,
            lateness: Arc::clone(&options.lateness),
            version: program.version().into(),
            metrics: metrics.clone(),
        }
    }

    /// Its candidates are divided among several that count.
    pub(crate) fn divided(self) -> Self {
        Self { is_divided: true, ..self }
    }

    /// Goes on with another program; rules that are in both go on counting.
    pub fn adopt(&mut self, program: &Arc<Program>) {
        self.scratch = Scratch::sharing(program, Arc::clone(&self.memory));
        self.writer = self.writer.adopt(program);
        self.gate = Gate::new(program, &self.host, &self.metrics);
        self.version = program.version().into();
        self.program = Arc::clone(program);
    }

    /// Judges all records of a unit.
    pub fn analyze(&mut self, mut unit: Unit) -> Outcome {
        let mut outcome = Outcome {
            checkpoint: unit.checkpoint.take(),
            ingested: unit.ingested,
            dead_letters: unit
                .dead_letters
                .drain(..)
                .map(|letter| (letter.reason, letter.to_json()))
                .collect(),
            ..Outcome::empty(Arc::clone(&unit.stream), unit.sequence)
        };
        let mut clock = Clock::default();
        let counts = !self.program.components().is_empty()
            || self.program.suppressions().count()
            || !self.program.sigma().plans().is_empty();
        let binding = self.program.binding(&unit.context.source);
        let count = unit.records.len();
        for (index, record) in unit.records.iter().enumerate() {
            clock.wanted = index + 1 == count && counts;
            self.judge(&unit, record, binding, &mut clock, &mut outcome);
        }
        outcome.markers.extend(clock.newest.map(|newest| self.progress(&unit, newest)));
        let label = SourceLabel { source: unit.context.source.to_string() };
        self.metrics.events.get_or_create(&label).inc_by(outcome.events);
        self.metrics.bytes.get_or_create(&label).inc_by(outcome.bytes);
        self.gate.count(&self.program, true);
        outcome
    }

    /// How far time has come with this unit. Candidates and the last record tell enough: a time that is too early only
    /// makes the stateful stage wait, and reading the times of all records would cost more than judging most of them.
    fn progress(&self, unit: &Unit, newest: Millis) -> Marker {
        let source = &unit.context.source;
        let lateness = self.lateness.get(&**source).copied().unwrap_or_default();
        let lateness = i64::try_from(lateness.as_millis()).unwrap_or(i64::MAX);
        let lane = Lane { stream: Arc::clone(&unit.stream), source: Arc::clone(source) };
        Marker::Progress { lane, until: Millis(newest.0.saturating_sub(lateness)) }
    }

    fn judge(
        &mut self,
        unit: &Unit,
        record: &Record,
        binding: BindingIndex,
        clock: &mut Clock,
        outcome: &mut Outcome,
    ) {
        let raw = Raw::of(unit, record);
        let input = Input { binding, record: raw.bytes, context: &unit.context, received: unit.ingested };
        let (writer, min_level) = (&mut self.writer, self.min_level);
        let (composites, is_divided, version) = (self.composites, self.is_divided, &self.version);
        let alerts = &mut outcome.alerts;
        let (program, gate) = (&*self.program, &mut self.gate);
        let result = program.evaluate_apart(&mut self.scratch, &input, |verdict, apart| {
            if clock.wanted {
                clock.newest = clock.newest.max(Some(verdict.time()));
            }
            let of_rule = verdict.counts() && verdict.rule().is_some_and(|rule| is_alert(rule, min_level));
            let mut sigma =
                verdict.sigma().filter(|(_, rule)| rule.head.level.number() >= min_level).peekable();
            let is_correlated = verdict.is_correlated();
            if !of_rule && apart.is_none() && sigma.peek().is_none() && !is_correlated {
                return None;
            }
            let described = Described::new(verdict, &raw);
            let at_once = apart.as_ref().is_none_or(|apart| composites == Composites::Add && !apart.awaited);
            let is_decided = of_rule && at_once;
            let mut held = Vec::new();
            if is_decided {
                let passage = gate.rule(program, verdict);
                pass(passage, || writer.write(verdict, &described, &raw), alerts, &mut held);
            }
            for rule in sigma {
                let passage = gate.sigma(program, verdict, rule);
                pass(passage, || writer.write_sigma(rule, verdict, &described, &raw), alerts, &mut held);
            }
            if apart.is_none() && held.is_empty() && !is_correlated {
                return None;
            }
            let time = apart.as_ref().map_or_else(|| verdict.time(), |apart| apart.time);
            clock.newest = clock.newest.max(Some(time));
            let (component, key) = apart
                .map_or((Candidate::NO_COMPONENT, Vec::new()), |apart| (apart.component, apart.key.to_vec()));
            let is_judged_again = is_correlated || component != Candidate::NO_COMPONENT;
            let record = if is_judged_again { raw.bytes.to_vec() } else { Vec::new() };
            let (correlated, places) = correlated(program, verdict, is_divided, component);
            Some(Candidate {
                component,
                key,
                correlated,
                time,
                event: described.event,
                context: Arc::clone(&unit.context),
                version: Arc::clone(version),
                received: raw.received,
                place: raw.place,
                alerted: is_decided.then(|| described.alert(verdict)),
                record,
                held,
                places,
            })
        });
        outcome.bytes += raw.bytes.len() as u64;
        match result {
            Ok(candidate) => {
                outcome.events += 1;
                outcome.candidates.extend(candidate);
            }
            Err(fault) => outcome.dead_letters.push(self.dead_letter(unit, record, &fault)),
        }
    }

    fn dead_letter(&self, unit: &Unit, record: &Record, fault: &Fault) -> (Reason, Vec<u8>) {
        let reason = match fault {
            Fault::Malformed(_) => Reason::Malformed,
            Fault::TooDeep => Reason::TooDeep,
        };
        self.metrics.decode_errors.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
        let letter = DeadLetter {
            reason,
            detail: fault.to_string(),
            source: unit.context.source.to_string(),
            connector: unit.context.connector.to_string(),
            origin: format!("{}:{}", unit.context.origin, record.origin),
            ingested: unit.ingested,
            record: unit.bytes(record).to_vec(),
            length: u64::from(record.len),
            sha256: None,
            context: Some(Arc::clone(&unit.context)),
            place: record.origin,
        };
        (reason, letter.to_json())
    }
}

/// What correlations count of an event, and where they do. What has a component is judged again, and tells it then; only to
/// other partitions than its own it is told.
fn correlated(
    program: &Program,
    verdict: &Verdict<'_>,
    is_divided: bool,
    component: u32,
) -> (Vec<u8>, Vec<u64>) {
    let plans = program.sigma().plans();
    let is_asked = is_divided || component == Candidate::NO_COMPONENT;
    let Some(correlated) = verdict.correlated().filter(|_| is_asked) else { return Default::default() };
    // Neither its time nor its id decides its places.
    let matched = || Matched { time: 0, id: EventId([0; 16]), rules: &correlated.rules, fields: &correlated };
    let places = if is_divided { plans.places(&matched()) } else { Vec::new() };
    (correlated.stored(plans), places)
}

/// Makes an alert, where there will be one, and puts it where it belongs.
fn pass(
    passage: Passage,
    write: impl FnOnce() -> Option<Alert>,
    alerts: &mut Vec<Alert>,
    held: &mut Vec<Held>,
) {
    match passage {
        Passage::HeldBack => {}
        Passage::Write => alerts.extend(write()),
        Passage::Throttled(Ask { suppression, key, allow, quiet }) => {
            held.extend(write().map(|alert| Held { suppression, key, allow, quiet, alert }));
        }
    }
}

/// Level 0 never is; otherwise the rule's own word counts before its level.
pub(crate) fn is_alert(rule: &Rule, min_level: u8) -> bool {
    rule.level > 0 && !rule.options.no_log && (rule.options.log_alert || rule.level >= min_level)
}
