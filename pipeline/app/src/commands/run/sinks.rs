//! The sinks of a run, each with its thread and its cursor in the commit log.
//!
//! Enters: the configured sinks. Leaves: running deliveries. Dead letters have a sink of their own, which is always
//! there: `deadletter.jsonl` in the data directory. What a sink's server will never take is in
//! `rejected.<sink>.jsonl` beside it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use threatlockdown_sinks::{
    Content, Delivery, DeliveryOptions, FileSink, FileSinkOptions, Sink as Deliver, opensearch, spawn,
};
use threatlockdown_topics::{CommitLog, LogPosition, Store};

use super::super::outlets::{self, Place};
use crate::config::{Config, DEAD_LETTER_SINK};

/// The running deliveries; seen by the committer (what may be deleted), by metrics and by the shutdown.
#[derive(Clone, Default)]
pub(super) struct Deliveries {
    /// Empty once they are being finished. Locked for a few loads at a time.
    shared: Arc<Mutex<Vec<Delivery>>>,
}

/// What is known of one delivery.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) lag_bytes: u64,
    pub(super) failures: u64,
    pub(super) alerts: u64,
}

impl Deliveries {
    /// Starts a delivery for each sink.
    pub(super) fn start(
        &self,
        config: &Config,
        log: &CommitLog,
        store: &Arc<Store>,
        registry: &mut Registry,
    ) -> anyhow::Result<()> {
        let dead_letters = config.data_dir.join("deadletter.jsonl");
        let dead_letters = FileSinkOptions::new(dead_letters, Content::DeadLetters);
        let dead_letters: Box<dyn Deliver> = Box::new(FileSink::new(DEAD_LETTER_SINK.into(), dead_letters));
        outlets::check(&config.sinks)?;
        let place = Place::Process(&config.data_dir);
        let metrics = opensearch::Metrics::new(registry);
        let sinks = config.sinks.iter().map(|sink| outlets::build(sink, &place, &metrics).sink);
        for sink in sinks.chain([dead_letters]) {
            let name = sink.name().to_owned();
            let reader = log.reader(None);
            let delivery = spawn(reader, Arc::clone(store), sink, DeliveryOptions::default())
                .with_context(|| format!("cannot start the sink {name}"))?;
            self.lock().push(delivery);
        }
        Ok(())
    }

    /// Before it, no sink needs anything; `None` when that is not known (any more).
    pub(super) fn slowest(&self) -> Option<LogPosition> {
        self.lock().iter().map(Delivery::position).min()
    }

    pub(super) fn states(&self) -> Vec<State> {
        let state = |delivery: &Delivery| State {
            name: delivery.name().to_owned(),
            lag_bytes: delivery.lag_bytes(),
            failures: delivery.failures(),
            alerts: delivery.alerts(),
        };
        self.lock().iter().map(state).collect()
    }

    /// Delivers up to `end` and stops. Names of the sinks that did not get there by the deadline.
    pub(super) fn finish(&self, end: LogPosition, deadline: Instant) -> Vec<String> {
        let deliveries = std::mem::take(&mut *self.lock());
        // All at once: one that hangs must not take the time of the others.
        std::thread::scope(|scope| {
            let finish = |delivery: Delivery| {
                let name = delivery.name().to_owned();
                (name, scope.spawn(move || delivery.finish(end, deadline)))
            };
            let running: Vec<_> = deliveries.into_iter().map(finish).collect();
            running
                .into_iter()
                .filter_map(|(name, done)| (!done.join().unwrap_or(false)).then_some(name))
                .collect()
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Delivery>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
