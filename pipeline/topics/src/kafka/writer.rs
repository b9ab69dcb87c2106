//! Writes records that become visible together, and with the offsets of what they were made from.
//!
//! Enters: records. Leaves: transactions. A writer is used by one thread. After an error it is dropped and opened anew under
//! the same name, which aborts what was left open, also what a killed predecessor left; the reader goes back to its
//! committed offsets.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;

use super::client::Context;
use super::error::KafkaError;
use super::reader::RawReader;
use super::settings::Settings;

/// How long the brokers may take for a step of a transaction.
const ANSWER: Duration = Duration::from_secs(30);
/// A transaction that is not ended by then is aborted, so that readers behind it go on.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(10);
/// While the queue is full.
const QUEUE_WAIT: Duration = Duration::from_millis(5);

/// A record to be written.
#[derive(Debug, Default)]
pub struct Outgoing<'o> {
    /// Topic.
    pub topic: &'o str,
    /// Partition; `None`: by the key, or any.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<&'o [u8]>,
    /// Bytes; `None`: a tombstone.
    pub payload: Option<&'o [u8]>,
    /// Headers.
    pub headers: Option<OwnedHeaders>,
    /// Milliseconds since 1970; `None`: now.
    pub timestamp: Option<i64>,
}

/// See the module.
pub struct Writer {
    producer: BaseProducer<Context>,
    is_open: bool,
}

impl Writer {
    /// Takes the name over from whoever had it.
    ///
    /// # Errors
    /// When the settings do not fit, or the brokers do not answer.
    pub fn open(settings: &Settings, transactional_id: &str) -> Result<Self, KafkaError> {
        let mut config = settings.client();
        let longest = LONGEST_TRANSACTION.as_millis().to_string();
        config
            .set("transactional.id", transactional_id)
            .set("enable.idempotence", "true")
            .set("delivery.report.only.error", "true")
            .set("transaction.timeout.ms", &longest)
            .set("delivery.timeout.ms", &longest);
        settings.prefer(&mut config, "compression.type", "lz4");
        settings.prefer(&mut config, "linger.ms", "20");
        settings.prefer(&mut config, "batch.size", "1000000");
        settings.prefer(&mut config, "queue.buffering.max.kbytes", "131072");
        settings.prefer(&mut config, "message.max.bytes", "8388608");
        let producer: BaseProducer<Context> = config
            .create_with_context(Context::default())
            .map_err(|error| KafkaError::of("cannot make a writer", error))?;
        let ready = producer.init_transactions(ANSWER);
        ready.map_err(|error| KafkaError::of("cannot take over transactions", error))?;
        Ok(Self { producer, is_open: false })
    }

    /// Adds a record to the transaction, which begins with it.
    ///
    /// # Errors
    /// When the record is refused; the transaction cannot be committed any more.
    pub fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), KafkaError> {
        self.begin()?;
        let mut record = BaseRecord::<[u8], [u8], ()>::to(outgoing.topic);
        (record.key, record.payload) = (outgoing.key, outgoing.payload);
        (record.partition, record.timestamp) = (outgoing.partition, outgoing.timestamp);
        record.headers = outgoing.headers;
        let began = Instant::now();
        while let Err((error, back)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) || began.elapsed() > LONGEST_TRANSACTION {
                return Err(KafkaError::of("cannot write a record", error));
            }
            self.producer.poll(QUEUE_WAIT);
            record = back;
        }
        Ok(())
    }

    /// Whether anything is written that is not committed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Makes all since the last commit visible, and with it how far the reader has read.
    ///
    /// # Errors
    /// When it cannot be; nothing of it is visible then.
    pub fn commit(&mut self, reader: Option<&mut RawReader>) -> Result<(), KafkaError> {
        let reader = reader.filter(|reader| reader.has_news());
        if !self.is_open && reader.is_none() {
            return Ok(());
        }
        self.begin()?;
        self.producer.flush(ANSWER).map_err(|error| KafkaError::of("cannot write records", error))?;
        self.refused()?;
        if let Some(reader) = &reader {
            let (offsets, group) = reader.offsets()?;
            let sent = self.producer.send_offsets_to_transaction(&offsets, &group, ANSWER);
            sent.map_err(|error| KafkaError::of("cannot add offsets to a transaction", error))?;
        }
        let done = self.producer.commit_transaction(ANSWER);
        done.map_err(|error| KafkaError::of("cannot commit a transaction", error))?;
        self.is_open = false;
        if let Some(reader) = reader {
            reader.committed();
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), KafkaError> {
        if !self.is_open {
            let begun = self.producer.begin_transaction();
            begun.map_err(|error| KafkaError::of("cannot begin a transaction", error))?;
            self.is_open = true;
        }
        Ok(())
    }

    /// Why the brokers did not take a record, where that is so.
    fn refused(&self) -> Result<(), KafkaError> {
        let refused = self.producer.context().refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.map_or(Ok(()), |error| Err(KafkaError::of("a record was not taken", error)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.is_open {
            // Readers behind it need not wait for the timeout. Where it fails, the next writer of the name does it.
            let _ = self.producer.abort_transaction(Duration::from_secs(5));
        }
    }
}
