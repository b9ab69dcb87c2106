//! What each rule costs and gives on a run of events.
//!
//! Enters: events, judged through a [`Profile`] instead of by the program itself. Leaves: a [`Report`]. Counts are of all
//! events; time is taken of one event in eight, chosen by a hash of its number, because reading the clock costs as much
//! as many a test. What a reading of the clock itself takes is measured first and left out.

use std::time::Instant;

use super::facts::Facts;
use super::observe::Observer;
use super::{Fault, Input, Scratch};
use crate::ir::RuleIndex;
use crate::program::{PredicateIndex, Program, SubjectIndex, SubjectPlace};

/// Counts and time of something that is done again and again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// How often it was done.
    pub tried: u64,
    /// How often it held.
    pub held: u64,
    /// Nanoseconds that it took in those events whose time was taken.
    pub nanos: u64,
}

/// Counters for one program.
#[derive(Debug)]
pub struct Profile {
    /// What two readings of the clock, one after the other, differ by.
    clock_nanos: u64,
    timed: bool,
    /// When the event whose time is taken began, and when its rules did.
    begun: Instant,
    decoded_at: Instant,
    pub(super) events: u64,
    pub(super) faults: u64,
    pub(super) timed_events: u64,
    pub(super) decode_nanos: u64,
    pub(super) rules_nanos: u64,
    literal_nanos: u64,
    pub(super) rules: Vec<Cost>,
    /// How often each rule was the result.
    pub(super) results: Vec<u64>,
    pub(super) tests: Vec<Cost>,
    /// By subject: its literals, all in one pass.
    pub(super) literals: Vec<Cost>,
    /// How often each decoder was an event's.
    pub(super) decoders: Vec<u64>,
    /// Slots that no event has filled yet.
    unseen: Vec<SubjectIndex>,
}

/// A moment, where time is taken: on the clock, and what was spent on literals before it.
type Moment = Option<(Instant, u64)>;

impl Profile {
    /// For use with `program` only.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        let slot = |index: &SubjectIndex| {
            matches!(program.subjects[*index as usize].place, SubjectPlace::Slot { .. })
        };
        let subjects = program.subjects.len();
        let now = Instant::now();
        Self {
            clock_nanos: clock_nanos(),
            timed: false,
            begun: now,
            decoded_at: now,
            events: 0,
            faults: 0,
            timed_events: 0,
            decode_nanos: 0,
            rules_nanos: 0,
            literal_nanos: 0,
            rules: vec![Cost::default(); program.rules.len()],
            results: vec![0; program.rules.len()],
            tests: vec![Cost::default(); program.predicates.len()],
            literals: vec![Cost::default(); subjects],
            decoders: vec![0; program.decoders.len()],
            unseen: (0..u32::try_from(subjects).unwrap_or(u32::MAX)).filter(slot).collect(),
        }
    }

    /// Judges a record as [`Program::evaluate`] does and counts what that takes; tells which rule is the result.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn evaluate(
        &mut self,
        program: &Program,
        scratch: &mut Scratch,
        input: &Input<'_>,
    ) -> Result<Option<RuleIndex>, Fault> {
        self.timed = is_timed(self.events + self.faults);
        self.begun = Instant::now();
        let judged = program.evaluate_observed(scratch, input, self, |verdict| {
            let end = Instant::now();
            (verdict.rule_index().and_then(|rule| u32::try_from(rule).ok()), end)
        });
        match judged {
            Ok((rule, end)) => {
                self.events += 1;
                if self.timed {
                    self.timed_events += 1;
                    self.decode_nanos += nanos(self.decoded_at.saturating_duration_since(self.begun));
                    self.rules_nanos += nanos(end.saturating_duration_since(self.decoded_at));
                }
                if let Some(count) = rule.and_then(|rule| self.results.get_mut(rule as usize)) {
                    *count += 1;
                }
                Ok(rule)
            }
            Err(fault) => {
                self.faults += 1;
                Err(fault)
            }
        }
    }

    /// Whether no event has had this field.
    pub(super) fn is_unseen(&self, subject: SubjectIndex) -> bool {
        self.unseen.contains(&subject)
    }

    /// Time since a moment, without that of the clock and of literals.
    fn spent(&self, since: Moment) -> u64 {
        let Some((at, literals)) = since else { return 0 };
        let inner = self.literal_nanos.saturating_sub(literals);
        nanos(at.elapsed()).saturating_sub(self.clock_nanos + inner)
    }
}

impl Observer for Profile {
    type Moment = Moment;

    fn now(&self) -> Moment {
        self.timed.then(|| (Instant::now(), self.literal_nanos))
    }

    fn decoded(&mut self, facts: &Facts<'_>) {
        if let Some(count) = facts.decoded.decoder.and_then(|decoder| self.decoders.get_mut(decoder as usize))
        {
            *count += 1;
        }
        self.unseen.retain(|subject| !facts.is_present(*subject));
        if self.timed {
            self.decoded_at = Instant::now();
        }
    }

    fn rule(&mut self, rule: RuleIndex, holds: bool, since: Moment) {
        // A rule pays for the literals that it is the first to ask for.
        let since = since.map(|(at, _)| (at, self.literal_nanos));
        let nanos = self.spent(since);
        if let Some(cost) = self.rules.get_mut(rule as usize) {
            cost.add(holds, nanos);
        }
    }

    fn test(&mut self, predicate: PredicateIndex, holds: bool, since: Moment) {
        let nanos = self.spent(since);
        if let Some(cost) = self.tests.get_mut(predicate as usize) {
            cost.add(holds, nanos);
        }
    }

    fn literals(&mut self, subject: SubjectIndex, since: Moment) {
        let nanos = self.spent(since);
        self.literal_nanos += nanos;
        if let Some(cost) = self.literals.get_mut(subject as usize) {
            cost.add(true, nanos);
        }
    }
}

impl Cost {
    fn add(&mut self, holds: bool, nanos: u64) {
        self.tried += 1;
        self.held += u64::from(holds);
        self.nanos += nanos;
    }
}

/// One in eight, and the first: by a hash, because logs have rhythms.
fn is_timed(event: u64) -> bool {
    event.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 == 0
}

/// The least of many differences: what is above it was something else's.
fn clock_nanos() -> u64 {
    let difference = |_| {
        let first = Instant::now();
        nanos(Instant::now().saturating_duration_since(first))
    };
    (0..1000).map(difference).min().unwrap_or(0)
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
