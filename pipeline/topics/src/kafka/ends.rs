//! What stands in a partition up to where it ends now.
//!
//! Enters: a partition. Leaves: of a compacted one for each key the last value, of any whether it holds records behind an offset.
//! Offsets alone do not tell: behind the last record there may be marks of transactions, and records of those that were
//! aborted, any number of them. Brokers compact late, so the same key may stand there many times; a tombstone takes it out.

use std::collections::{BTreeMap, BTreeSet};
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

/// Whether no committed record stands at an offset or behind it.
///
/// # Errors
/// As for [`latest_values`].
pub fn ends_at(settings: &Settings, partition: &TopicPartition, offset: i64) -> Result<bool, KafkaError> {
    let mut ends = true;
    let from = [(partition.partition, Offset::Offset(offset))];
    read(settings, &partition.topic, &from, |_| {
        ends = false;
        false
    })?;
    Ok(ends)
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
