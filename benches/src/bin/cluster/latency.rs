//! How long an event takes from its producer to a reader of alerts.
//!
//! Enters: a rate. Leaves: percentiles of the time from sending a record to `raw.*`, outside any transaction, until a reader of
//! committed alerts has the alert of that event.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use threatlockdown_benches::cloudtrail::CloudTrail;
use threatlockdown_benches::context;
use threatlockdown_topics::kafka::{HeadMaker, Names};

use crate::Fault;

const SOURCE: &str = "aws.cloudtrail";
const ANSWER: Duration = Duration::from_secs(30);
/// What is sent before counts for nothing: the worker is only beginning.
const WARM_UP: Duration = Duration::from_secs(8);
const LASTS: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(5);
/// As many events as can be sent.
const MOST: f64 = f64::INFINITY;
/// How long workers are watched then.
const FULL: Duration = Duration::from_secs(15);
/// Between two events that are sent one at a time.
const APART: Duration = Duration::from_millis(300);
/// Alerts are waited for so long.
const REST: Duration = Duration::from_secs(15);

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Latency {
    pub(crate) name: &'static str,
    /// Events that were sent in a second.
    pub(crate) rate: f64,
    pub(crate) alerts: usize,
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) most: f64,
}

/// Ids of events on their way to the reader of alerts, which takes them ten times a second.
const MOST_WAITING: usize = 1 << 17;

type Sent = (Vec<u8>, Instant);
type Producer = ThreadedProducer<DefaultProducerContext>;

pub(crate) fn measure(brokers: &str, topic: &str, name: &'static str, rate: f64) -> Result<Latency, Fault> {
    let reader = reader(brokers)?;
    let (tell, told) = sync_channel::<Sent>(MOST_WAITING);
    let ends = Arc::new(AtomicBool::new(false));
    let watcher = {
        let ends = Arc::clone(&ends);
        std::thread::spawn(move || -> Result<Vec<f64>, KafkaError> {
            let (mut sent, mut taken) = (HashMap::new(), Vec::new());
            while !ends.load(Ordering::Relaxed) {
                let polled = reader.poll(Duration::from_millis(100));
                let now = Instant::now();
                sent.extend(told.try_iter());
                let Some(message) = polled.transpose()? else { continue };
                let at = message.payload().and_then(event).and_then(|event| sent.remove(event));
                taken.extend(at.map(|at| now.duration_since(at).as_secs_f64()));
            }
            Ok(taken)
        })
    };
    let produced = produce(brokers, topic, rate, (WARM_UP, LASTS), Some(&tell));
    std::thread::sleep(if produced.is_ok() { REST } else { Duration::ZERO });
    ends.store(true, Ordering::Relaxed);
    let taken = watcher.join().map_err(|_| "the reader of alerts panicked")?;
    let (mut taken, rate) = (taken?, produced?);
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken.get((taken.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    let most = taken.last().copied().unwrap_or(f64::NAN);
    Ok(Latency { name, rate, alerts: taken.len(), median: at(0.5), p99: at(0.99), most })
}

/// What workers take in a second while the producer sends as much as it can: it and the brokers share the machine with them, so
/// that is less than what they take of a topic that is full already.
pub(crate) fn capacity(
    brokers: &str,
    topic: &str,
    committed: impl Fn() -> Result<u64, Fault>,
) -> Result<f64, Fault> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    let sending = std::thread::spawn(move || {
        produce(&brokers, &topic, MOST, (WARM_UP, FULL), None).map(drop).map_err(|fault| fault.to_string())
    });
    std::thread::sleep(WARM_UP);
    let (began, before) = (Instant::now(), committed()?);
    std::thread::sleep(FULL.saturating_sub(Duration::from_secs(1)));
    let taken = (committed()? - before) as f64 / began.elapsed().as_secs_f64();
    sending.join().map_err(|_| "the producer panicked")??;
    Ok(taken)
}

/// Sends events at a rate, or one at a time; the rate that came of it. The first of the times does not count.
fn produce(
    brokers: &str,
    topic: &str,
    rate: f64,
    (warm_up, lasts): (Duration, Duration),
    tell: Option<&SyncSender<Sent>>,
) -> Result<f64, Fault> {
    let producer: Producer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .create()?;
    let head = HeadMaker::new(Arc::new(context(SOURCE)));
    // No event of it was in the topic before.
    let mut generator = CloudTrail::new(0x7eed ^ rate.to_bits());
    let began = Instant::now();
    let (mut count, mut counted) = (0_u64, 0_u64);
    let mut line = String::new();
    while began.elapsed() < warm_up + lasts {
        let is_counted = began.elapsed() >= warm_up;
        let due = match rate {
            MOST => count + 1_000,
            rate if rate > 0.0 => (began.elapsed().as_secs_f64() * rate) as u64,
            _ => count + 1,
        };
        while count < due {
            line.clear();
            generator.write(&mut line);
            if rate == 0.0 && !line.contains("\"StopLogging\"") {
                continue;
            }
            if is_counted {
                if let Some(tell) = tell {
                    let id = event(line.as_bytes()).ok_or("an event without an id")?.to_vec();
                    tell.send((id, Instant::now()))?;
                }
                counted += 1;
            }
            let record = || {
                let record = BaseRecord::<[u8], [u8], ()>::to(topic).payload(line.as_bytes());
                record.headers(head.at(count))
            };
            while let Err((error, _)) = producer.send(record()) {
                if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                    return Err(error.into());
                }
                std::thread::sleep(STEP);
            }
            count += 1;
        }
        match rate {
            MOST => {}
            rate if rate > 0.0 => std::thread::sleep(STEP),
            _ => std::thread::sleep(APART),
        }
    }
    producer.flush(ANSWER)?;
    Ok(counted as f64 / lasts.as_secs_f64())
}

/// An event's id, in its record or in an alert.
fn event(bytes: &[u8]) -> Option<&[u8]> {
    const BEFORE: &[u8] = br#""eventID":""#;
    let at = bytes.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    bytes.get(at..at + 36)
}

/// A reader of all alerts that come from now on.
fn reader(brokers: &str) -> Result<BaseConsumer, Fault> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench.alerts")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let topic = Names::default().alerts();
    let mut list = TopicPartitionList::new();
    for partition in
        consumer.fetch_metadata(Some(&topic), ANSWER)?.topics().iter().flat_map(|one| one.partitions())
    {
        let (_, end) = consumer.fetch_watermarks(&topic, partition.id(), ANSWER)?;
        list.add_partition_offset(&topic, partition.id(), Offset::Offset(end))?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}
