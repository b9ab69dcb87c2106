//! How long a lane may be silent before it holds nothing back.
//!
//! Enters: what is configured, how long nothing came of a lane, and what it promised. Leaves: whether it is silent: what may be late to
//! its newest event has had its time, and what that takes on its way. Sooner, what is still on its way would count as late; later,
//! composite alerts would wait in vain.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use threatlockdown_event::Millis;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Patience {
    /// What a silence is without lateness.
    pub idle: Duration,
    /// By log source, how much later than younger ones an event may come.
    pub lateness: Arc<HashMap<String, Duration>>,
}

impl Patience {
    /// Whether a lane is silent of which nothing came for `silence` and which has promised to have come to `until`. What its newest
    /// event may still be followed by has had its time: by what that event tells, as in a backfill, or else by the clock.
    #[must_use]
    pub fn is_over(&self, source: &str, silence: Duration, until: Millis, now: Millis) -> bool {
        let lateness = self.lateness.get(source).copied().unwrap_or_default();
        let newest = millis(lateness).saturating_add(until.0);
        let expected = newest.saturating_add(millis(lateness)).saturating_add(millis(self.idle));
        silence >= self.idle && (expected <= now.0 || silence >= self.idle.saturating_add(lateness))
    }

    /// For any of them.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.idle.saturating_add(self.lateness.values().max().copied().unwrap_or_default())
    }

    /// Of this time no event is expected any more where all lanes are silent.
    #[must_use]
    pub fn passed(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_sub(millis(self.longest())))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_may_be_late_is_waited_for() {
        let lateness = HashMap::from([("aws.cloudtrail".to_owned(), Duration::from_secs(900))]);
        let patience = Patience { idle: Duration::from_millis(500), lateness: Arc::new(lateness) };
        let is_over = |source, silence, until| {
            patience.is_over(source, Duration::from_millis(silence), Millis(until), Millis(10_000_000))
        };
        assert!(is_over("syslog", 500, 9_999_500) && !is_over("syslog", 499, 0));
        assert!(is_over("syslog", 500, 20_000_000), "its clock is ahead");
        // The newest event is of 900 s later than what is promised.
        assert!(!is_over("aws.cloudtrail", 500, 9_100_000) && is_over("aws.cloudtrail", 900_500, 9_100_000));
        assert!(is_over("aws.cloudtrail", 500, 8_199_500) && !is_over("aws.cloudtrail", 500, 8_199_501));
        assert!(is_over("aws.cloudtrail", 500, i64::MIN), "nothing was ever heard of it");
        assert_eq!(patience.passed(Millis(1_000_000)), Millis(99_500));
        assert_eq!(Patience::default().passed(Millis(7)), Millis(7));
    }
}
