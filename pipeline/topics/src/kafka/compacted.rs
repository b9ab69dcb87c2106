//! All that stands in a partition of a compacted topic.
//!
//! Enters: a partition. Leaves: for each key the last value, up to where the partition ends now. Brokers compact late, so the
//! same key may stand there many times; a tombstone takes its key out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as Library;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Context;
use super::error::KafkaError;
use super::settings::Settings;

/// One look at the brokers.
const WAIT: Duration = Duration::from_millis(250);
/// So long nothing may come before that is a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// The last value of each key, with read-committed eyes.
///
/// # Errors
/// When the settings do not fit, or the brokers do not answer.
pub fn latest_values(
    settings: &Settings,
    topic: &str,
    partition: i32,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, KafkaError> {
    let fault = |error| KafkaError::of("cannot read a compacted topic", error);
    let mut config = settings.client();
    // No member of any group; the client wants a name all the same.
    config
        .set("group.id", settings.names.group("compacted"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed");
    let consumer: BaseConsumer<Context> = config.create_with_context(Context::default()).map_err(fault)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).map_err(fault)?;
    consumer.assign(&list).map_err(fault)?;
    let mut found = BTreeMap::new();
    let mut heard = Instant::now();
    loop {
        match consumer.poll(WAIT) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let key = message.key().unwrap_or_default().to_vec();
                match message.payload() {
                    Some(value) => found.insert(key, value.to_vec()),
                    None => found.remove(&key),
                };
            }
            Some(Err(Library::PartitionEOF(_))) => return Ok(found),
            Some(Err(error)) if heard.elapsed() > PATIENCE => return Err(fault(error)),
            None if heard.elapsed() > PATIENCE => {
                let late = rdkafka::types::RDKafkaErrorCode::OperationTimedOut;
                return Err(fault(Library::MessageConsumption(late)));
            }
            Some(Err(_)) | None => {}
        }
    }
}
