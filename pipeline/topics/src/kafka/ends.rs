//! What stands in a partition up to where it ends now.
//!
//! Enters: a partition. Leaves: of a compacted one for each key the last value, of any whether it holds records behind an offset.
//! Offsets alone do not tell: behind the last record there may be marks of transactions, and records of those that were
//! aborted, any number of them. Brokers compact late, so the same key may stand there many times; a tombstone takes it out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as Library;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::client::Context;
use super::error::{KafkaError, code, is_refusal};
use super::received::TopicPartition;
use super::settings::Settings;

/// One look at the brokers.
const WAIT: Duration = Duration::from_millis(250);
/// How long the brokers may take to say where a partition ends.
const WAIT_FOR_END: Duration = Duration::from_secs(30);
/// So long nothing may come before that is a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of each partition the last value of each key.
pub type Tables = BTreeMap<i32, BTreeMap<Vec<u8>, Vec<u8>>>;

/// The last value of each key, with read-committed eyes.
///
/// # Errors
/// When the settings do not fit, or the brokers do not answer.
pub fn latest_values(settings: &Settings, topic: &str, partitions: &[i32]) -> Result<Tables, KafkaError> {
    let mut found: Tables = partitions.iter().map(|partition| (*partition, BTreeMap::new())).collect();
    let from: Vec<_> = partitions.iter().map(|partition| (*partition, Offset::Beginning)).collect();
    read(settings, topic, &from, |message| {
        let table = found.entry(message.partition()).or_default();
        let key = message.key().unwrap_or_default().to_vec();
        match message.payload() {
            Some(value) => table.insert(key, value.to_vec()),
            None => table.remove(&key),
        };
        true
    })?;
    Ok(found)
}

/// Of a member's partitions, each with the next offset and that behind the last record, those of which it has read all that
/// anybody has begun to write: no committed record is left, and no transaction is open.
///
/// # Errors
/// As for [`latest_values`].
pub fn are_read(
    settings: &Settings,
    partitions: Vec<(TopicPartition, i64, i64)>,
) -> Result<Vec<TopicPartition>, KafkaError> {
    let fault = |error| KafkaError::of("cannot ask for a topic's end", error);
    let mut config = settings.alone();
    let made = config.set("isolation.level", "read_uncommitted").create_with_context(Context::default());
    let client: BaseConsumer<Context> = made.map_err(fault)?;
    let mut found = Vec::new();
    let mut unsure: BTreeMap<Arc<str>, Vec<(i32, Offset)>> = BTreeMap::new();
    for (partition, at, end) in partitions {
        let TopicPartition { topic, partition: number } = &partition;
        let (_, written) = client.fetch_watermarks(topic, *number, WAIT_FOR_END).map_err(fault)?;
        // What others do not see yet, they will see.
        if written > end {
            continue;
        }
        if at < end {
            unsure.entry(Arc::clone(topic)).or_default().push((*number, Offset::Offset(at)));
        }
        found.push(partition);
    }
    for (topic, from) in unsure {
        let mut holding = BTreeSet::new();
        read(settings, &topic, &from, |message| {
            holding.insert(message.partition());
            holding.len() < from.len()
        })?;
        found.retain(|one| one.topic != topic || !holding.contains(&one.partition));
    }
    Ok(found)
}

/// Whether a committed record stands at `from` or behind it, and before `mark`.
pub(super) fn holds_before(
    settings: &Settings,
    partition: &TopicPartition,
    from: Offset,
    mark: i64,
) -> Result<bool, KafkaError> {
    let mut holds = false;
    read(settings, &partition.topic, &[(partition.partition, from)], |message| {
        holds = message.offset() < mark;
        false
    })?;
    Ok(holds)
}

/// Shows the committed records of partitions, each from an offset on, as long as they are wanted.
pub(super) fn read(
    settings: &Settings,
    topic: &str,
    from: &[(i32, Offset)],
    mut see: impl FnMut(BorrowedMessage<'_>) -> bool,
) -> Result<(), KafkaError> {
    let fault = |error| KafkaError::of("cannot read a partition to its end", error);
    let made = settings.alone().set("enable.partition.eof", "true").create_with_context(Context::default());
    let consumer: BaseConsumer<Context> = made.map_err(fault)?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in from {
        list.add_partition_offset(topic, *partition, *offset).map_err(fault)?;
    }
    consumer.assign(&list).map_err(fault)?;
    let mut left: BTreeSet<i32> = from.iter().map(|(partition, _)| *partition).collect();
    let mut heard = Instant::now();
    while !left.is_empty() {
        match consumer.poll(WAIT) {
            Some(Ok(message)) => {
                heard = Instant::now();
                if !see(message) {
                    return Ok(());
                }
            }
            Some(Err(Library::PartitionEOF(partition))) => {
                left.remove(&partition);
                heard = Instant::now();
            }
            Some(Err(error)) if heard.elapsed() > PATIENCE || code(&error).is_some_and(is_refusal) => {
                return Err(fault(error));
            }
            None if heard.elapsed() > PATIENCE => {
                let late = rdkafka::types::RDKafkaErrorCode::OperationTimedOut;
                return Err(fault(Library::MessageConsumption(late)));
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(())
}
