//! What sources count, and what they have read that is not committed, read where it lives at each scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use threatlockdown_connectors::SourceStats;
use threatlockdown_topics::{Journal, Publisher};

use super::Counted;
use crate::metrics::{Metrics, Probe, ProbeKind, Reading};

/// Queue and memory behind the connectors.
pub(in crate::commands) fn topics(
    metrics: &mut Metrics,
    topics: impl Fn() -> Vec<Publisher> + Clone + Send + Sync + 'static,
) {
    let all = topics.clone();
    let sum = |of: Vec<Publisher>, figure: fn(&Publisher) -> usize| {
        as_value(of.iter().map(|topic| figure(topic) as u64).sum())
    };
    metrics.gauge("queue_depth", "Units that wait to be worked on", move || sum(all(), Publisher::depth));
    metrics.gauge("in_flight_bytes", "Bytes read and not yet committed", move || {
        sum(topics(), Publisher::bytes_in_flight)
    });
}

/// What push sources were sent and is not committed.
pub(in crate::commands) fn journal(metrics: &mut Metrics, journal: &Arc<Journal>) {
    let journal = Arc::clone(journal);
    metrics.gauge("journal_unread_bytes", "Bytes in the journal not yet committed", move || {
        as_value(journal.unread_bytes())
    });
}

/// What each source counts.
pub(in crate::commands) fn sources(metrics: &mut Metrics, counted: &[Counted]) {
    type Read = fn(&SourceStats) -> &AtomicU64;
    let figures: [(&str, &str, ProbeKind, Read); 7] = [
        ("source_events", "Records read", ProbeKind::Counter, |stats| &stats.events),
        ("source_bytes", "Bytes of the records read", ProbeKind::Counter, |stats| &stats.bytes),
        ("source_units", "Batches read", ProbeKind::Counter, |stats| &stats.units),
        ("source_dead_letters", "What could not become a record", ProbeKind::Counter, |stats| {
            &stats.dead_letters
        }),
        ("source_truncations", "Files cut or overwritten in place", ProbeKind::Counter, |stats| {
            &stats.truncations
        }),
        ("source_errors", "Reads and requests that failed here", ProbeKind::Counter, |stats| &stats.errors),
        ("source_refused", "Requests that the client has to mend", ProbeKind::Counter, |stats| {
            &stats.refused
        }),
    ];
    for (name, help, kind, figure) in figures {
        let read = reader(counted, move |stats| figure(stats).load(Ordering::Relaxed));
        metrics.probe(Probe { name, help, kind, read });
    }
    let read = reader(counted, |stats| stats.last_event_millis.load(Ordering::Relaxed) / 1000);
    let (name, help) = ("source_last_event_timestamp_seconds", "When the source last published, 0 = never");
    metrics.probe(Probe { name, help, kind: ProbeKind::Gauge, read });
}

fn reader(
    counted: &[Counted],
    figure: impl Fn(&SourceStats) -> u64 + Send + Sync + 'static,
) -> Box<dyn Fn() -> Vec<Reading> + Send + Sync> {
    let counted = counted.to_vec();
    Box::new(move || {
        let reading = |one: &Counted| Reading {
            labels: vec![("connector", one.connector.clone()), ("source", one.source.clone())],
            value: as_value(figure(&one.stats)),
        };
        counted.iter().map(reading).collect()
    })
}

#[allow(clippy::cast_precision_loss, reason = "beyond 2^53 the last digits of a metric do not matter")]
pub(in crate::commands) fn as_value(figure: u64) -> f64 {
    figure as f64
}
