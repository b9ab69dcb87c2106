//! The loop that everything else exists for: take a unit, judge its records, pass on what came of it.
//!
//! Enters: units of the raw topic. Leaves: one [`Outcome`] per unit, always, so that the stream's order can be kept.
//! One OS thread per worker with its own scratch; the program is shared and never changes under a worker.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use threatlockdown_event::{DeadLetter, Reason, Record, Unit};
use threatlockdown_ruleset::correlate::Memory;
use threatlockdown_ruleset::matcher::{Fault, Input, Scratch};
use threatlockdown_ruleset::program::{BindingIndex, Program, Rule};
use threatlockdown_topics::raw::{Consumer, Delivered};

use crate::active::ActiveProgram;
use crate::alert::AlertWriter;
use crate::metrics::{Metrics, ReasonLabel, SourceLabel};
use crate::outcome::Outcome;

/// How workers behave.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Verdicts below this level are no alerts; level 0 never is.
    pub min_level: u8,
    /// Name of this host, which alerts show as agent and manager.
    pub host: Arc<str>,
    /// What is remembered between events, shared by all workers.
    pub memory: Arc<Memory>,
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

/// One worker's state, for use without threads as well.
pub struct Worker {
    program: Arc<Program>,
    scratch: Scratch,
    writer: AlertWriter,
    memory: Arc<Memory>,
    min_level: u8,
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
            memory: Arc::clone(&options.memory),
            min_level: options.min_level.max(1),
            metrics: metrics.clone(),
        }
    }

    /// Goes on with another program. What is remembered between events stays, as far as the new rules demand the same,
    /// and rules that are in both go on counting.
    pub fn adopt(&mut self, program: &Arc<Program>) {
        self.scratch = Scratch::sharing(program, Arc::clone(&self.memory));
        self.writer = self.writer.adopt(program);
        self.program = Arc::clone(program);
    }

    /// Judges all records of a unit.
    pub fn analyze(&mut self, mut unit: Unit) -> Outcome {
        let mut outcome = Outcome {
            stream: Arc::clone(&unit.stream),
            sequence: unit.sequence,
            checkpoint: unit.checkpoint.take(),
            ingested: unit.ingested,
            alerts: Vec::new(),
            dead_letters: unit
                .dead_letters
                .drain(..)
                .map(|letter| (letter.reason, letter.to_json()))
                .collect(),
            events: 0,
            bytes: 0,
            permit: None,
        };
        let binding = self.program.binding(&unit.context.source);
        for record in &unit.records {
            self.judge(&unit, record, binding, &mut outcome);
        }
        let label = SourceLabel { source: unit.context.source.to_string() };
        self.metrics.events.get_or_create(&label).inc_by(outcome.events);
        self.metrics.bytes.get_or_create(&label).inc_by(outcome.bytes);
        outcome
    }

    fn judge(&mut self, unit: &Unit, record: &Record, binding: BindingIndex, outcome: &mut Outcome) {
        let bytes = unit.bytes(record);
        let input = Input { binding, record: bytes, context: &unit.context, received: unit.ingested };
        let (writer, min_level) = (&mut self.writer, self.min_level);
        let alerts = &mut outcome.alerts;
        let judged = self.program.evaluate(&mut self.scratch, &input, |verdict| {
            let alerts_rule =
                verdict.counts() && verdict.rule().is_some_and(|rule| is_alert(rule, min_level));
            writer.write(verdict, unit, record, (alerts_rule, min_level), alerts);
        });
        outcome.bytes += bytes.len() as u64;
        match judged {
            Ok(()) => outcome.events += 1,
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
        };
        (reason, letter.to_json())
    }
}

/// Level 0 never is; otherwise the rule's own word counts before its level.
fn is_alert(rule: &Rule, min_level: u8) -> bool {
    rule.level > 0 && !rule.options.no_log && (rule.options.log_alert || rule.level >= min_level)
}
