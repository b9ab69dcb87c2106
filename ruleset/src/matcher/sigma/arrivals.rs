//! Correlations counted in the order in which events arrive, for tools that judge one event after the other.
//!
//! Enters: verdicts. Leaves: the matches of correlations that each brings about. A window that is decided at its end is decided
//! with the first event that comes after it, or when nothing more comes.

use std::sync::Arc;

use threatlockdown_event::identity::hash;
use threatlockdown_event::{EventId, Millis};

use crate::correlate::sigma::{CorrelationMatch, Correlator, Limits, Matched};
use crate::matcher::Verdict;
use crate::program::Program;

/// See the module.
#[derive(Debug)]
pub struct Arrivals {
    correlator: Correlator,
    events: u64,
    found: Vec<CorrelationMatch>,
}

impl Arrivals {
    /// Nothing has been counted yet.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        let correlator = Correlator::new(Arc::clone(program.sigma().plans()), Limits::default());
        Self { correlator, events: 0, found: Vec::new() }
    }

    /// What the next event brings about, when it arrived at that time.
    pub fn take(&mut self, verdict: &Verdict<'_>, time: Millis) -> &[CorrelationMatch] {
        self.found.clear();
        if self.correlator.plans().is_empty() {
            return &self.found;
        }
        self.events += 1;
        match verdict.correlated() {
            Some(correlated) => {
                let id = EventId(hash(&[b"arrival", &self.events.to_le_bytes()]));
                let event = Matched { time: time.0, id, rules: &correlated.rules, fields: &correlated };
                self.correlator.observe(&event, &mut self.found);
            }
            None => self.correlator.advance(time.0, &mut self.found),
        }
        &self.found
    }

    /// What the windows that are still open come to: time goes on after the last event, as far as that takes.
    pub fn end(&mut self) -> &[CorrelationMatch] {
        self.found.clear();
        while let Some(end) = self.correlator.next_end() {
            self.correlator.advance(end.saturating_add(1), &mut self.found);
        }
        &self.found
    }
}
