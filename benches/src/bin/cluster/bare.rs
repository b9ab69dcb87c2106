//! A consumer that does nothing with what it reads: what reading costs.
//!
//! Enters: a topic. Leaves: a line for the process that called: seconds from the first record to the last, and the
//! processor time of all. Its settings are the worker's.

use std::io::Write as _;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;

use crate::Fault;
use crate::arguments::Reading;
use crate::usage;

/// What a worker of a process with one of them fetches ahead: `limits.in_flight_bytes` for it and the owner of counts.
const AHEAD_KIB: &str = "32768";
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

pub(crate) fn consumer(reading: &Reading) -> Result<BaseConsumer, Fault> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &reading.brokers)
        .set("group.id", &reading.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.max.messages.kbytes", AHEAD_KIB)
        .set("queued.min.messages", "10000")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "10")
        .create()?;
    consumer.subscribe(&[&reading.topic])?;
    Ok(consumer)
}

pub(crate) fn run(reading: &Reading) -> Result<(), Fault> {
    let consumer = consumer(reading)?;
    let (mut began, mut heard) = (None, Instant::now());
    let (mut count, mut bytes) = (0, 0);
    while count < reading.events {
        match consumer.poll(Duration::from_secs(1)) {
            Some(message) => {
                let message = message?;
                bytes += message.payload().map_or(0, <[u8]>::len);
                count += 1;
                if began.is_none() {
                    began = Some(Instant::now());
                }
                if count % 1000 == 0 {
                    heard = Instant::now();
                }
            }
            None if heard.elapsed() > LONGEST_SILENCE => return Err("the topic ends too early".into()),
            None => {}
        }
    }
    let seconds = began.unwrap_or_else(Instant::now).elapsed().as_secs_f64();
    let processor = usage::of(std::process::id())?.as_secs_f64();
    writeln!(std::io::stdout(), "{seconds} {processor} {bytes}")?;
    Ok(())
}
