//! What becomes of units on their way into Kafka: metrics, health, and room in the journal.
//!
//! Enters: word of each transaction. Leaves: figures for `/metrics`; a role that is not ready while Kafka takes nothing; and
//! segments of the journal deleted that lie before what is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Unit;
use threatlockdown_event::Reason;
use threatlockdown_topics::kafka::{KafkaError, Progress, Watch};
use threatlockdown_topics::{JOURNAL_STREAM, Journal, Store};

use crate::metrics::Metrics;
use crate::ops::Health;

/// After so long it makes no sense to send more to this instance.
pub(super) const LONG: Duration = Duration::from_secs(15);
/// So often a fault that lasts is told.
const TELL: Duration = Duration::from_secs(60);
/// So often the journal is cut.
const CUT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// What all relays of a process count together.
#[derive(Clone)]
pub(super) struct Figures {
    records: Family<SourceLabel, Counter>,
    bytes: Family<SourceLabel, Counter>,
    dead_letters: Family<ReasonLabel, Counter>,
    transactions: Counter,
    failures: Counter,
    duration: Histogram,
    latency: Histogram,
}

/// What one relay is told. See the module.
pub(super) struct Upkeep {
    /// What it is called where readiness is told.
    name: String,
    figures: Figures,
    health: Arc<Health>,
    /// The journal, and the store that tells how far it is committed.
    journal: Option<(Arc<Journal>, Arc<Store>)>,
    cut: Instant,
    /// When a fault that lasts was last told.
    told: Option<Instant>,
    given_up: Arc<AtomicBool>,
}

impl Figures {
    pub(super) fn new(metrics: &mut Metrics) -> Self {
        let buckets = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let figures = Self {
            records: Family::default(),
            bytes: Family::default(),
            dead_letters: Family::default(),
            transactions: Counter::default(),
            failures: Counter::default(),
            duration: buckets(),
            latency: buckets(),
        };
        let registry = metrics.registry();
        registry.register("collect_records", "Records committed to Kafka", figures.records.clone());
        registry.register("collect_bytes", "Bytes of the records committed to Kafka", figures.bytes.clone());
        registry.register(
            "collect_dead_letters",
            "Dead letters committed to Kafka",
            figures.dead_letters.clone(),
        );
        registry.register("collect_transactions", "Transactions committed", figures.transactions.clone());
        registry.register(
            "collect_aborts",
            "Transactions that failed and were made once more",
            figures.failures.clone(),
        );
        registry.register_with_unit(
            "collect_transaction",
            "From the first record of a transaction to its commit",
            Unit::Seconds,
            figures.duration.clone(),
        );
        registry.register_with_unit(
            "collect_latency",
            "From reading the oldest batch of a transaction to its commit",
            Unit::Seconds,
            figures.latency.clone(),
        );
        // A counter that appears with its first event hides that event from `increase()`.
        for reason in Reason::ALL {
            drop(figures.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }));
        }
        figures
    }
}

impl Upkeep {
    /// For the sources of this instance.
    pub(super) fn of_instance(
        figures: &Figures,
        health: &Arc<Health>,
        journal: Option<(Arc<Journal>, Arc<Store>)>,
    ) -> Self {
        Self { journal, ..Self::of_task("collect".to_owned(), figures, health, Arc::default()) }
    }

    /// For a task, until it is given up.
    pub(super) fn of_task(
        name: String,
        figures: &Figures,
        health: &Arc<Health>,
        given_up: Arc<AtomicBool>,
    ) -> Self {
        let (figures, health) = (figures.clone(), Arc::clone(health));
        Self { name, figures, health, journal: None, cut: Instant::now(), told: None, given_up }
    }

    fn cut_journal(&mut self) {
        if let Some((journal, store)) = &self.journal
            && self.cut.elapsed() >= CUT
            && let Some(committed) = store.checkpoint(JOURNAL_STREAM)
        {
            journal.expire(&committed);
            self.cut = Instant::now();
        }
    }
}

impl Watch for Upkeep {
    fn committed(&mut self, progress: &Progress) {
        for (source, (records, bytes)) in &progress.sources {
            let label = SourceLabel { source: source.to_string() };
            self.figures.records.get_or_create(&label).inc_by(*records);
            self.figures.bytes.get_or_create(&label).inc_by(*bytes);
        }
        for reason in &progress.dead_letters {
            self.figures.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
        }
        self.figures.transactions.inc();
        self.figures.duration.observe(progress.took.as_secs_f64());
        if !progress.sources.is_empty() {
            self.figures.latency.observe(progress.age.as_secs_f64());
        }
        if self.told.take().is_some() {
            tracing::info!(relay = self.name, "Kafka takes records again");
            self.health.set_storage(&self.name, None);
        }
        self.cut_journal();
    }

    fn failed(&mut self, error: &KafkaError, lasts: Duration) {
        self.figures.failures.inc();
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            tracing::warn!(relay = self.name, %error, "a transaction has failed; it is made once more");
            self.told = Some(Instant::now());
        }
        if lasts >= LONG {
            self.health.set_storage(&self.name, Some(format!("Kafka takes nothing: {error}")));
        }
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_readiness_follow_the_transactions() {
        let mut metrics = Metrics::new();
        let health = Arc::new(Health::default());
        health.set_phase(crate::ops::Phase::Running);
        let figures = Figures::new(&mut metrics);
        let mut upkeep = Upkeep::of_instance(&figures, &health, None);
        let error = || KafkaError::Setting { setting: "x".to_owned(), message: "y".to_owned() };
        upkeep.failed(&error(), Duration::from_secs(1));
        assert_eq!(health.unready(), None, "a short fault is nobody's concern");
        upkeep.failed(&error(), LONG);
        assert!(health.unready().unwrap().contains("Kafka takes nothing: x: y"));
        let sources = [("syslog".into(), (3, 70))].into();
        let dead_letters = vec![Reason::Oversize];
        upkeep.committed(&Progress { sources, dead_letters, ..Progress::default() });
        assert_eq!(health.unready(), None);
        // A task that gets on does not hide that another one does not.
        let mut task = Upkeep::of_task("task a".to_owned(), &figures, &health, Arc::default());
        task.failed(&error(), LONG);
        upkeep.failed(&error(), Duration::ZERO);
        upkeep.committed(&Progress::default());
        assert!(health.unready().is_some());
        task.committed(&Progress::default());
        assert_eq!(health.unready(), None);
        let text = metrics.encode().unwrap();
        for line in [
            "threatlockdown_collect_records_total{source=\"syslog\"} 3",
            "threatlockdown_collect_bytes_total{source=\"syslog\"} 70",
            "threatlockdown_collect_dead_letters_total{reason=\"oversize\"} 1",
            "threatlockdown_collect_dead_letters_total{reason=\"malformed\"} 0",
            "threatlockdown_collect_transactions_total 3",
            "threatlockdown_collect_aborts_total 4",
            "threatlockdown_collect_transaction_seconds_count 3",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
