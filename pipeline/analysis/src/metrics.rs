//! What the analysis stage counts.
//!
//! Enters: counts per batch, never per event. Leaves: metrics on the registry that the application passes in.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};
use threatlockdown_event::{Millis, Reason};

/// The log source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabel {
    /// The log source.
    pub source: String,
}

/// The level of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LevelLabel {
    /// The level.
    pub level: u32,
}

/// Why a record could not be processed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// The reason's word.
    pub reason: &'static str,
}

/// A suppression.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SuppressionLabel {
    /// Its id.
    pub suppression: String,
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}

/// Handles of the stage's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Records judged.
    pub events: Family<SourceLabel, Counter>,
    /// Bytes of the records judged.
    pub bytes: Family<SourceLabel, Counter>,
    /// Alerts committed.
    pub alerts: Family<LevelLabel, Counter>,
    /// Alerts that were known already: an event read twice.
    pub repeated: Counter,
    /// Alerts that were not written because of a suppression.
    pub suppressed: Family<SuppressionLabel, Counter>,
    /// When the event of the last of them happened, in seconds since 1970.
    pub suppressed_last: Family<SuppressionLabel, Gauge>,
    /// Runs of throttles that were forgotten before they were over.
    pub throttle_evictions: Counter,
    /// Candidates committed.
    pub candidates: Counter,
    /// Candidates that came after their time, and were counted in the order of the log.
    pub late_candidates: Counter,
    /// Candidates that the stateful stage has judged.
    pub judged_candidates: Counter,
    /// Records that their source's decoder could not read.
    pub decode_errors: Family<ReasonLabel, Counter>,
    /// Dead letters committed, those of the connectors included.
    pub dead_letters: Family<ReasonLabel, Counter>,
    /// From reading a unit to its commit.
    pub batch_latency: Histogram,
    /// Commits that had to be tried again.
    pub commit_retries: Counter,
}

impl Metrics {
    /// Registers all of them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        add(registry, "events", "records judged", &metrics.events);
        add(registry, "bytes", "bytes of the records judged", &metrics.bytes);
        add(registry, "alerts", "alerts committed", &metrics.alerts);
        add(registry, "alerts_repeated", "alerts of events that were read twice", &metrics.repeated);
        add(
            registry,
            "suppressed",
            "alerts that were not written because of a suppression",
            &metrics.suppressed,
        );
        add(
            registry,
            "suppressed_last_event_timestamp_seconds",
            "when the event of the last alert of a suppression happened",
            &metrics.suppressed_last,
        );
        add(
            registry,
            "throttle_evictions",
            "counts of throttles that were forgotten early for want of room",
            &metrics.throttle_evictions,
        );
        add(
            registry,
            "candidates",
            "events that are judged with regard to earlier ones",
            &metrics.candidates,
        );
        add(
            registry,
            "candidates_late",
            "candidates behind the watermark, counted in the order of the log",
            &metrics.late_candidates,
        );
        add(
            registry,
            "candidates_judged",
            "candidates that the stateful stage has judged",
            &metrics.judged_candidates,
        );
        add(registry, "decode_errors", "records that could not be decoded", &metrics.decode_errors);
        add(registry, "dead_letters", "records kept as dead letters", &metrics.dead_letters);
        add(registry, "commit_retries", "commits that had to be tried again", &metrics.commit_retries);
        registry.register_with_unit(
            "batch_latency",
            "from reading a batch to its commit",
            Unit::Seconds,
            metrics.batch_latency.clone(),
        );
        metrics.begin_at_zero();
        metrics
    }

    /// A counter that appears with its first event hides that event from `increase()`.
    fn begin_at_zero(&self) {
        for level in 1..=16 {
            drop(self.alerts.get_or_create(&LevelLabel { level }));
        }
        for reason in Reason::ALL {
            drop(self.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }));
        }
        for reason in [Reason::Malformed, Reason::TooDeep] {
            drop(self.decode_errors.get_or_create(&ReasonLabel { reason: reason.as_str() }));
        }
    }

    /// So many alerts were not written, of which the youngest event happened then.
    pub(crate) fn suppress(&self, suppression: &str, count: u64, last: Millis) {
        let label = SuppressionLabel { suppression: suppression.to_owned() };
        self.suppressed.get_or_create(&label).inc_by(count);
        let seconds = last.0.div_euclid(1000);
        let gauge = self.suppressed_last.get_or_create(&label);
        gauge.inner().fetch_max(seconds, Ordering::Relaxed);
    }

    /// For commands that export nothing.
    #[must_use]
    pub fn unregistered() -> Self {
        Self {
            events: Family::default(),
            bytes: Family::default(),
            alerts: Family::default(),
            repeated: Counter::default(),
            suppressed: Family::default(),
            suppressed_last: Family::default(),
            throttle_evictions: Counter::default(),
            candidates: Counter::default(),
            late_candidates: Counter::default(),
            judged_candidates: Counter::default(),
            decode_errors: Family::default(),
            dead_letters: Family::default(),
            batch_latency: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            commit_retries: Counter::default(),
        }
    }
}
