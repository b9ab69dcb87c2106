//! The verdict on a candidate with regard to what came before it.
//!
//! Enters: candidates in the order of counting. Leaves: the alert, where it is another one than what was alerted already.
//! A candidate is judged by the rules that made it, with the memory of its component; rules that a reload leaves alone find
//! there what they left. Beside that Sigma's correlations count it, by what it is to the newest rules.

use std::collections::VecDeque;
use std::sync::Arc;

use threatlockdown_event::{Alert, Millis};
use threatlockdown_ruleset::correlate::sigma::{CorrelationMatch, Share};
use threatlockdown_ruleset::correlate::{Extent, Memories, Memory, MemoryOptions};
use threatlockdown_ruleset::matcher::{Bound, Correlated, Input, Scratch, Verdict};
use threatlockdown_ruleset::program::{Component, Program};
use threatlockdown_ruleset::suppress::{Ask, ThrottleState};
use threatlockdown_topics::{Candidate, Held};

use super::FIRST;
use super::correlations::Correlations;
use super::sequencer::Due;
use super::throttle::Throttling;
use crate::alert::{AlertWriter, Described, Raw};
use crate::gate::{Gate, Passage};
use crate::metrics::Metrics;
use crate::worker::is_alert;

/// Rule sets that are kept for candidates that wait while rules are replaced again and again.
const SETS: usize = 4;
/// What Sigma's correlations may remember: one in so many bytes of what may be remembered at all.
const CORRELATIONS_SHARE: u64 = 4;
/// Stands in a snapshot where the identity of a component does: what follows is of Sigma's correlations.
const CORRELATIONS: [u8; 16] = *b"sigma correlates";

/// See the module.
pub(super) struct Judge {
    memories: Memories,
    min_level: u8,
    host: Arc<str>,
    throttling: Throttling,
    correlations: Correlations,
    /// Of the partitions among which correlations are divided, this one and how many there are.
    part: Option<(u32, u32)>,
    /// Of the candidates that are judged next, in their order: what correlations count of those that are there for them alone.
    expected: VecDeque<Option<Correlated>>,
    max_bytes: u64,
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

/// What the rules of one component, or a correlation of Sigma, remember.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// Ids of its rules, or that of the correlation.
    pub component: String,
    /// How often something was forgotten for want of room.
    pub evicted: u64,
    /// What they take.
    pub bytes: u64,
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

