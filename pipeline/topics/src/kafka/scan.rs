//! Reads a topic from its beginning to the end that it has now, for a person who looks into it.
//!
//! Enters: a topic's name. Leaves: its records, partition by partition in order. No group knows of it and no offset is stored.
//! What was committed before the call is among them: a transaction of somebody else that is still open is waited for.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as Library;

use super::client::{self, Context};
use super::ends;
use super::error::{KafkaError, code, is_refusal};
use super::received::Received;
use super::settings::Settings;

const ANSWER: Duration = Duration::from_secs(30);
/// Transactions are ended by the brokers long before.
const OPEN_TRANSACTIONS: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(100);

/// See the module.
///
/// # Errors
/// When the brokers refuse or do not answer.
pub fn scan(settings: &Settings, topic: &str, mut each: impl FnMut(&Received<'_>)) -> Result<(), KafkaError> {
    let written = consumer(settings, "read_uncommitted")?;
    let reader = consumer(settings, "read_committed")?;
    let mut from = Vec::new();
    for partition in partitions(&reader, topic)? {
        let end = watermarks(&written, topic, partition)?;
        let began = Instant::now();
        while watermarks(&reader, topic, partition)? < end {
            if began.elapsed() > OPEN_TRANSACTIONS {
                let open = Library::Global(rdkafka::types::RDKafkaErrorCode::OperationTimedOut);
                return Err(KafkaError::of("a transaction of another process stays open", open));
            }
            std::thread::sleep(AGAIN);
        }
        from.push((partition, Offset::Beginning));
    }
    // Of empty ones too: who may not read is told so.
    ends::read(settings, topic, &from, |message| {
        each(&Received::of(message));
        true
    })
}

/// The offset behind the last record. A partition that changes its leader at the moment is asked again.
fn watermarks(consumer: &BaseConsumer<Context>, topic: &str, partition: i32) -> Result<i64, KafkaError> {
    let began = Instant::now();
    loop {
        match consumer.fetch_watermarks(topic, partition, ANSWER) {
            Ok((_, end)) => return Ok(end),
            Err(error) if began.elapsed() > ANSWER || code(&error).is_some_and(is_refusal) => {
                return Err(KafkaError::of("cannot ask for a topic's end", error));
            }
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

fn consumer(settings: &Settings, isolation: &str) -> Result<BaseConsumer<Context>, KafkaError> {
    let mut config = settings.alone();
    let made = config.set("isolation.level", isolation).create_with_context(Context::default());
    made.map_err(|error| KafkaError::of("cannot make a reader", error))
}

fn partitions(reader: &BaseConsumer<Context>, topic: &str) -> Result<Vec<i32>, KafkaError> {
    let metadata = client::metadata(reader)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(found.map(|found| found.partitions().iter().map(|one| one.id()).collect()).unwrap_or_default())
}
