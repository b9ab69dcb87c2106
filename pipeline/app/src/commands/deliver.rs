//! `deliver`: alerts from Kafka to the sinks.
//!
//! ```text
//! alerts, redrive ──▶ one consumer group for each sink ──▶ file, topic, webhook …
//! deadletter ────────▶ file                                    │ refused for good
//!      ▲───────────────────────────────────────────────────────┘
//! ```
//!
//! Enters: the configured sinks. Leaves: alerts in them, until a signal. Each sink has its thread, its consumer group and its
//! offsets: one that fails or is slow holds up no other. Copies of this role share the partitions of each sink.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use threatlockdown_sinks::{
    Delivery, KafkaSource, KafkaSourceOptions, Outbox, Wanted, opensearch, spawn_from,
};
use threatlockdown_topics::kafka::{KafkaError, Marks, Settings};
use threatlockdown_topics::{LogPosition, Store};

use super::outlets::{self, Outlet, Place};
use super::process::{End, Running};
use super::role::Member;
use crate::config::{Config, Kafka};
use crate::metrics::{Metrics, Probe, ProbeKind, Reading};

/// The running sinks.
pub(super) struct Delivering {
    deliveries: Deliveries,
    settings: Settings,
}

/// Starts a delivery for each sink.
pub(super) fn start(member: &Member, metrics: &mut Metrics) -> anyhow::Result<Delivering> {
    let config = &member.process.config;
    let opensearch = opensearch::Metrics::new(metrics.registry());
    let deliveries = Deliveries::start(config, &member.kafka, &opensearch)?;
    deliveries.register(metrics);
    tracing::info!(sinks = config.sinks.len(), "delivering");
    Ok(Delivering { deliveries, settings: member.kafka.settings.clone() })
}