    fn input<'c>(&self, candidate: &'c Candidate) -> Input<'c> {
        Input {
            binding: self.program.binding(&candidate.context.source),
            record: &candidate.record,
            context: &candidate.context,
            received: candidate.received,
        }
    }

    /// What correlations count of a candidate, apart from any memory: as these rules said when they made it, or else by
    /// judging its record.
    fn correlated(&mut self, candidate: &Candidate) -> Option<Correlated> {
        let told = || Correlated::read(&candidate.correlated, self.program.sigma().plans());
        if let Some(told) = (self.program.version() == &*candidate.version).then(told).flatten() {
            return Some(told);
        }
        let input = self.input(candidate);
        self.program.correlated(&mut self.scratch, &input).ok().flatten()
    }

    /// The alerts of correlations that matched and that no suppression holds back.
    fn write(
        &mut self,
        found: &[CorrelationMatch],
        min_level: u8,
        throttling: &mut Throttling,
        is_told: bool,
    ) -> Vec<Alert> {
        if found.is_empty() {
            return Vec::new();
        }
        let Self { program, writer, gate, .. } = self;
        let correlations = program.sigma().correlations();
        let alert = |found: &CorrelationMatch| {
            let correlation = correlations.get(found.correlation as usize)?;
            let alerts = correlation.head.alerts && correlation.head.level.number() >= min_level;
            let is_written = alerts
                && match gate.correlation(program, correlation, found) {
                    Passage::Write => true,
                    Passage::HeldBack => false,
                    Passage::Throttled(ask) => throttling.passes(&ask, Millis(found.last), is_told),
                };
            if is_written { writer.write_correlation(correlation, found) } else { None }
        };
        let alerts = found.iter().filter_map(alert).collect();
        gate.count(program, is_told);
        alerts
    }

    fn judge(
        &mut self,
        candidate: &Candidate,
        is_own: bool,
        min_level: u8,
        throttling: &mut Throttling,
        is_told: bool,
    ) -> (Option<Alert>, Option<Correlated>) {
        let raw = Raw {
            bytes: &candidate.record,
            context: &candidate.context,
            received: candidate.received,
            place: candidate.place,
        };
        let input = self.input(candidate);
        let component = if is_own { Some(candidate.component) } else { self.component(&input) };
        let Self { program, scratch, memories, writer, gate } = self;
        let mut bound = component.and_then(|component| memories.get_mut(component as usize));
        if let Some(bound) = &mut bound {
            scratch.swap(bound);
        }
        let mut alert = |verdict: &Verdict<'_>| {
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
        };
        let mut then = |verdict: &Verdict<'_>| (alert(verdict), verdict.correlated());
        // The time that other rules told may be none that these would.
        let judged = match is_own {
            true => program.evaluate_at(scratch, &input, candidate.time, then),
            false => program.evaluate(scratch, &input, &mut then),
        };
        gate.count(program, is_told);
        if let Some(bound) = bound {
            scratch.swap(bound);
        }
        // A record that cannot be read is no candidate: it became a dead letter.
        judged.unwrap_or_default()
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
        let plans = program.sigma().plans();
        let share = max_bytes / CORRELATIONS_SHARE;
        let memories = Memories::new(options.clone(), of_rules(max_bytes, program));
        let gate = Gate::new(program, host, metrics);
        let set = Set::new(program, &memories, options, AlertWriter::new(program, host), gate);
        Self {
            memories,
            min_level: min_level.max(1),
            host: Arc::clone(host),
            throttling: Throttling::new(metrics),
            correlations: Correlations::new(plans, share, Share::All),
            part: None,
            expected: VecDeque::new(),
            max_bytes,
            sets: VecDeque::from([set]),
        }
    }

    /// From now on one of several partitions among which Sigma's correlations are divided.
    pub(super) fn divide(&mut self, part: (u32, u32)) {
        self.part = Some(part);
        let Some(newest) = self.sets.front() else { return };
        let plans = Arc::clone(newest.program.sigma().plans());
        self.correlations.adopt(&plans, share(&newest.program, self.part));
    }

    /// Candidates that this program makes will come.
    pub(super) fn adopt(&mut self, program: &Arc<Program>, options: &MemoryOptions) {
        let Some(newest) = self.sets.front() else { return };
        // With the first correlation the other rules give up its share, with the last they get it back.
        self.memories.resize(of_rules(self.max_bytes, program));
        let gate = Gate::new(program, &self.host, self.throttling.metrics());
        let set = Set::new(program, &self.memories, options, newest.writer.adopt(program), gate);
        self.correlations.adopt(program.sigma().plans(), share(program, self.part));
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

    /// Announces the candidates that are judged next, in this order. Nothing that is remembered changes: what can be said of
    /// each without it is found out, so that what correlations remember of all of them can be looked for together.
    pub(super) fn expect(&mut self, due: &[Due]) {
        let Self { sets, correlations, expected, .. } = self;
        expected.clear();
        let Some(newest) = sets.front_mut().filter(|_| !correlations.is_empty()) else { return };
        for Due { candidate, .. } in due {
            let is_counted = candidate.component == Candidate::NO_COMPONENT && !candidate.record.is_empty();
            expected.push_back(if is_counted { newest.correlated(candidate) } else { None });
        }
        let counted = due.iter().zip(&*expected);
        correlations.expect(counted.filter_map(|(due, one)| Some((&due.candidate, one.as_ref()?))));
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
        let Self { sets, throttling, correlations, expected, min_level, .. } = self;
        let announced = expected.pop_front();
        let mut correlated = None;
        // After a restart with other rules those that made it are gone.
        let own = sets.iter().position(|set| set.program.version() == &*candidate.version);
        let is_of_component = candidate.component != Candidate::NO_COMPONENT;
        if is_of_component && let Some(set) = sets.get_mut(own.unwrap_or(0)) {
            let (alert, of_set) = set.judge(&candidate, own.is_some(), *min_level, throttling, is_told);
            due.extend(alert);
            correlated = of_set;
        }
        if !correlations.is_empty()
            && !candidate.record.is_empty()
            && let Some(newest) = sets.front_mut()
        {
            if !is_of_component {
                correlated = announced.unwrap_or_else(|| newest.correlated(&candidate));
            } else if own.unwrap_or(0) > 0 {
                correlated = newest.correlated(&candidate);
            }
            if let Some(correlated) = correlated {
                let mut found = Vec::new();
                correlations.observe(&candidate, &correlated, &mut found);
                due.extend(newest.write(&found, *min_level, throttling, is_told));
            }
        }
        due
    }

    /// The alerts of correlations that time decides: nothing older than the watermark comes.
    pub(super) fn advance(&mut self, watermark: Millis, is_told: bool) -> Vec<Alert> {
        let mut found = Vec::new();
        self.correlations.advance(watermark, &mut found);
        self.write(&found, is_told)
    }

    /// The same where nothing comes any more.
    pub(super) fn end(&mut self, is_told: bool) -> Vec<Alert> {
        let mut found = Vec::new();
        self.correlations.end(&mut found);
        self.write(&found, is_told)
    }

    fn write(&mut self, found: &[CorrelationMatch], is_told: bool) -> Vec<Alert> {
        let Self { sets, throttling, min_level, .. } = self;
        let newest = sets.front_mut();
        newest.map(|set| set.write(found, *min_level, throttling, is_told)).unwrap_or_default()
    }

    /// When the next window of a correlation ends.
    pub(super) fn next_end(&self) -> Option<Millis> {
        self.correlations.next_end()
    }

    /// What is remembered, by component.
    pub(super) fn remembered(&self) -> Vec<Remembered> {
        let of = |(component, program, memory): (&Component, &Program, &Arc<Memory>)| Remembered {
            component: name(component, program),
            evicted: memory.evicted(),
            bytes: memory.bytes(),
        };
        let correlations = self.sets.front().into_iter().flat_map(|set| set.program.sigma().correlations());
        let of_correlations =
            correlations.zip(self.correlations.figures()).map(|(correlation, (evicted, bytes))| Remembered {
                component: correlation.head.id.clone(),
                evicted,
                bytes,
            });
        self.components().map(of).chain(of_correlations).collect()
    }

    /// The same as bytes: for each component its identity, a length, and what it remembers; then the same of correlations.
    pub(super) fn snapshot(&self, out: &mut Vec<u8>) -> Result<(), String> {
        for (component, _, memory) in self.components() {
            put(&component.identity, &memory.snapshot(Extent::Everything), out);
        }
        if !self.correlations.is_empty() {
            put(&CORRELATIONS, &self.correlations.snapshot()?, out);
        }
        Ok(())
    }

    /// Takes up what [`Judge::snapshot`] wrote. Components that are gone are passed over: their rules are.
    pub(super) fn restore(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let (identity, rest) = bytes.split_first_chunk::<16>().ok_or("it ends early")?;
            let (length, rest) = rest.split_first_chunk::<8>().ok_or("it ends early")?;
            let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|error| error.to_string())?;
            let (contents, rest) = rest.split_at_checked(length).ok_or("it ends early")?;
            bytes = rest;
            if *identity == CORRELATIONS {
                self.correlations.restore(contents)?;
                continue;
            }
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

/// What a partition counts of Sigma's correlations. Throttles count all alerts in one, so all that makes alerts is there.
fn share(program: &Program, part: Option<(u32, u32)>) -> Share {
    match part {
        None => Share::All,
        Some((FIRST, _)) if program.suppressions().count() => Share::All,
        Some(_) if program.suppressions().count() => Share::None,
        Some((number, of)) => Share::Part { number, of },
    }
}

/// What rules other than correlations may remember.
fn of_rules(max_bytes: u64, program: &Program) -> u64 {
    let share = if program.sigma().plans().is_empty() { 0 } else { max_bytes / CORRELATIONS_SHARE };
    max_bytes - share
}

fn put(identity: &[u8; 16], contents: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(identity);
    out.extend_from_slice(&(contents.len() as u64).to_le_bytes());
    out.extend_from_slice(contents);
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
