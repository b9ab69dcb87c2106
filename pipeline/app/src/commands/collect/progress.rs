//! What becomes of units on their way into Kafka: metrics, health, and room in the journal.
//!
//! Enters: word of each transaction. Leaves: figures for `/metrics`; a role that is not ready while Kafka takes nothing; and
//! segments of the journal deleted that lie before what is committed.

use std::sync::Arc;
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
const LONG: Duration = Duration::from_secs(15);
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

/// See the module.
pub(super) struct Upkeep {
    records: Family<SourceLabel, Counter>,
    bytes: Family<SourceLabel, Counter>,
    dead_letters: Family<ReasonLabel, Counter>,
    transactions: Counter,
    failures: Counter,
    duration: Histogram,
    latency: Histogram,
    health: Arc<Health>,
    store: Arc<Store>,
    journal: Option<Arc<Journal>>,
    cut: Instant,
    /// When a fault that lasts was last told.
    told: Option<Instant>,
}

impl Upkeep {
    pub(super) fn new(
        metrics: &mut Metrics,
        health: Arc<Health>,
        store: Arc<Store>,
        journal: Option<Arc<Journal>>,
    ) -> Self {
        let buckets = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let upkeep = Self {
            records: Family::default(),
            bytes: Family::default(),
            dead_letters: Family::default(),
            transactions: Counter::default(),
            failures: Counter::default(),
            duration: buckets(),
            latency: buckets(),
            health,
            store,
            journal,
            cut: Instant::now(),
            told: None,
        };
        let registry = metrics.registry();
        registry.register("collect_records", "Records committed to Kafka", upkeep.records.clone());
        registry.register("collect_bytes", "Bytes of the records committed to Kafka", upkeep.bytes.clone());
        registry.register(
            "collect_dead_letters",
            "Dead letters committed to Kafka",
            upkeep.dead_letters.clone(),
        );
        registry.register("collect_transactions", "Transactions committed", upkeep.transactions.clone());
        registry.register(
            "collect_aborts",
            "Transactions that failed and were made once more",
            upkeep.failures.clone(),
        );
        registry.register_with_unit(
            "collect_transaction",
            "From the first record of a transaction to its commit",
            Unit::Seconds,
            upkeep.duration.clone(),
        );
        registry.register_with_unit(
            "collect_latency",
            "From reading the oldest batch of a transaction to its commit",
            Unit::Seconds,
            upkeep.latency.clone(),
        );
        // A counter that appears with its first event hides that event from `increase()`.
        for reason in Reason::ALL {
            drop(upkeep.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }));
        }
        upkeep
    }

    fn cut_journal(&mut self) {
        if let Some(journal) = &self.journal
            && self.cut.elapsed() >= CUT
            && let Some(committed) = self.store.checkpoint(JOURNAL_STREAM)
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
            self.records.get_or_create(&label).inc_by(*records);
            self.bytes.get_or_create(&label).inc_by(*bytes);
        }
        for reason in &progress.dead_letters {
            self.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
        }
        self.transactions.inc();
        self.duration.observe(progress.took.as_secs_f64());
        if !progress.sources.is_empty() {
            self.latency.observe(progress.age.as_secs_f64());
        }
        if self.told.take().is_some() {
            tracing::info!("Kafka takes records again");
            self.health.set_storage("collect", None);
        }
        self.cut_journal();
    }

    fn failed(&mut self, error: &KafkaError, lasts: Duration) {
        self.failures.inc();
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            tracing::warn!(%error, "a transaction has failed; it is made once more");
            self.told = Some(Instant::now());
        }
        if lasts >= LONG {
            self.health.set_storage("collect", Some(format!("Kafka takes nothing: {error}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_readiness_follow_the_transactions() {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::new();
        let health = Arc::new(Health::default());
        health.set_phase(crate::ops::Phase::Running);
        let store = Store::open(folder.path()).unwrap();
        let mut upkeep = Upkeep::new(&mut metrics, Arc::clone(&health), store, None);
        let error = || KafkaError::Setting { setting: "x".to_owned(), message: "y".to_owned() };
        upkeep.failed(&error(), Duration::from_secs(1));
        assert_eq!(health.unready(), None, "a short fault is nobody's concern");
        upkeep.failed(&error(), LONG);
        assert!(health.unready().unwrap().contains("Kafka takes nothing: x: y"));
        let sources = [("syslog".into(), (3, 70))].into();
        let dead_letters = vec![Reason::Oversize];
        upkeep.committed(&Progress { sources, dead_letters, ..Progress::default() });
        assert_eq!(health.unready(), None);
        let text = metrics.encode().unwrap();
        for line in [
            "threatlockdown_collect_records_total{source=\"syslog\"} 3",
            "threatlockdown_collect_bytes_total{source=\"syslog\"} 70",
            "threatlockdown_collect_dead_letters_total{reason=\"oversize\"} 1",
            "threatlockdown_collect_dead_letters_total{reason=\"malformed\"} 0",
            "threatlockdown_collect_transactions_total 1",
            "threatlockdown_collect_aborts_total 2",
            "threatlockdown_collect_transaction_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