impl Running for Delivering {
    fn name(&self) -> &'static str {
        "deliver"
    }

    fn check(&mut self) -> anyhow::Result<bool> {
        match self.deliveries.dead() {
            Some((sink, why)) => bail!("the sink {sink} has ended: {why}"),
            None if self.deliveries.none_takes() => bail!("no sink takes anything any more"),
            None => Ok(false),
        }
    }

    /// What was alerted is delivered, here or by other copies.
    fn catch_up(&mut self, end: &End) -> bool {
        let mut marks: Option<Vec<(String, Marks)>> = None;
        let (deliveries, settings) = (self.deliveries.clone(), self.settings.clone());
        self.until_done(end.half(), &mut || {
            let marks = match &mut marks {
                Some(marks) => marks,
                none => none.insert(deliveries.marks(&settings)?),
            };
            for (sink, marks) in marks {
                if deliveries.takes(sink) && !marks.are_reached()? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// What was taken is delivered and stored.
    fn finish(self: Box<Self>, end: &End) -> bool {
        let unfinished = self.deliveries.finish(end.deadline);
        for sink in &unfinished {
            tracing::error!(sink, "what it was given is not delivered; it comes again after the next start");
        }
        unfinished.is_empty()
    }
}

/// The running deliveries of a process.
#[derive(Clone)]
struct Deliveries {
    /// Empty once they are being finished. Locked for a few loads at a time.
    running: Arc<Mutex<Vec<(Delivery, Wanted)>>>,
    /// Of those that write to topics, by the sink's name.
    outboxes: Arc<Vec<(String, Outbox)>>,
}

/// What is known of one.
struct Figures {
    sink: String,
    alerts: u64,
    lag: u64,
    failures: u64,
    since_success: Duration,
}

impl Deliveries {
    fn start(config: &Config, kafka: &Kafka, opensearch: &opensearch::Metrics) -> anyhow::Result<Self> {
        outlets::check(&config.sinks)?;
        let place = Place::Cluster(&kafka.settings.names);
        let outlets: Vec<Outlet> =
            config.sinks.iter().map(|sink| outlets::build(sink, &place, opensearch)).collect();
        // Only files need it; without them a copy needs no disk.
        let store = match outlets.iter().any(|outlet| outlet.has_state) {
            true => Some(Store::open(&config.data_dir.join("deliver"))?),
            false => None,
        };
        let (mut running, mut outboxes) = (Vec::new(), Vec::new());
        for Outlet { sink, wanted, outbox, has_state, most, options } in outlets {
            let name = sink.name().to_owned();
            outboxes.extend(outbox.clone().map(|outbox| (name.clone(), outbox)));
            let source = KafkaSource::new(KafkaSourceOptions {
                settings: kafka.settings.clone(),
                sink: name.clone(),
                wanted,
                most,
                store: store.clone().filter(|_| has_state),
                outbox,
            });
            let delivery = spawn_from(Box::new(source), sink, options);
            let delivery = delivery.with_context(|| format!("cannot start the sink {name}"))?;
            running.push((delivery, wanted));
        }
        Ok(Self { running: Arc::new(Mutex::new(running)), outboxes: Arc::new(outboxes) })
    }

    /// A sink that ended for good, and why.
    fn dead(&self) -> Option<(String, String)> {
        self.lock().iter().find_map(|(delivery, _)| Some((delivery.name().to_owned(), delivery.dead()?)))
    }

    /// Whether a sink still takes something, unlike a closed stdout.
    fn takes(&self, sink: &str) -> bool {
        let running = self.lock();
        running.iter().any(|(one, _)| one.name() == sink && one.position() != LogPosition::MAX)
    }

    /// Whether all sinks have ended by themselves, as a closed stdout does.
    fn none_takes(&self) -> bool {
        let running = self.lock();
        !running.is_empty() && running.iter().all(|(one, _)| one.position() == LogPosition::MAX)
    }

    /// Where the topics of the sinks end now.
    fn marks(&self, settings: &Settings) -> Result<Vec<(String, Marks)>, KafkaError> {
        let names = &settings.names;
        let sinks: Vec<(String, Wanted)> =
            self.lock().iter().map(|(delivery, wanted)| (delivery.name().to_owned(), *wanted)).collect();
        let of_sink = |(sink, wanted): (String, Wanted)| {
            let wanted = match wanted {
                Wanted::Alerts => names.alerts(),
                Wanted::DeadLetters => names.dead_letters(),
            };
            let group = names.group(&format!("deliver.{sink}"));
            Ok((sink, Marks::take(settings, &group, |topic| topic == wanted)?))
        };
        sinks.into_iter().map(of_sink).collect()
    }

    /// Delivers what was taken, stores how far that is, and leaves the groups. Names of the sinks that did not manage.
    fn finish(&self, deadline: Instant) -> Vec<String> {
        let running = std::mem::take(&mut *self.lock());
        // All at once: one that hangs must not take the time of the others.
        std::thread::scope(|scope| {
            let finish = |(delivery, _): (Delivery, Wanted)| {
                let name = delivery.name().to_owned();
                (name, scope.spawn(move || delivery.finish(LogPosition::default(), deadline)))
            };
            let ending: Vec<_> = running.into_iter().map(finish).collect();
            let unfinished = ending.into_iter().filter_map(|(name, done)| {
                let is_done = done.join().unwrap_or(false);
                (!is_done).then_some(name)
            });
            unfinished.collect()
        })
    }

    /// Registers what each sink has before it and behind it.
    fn register(&self, metrics: &mut Metrics) {
        type Read = fn(&Figures) -> f64;
        let figures: [(&str, &str, ProbeKind, Read); 4] = [
            ("sink_alerts", "Alerts delivered", ProbeKind::Counter, |one| as_value(one.alerts)),
            (
                "sink_lag_records",
                "Records not yet delivered, of the partitions of this copy",
                ProbeKind::Gauge,
                |one| as_value(one.lag),
            ),
            ("sink_failures", "Failed attempts to deliver", ProbeKind::Counter, |one| as_value(one.failures)),
            (
                "sink_since_success_seconds",
                "Since all that had come was delivered",
                ProbeKind::Gauge,
                |one| one.since_success.as_secs_f64(),
            ),
        ];
        for (name, help, kind, figure) in figures {
            let deliveries = self.clone();
            let read = move || {
                let reading =
                    |one: &Figures| Reading { labels: vec![("sink", one.sink.clone())], value: figure(one) };
                deliveries.figures().iter().map(reading).collect()
            };
            metrics.probe(Probe { name, help, kind, read: Box::new(read) });
        }
        let outboxes = Arc::clone(&self.outboxes);
        let read = move || {
            let reading = |(sink, outbox): &(String, Outbox)| Reading {
                labels: vec![("sink", sink.clone())],
                value: as_value(outbox.refused()),
            };
            outboxes.iter().map(reading).collect()
        };
        metrics.probe(Probe {
            name: "sink_dead_letters",
            help: "Alerts that the target refused, kept as dead letters",
            kind: ProbeKind::Counter,
            read: Box::new(read),
        });
    }

    fn figures(&self) -> Vec<Figures> {
        let figures = |(delivery, _): &(Delivery, Wanted)| Figures {
            sink: delivery.name().to_owned(),
            alerts: delivery.alerts(),
            lag: delivery.lag_records(),
            failures: delivery.failures(),
            since_success: delivery.since_success(),
        };
        self.lock().iter().map(figures).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Delivery, Wanted)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[allow(clippy::cast_precision_loss, reason = "beyond 2^53 the last digits of a metric do not matter")]
fn as_value(figure: u64) -> f64 {
    figure as f64
}
