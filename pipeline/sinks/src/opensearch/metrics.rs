//! What the sink counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The sink and what became of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemLabels {
    sink: String,
    result: &'static str,
}

/// The sink.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabel {
    sink: String,
}

/// Metrics of all sinks of this kind.
#[derive(Debug, Clone)]
pub struct Metrics {
    items: Family<ItemLabels, Counter>,
    bulk: Family<SinkLabel, Histogram>,
}

/// Those of one sink.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    /// Alerts that the server took.
    pub delivered: Counter,
    /// Alerts that it had already.
    pub duplicate: Counter,
    /// Alerts that it could not take at the time.
    pub retried: Counter,
    /// Alerts of which parts had to be sent as text.
    pub fallback: Counter,
    /// Alerts that it will never take.
    pub rejected: Counter,
    /// From sending a bulk request to its answer.
    pub bulk: Histogram,
}

impl Metrics {
    /// On a registry.
    pub fn new(registry: &mut Registry) -> Self {
        let bulk = Family::new_with_constructor(histogram as fn() -> Histogram);
        let metrics = Self { items: Family::default(), bulk };
        registry.register(
            "opensearch_items",
            "Alerts sent to OpenSearch, by what became of them",
            metrics.items.clone(),
        );
        let help = "From sending a bulk request to its answer";
        registry.register_with_unit("opensearch_bulk_latency", help, Unit::Seconds, metrics.bulk.clone());
        metrics
    }

    /// For a sink of this name.
    #[must_use]
    pub fn of(&self, sink: &str) -> SinkMetrics {
        let item = |result| self.items.get_or_create(&ItemLabels { sink: sink.to_owned(), result }).clone();
        SinkMetrics {
            delivered: item("delivered"),
            duplicate: item("duplicate"),
            retried: item("retried"),
            fallback: item("fallback"),
            rejected: item("rejected"),
            bulk: self.bulk.get_or_create(&SinkLabel { sink: sink.to_owned() }).clone(),
        }
    }
}

impl Default for SinkMetrics {
    /// On no registry.
    fn default() -> Self {
        let counter = Counter::default;
        Self {
            delivered: counter(),
            duplicate: counter(),
            retried: counter(),
            fallback: counter(),
            rejected: counter(),
            bulk: histogram(),
        }
    }
}

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 14))
}
