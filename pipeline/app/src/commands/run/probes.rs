//! The metrics of a run that are read where they live, at each scrape.

use threatlockdown_analysis::correlator::Remembered;
use threatlockdown_analysis::{CommitterHandle, StageHandle};
use threatlockdown_event::Millis;

use super::sinks::{Deliveries, State};
use crate::commands::sources::probes::as_value;
use crate::config::DEAD_LETTER_SINK;
use crate::metrics::{Metrics, Probe, ProbeKind, Reading};

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
