//! Sigma's correlations in the stateful stage.
//!
//! Enters: what candidates bring of the rules in force, in the order of counting, and the watermark. Leaves: matches of
//! correlations. Correlations are always those of the newest rules: a reload leaves those that stay as they were what they have
//! counted, and an event that waited is counted by what it is to the new ones.

use std::sync::Arc;

use threatlockdown_event::Millis;
use threatlockdown_ruleset::correlate::sigma::{CorrelationMatch, Correlator, Limits, Matched, Plans, Share};
use threatlockdown_ruleset::matcher::Correlated;
use threatlockdown_topics::Candidate;

/// How far ahead of its arrival an event's time may lie: time that has passed does not come back.
const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;

/// See the module.
pub(super) struct Correlations {
    correlator: Correlator,
    limits: Limits,
    share: Share,
}

impl Correlations {
    pub(super) fn new(plans: &Arc<Plans>, max_bytes: u64, share: Share) -> Self {
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let limits = Limits { max_bytes, max_bytes_each: max_bytes, ..Limits::default() };
        let mut correlator = Correlator::new(Arc::clone(plans), limits);
        correlator.set_share(share);
        Self { correlator, limits, share }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.share == Share::None || self.correlator.plans().is_empty()
    }

    /// Goes on with other rules, and what is its share of them.
    pub(super) fn adopt(&mut self, plans: &Arc<Plans>, share: Share) {
        self.correlator = self.correlator.with_plans(plans).unwrap_or_else(|error| {
            tracing::error!(%error, "what Sigma's correlations have counted cannot be taken over");
            Correlator::new(Arc::clone(plans), self.limits)
        });
        self.correlator.set_share(share);
        self.share = share;
    }

    /// Counts an event.
    pub(super) fn observe(
        &mut self,
        candidate: &Candidate,
        correlated: &Correlated,
        found: &mut Vec<CorrelationMatch>,
    ) {
        self.correlator.observe(&matched(candidate, correlated), found);
    }

    /// Announces what is counted next, in this order.
    pub(super) fn expect<'c>(&mut self, events: impl Iterator<Item = (&'c Candidate, &'c Correlated)>) {
        self.correlator.expect(events.map(|(candidate, correlated)| matched(candidate, correlated)));
    }

    /// Nothing older than the watermark comes.
    pub(super) fn advance(&mut self, watermark: Millis, found: &mut Vec<CorrelationMatch>) {
        if !self.is_empty() {
            self.correlator.advance(watermark.0, found);
        }
    }

    /// Nothing more comes: decides what is open, and lets no more time pass than that takes.
    pub(super) fn end(&mut self, found: &mut Vec<CorrelationMatch>) {
        while let Some(end) = self.correlator.next_end() {
            self.correlator.advance(end.saturating_add(1), found);
        }
    }

    /// When the next window ends.
    pub(super) fn next_end(&self) -> Option<Millis> {
        self.correlator.next_end().map(Millis)
    }

    /// By correlation: what it forgot before its time, and the bytes of its groups.
    pub(super) fn figures(&self) -> impl Iterator<Item = (u64, u64)> {
        let counters = (0..).zip(self.correlator.counters());
        counters.map(|(index, one)| {
            (one.evicted.saturating_add(one.dropped), self.correlator.bytes_of(index) as u64)
        })
    }

    pub(super) fn snapshot(&self) -> Result<Vec<u8>, String> {
        self.correlator.snapshot().map_err(|error| error.to_string())
    }

    pub(super) fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let plans = Arc::clone(self.correlator.plans());
        self.correlator =
            Correlator::restore(&plans, self.limits, bytes).map_err(|error| error.to_string())?;
        self.correlator.set_share(self.share);
        Ok(())
    }
}

fn matched<'c>(candidate: &'c Candidate, correlated: &'c Correlated) -> Matched<'c> {
    let time = candidate.time.0.min(candidate.received.0.saturating_add(MAX_AHEAD_MS));
    Matched { time, id: candidate.event, rules: &correlated.rules, fields: correlated }
}
