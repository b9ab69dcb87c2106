//! How long a lane may be silent before it holds nothing back.
//!
//! Enters: what is configured. Leaves: a span for each log source: as late as its events may come, and what they take on their way.
//! A shorter one would count what is still on its way as late; a longer one keeps composite alerts waiting.

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
    /// For a log source.
    #[must_use]
    pub fn of(&self, source: &str) -> Duration {
        self.idle.saturating_add(self.lateness.get(source).copied().unwrap_or_default())
    }

    /// For any of them.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.idle.saturating_add(self.lateness.values().max().copied().unwrap_or_default())
    }

    /// Of this time no event is expected any more where all lanes are silent.
    #[must_use]
    pub fn passed(&self, now: Millis) -> Millis {
        let longest = i64::try_from(self.longest().as_millis()).unwrap_or(i64::MAX);
        Millis(now.0.saturating_sub(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_may_be_late_is_waited_for() {
        let lateness = HashMap::from([("aws.cloudtrail".to_owned(), Duration::from_secs(900))]);
        let patience = Patience { idle: Duration::from_millis(500), lateness: Arc::new(lateness) };
        assert_eq!(patience.of("syslog"), Duration::from_millis(500));
        assert_eq!(patience.of("aws.cloudtrail"), Duration::from_millis(900_500));
        assert_eq!(patience.passed(Millis(1_000_000)), Millis(99_500));
        assert_eq!(Patience::default().passed(Millis(7)), Millis(7));
    }
}
