//! The throttle of suppressions, and what is told of it.
//!
//! Enters: what alerts ask, in the order of counting. Leaves: whether each is written. What is held back is counted by
//! suppression, unless it is only done again from the log; that there is no room is told now and then.

use threatlockdown_event::Millis;
use threatlockdown_ruleset::suppress::{Ask, Throttle, ThrottleState};

use crate::metrics::Metrics;

/// See the module.
pub(super) struct Throttling {
    throttle: Throttle,
    evictions: u64,
    metrics: Metrics,
}

impl Throttling {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self { throttle: Throttle::default(), evictions: 0, metrics: metrics.clone() }
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether an alert of an event of that time is written.
    pub(super) fn passes(&mut self, ask: &Ask, time: Millis, is_told: bool) -> bool {
        let answer = self.throttle.ask(ask, time);
        if answer.evicted && is_told {
            self.evictions += 1;
            self.metrics.throttle_evictions.inc();
            // Ever more seldom is often enough.
            if self.evictions.is_power_of_two() {
                let (evictions, suppression) = (self.evictions, &*ask.suppression);
                tracing::warn!(
                    evictions,
                    suppression,
                    "throttles count more keys than there is room for; those that end first are forgotten, \
                     and their alerts pass again"
                );
            }
        }
        if !answer.passes && is_told {
            self.metrics.suppress(&ask.suppression, 1, time);
        }
        answer.passes
    }

    pub(super) fn state(&self) -> ThrottleState {
        self.throttle.state()
    }

    pub(super) fn restore(&mut self, state: &ThrottleState) {
        self.throttle.restore(state);
    }
}
