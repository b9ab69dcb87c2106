//! What is read from the threads of a cluster when scraped.

use prometheus_client::registry::Unit;
use threatlockdown_analysis::cluster::Status;
use threatlockdown_analysis::correlator::Remembered;

use crate::metrics::{Metrics, Probe, ProbeKind, Reading};

/// Transactions, and what is counted here.
pub(super) fn cluster(metrics: &mut Metrics, status: &Status) {
    type Read = fn(&Status) -> f64;
    let took = "Time that committing took, of each transaction";
    metrics.registry().register_with_unit("transaction", took, Unit::Seconds, status.transaction_times());
    let behind = status.clone();
    let read = move || {
        let reading = |(stage, records)| Reading {
            labels: vec![("stage", str::to_owned(stage))],
            value: as_value(records),
        };
        behind.behind().into_iter().map(reading).collect()
    };
    let help = "Records not yet read, of the partitions of this copy";
    metrics.probe(Probe { name: "lag_records", help, kind: ProbeKind::Gauge, read: Box::new(read) });
    let figures: [(&str, &str, ProbeKind, Read); 5] = [
        ("restarts", "How often a thread began anew from its last commit", ProbeKind::Counter, |status| {
            as_value(status.aborted())
        }),
        (
            "correlate_partitions",
            "Partitions of candidates that are counted here",
            ProbeKind::Gauge,
            |status| as_value(status.partitions()),
        ),
        ("candidates_waiting", "Candidates that wait for the watermark", ProbeKind::Gauge, |status| {
            as_value(status.waiting())
        }),
        (
            "watermark_lag_seconds",
            "By how much counting is behind the youngest event that waits",
            ProbeKind::Gauge,
            |status| status.lag().as_secs_f64(),
        ),
        ("kafka_failing_seconds", "How long nothing could be committed", ProbeKind::Gauge, |status| {
            let since =
                [status.failing(), status.awaits_upgrade()].into_iter().flatten().map(|(since, _)| since);
            since.max().map_or(0.0, |since| since.as_secs_f64())
        }),
    ];
    for (name, help, kind, figure) in figures {
        let status = status.clone();
        let read = move || vec![Reading { labels: Vec::new(), value: figure(&status) }];
        metrics.probe(Probe { name, help, kind, read: Box::new(read) });
    }
    type Figure = fn(&Remembered) -> u64;
    let remembered: [(&str, &str, ProbeKind, Figure); 2] = [
        ("memory_bytes", "What rules remember", ProbeKind::Gauge, |one| one.bytes),
        ("memory_evicted", "What rules forgot for want of room", ProbeKind::Counter, |one| one.evicted),
    ];
    for (name, help, kind, figure) in remembered {
        let status = status.clone();
        let read = move || {
            let reading = |one: &Remembered| Reading {
                labels: vec![("component", one.component.clone())],
                value: as_value(figure(one)),
            };
            status.remembered().iter().map(reading).collect()
        };
        metrics.probe(Probe { name, help, kind, read: Box::new(read) });
    }
}

#[allow(clippy::cast_precision_loss, reason = "beyond 2^53 the last digits of a metric do not matter")]
fn as_value(figure: u64) -> f64 {
    figure as f64
}
