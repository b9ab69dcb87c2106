//! Prometheus scrapes each role: what they expose follows its conventions, and tells what has to be known of them.

use std::time::{Duration, Instant};

use serde_json::Value;
use threatlockdown_services::prometheus::{Prometheus, check_metrics};

use super::fleet::{ANALYZE, COLLECT, DELIVER, Fleet};
use crate::harness::DEADLINE;

/// Of each role: throughput, what waits, how long transactions or requests take, dead letters, and its state.
const METRICS: [(&str, usize, &[&str]); 3] = [
    (
        "collect",
        COLLECT,
        &[
            "collect_records_total",
            "collect_bytes_total",
            "in_flight_bytes",
            "collect_transactions_total",
            "collect_transaction_seconds_count",
            "collect_latency_seconds_sum",
            "collect_dead_letters_total",
            "collect_aborts_total",
        ],
    ),
    (
        "analyze",
        ANALYZE,
        &[
            "events_total",
            "alerts_total",
            "lag_records",
            "transaction_seconds_sum",
            "transaction_seconds_count",
            "dead_letters_total",
            "correlate_partitions",
            "candidates_waiting",
            "memory_bytes",
            "kafka_failing_seconds",
            "restarts_total",
        ],
    ),
    (
        "deliver",
        DELIVER,
        &[
            "sink_alerts_total",
            "sink_lag_records",
            "sink_failures_total",
            "sink_since_success_seconds",
            "sink_dead_letters_total",
            "opensearch_items_total",
            "opensearch_bulk_latency_seconds_count",
        ],
    ),
];

pub(super) fn scrape(fleet: &mut Fleet) {
    let jobs: Vec<(&str, u16)> =
        METRICS.iter().map(|(role, copy, _)| (*role, fleet.copies[*copy].site.port)).collect();
    let prometheus = Prometheus::scraping(&jobs);
    for (role, copy, names) in METRICS {
        let text = fleet.copies[copy].site.client().get("/metrics").with_status(200).body;
        assert_eq!(check_metrics(&text), "", "promtool about {role}");
        let up = sample(&prometheus, &format!("up{{job=\"{role}\"}}"), |value| value == "1");
        assert_eq!(up, "1");
        for name in names.iter().chain(&["build_info"]) {
            sample(&prometheus, &format!("threatlockdown_{name}{{job=\"{role}\"}}"), |_| true);
        }
    }
    let judged = "sum(threatlockdown_events_total)";
    sample(&prometheus, judged, |value| value.parse::<f64>().is_ok_and(|count| count > 0.0));
    let kind = prometheus.query("count(threatlockdown_transaction_seconds_bucket)");
    assert!(kind.contains("\"success\""), "{kind}");
}

/// The value of an expression, as soon as it is what is wanted.
fn sample(prometheus: &Prometheus, expression: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let answer = prometheus.query(expression);
        let parsed: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        let value = parsed["data"]["result"][0]["value"][1].as_str();
        if let Some(value) = value.filter(|value| is_wanted(value)) {
            return value.to_owned();
        }
        assert!(began.elapsed() < DEADLINE, "{expression}: {answer}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
