//! What came of reloading, for metrics.

use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::{Metrics, Probe, ProbeKind, Reading};

/// Kept by the reloading thread, read at each scrape.
#[derive(Debug)]
pub(in crate::commands) struct Status {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Attempt,
    /// What is published is not in force.
    refuses_published: bool,
    counts: [u64; 3],
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Applied,
    Unchanged,
    Refused,
}

/// One attempt to load rules, and what is in force after it.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    pub(super) version: String,
    pub(super) rules: usize,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Refused];

    fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

impl Status {
    /// With the rules of the start.
    pub(in crate::commands) fn new(version: &str, rules: usize) -> Arc<Self> {
        let last = Attempt { outcome: Outcome::Applied, version: version.to_owned(), rules };
        Arc::new(Self { state: Mutex::new(State { last, refuses_published: false, counts: [0; 3] }) })
    }

    pub(super) fn record(&self, attempt: Attempt) {
        self.with(|state| {
            state.counts[attempt.outcome as usize] += 1;
            state.last = attempt;
        });
    }

    /// The same for rules that were published, which files say nothing about.
    pub(super) fn of_published(&self, attempt: Attempt) {
        self.with(|state| {
            state.counts[attempt.outcome as usize] += 1;
            state.refuses_published = attempt.outcome == Outcome::Refused;
            if !state.refuses_published {
                state.last = attempt;
            }
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows it in the metrics.
    pub(in crate::commands) fn show(self: &Arc<Self>, metrics: &mut Metrics) {
        let status = Arc::clone(self);
        let help = "1 while the rules on disk, or those that are published, are refused";
        metrics.gauge("rules_reload_failed", help, move || {
            let is_refused =
                |state: &State| state.last.outcome == Outcome::Refused || state.refuses_published;
            status.with(|state| if is_refused(state) { 1.0 } else { 0.0 })
        });
        let status = Arc::clone(self);
        let loaded = move || {
            let (version, rules) = status.with(|state| (state.last.version.clone(), state.last.rules));
            vec![Reading { labels: vec![("version", version)], value: value(rules as u64) }]
        };
        metrics.probe(Probe {
            name: "rules_loaded",
            help: "Rules in force, with the version of the set",
            kind: ProbeKind::Gauge,
            read: Box::new(loaded),
        });
        let status = Arc::clone(self);
        let counts = move || {
            let counts = status.with(|state| state.counts);
            let reading = |outcome: Outcome| Reading {
                labels: vec![("outcome", outcome.name().to_owned())],
                value: value(counts[outcome as usize]),
            };
            Outcome::ALL.into_iter().map(reading).collect()
        };
        metrics.probe(Probe {
            name: "rules_reloads",
            help: "Attempts to load rules that changed, by what came of them",
            kind: ProbeKind::Counter,
            read: Box::new(counts),
        });
    }
}

#[allow(clippy::cast_precision_loss, reason = "beyond 2^53 the last digits of a metric do not matter")]
fn value(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_and_refused_shows_whatever_becomes_of_files() {
        let status = Status::new("a1", 7);
        let mut metrics = Metrics::new();
        status.show(&mut metrics);
        let attempt = |outcome| Attempt { outcome, version: "a1".into(), rules: 7 };
        let fails = || metrics.encode().unwrap().contains("\nthreatlockdown_rules_reload_failed 1.0\n");
        status.of_published(attempt(Outcome::Refused));
        status.record(attempt(Outcome::Applied));
        assert!(fails());
        status.of_published(attempt(Outcome::Unchanged));
        assert!(!fails());
    }

    #[test]
    fn a_failure_shows_until_the_next_attempt_succeeds() {
        let status = Status::new("a1", 7);
        let mut metrics = Metrics::new();
        status.show(&mut metrics);
        let attempt = |outcome, version: &str| Attempt { outcome, version: version.into(), rules: 8 };
        assert!(metrics.encode().unwrap().contains("threatlockdown_rules_loaded{version=\"a1\"} 7.0\n"));
        status.record(attempt(Outcome::Refused, "a1"));
        assert!(metrics.encode().unwrap().contains("\nthreatlockdown_rules_reload_failed 1.0\n"));
        status.record(attempt(Outcome::Applied, "b2"));
        let text = metrics.encode().unwrap();
        for line in [
            "threatlockdown_rules_reload_failed 0.0",
            "threatlockdown_rules_loaded{version=\"b2\"} 8.0",
            "threatlockdown_rules_reloads_total{outcome=\"applied\"} 1.0",
            "threatlockdown_rules_reloads_total{outcome=\"refused\"} 1.0",
            "threatlockdown_rules_reloads_total{outcome=\"unchanged\"} 0.0",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
        }
    }
}
