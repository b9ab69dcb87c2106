//! Whether a group has come as far as topics went at some time.
//!
//! Enters: partitions, where each of them ended, and the name of a group. Leaves: whether its members, wherever they run, have
//! committed all that stood there. Offsets alone do not tell: behind the last record there may be marks of transactions, which
//! nobody commits; and as long as a transaction of somebody else is open, nobody sees what was written behind its beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::admin::Admin;
use super::client::Context;
use super::ends::holds_before;
use super::error::KafkaError;
use super::received::TopicPartition;
use super::settings::Settings;

/// How long the brokers may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// See the module.
pub struct Marks {
    settings: Settings,
    group: String,
    /// Partitions of which something may be left, each with its end.
    left: BTreeMap<TopicPartition, i64>,
}

impl Marks {
    /// Where topics end now. What is written and acknowledged before the call stands before the marks.
    ///
    /// # Errors
    /// When the settings do not fit, or the brokers do not answer.
    pub fn take(
        settings: &Settings,
        group: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, KafkaError> {
        let client = client(settings, group, "read_uncommitted")?;
        let mut left = BTreeMap::new();
        for partition in Admin::open(settings)?.partitions()? {
            if is_wanted(&partition.topic) {
                let (begin, end) = ends(&client, &partition)?;
                if end > begin {
                    left.insert(partition, end);
                }
            }
        }
        Ok(Self { settings: settings.clone(), group: group.to_owned(), left })
    }

    /// Whether the group has committed all that stood before the marks.
    ///
    /// # Errors
    /// As for [`Marks::take`].
    pub fn are_reached(&mut self) -> Result<bool, KafkaError> {
        if self.left.is_empty() {
            return Ok(true);
        }
        let client = client(&self.settings, &self.group, "read_committed")?;
        let mut asked = TopicPartitionList::new();
        for partition in self.left.keys() {
            asked.add_partition(&partition.topic, partition.partition);
        }
        let committed = client
            .committed_offsets(asked, ANSWER)
            .map_err(|error| KafkaError::of("cannot ask for committed offsets", error))?;
        let of = |partition: &TopicPartition| {
            committed.find_partition(&partition.topic, partition.partition).map(|element| element.offset())
        };
        self.left.retain(|partition, mark| !matches!(of(partition), Some(Offset::Offset(at)) if at >= *mark));
        let mut reached = Vec::new();
        for (partition, mark) in &self.left {
            // What others do not see yet has to be waited for.
            if ends(&client, partition)?.1 < *mark {
                return Ok(false);
            }
            let from = match of(partition) {
                Some(Offset::Offset(at)) => Offset::Offset(at),
                _ => Offset::Beginning,
            };
            if holds_before(&self.settings, partition, from, *mark)? {
                break;
            }
            reached.push(partition.clone());
        }
        self.left.retain(|partition, _| !reached.contains(partition));
        Ok(self.left.is_empty())
    }
}

/// A client that is no member of the group, but may ask how far it is.
fn client(settings: &Settings, group: &str, isolation: &str) -> Result<BaseConsumer<Context>, KafkaError> {
    let mut config = settings.client();
    config.set("group.id", group).set("enable.auto.commit", "false").set("isolation.level", isolation);
    config
        .create_with_context(Context::default())
        .map_err(|error| KafkaError::of("cannot make a reader", error))
}

fn ends(client: &BaseConsumer<Context>, partition: &TopicPartition) -> Result<(i64, i64), KafkaError> {
    let ends = client.fetch_watermarks(&partition.topic, partition.partition, ANSWER);
    ends.map_err(|error| KafkaError::of("cannot ask where a partition ends", error))
}
