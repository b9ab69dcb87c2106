//! How long an event takes from its producer to a reader of alerts.
//!
//! Enters: a rate. Leaves: percentiles of the time from sending a record to `raw.*`, outside any transaction, until a reader of
//! committed alerts has the alert of that event.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
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

type Sent = (Vec<u8>, Instant);
type Producer = ThreadedProducer<DefaultProducerContext>;

pub(crate) fn measure(brokers: &str, topic: &str, name: &'static str, rate: f64) -> Result<Latency, Fault> {
    let reader = reader(brokers)?;
    let (tell, told) = channel::<Sent>();
    let ends = Arc::new(AtomicBool::new(false));
    let watcher = {
        let ends = Arc::clone(&ends);
        std::thread::spawn(move || -> Result<Vec<f64>, KafkaError> {
            let (mut sent, mut taken) = (HashMap::new(), Vec::new());
            while !ends.load(Ordering::Relaxed) {
                let Some(message) = reader.poll(Duration::from_millis(100)) else { continue };
                let (now, message) = (Instant::now(), message?);
                sent.extend(told.try_iter());
                let at = message.payload().and_then(event).and_then(|event| sent.remove(event));
                taken.extend(at.map(|at| now.duration_since(at).as_secs_f64()));
            }
            Ok(taken)
        })
    };
    let produced = produce(brokers, topic, rate, &tell);
    std::thread::sleep(if produced.is_ok() { REST } else { Duration::ZERO });
    ends.store(true, Ordering::Relaxed);
    let taken = watcher.join().map_err(|_| "the reader of alerts panicked")?;
    let (mut taken, rate) = (taken?, produced?);
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken.get((taken.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    let most = taken.last().copied().unwrap_or(f64::NAN);
    Ok(Latency { name, rate, alerts: taken.len(), median: at(0.5), p99: at(0.99), most })
}

/// Sends events at a rate, or one at a time; the rate that came of it.
fn produce(brokers: &str, topic: &str, rate: f64, tell: &Sender<Sent>) -> Result<f64, Fault> {
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
    while began.elapsed() < WARM_UP + LASTS {
        let is_counted = began.elapsed() >= WARM_UP;
        let due = if rate > 0.0 { (began.elapsed().as_secs_f64() * rate) as u64 } else { count + 1 };
        while count < due {
            line.clear();
            generator.write(&mut line);
            if rate == 0.0 && !line.contains("\"StopLogging\"") {
                continue;
            }
            if is_counted {
                let id = event(line.as_bytes()).ok_or("an event without an id")?.to_vec();
                tell.send((id, Instant::now()))?;
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
        std::thread::sleep(if rate > 0.0 { STEP } else { APART });
    }
    producer.flush(ANSWER)?;
    Ok(counted as f64 / LASTS.as_secs_f64())
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
