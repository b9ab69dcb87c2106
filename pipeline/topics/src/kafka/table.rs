//! Reads a compacted topic as what it is: the newest value of each key.
//!
//! Enters: the topic's name. Leaves: its records, from the first one on, without any group: everybody who reads a table reads
//! all of it. Only what is committed is seen.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as Library;
use rdkafka::message::Message as _;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, Context};
use super::error::{KafkaError, code, is_refusal};
use super::settings::Settings;

/// A record of a table.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'e> {
    /// The partition that it is in.
    pub partition: i32,
    /// Its key.
    pub key: &'e [u8],
    /// Its value; `None`: the key is no more.
    pub value: Option<&'e [u8]>,
}

/// See the module.
pub struct Table {
    consumer: BaseConsumer<Context>,
    topic: String,
    partitions: i32,
}

impl Table {
    /// From the first record on.
    ///
    /// # Errors
    /// When the settings do not fit, no broker answers, or the topic is not there.
    pub fn open(settings: &Settings, topic: &str) -> Result<Self, KafkaError> {
        let made = settings.alone().create_with_context(Context::default());
        let consumer: BaseConsumer<Context> =
            made.map_err(|error| KafkaError::of("cannot make a reader", error))?;
        let partitions = count_partitions(&consumer, topic)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let added = list.add_partition_offset(topic, partition, Offset::Beginning);
            added.map_err(|error| KafkaError::of("cannot name partitions", error))?;
        }
        consumer.assign(&list).map_err(|error| KafkaError::of("cannot read a table", error))?;
        Ok(Self { consumer, topic: topic.to_owned(), partitions })
    }

    /// How many partitions it has.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Waits for the next record, and shows it. Whether there was one.
    ///
    /// What passes by itself is only logged: the client goes on trying.
    ///
    /// # Errors
    /// When the brokers refuse, or this client has ended.
    pub fn poll(&self, wait: Duration, see: impl FnOnce(Entry<'_>)) -> Result<bool, KafkaError> {
        match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                let (partition, key) = (message.partition(), message.key().unwrap_or_default());
                see(Entry { partition, key, value: message.payload() });
                Ok(true)
            }
            Some(Err(error)) => {
                let is_fatal = matches!(error, Library::MessageConsumptionFatal(_));
                if is_fatal || code(&error).is_some_and(is_refusal) {
                    return Err(KafkaError::of("cannot read a table", error));
                }
                tracing::warn!(topic = self.topic, %error, "kafka client: cannot read for now");
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// A fault for those who wait for a record in vain.
    #[must_use]
    pub fn silence(&self) -> KafkaError {
        let source = Library::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
        KafkaError::Unreachable { source, complaint: self.consumer.context().complaint() }
    }
}

pub(super) fn count_partitions(consumer: &BaseConsumer<Context>, topic: &str) -> Result<i32, KafkaError> {
    let metadata = client::metadata(consumer)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    match found.map(|found| found.partitions().len()) {
        Some(count @ 1..) => Ok(i32::try_from(count).unwrap_or(i32::MAX)),
        _ => {
            let source = Library::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
            Err(KafkaError::Passing { action: "cannot see a topic", source })
        }
    }
}
