//! The worker's loop without transactions: what they cost is told by the difference.
//!
//! Enters: a topic. Leaves: alerts, sent by an idempotent producer that nobody waits for, offsets committed behind them as they come,
//! and the same line as a bare consumer's. Nothing is exact after a fault: the most that could be gained by giving that up.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{Metrics, WorkerOptions};
use threatlockdown_event::unit::{MAX_UNIT_RECORDS, UNIT_BYTES};
use threatlockdown_event::{Alert, Millis, Record, Unit};
use threatlockdown_ruleset::{Texts, load};
use threatlockdown_topics::kafka::{AlertKey, Names, RawHead, alert_record, decode_head};

use crate::arguments::Reading;
use crate::{Fault, bare, usage};

/// As the worker with transactions has it.
const LONGEST: Duration = Duration::from_millis(500);
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

type Producer = ThreadedProducer<DefaultProducerContext>;

pub(crate) fn run(reading: &Reading) -> Result<(), Fault> {
    let program = load(Texts::builtin()).program.ok_or("the built-in rules do not load")?;
    let options = WorkerOptions { min_level: 3, host: "bench".into(), ..WorkerOptions::default() };
    let mut worker = Worker::new(&program, &options, &Metrics::unregistered());
    let producer: Producer = ClientConfig::new()
        .set("bootstrap.servers", &reading.brokers)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.kbytes", "131072")
        .create()?;
    let alerts = Names::default().alerts();
    let consumer = bare::consumer(reading)?;
    let idle = usage::of(std::process::id())?;
    let (mut began, mut heard, mut committed) = (None, Instant::now(), Instant::now());
    let (mut gather, mut count) = (Gather::default(), 0);
    while count < reading.events {
        let done = match consumer.poll(Duration::from_millis(20)) {
            Some(message) => {
                let message = message?;
                count += 1;
                began.get_or_insert_with(Instant::now);
                let done = gather.push(&message)?;
                consumer.store_offset_from_message(&message)?;
                heard = Instant::now();
                done
            }
            None if heard.elapsed() > LONGEST_SILENCE => return Err("the topic ends too early".into()),
            None => gather.unit.take(),
        };
        for unit in done.into_iter().chain(gather.unit.take_if(|_| count == reading.events)) {
            for alert in worker.analyze(unit).alerts {
                send(&producer, &alerts, &alert)?;
            }
        }
        if committed.elapsed() >= LONGEST {
            committed = Instant::now();
            consumer.commit_consumer_state(CommitMode::Async)?;
        }
    }
    producer.flush(Duration::from_secs(30))?;
    let seconds = began.unwrap_or_else(Instant::now).elapsed().as_secs_f64();
    let processor = (usage::of(std::process::id())? - idle).as_secs_f64();
    writeln!(std::io::stdout(), "{seconds} {processor} 0")?;
    Ok(())
}

fn send(producer: &Producer, topic: &str, alert: &Alert) -> Result<(), Fault> {
    let key = AlertKey::of(alert);
    let made = alert_record(topic, &key, alert);
    let mut record = BaseRecord::<[u8], [u8], ()>::to(topic);
    (record.key, record.payload, record.headers) = (made.key, made.payload, made.headers);
    while let Err((error, back)) = producer.send(record) {
        if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(2));
        record = back;
    }
    Ok(())
}

/// Units of one partition each, as the worker has them.
#[derive(Default)]
struct Gather {
    unit: Option<Unit>,
    partition: i32,
    last: Option<RawHead>,
}

impl Gather {
    fn push(&mut self, message: &BorrowedMessage<'_>) -> Result<Option<Unit>, Fault> {
        let headers = message.headers().ok_or("a record without headers")?;
        let head = decode_head(headers, self.last.as_ref()).ok_or("a record without our headers")?;
        let bytes = message.payload().unwrap_or_default();
        let fits = self.partition == message.partition()
            && self.unit.as_ref().is_some_and(|unit| {
                Arc::ptr_eq(&unit.context, &head.context)
                    && unit.records.len() < MAX_UNIT_RECORDS
                    && unit.buffer.len() + bytes.len() <= UNIT_BYTES
            });
        let done = if fits { None } else { self.unit.take() };
        self.partition = message.partition();
        let unit = self.unit.get_or_insert_with(|| Unit {
            stream: "bench".into(),
            sequence: 0,
            checkpoint: None,
            context: Arc::clone(&head.context),
            ingested: Millis(message.timestamp().to_millis().unwrap_or_default()),
            buffer: Vec::with_capacity(UNIT_BYTES / 8),
            records: Vec::new(),
            dead_letters: Vec::new(),
        });
        let start = u32::try_from(unit.buffer.len())?;
        unit.buffer.extend_from_slice(bytes);
        unit.records.push(Record { start, len: u32::try_from(bytes.len())?, origin: head.place });
        self.last = Some(head);
        Ok(done)
    }
}
