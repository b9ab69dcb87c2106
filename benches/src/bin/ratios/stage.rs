//! What is done with the events of a chunk, and how long it takes.
//!
//! Enters: a chunk. Leaves: the time. [`Parse`] is what everything is compared with: simd-json fills a tape with reused
//! buffers and nothing looks at it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use simd_json::{Buffers, Tape};
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{Metrics, WorkerOptions};
use threatlockdown_benches::context;
use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::correlate::{Memory, MemoryOptions};
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::{BindingIndex, Program};

use crate::chunk::Chunk;

/// Something that takes the events of a chunk.
pub(crate) trait Stage {
    /// Takes all of them; how long that took, without what is made ready before.
    fn run(&mut self, chunk: &Chunk) -> Result<Duration, String>;

    /// Events that met a rule of level 1 and above, or a Sigma rule, so far.
    fn matches(&self) -> u64 {
        0
    }
}

/// A tape parse of each event, which is JSON.
pub(crate) struct Parse {
    bytes: Vec<u8>,
    buffers: Buffers,
    kept: Tape<'static>,
}

impl Parse {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), buffers: Buffers::new(4096), kept: Tape(Vec::new()) }
    }
}

impl Stage for Parse {
    fn run(&mut self, chunk: &Chunk) -> Result<Duration, String> {
        let started = Instant::now();
        for (_, event) in chunk.events() {
            self.bytes.clear();
            self.bytes.extend_from_slice(event);
            let mut tape = std::mem::replace(&mut self.kept, Tape(Vec::new())).reset();
            simd_json::fill_tape(&mut self.bytes, &mut self.buffers, &mut tape)
                .map_err(|error| error.to_string())?;
            black_box(tape.0.len());
            self.kept = tape.reset();
        }
        Ok(started.elapsed())
    }
}

/// A program's verdict on each event.
pub(crate) struct Evaluate {
    program: Arc<Program>,
    scratch: Scratch,
    contexts: Vec<(BindingIndex, Arc<Context>)>,
    matches: u64,
}

impl Evaluate {
    pub(crate) fn new(program: &Arc<Program>, sources: &[&str]) -> Self {
        Self::sharing(program, sources, Memory::new(MemoryOptions::default()))
    }

    pub(crate) fn sharing(program: &Arc<Program>, sources: &[&str], memory: Arc<Memory>) -> Self {
        Self {
            scratch: Scratch::sharing(program, memory),
            contexts: sources
                .iter()
                .map(|source| (program.binding(source), context(source).into()))
                .collect(),
            program: Arc::clone(program),
            matches: 0,
        }
    }

    /// The verdicts on some events of a chunk.
    pub(crate) fn judge(&mut self, chunk: &Chunk, start: usize, end: usize) -> Result<(), String> {
        let received = Millis(chunk.received);
        for (source, record) in chunk.part(start, end) {
            let (binding, context) = &self.contexts[source];
            let input = Input { binding: *binding, record, context, received };
            let met = self.program.evaluate(&mut self.scratch, &input, |verdict| {
                black_box(verdict.rule_index());
                let is_met = verdict.rule().is_some_and(|rule| rule.level > 0);
                is_met || black_box(verdict.sigma().count()) > 0
            });
            self.matches += u64::from(met.map_err(|fault| fault.to_string())?);
        }
        Ok(())
    }
}

impl Stage for Evaluate {
    fn run(&mut self, chunk: &Chunk) -> Result<Duration, String> {
        let started = Instant::now();
        self.judge(chunk, 0, chunk.len())?;
        Ok(started.elapsed())
    }

    fn matches(&self) -> u64 {
        self.matches
    }
}

/// The whole loop of a worker, alerts as JSON and all.
pub(crate) struct Loop {
    worker: Worker,
    context: Arc<Context>,
    alerts: u64,
}

impl Loop {
    pub(crate) fn new(program: &Arc<Program>, source: &str) -> Self {
        let options = WorkerOptions { min_level: 3, host: "bench".into(), ..WorkerOptions::default() };
        let worker = Worker::new(program, &options, &Metrics::unregistered());
        Self { worker, context: context(source).into(), alerts: 0 }
    }
}

impl Stage for Loop {
    fn run(&mut self, chunk: &Chunk) -> Result<Duration, String> {
        let unit = chunk.unit(&self.context);
        let started = Instant::now();
        let outcome = self.worker.analyze(unit);
        let taken = started.elapsed();
        if let Some((_, letter)) = outcome.dead_letters.first() {
            return Err(format!("an event cannot be read: {}", String::from_utf8_lossy(letter)));
        }
        self.alerts += outcome.alerts.len() as u64;
        Ok(taken)
    }

    fn matches(&self) -> u64 {
        self.alerts
    }
}
