//! Reads a topic from its beginning to the end that it has now, for a person who looks into it.
//!
//! Enters: a topic's name. Leaves: its records, partition by partition in order. No group knows of it and no offset is stored.
//! What was committed before the call is among them: a transaction of somebody else that is still open is waited for.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as Library;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Context;
use super::error::{KafkaError, code, is_refusal};
use super::received::Received;
use super::settings::Settings;

const ANSWER: Duration = Duration::from_secs(30);
/// Transactions are ended by the brokers long before.
const OPEN_TRANSACTIONS: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(100);
const WAIT: Duration = Duration::from_millis(200);

/// See the module.
///
/// # Errors
/// When the brokers refuse or do not answer.
pub fn scan(settings: &Settings, topic: &str, mut each: impl FnMut(&Received<'_>)) -> Result<(), KafkaError> {
    let ask = |error| KafkaError::of("cannot ask for a topic's end", error);
    let written = consumer(settings, "read_uncommitted")?;
    let reader = consumer(settings, "read_committed")?;
    let mut list = TopicPartitionList::new();
    for partition in partitions(&reader, topic)? {
        let (low, end) = watermarks(&written, topic, partition)?;
        let began = Instant::now();
        while watermarks(&reader, topic, partition)?.1 < end {
            if began.elapsed() > OPEN_TRANSACTIONS {
                let open = Library::Global(rdkafka::types::RDKafkaErrorCode::OperationTimedOut);
                return Err(KafkaError::of("a transaction of another process stays open", open));
            }
            std::thread::sleep(AGAIN);
        }
        if low < end {
            list.add_partition_offset(topic, partition, Offset::Beginning).map_err(ask)?;
        }
    }
    read(&reader, &list, &mut each)
}

/// The first offset and the one behind the last. A partition that changes its leader at the moment is asked again.
fn watermarks(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), KafkaError> {
    let began = Instant::now();
    loop {
        match consumer.fetch_watermarks(topic, partition, ANSWER) {
            Ok(watermarks) => return Ok(watermarks),
            Err(error) if began.elapsed() > ANSWER || code(&error).is_some_and(is_refusal) => {
                return Err(KafkaError::of("cannot ask for a topic's end", error));
            }
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

fn read(
    reader: &BaseConsumer<Context>,
    list: &TopicPartitionList,
    each: &mut impl FnMut(&Received<'_>),
) -> Result<(), KafkaError> {
    let failed = |error| KafkaError::of("cannot read", error);
    reader.assign(list).map_err(failed)?;
    let mut left: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
    let mut heard = Instant::now();
    while !left.is_empty() {
        match reader.poll(WAIT) {
            Some(Ok(message)) => each(&Received::of(message)),
            Some(Err(Library::PartitionEOF(partition))) => left.retain(|one| *one != partition),
            Some(Err(error)) if heard.elapsed() > ANSWER => return Err(failed(error)),
            Some(Err(error)) => {
                tracing::warn!(%error, "kafka client: cannot read for now");
                continue;
            }
            None if heard.elapsed() > ANSWER => {
                let silent = Library::Global(rdkafka::types::RDKafkaErrorCode::OperationTimedOut);
                return Err(failed(silent));
            }
            None => continue,
        }
        heard = Instant::now();
    }
    Ok(())
}

fn consumer(settings: &Settings, isolation: &str) -> Result<BaseConsumer<Context>, KafkaError> {
    let mut config = settings.client();
    config
        // The library wants one; without a subscription nobody else hears of it.
        .set("group.id", settings.names.group("tools"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", isolation);
    settings.prefer(&mut config, "fetch.wait.max.ms", "100");
    let consumer = config.create_with_context(Context::default());
    consumer.map_err(|error| KafkaError::of("cannot make a reader", error))
}

fn partitions(reader: &BaseConsumer<Context>, topic: &str) -> Result<Vec<i32>, KafkaError> {
    let metadata = reader.fetch_metadata(None, ANSWER).map_err(|source| {
        let complaint = reader.context().complaint();
        KafkaError::Unreachable { source, complaint }
    })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(found.map(|found| found.partitions().iter().map(|one| one.id()).collect()).unwrap_or_default())
}
