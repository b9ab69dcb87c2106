//! The metrics of a run that are read where they live, at each scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use threatlockdown_analysis::correlator::Remembered;
use threatlockdown_analysis::{CommitterHandle, StageHandle};
use threatlockdown_connectors::SourceStats;
use threatlockdown_event::Millis;
use threatlockdown_topics::{Journal, Publisher};

use super::sinks::{Deliveries, State};
use super::sources::Counted;
use crate::config::DEAD_LETTER_SINK;
use crate::metrics::{Metrics, Probe, ProbeKind, Reading};

/// Queue and memory between the connectors and the workers.
pub(super) fn topic(metrics: &mut Metrics, publisher: &Publisher) {
    let topic = publisher.clone();
    metrics.gauge("queue_depth", "Units that wait for a worker", move || as_value(topic.depth() as u64));
    let topic = publisher.clone();
    metrics.gauge("in_flight_bytes", "Bytes read and not yet committed", move || {
        as_value(topic.bytes_in_flight() as u64)
    });
}

/// How far commits are behind the clock.
pub(super) fn committer(metrics: &mut Metrics, committer: CommitterHandle) {
    let started = Millis::now();
    metrics.gauge("checkpoint_age_seconds", "Since the last commit, or since the start", move || {
        let last = committer.last_commit().unwrap_or(started);
        let millis = (Millis::now().0 - last.0).max(0);
        as_value(millis.unsigned_abs()) / 1000.0
    });
}

/// What rules remember, and what waits to be counted.
pub(super) fn state(metrics: &mut Metrics, stage: &StageHandle) {
    type Read = fn(&Remembered) -> u64;
    let figures: [(&str, &str, ProbeKind, Read); 2] = [
        ("memory_evicted", "What rules forgot for want of room", ProbeKind::Counter, |one| one.evicted),
        ("memory_bytes", "What rules remember", ProbeKind::Gauge, |one| one.bytes),
    ];
    for (name, help, kind, figure) in figures {
        let handle = stage.clone();
        let reading = move |one: &Remembered| Reading {
            labels: vec![("component", one.component.clone())],
            value: as_value(figure(one)),
        };
        let read = move || handle.remembered().iter().map(reading).collect();
        metrics.probe(Probe { name, help, kind, read: Box::new(read) });
    }
    let handle = stage.clone();
    metrics.gauge("candidates_waiting", "Candidates that wait for the watermark", move || {
        as_value(handle.waiting())
    });
    let handle = stage.clone();
    let help = "By how much the watermark is behind the youngest candidate that waits";
    metrics.gauge("watermark_lag_seconds", help, move || handle.lag().as_secs_f64());
}

/// What push sources were sent and is not committed.
pub(super) fn journal(metrics: &mut Metrics, journal: &Arc<Journal>) {
    let journal = Arc::clone(journal);
    metrics.gauge("journal_unread_bytes", "Bytes in the journal not yet committed", move || {
        as_value(journal.unread_bytes())
    });
}

/// What each sink has before it and behind it.
pub(super) fn sinks(metrics: &mut Metrics, deliveries: &Deliveries) {
    type Read = fn(&State) -> u64;
    let figures: [(&str, &str, ProbeKind, Read); 3] = [
        ("sink_lag_bytes", "Bytes of the commit log not yet delivered", ProbeKind::Gauge, |state| {
            state.lag_bytes
        }),
        ("sink_alerts", "Alerts delivered", ProbeKind::Counter, |state| state.alerts),
        ("sink_failures", "Failed attempts to deliver", ProbeKind::Counter, |state| state.failures),
    ];
    for (name, help, kind, figure) in figures {
        let deliveries = deliveries.clone();
        let read = move || {
            let reading = |state: &State| Reading {
                labels: vec![("sink", state.name.clone())],
                value: as_value(figure(state)),
            };
            let shown = |state: &&State| name != "sink_alerts" || state.name != DEAD_LETTER_SINK;
            deliveries.states().iter().filter(shown).map(reading).collect()
        };
        metrics.probe(Probe { name, help, kind, read: Box::new(read) });
    }
}

/// What each source counts.
pub(super) fn sources(metrics: &mut Metrics, counted: &[Counted]) {
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
fn as_value(figure: u64) -> f64 {
    figure as f64
}
