//! The verdict on a candidate with regard to what came before it.
//!
//! Enters: candidates in the order of counting. Leaves: the alert, where it is another one than what was alerted already.
//! A candidate is judged by the rules that made it, with the memory of its component; rules that a reload leaves alone find
//! there what they left. Sigma's correlations will be counted here too: a further judgement of the same candidate.

use std::collections::VecDeque;
use std::sync::Arc;

use threatlockdown_event::Alert;
use threatlockdown_ruleset::correlate::{Extent, Memories, Memory, MemoryOptions};
use threatlockdown_ruleset::matcher::{Bound, Input, Scratch};
use threatlockdown_ruleset::program::{Component, Program};
use threatlockdown_ruleset::suppress::{Ask, ThrottleState};
use threatlockdown_topics::{Candidate, Held};

use super::throttle::Throttling;
use crate::alert::{AlertWriter, Described, Raw};
use crate::gate::{Gate, Passage};
use crate::metrics::Metrics;
use crate::worker::is_alert;

/// Rule sets that are kept for candidates that wait while rules are replaced again and again.
const SETS: usize = 4;

/// See the module.
pub(super) struct Judge {
    memories: Memories,
    min_level: u8,
    host: Arc<str>,
    throttling: Throttling,
    /// The newest first; never empty.
    sets: VecDeque<Set>,
}

/// A program with what it takes to run it.
struct Set {
    program: Arc<Program>,
    scratch: Scratch,
    /// By component.
    memories: Vec<Bound>,
    writer: AlertWriter,
    gate: Gate,
}

/// What the rules of one component remember.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// Ids of its rules.
    pub component: String,
    /// Their memory.
    pub memory: Arc<Memory>,
}

impl Set {
    fn new(
        program: &Arc<Program>,
        memories: &Memories,
        options: &MemoryOptions,
        writer: AlertWriter,
        gate: Gate,
    ) -> Self {
        let bind = |memory| Bound::new(program, memory);
        Self {
            // Its own memory stays empty: what has no component leaves nothing behind.
            scratch: Scratch::sharing(program, Memory::new(options.clone())),
            memories: memories.of(program).into_iter().map(bind).collect(),
            program: Arc::clone(program),
            writer,
            gate,
        }
    }

    /// The component of a candidate that rules made which are not here any more.
    fn component(&mut self, input: &Input<'_>) -> Option<u32> {
        let judged = self
            .program
            .evaluate_apart(&mut self.scratch, input, |_, apart| apart.map(|apart| apart.component));
        judged.ok().flatten()
    }

    fn judge(
        &mut self,
        candidate: &Candidate,
        is_own: bool,
        min_level: u8,
        throttling: &mut Throttling,
        is_told: bool,
    ) -> Option<Alert> {
        let raw = Raw {
            bytes: &candidate.record,
            context: &candidate.context,
            received: candidate.received,
            place: candidate.place,
        };
        let binding = self.program.binding(&candidate.context.source);
        let input = Input { binding, record: raw.bytes, context: raw.context, received: raw.received };
        let component = if is_own { Some(candidate.component) } else { self.component(&input) };
        let Self { program, scratch, memories, writer, gate } = self;
        let mut bound = component.and_then(|component| memories.get_mut(component as usize));
        if let Some(bound) = &mut bound {
            scratch.swap(bound);
        }
        let judged = program.evaluate(scratch, &input, |verdict| {
            let alerts = verdict.counts() && verdict.rule().is_some_and(|rule| is_alert(rule, min_level));
            if !alerts {
                return None;
            }
            let described = Described::new(verdict, &raw);
            let is_decided = candidate.alerted == Some(described.alert(verdict));
            let is_written = !is_decided
                && match gate.rule(program, verdict) {
                    Passage::Write => true,
                    Passage::HeldBack => false,
                    Passage::Throttled(ask) => throttling.passes(&ask, candidate.time, is_told),
                };
            if is_written { writer.write(verdict, &described, &raw) } else { None }
        });
        gate.count(program, is_told);
        if let Some(bound) = bound {
            scratch.swap(bound);
        }
        // A record that cannot be read is no candidate: it became a dead letter.
        judged.ok().flatten()
    }
}

