//! How far a group has come with a topic, seen from outside.
//!
//! Enters: a group and a topic. Leaves: the share of the topic that the group has committed.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::Fault;

const ANSWER: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Group {
    consumer: BaseConsumer,
    admin: AdminClient<DefaultClientContext>,
    name: String,
    topic: String,
    /// Behind the last record of each partition.
    ends: Vec<(i32, i64)>,
}

impl Group {
    pub(crate) fn new(brokers: &str, name: &str, topic: &str) -> Result<Self, Fault> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", name).set("enable.auto.commit", "false");
        let (consumer, admin): (BaseConsumer, _) = (config.create()?, config.create()?);
        let mut ends = Vec::new();
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            let (_, end) = consumer.fetch_watermarks(topic, partition.id(), ANSWER)?;
            ends.push((partition.id(), end));
        }
        Ok(Self { consumer, admin, name: name.to_owned(), topic: topic.to_owned(), ends })
    }

    /// How many records of the topic are committed, by offsets.
    pub(crate) fn committed(&self) -> Result<u64, Fault> {
        let mut wanted = TopicPartitionList::new();
        for (partition, _) in &self.ends {
            wanted.add_partition(&self.topic, *partition);
        }
        let committed = self.consumer.committed_offsets(wanted, ANSWER)?;
        let at = |offset: Offset| if let Offset::Offset(at) = offset { at.max(0).unsigned_abs() } else { 0 };
        Ok(committed.elements().iter().map(|element| at(element.offset())).sum())
    }

    /// The share of the topic that is committed. The mark behind the last transaction need not be read.
    pub(crate) fn share(&self) -> Result<f64, Fault> {
        let mut wanted = TopicPartitionList::new();
        for (partition, _) in &self.ends {
            wanted.add_partition(&self.topic, *partition);
        }
        let committed = self.consumer.committed_offsets(wanted, ANSWER)?;
        let (mut done, mut all) = (0, 0);
        for (partition, end) in &self.ends {
            let found = committed.find_partition(&self.topic, *partition).map(|found| found.offset());
            let at = if let Some(Offset::Offset(at)) = found { at } else { 0 };
            all += end;
            done += if at >= end - 1 { *end } else { at };
        }
        Ok(done as f64 / all.max(1) as f64)
    }

    /// Forgets the group, so that the topic is read from its beginning. Its members have to be gone.
    pub(crate) fn forget(&self) -> Result<(), Fault> {
        for _ in 0..60 {
            let answers = pollster::block_on(self.admin.delete_groups(&[&self.name], &AdminOptions::new()))?;
            match answers.into_iter().next() {
                Some(Err((_, rdkafka::types::RDKafkaErrorCode::NonEmptyGroup))) => {
                    std::thread::sleep(Duration::from_millis(500));
                }
                _ => return Ok(()),
            }
        }
        Err(format!("the group {} does not end", self.name).into())
    }
}
