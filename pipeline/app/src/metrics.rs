//! Metrics of the process as a whole, and the registry that every stage's metrics are in.
//!
//! Enters: closures that read a figure where it lives (queue depth, sink lag). Leaves: OpenMetrics text. What is only a
//! reading is taken at scrape time, so that no stage has to keep a copy of it up to date; what a stage counts itself
//! (events, alerts …) it registers through [`Metrics::registry`] before the start.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Stands before every name.
const PREFIX: &str = "threatlockdown";

/// Content type of [`Metrics::encode`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The registry of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
}

/// One metric whose values are read when scraped.
pub(crate) struct Probe {
    /// Name without prefix; a counter's without `_total`.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: ProbeKind,
    /// The values, each with its label; a metric without labels has one reading.
    pub(crate) read: Box<dyn Fn() -> Vec<Reading> + Send + Sync>,
}

/// How the values of a probe are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeKind {
    /// Goes up and down.
    Gauge,
    /// Only goes up within a process.
    Counter,
}

/// One value of a probe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// Labels and their values.
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: f64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the running binary", build);
        Self { registry }
    }

    /// Where stages register what they count themselves.
    pub(crate) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Adds a metric that is read when scraped.
    pub(crate) fn probe(&mut self, probe: Probe) {
        self.registry.register_collector(Box::new(probe));
    }

    /// Adds a gauge of one value.
    pub(crate) fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let read = Box::new(move || vec![Reading { labels: Vec::new(), value: read() }]);
        self.probe(Probe { name, help, kind: ProbeKind::Gauge, read });
    }

    /// All metrics as OpenMetrics text.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for Probe {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let kind = match self.kind {
            ProbeKind::Gauge => MetricType::Gauge,
            ProbeKind::Counter => MetricType::Counter,
        };
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        let readings = (self.read)();
        if let [Reading { labels, value }] = readings.as_slice()
            && labels.is_empty()
        {
            return self.value(*value, metric);
        }
        for reading in readings {
            self.value(reading.value, metric.encode_family(&reading.labels)?)?;
        }
        Ok(())
    }
}

impl Probe {
    fn value(&self, value: f64, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self.kind {
            ProbeKind::Gauge => ConstGauge::new(value).encode(encoder),
            ProbeKind::Counter => ConstCounter::new(value).encode(encoder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_read_at_each_scrape() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU32, Ordering};
        let depth = Arc::new(AtomicU32::new(3));
        let mut metrics = Metrics::new();
        let read = Arc::clone(&depth);
        metrics.gauge("queue_depth", "Units that wait", move || f64::from(read.load(Ordering::Relaxed)));
        let lag = || {
            let sink = |name: &str, value| Reading { labels: vec![("sink", name.to_owned())], value };
            vec![sink("a", 1.0), sink("b", 2.0)]
        };
        let kind = ProbeKind::Counter;
        metrics.probe(Probe { name: "sink_bytes", help: "Bytes", kind, read: Box::new(lag) });
        let first = metrics.encode().unwrap();
        assert!(first.contains("\nthreatlockdown_queue_depth 3.0\n"), "{first}");
        assert!(first.contains("threatlockdown_sink_bytes_total{sink=\"a\"} 1.0\n"), "{first}");
        assert!(first.contains("threatlockdown_sink_bytes_total{sink=\"b\"} 2.0\n"), "{first}");
        assert!(first.contains("threatlockdown_build_info{version=\"0.1.0\"} 1\n"), "{first}");
        assert!(first.ends_with("# EOF\n"), "{first}");
        depth.store(4, Ordering::Relaxed);
        assert!(metrics.encode().unwrap().contains("threatlockdown_queue_depth 4.0\n"));
    }
}
