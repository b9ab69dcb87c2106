//! What all clients have in common: their log lines and their tokens.

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError as Library;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};

/// A change of what a member of a group reads, which the reader carries out when it is ready for it.
#[derive(Debug)]
pub(super) enum Change {
    Assigned(TopicPartitionList),
    Revoked(TopicPartitionList),
}

/// The context of every client.
#[derive(Default)]
pub(super) struct Context {
    pub(super) changes: Mutex<Vec<Change>>,
    /// Why a record was not taken; the first since it was asked for.
    pub(super) refused: Mutex<Option<Library>>,
}

impl Context {
    pub(super) fn next_change(&self) -> Option<Change> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.is_empty() { None } else { Some(changes.remove(0)) }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, message, "kafka client");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(facility, message, "kafka client");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "kafka client"),
        }
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: Library, reason: &str) {
        tracing::warn!(%error, reason, "kafka client");
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        Err("no source of tokens is configured".into())
    }
}

impl ConsumerContext for Context {
    /// Only notes what is wanted: what was made of the records read so far has to be committed before they are given up.
    fn rebalance(&self, _: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let change = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assigned(partitions.clone()),
            _ => Change::Revoked(partitions.clone()),
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.get_or_insert_with(|| error.clone());
        }
    }
}
