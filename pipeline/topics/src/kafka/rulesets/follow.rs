//! Follows what is published.
//!
//! Enters: the topic of rule sets. Leaves: what stands under `active`, each time that the end is reached. What stood there
//! before is passed over: brokers compact late, and a reader that begins anew must not go back through history.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as Library;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::{ACTIVE, PARTITION};
use crate::kafka::access::Watched;
use crate::kafka::client::Context;
use crate::kafka::error::{KafkaError, code, is_refusal};
use crate::kafka::settings::Settings;

/// See the module.
pub struct RulesetReader {
    consumer: BaseConsumer<Context>,
    active: Option<Vec<u8>>,
    access: Watched,
}

impl RulesetReader {
    /// From the first record on.
    ///
    /// # Errors
    /// When the settings do not fit.
    pub fn open(settings: &Settings) -> Result<Self, KafkaError> {
        let fault = |error| KafkaError::of("cannot follow the topic of rule sets", error);
        let access = settings.renewal.watch(settings);
        let mut config = settings.alone();
        config.set("enable.partition.eof", "true");
        // Sets are rare, and nobody waits for the last millisecond.
        settings.prefer(&mut config, "fetch.wait.max.ms", "500");
        settings.prefer(&mut config, "queued.max.messages.kbytes", "2048");
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::default()).map_err(fault)?;
        let mut list = TopicPartitionList::new();
        let topic = settings.names.rulesets();
        list.add_partition_offset(&topic, PARTITION, Offset::Beginning).map_err(fault)?;
        consumer.assign(&list).map_err(fault)?;
        Ok(Self { consumer, active: None, access })
    }

    /// Waits for the end, so long at most: what stands under `active` there, which may be nothing.
    ///
    /// What passes by itself is only logged: the client goes on trying.
    ///
    /// # Errors
    /// When the brokers refuse, or this client has ended.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Option<Vec<u8>>>, KafkaError> {
        let polled = self.consumer.poll(wait);
        if !matches!(polled, Some(Ok(_))) {
            self.access.check()?;
        }
        match polled {
            Some(Ok(message)) => {
                if message.key() == Some(ACTIVE) {
                    self.active = message.payload().map(<[u8]>::to_vec);
                }
                Ok(None)
            }
            Some(Err(Library::PartitionEOF(_))) => Ok(Some(self.active.clone())),
            Some(Err(error)) => {
                let is_fatal = matches!(error, Library::MessageConsumptionFatal(_));
                if is_fatal || code(&error).is_some_and(is_refusal) {
                    return Err(KafkaError::of("cannot follow the topic of rule sets", error));
                }
                tracing::warn!(%error, "kafka client: cannot follow the topic of rule sets for now");
                Ok(None)
            }
            None => Ok(None),
        }
    }
}