impl Judge {
    pub(super) fn new(
        program: &Arc<Program>,
        options: &MemoryOptions,
        max_bytes: u64,
        (host, min_level): (&Arc<str>, u8),
        metrics: &Metrics,
    ) -> Self {
        let memories = Memories::new(options.clone(), max_bytes);
        let gate = Gate::new(program, host, metrics);
        let set = Set::new(program, &memories, options, AlertWriter::new(program, host), gate);
        Self {
            memories,
            min_level: min_level.max(1),
            host: Arc::clone(host),
            throttling: Throttling::new(metrics),
            sets: VecDeque::from([set]),
        }
    }

    /// Candidates that this program makes will come.
    pub(super) fn adopt(&mut self, program: &Arc<Program>, options: &MemoryOptions) {
        let Some(newest) = self.sets.front() else { return };
        let gate = Gate::new(program, &self.host, self.throttling.metrics());
        let set = Set::new(program, &self.memories, options, newest.writer.adopt(program), gate);
        self.sets.push_front(set);
        self.sets.truncate(SETS);
    }

    /// No candidate of an earlier program waits any more.
    pub(super) fn forget_earlier(&mut self) {
        self.sets.truncate(1);
    }

    /// What the throttle knows.
    pub(super) fn throttle(&self) -> ThrottleState {
        self.throttling.state()
    }

    /// Goes on from what a throttle knew.
    pub(super) fn restore_throttle(&mut self, state: &ThrottleState) {
        self.throttling.restore(state);
    }

    /// The alerts that are due for a candidate: those that waited for the throttle, and the one that earlier events make,
    /// beside what was decided already. What is held back is told, unless it was told before.
    pub(super) fn judge(&mut self, mut candidate: Candidate, is_told: bool) -> Vec<Alert> {
        let mut due = Vec::new();
        for Held { suppression, key, allow, quiet, alert } in std::mem::take(&mut candidate.held) {
            let ask = Ask { suppression, key, allow, quiet };
            if self.throttling.passes(&ask, candidate.time, is_told) {
                due.push(alert);
            }
        }
        if candidate.component != Candidate::NO_COMPONENT {
            // After a restart with other rules those that made it are gone.
            let own = self.sets.iter().position(|set| set.program.version() == &*candidate.version);
            let Self { sets, throttling, min_level, .. } = self;
            let set = sets.get_mut(own.unwrap_or(0));
            due.extend(
                set.and_then(|set| set.judge(&candidate, own.is_some(), *min_level, throttling, is_told)),
            );
        }
        due
    }

    /// What is remembered, by component.
    pub(super) fn remembered(&self) -> Vec<Remembered> {
        let of = |(component, program, memory): (&Component, &Program, &Arc<Memory>)| Remembered {
            component: name(component, program),
            memory: Arc::clone(memory),
        };
        self.components().map(of).collect()
    }

    /// The same as bytes: for each component its identity, a length, and what it remembers.
    pub(super) fn snapshot(&self, out: &mut Vec<u8>) {
        for (component, _, memory) in self.components() {
            let bytes = memory.snapshot(Extent::Everything);
            out.extend_from_slice(&component.identity);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(&bytes);
        }
    }

    /// Takes up what [`Judge::snapshot`] wrote. Components that are gone are passed over: their rules are.
    pub(super) fn restore(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let (identity, rest) = bytes.split_first_chunk::<16>().ok_or("it ends early")?;
            let (length, rest) = rest.split_first_chunk::<8>().ok_or("it ends early")?;
            let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|error| error.to_string())?;
            let (contents, rest) = rest.split_at_checked(length).ok_or("it ends early")?;
            bytes = rest;
            match self.components().find(|(component, ..)| component.identity == *identity) {
                Some((_, _, memory)) => memory.restore(contents).map_err(|error| error.to_string())?,
                None => tracing::info!(
                    "rules that had counted are not there any more; what they remembered is dropped"
                ),
            }
        }
        Ok(())
    }

    fn components(&self) -> impl Iterator<Item = (&Component, &Program, &Arc<Memory>)> {
        self.sets.front().into_iter().flat_map(|set| {
            let components = set.program.components().iter().zip(&set.memories);
            components.map(|(component, bound)| (component, &*set.program, bound.memory()))
        })
    }
}

/// Ids of the component's rules, the first few of them, or names of its decoders.
fn name(component: &Component, program: &Program) -> String {
    const SHOWN: usize = 3;
    let rules = component.rules.iter().filter_map(|rule| program.rules().get(*rule as usize));
    let mut names: Vec<&str> = rules.map(|rule| rule.id.as_str()).collect();
    names.extend(component.decoders.iter().map(String::as_str));
    let more = if names.len() > SHOWN { "…" } else { "" };
    names.truncate(SHOWN);
    names.join(",") + more
}
