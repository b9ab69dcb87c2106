//! Tests of rules: events, and what must come of them.
//!
//! ```text
//! x.tests.yaml ─ rule_tests ─▶ Test ─┐
//! cases.jsonl ── cases ──────▶ Test ─┴─ run ─▶ Failure
//! ```
//!
//! Enters: the texts of test files; reading them is the caller's. Leaves: [`Test`]s, and for a program those checks that
//! fail. Every test has an engine with empty memory of its own, so that tests can run in any order and in parallel.

mod cases;
mod lists;
mod rule_tests;
mod run;

use std::fmt;
use std::sync::Arc;

use threatlockdown_event::Millis;

use crate::ir::Place;

pub use cases::{CaseOptions, Cases, View, read_cases};
pub use lists::ExtraEntries;
pub use rule_tests::read_rule_tests;
pub use run::{run, run_one};

/// When events without a time of their own are received: a Wednesday at noon, UTC.
pub const FROZEN: Millis = Millis(1_710_331_200_000);

/// Events, fed in order to one engine that remembers nothing yet, and what must come of some of them.
#[derive(Debug, Clone)]
pub struct Test {
    /// What it is called in reports.
    pub id: String,
    /// Which group of tests it belongs to.
    pub suite: Arc<str>,
    /// Where it is written.
    pub place: Place,
    /// The events, in order.
    pub steps: Vec<Step>,
    /// The demands; a test without any is run all the same.
    pub checks: Vec<Check>,
    /// What the lists of the set have in addition.
    pub lists: ExtraEntries,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The log source.
    pub source: Arc<str>,
    /// The record, byte for byte.
    pub record: Vec<u8>,
    /// Where it comes from, for sources whose mapping has no location of its own.
    pub location: Arc<str>,
    /// What a connector would know of it.
    pub facts: Vec<(String, String)>,
    /// When it is received.
    pub received: Millis,
}

/// A demand on one event of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Position in [`Test::steps`].
    pub event: usize,
    /// The demand.
    pub expected: Expected,
}

/// What must come of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This decoder, rule and level.
    Exactly(Outcome),
    /// Anything else than these three.
    AnythingBut(Outcome),
    /// This rule, or none.
    Rule(Option<String>),
    /// Any rule but this one, or none.
    NotRule(String),
    /// This Sigma rule among those that match, or not among them.
    Sigma {
        /// Its id.
        rule: String,
        /// Whether it must match.
        matches: bool,
    },
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The decoder.
    pub decoder: Option<String>,
    /// The rule.
    pub rule: Option<String>,
    /// The rule's level; nothing without a rule.
    pub level: Option<u8>,
    /// Why the record could not be read.
    pub fault: Option<String>,
    /// Ids of the Sigma rules that match, beside the rule, and of the correlations that match with the event.
    pub sigma: Vec<String>,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// [`Test::id`].
    pub id: String,
    /// [`Test::place`].
    pub place: Place,
    /// Position of the event, from 0.
    pub event: usize,
    /// How many events the test has.
    pub events: usize,
    /// What had to come of it.
    pub expected: Expected,
    /// What came of it.
    pub actual: Outcome,
}

impl Expected {
    /// Whether `actual` is what was demanded. A record that cannot be read never is.
    #[must_use]
    pub fn is_met(&self, actual: &Outcome) -> bool {
        actual.fault.is_none()
            && match self {
                Self::Exactly(expected) => expected.is_verdict_of(actual),
                Self::AnythingBut(excluded) => !excluded.is_verdict_of(actual),
                Self::Rule(rule) => *rule == actual.rule,
                Self::NotRule(rule) => actual.rule.as_ref() != Some(rule),
                Self::Sigma { rule, matches } => {
                    actual.sigma.iter().any(|id| id.eq_ignore_ascii_case(rule)) == *matches
                }
            }
    }
}

impl Outcome {
    /// Whether the verdict is the same; Sigma rules are not part of it.
    fn is_verdict_of(&self, other: &Self) -> bool {
        (&self.decoder, &self.rule, self.level) == (&other.decoder, &other.rule, other.level)
            && self.fault == other.fault
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fault) = &self.fault {
            return write!(f, "a record that cannot be read ({fault})");
        }
        write!(f, "decoder {}, ", self.decoder.as_deref().unwrap_or("none"))?;
        match (&self.rule, self.level) {
            (Some(rule), Some(level)) => write!(f, "rule {rule}, level {level}"),
            (Some(rule), None) => write!(f, "rule {rule}"),
            (None, _) => f.write_str("no rule"),
        }?;
        if self.sigma.is_empty() { Ok(()) } else { write!(f, ", Sigma rules {}", self.sigma.join(" ")) }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(outcome) => outcome.fmt(f),
            Self::AnythingBut(outcome) => write!(f, "anything but {outcome}"),
            Self::Rule(Some(rule)) => write!(f, "rule {rule}"),
            Self::Rule(None) => f.write_str("no rule"),
            Self::NotRule(rule) => write!(f, "no rule, or another one than {rule}"),
            Self::Sigma { rule, matches: true } => write!(f, "Sigma rule {rule}"),
            Self::Sigma { rule, matches: false } => write!(f, "not Sigma rule {rule}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, place, event, events, expected, actual } = self;
        let Place { file, line, .. } = place;
        write!(f, "{file}:{line}: {id}: event {} of {events}: expected {expected}; got {actual}", event + 1)
    }
}
