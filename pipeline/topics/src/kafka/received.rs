//! What a look of a reader brings.
//!
//! Enters: messages of the library. Leaves: records with what stands beside them, and word of partitions.

use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::message::{BorrowedMessage, Message as _};
use threatlockdown_event::Millis;

use super::raw_record::{RawHead, decode_head, later_head};

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number, from 0.
    pub partition: i32,
}

/// What a look brought.
pub enum Polled<'r> {
    /// A record.
    Record(Received<'r>),
    /// Nothing within the time.
    Nothing,
    /// Partitions that are read from now on.
    Assigned(Vec<TopicPartition>),
    /// Partitions that are to be given up; nothing more of them comes. [`RawReader::release`](super::RawReader::release) has to follow.
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// They are another member's already: nothing of them can be committed any more.
        lost: bool,
    },
}

/// A record as it came.
pub struct Received<'r>(BorrowedMessage<'r>);

impl<'r> Received<'r> {
    pub(super) fn of(message: BorrowedMessage<'r>) -> Self {
        Self(message)
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.0.topic()
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Its place in the partition.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// Its bytes; empty for a tombstone too.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.0.payload().unwrap_or_default()
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// When it was written, by its writer.
    #[must_use]
    pub fn timestamp(&self) -> Millis {
        self.0.timestamp().to_millis().map_or_else(Millis::now, Millis)
    }

    /// What the pipeline wrote beside it, where that was the pipeline.
    #[must_use]
    pub fn head(&self, last: Option<&RawHead>) -> Option<RawHead> {
        decode_head(self.0.headers()?, last)
    }

    /// The version of what a later release wrote beside it.
    #[must_use]
    pub fn later_head(&self) -> Option<u64> {
        later_head(self.0.headers()?)
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        use rdkafka::message::Headers as _;
        self.0.headers()?.iter().find(|header| header.key == name)?.value
    }
}

/// Those of a list.
pub(super) fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let one = |topic: &str, partition| TopicPartition { topic: topic.into(), partition };
    list.elements().iter().map(|element| one(element.topic(), element.partition())).collect()
}
