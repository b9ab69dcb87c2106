//! Which partitions a reader has, and where it begins them.
//!
//! Enters: changes that the group decided on. Leaves: partitions that are fetched from where the group, the caller or the member
//! itself says. What is to be given up waits until the reader is released from it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Change, Context};
use super::error::KafkaError;
use super::received::{Polled, TopicPartition, partitions};

/// How long the brokers may take for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

/// What is to be done with partitions.
#[derive(Default)]
pub(super) struct Turn {
    /// These are to be given up.
    pub(super) leaving: Option<TopicPartitionList>,
    /// Nothing is fetched, not of new ones either.
    pub(super) is_held: bool,
    pub(super) begins_as_told: bool,
    /// These wait for [`RawReader::begin`](super::RawReader::begin).
    pub(super) arriving: Option<TopicPartitionList>,
    pub(super) own: Option<OwnProgress>,
}

/// How far a member has come by what it keeps itself, beside what it wrote.
///
/// The group is told after that, so its word may be behind. Where the last word on a partition is this member's, or there is
/// none, its own counts; where another member had the partition meanwhile, or an operator set the offset, the group's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnProgress {
    /// Stands in the group's offsets; nobody else has it.
    pub member: String,
    /// Of each partition that it ever had, where to go on.
    pub next: BTreeMap<TopicPartition, i64>,
}

impl OwnProgress {
    fn apply(
        &self,
        consumer: &BaseConsumer<Context>,
        list: &mut TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let asked = consumer.committed_offsets(list.clone(), ANSWER);
        let committed = asked.map_err(|error| KafkaError::of("cannot ask where to go on", error))?;
        for said in committed.elements() {
            let is_own = said.offset() == Offset::Invalid || said.metadata() == self.member;
            let (topic, partition) = (said.topic(), said.partition());
            let own = self.next.get(&TopicPartition { topic: topic.into(), partition });
            if let (true, Some(next)) = (is_own, own) {
                let placed = list.set_partition_offset(topic, partition, Offset::Offset(*next));
                placed.map_err(|error| KafkaError::of("cannot name offsets", error))?;
            }
        }
        Ok(())
    }
}

impl Turn {
    pub(super) fn change(
        &mut self,
        consumer: &BaseConsumer<Context>,
        change: Change,
    ) -> Result<Polled<'static>, KafkaError> {
        match change {
            Change::Assigned(list) if self.begins_as_told => {
                let partitions = partitions(&list);
                self.arriving = Some(list);
                Ok(Polled::Assigned(partitions))
            }
            Change::Assigned(mut list) => {
                if let Some(own) = &self.own {
                    own.apply(consumer, &mut list)?;
                }
                let assigned = consumer.incremental_assign(&list);
                assigned.map_err(|error| KafkaError::of("cannot take partitions", error))?;
                if self.is_held {
                    consumer.pause(&list).map_err(|error| KafkaError::of("cannot pause", error))?;
                }
                Ok(Polled::Assigned(partitions(&list)))
            }
            Change::Revoked(list) => {
                let lost = consumer.assignment_lost();
                let partitions = partitions(&list);
                self.leaving = Some(list);
                Ok(Polled::Revoked { partitions, lost })
            }
        }
    }
}
