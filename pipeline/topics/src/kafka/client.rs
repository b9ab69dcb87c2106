//! What all clients have in common: their log lines, and what they are told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError as Library;
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};

use super::assignment::ANSWER;
use super::error::{KafkaError, code, is_refusal};

/// A client tries each broker once in this time.
const LONGEST_COMPLAINT: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);

/// A change of what a member of a group reads, which the reader carries out when it is ready for it.
#[derive(Debug)]
pub(super) enum Change {
    Assigned(TopicPartitionList),
    Revoked(TopicPartitionList),
}

/// The context of every client.
#[derive(Default)]
pub(super) struct Context {
    changes: Mutex<VecDeque<Change>>,
    /// The reader leaves its group: nobody takes changes any more, and closing waits until each is carried out.
    is_leaving: AtomicBool,
    /// Why a record was not taken, or this client not let in; the first since it was asked for.
    pub(super) refused: Mutex<Option<Library>>,
    /// What went wrong last, in the library's words; they name the broker.
    complaint: Mutex<String>,
    /// Records of a reader's partitions that it has not taken yet, by the library's last word.
    waiting: AtomicU64,
}

impl Context {
    pub(super) fn next_change(&self) -> Option<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// What went wrong last, as the end of a sentence.
    pub(super) fn complaint(&self) -> String {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if complaint.is_empty() { String::new() } else { format!(": {complaint}") }
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    fn refuse(&self, error: &Library) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get_or_insert_with(|| error.clone());
    }

    /// From now on changes are carried out as they come.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Release);
    }
}

/// Why no broker answers, as the end of a sentence, as far as the client finds out within a moment: the library tells it only to who
/// reads.
pub(super) fn complaint(client: &BaseConsumer<Context>) -> String {
    let began = Instant::now();
    loop {
        let complaint = client.context().complaint();
        if !complaint.is_empty() || began.elapsed() >= LONGEST_COMPLAINT {
            return complaint;
        }
        drop(client.poll(LOOK));
    }
}

/// All topics there are: a question for one by its name may make it, on brokers that do that.
pub(super) fn metadata(client: &BaseConsumer<Context>) -> Result<Metadata, KafkaError> {
    let unreachable = |source| KafkaError::Unreachable { source, complaint: complaint(client) };
    client.fetch_metadata(None, ANSWER).map_err(unreachable)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, message, "kafka client");
                message.clone_into(&mut self.complaint.lock().unwrap_or_else(PoisonError::into_inner));
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(facility, message, "kafka client");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "kafka client"),
        }
    }

    /// Only readers that were told to are asked for it.
    fn stats(&self, statistics: Statistics) {
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        let waiting = partitions.filter(|partition| partition.fetch_state == "active").map(|partition| {
            // Behind the last one taken, or where reading began; the end is that of what is committed.
            let next = if partition.app_offset >= 0 { partition.app_offset } else { partition.next_offset };
            let end = if partition.ls_offset >= 0 { partition.ls_offset } else { partition.hi_offset };
            if next >= 0 { u64::try_from(end.saturating_sub(next)).unwrap_or_default() } else { 0 }
        });
        self.waiting.store(waiting.sum(), Ordering::Relaxed);
    }

    fn error(&self, error: Library, reason: &str) {
        // Told where it was asked for, and no fault.
        if code(&error) == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::warn!(%error, reason, "kafka client");
        reason.clone_into(&mut self.complaint.lock().unwrap_or_else(PoisonError::into_inner));
        if code(&error).is_some_and(is_refusal) {
            self.refuse(&error);
        }
    }
}

impl ConsumerContext for Context {
    /// Only notes what is wanted: what was made of the records read so far has to be committed before they are given up.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let change = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assigned(partitions.clone()),
            _ => Change::Revoked(partitions.clone()),
        };
        if self.is_leaving.load(Ordering::Acquire) {
            change.carry_out(consumer);
        } else {
            self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
        }
    }
}

impl Change {
    /// What has to be done for the consumer to get on; where it fails, the group takes the partitions away by itself.
    pub(super) fn carry_out(&self, consumer: &BaseConsumer<Context>) {
        let is_cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = match self {
            Self::Assigned(list) if is_cooperative => consumer.incremental_assign(list),
            Self::Assigned(list) => consumer.assign(list),
            Self::Revoked(list) if is_cooperative => consumer.incremental_unassign(list),
            Self::Revoked(_) => consumer.unassign(),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "kafka client: cannot leave a group in order");
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.refuse(error);
        }
    }
}
