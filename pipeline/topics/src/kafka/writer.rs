//! Writes records that become visible together, and with the offsets of what they were made from.
//!
//! Enters: records. Leaves: transactions. A writer is used by one thread. What may be tried again it tries itself; what
//! else fails says by its [`Remedy`](super::Remedy) what is to be done. Opening a writer takes its name over from whoever had
//! it and aborts what was left open, also what a killed predecessor left.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError as Library;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;

use super::access::Watched;
use super::client::Context;
use super::error::{self, KafkaError};
use super::reader::RawReader;
use super::settings::Settings;

/// How long the brokers may take for what is not bounded by the age of a transaction.
const ANSWER: Duration = Duration::from_secs(30);
/// A transaction that is not ended by then is aborted by the brokers, so that readers behind it go on.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(10);
/// Between two looks at why an opening or an abort takes so long: it may be that the brokers do not let this client in any more,
/// and without a bound the library waits for that without end. A commit it bounds itself, by the age of the transaction.
const LOOK: Duration = Duration::from_secs(2);
/// While the queue is full, or not empty yet.
const QUEUE_WAIT: Duration = Duration::from_millis(2);
/// Before a step is tried again.
const AGAIN: Duration = Duration::from_millis(100);

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
    /// Its thread serves what the brokers say of records: commits and aborts wait for that.
    producer: ThreadedProducer<Context>,
    largest: u64,
    began: Option<Instant>,
    access: Watched,
}

impl Writer {
    /// Takes the name over from whoever had it.
    ///
    /// # Errors
    /// When the settings do not fit, or the brokers do not answer.
    pub fn open(settings: &Settings, transactional_id: &str) -> Result<Self, KafkaError> {
        let access = settings.renewal.watch(settings);
        let mut config = settings.client();
        let longest = LONGEST_TRANSACTION.as_millis().to_string();
        config
            .set("transactional.id", transactional_id)
            .set("enable.idempotence", "true")
            .set("delivery.report.only.error", "true")
            .set("message.max.bytes", settings.largest.to_string())
            .set("transaction.timeout.ms", &longest)
            .set("delivery.timeout.ms", &longest);
        settings.prefer(&mut config, "compression.type", "lz4");
        // A commit waits for the last batch, and so for this.
        settings.prefer(&mut config, "linger.ms", "5");
        settings.prefer(&mut config, "batch.size", "1000000");
        settings.prefer(&mut config, "queue.buffering.max.kbytes", "131072");
        let producer: ThreadedProducer<Context> = config
            .create_with_context(Context::default())
            .map_err(|error| KafkaError::of("cannot make a writer", error))?;
        let writer = Self { producer, largest: settings.largest, began: None, access };
        let began = Instant::now();
        writer.step("cannot take over transactions", began, || writer.producer.init_transactions(LOOK))?;
        Ok(writer)
    }

    /// Adds a record to the transaction, which begins with it.
    ///
    /// # Errors
    /// [`KafkaError::TooLarge`] concerns this record alone; after any other the transaction cannot be committed any more.
    pub fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), KafkaError> {
        let began = self.begin()?;
        let mut record = BaseRecord::<[u8], [u8], ()>::to(outgoing.topic);
        (record.key, record.payload) = (outgoing.key, outgoing.payload);
        (record.partition, record.timestamp) = (outgoing.partition, outgoing.timestamp);
        record.headers = outgoing.headers;
        while let Err((error, back)) = self.producer.send(record) {
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if began.elapsed() < LONGEST_TRANSACTION => {
                    std::thread::sleep(QUEUE_WAIT);
                    record = back;
                }
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    let bytes = outgoing.payload.map_or(0, <[u8]>::len);
                    return Err(KafkaError::TooLarge {
                        topic: outgoing.topic.to_owned(),
                        bytes,
                        limit: self.largest,
                    });
                }
                _ => return Err(self.fault("cannot write a record", error)),
            }
        }
        Ok(())
    }

    /// Whether it may go on: false where certificates or credentials are new since it was opened.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.access.check().is_ok()
    }

    /// Whether anything is written that is not committed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.began.is_some()
    }

    /// When the transaction began. It has to be committed well within ten seconds.
    #[must_use]
    pub fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Makes all since the last commit visible, and with it how far the reader has read.
    ///
    /// # Errors
    /// When it cannot be. With [`Remedy::Rewind`](super::Remedy) nothing of it is or becomes visible; with
    /// [`Remedy::Reopen`](super::Remedy) that is only known when the writer is open again.
    pub fn commit(&mut self, reader: Option<&mut RawReader>) -> Result<(), KafkaError> {
        let reader = reader.filter(|reader| reader.has_news());
        if !self.is_open() && reader.is_none() {
            return Ok(());
        }
        let began = self.begin()?;
        self.flush(began)?;
        if let Some(reader) = &reader {
            let (offsets, group) = reader.offsets()?;
            let send = || self.producer.send_offsets_to_transaction(&offsets, &group, Timeout::Never);
            self.step("cannot add offsets to a transaction", began, send)?;
        }
        let commit = || self.producer.commit_transaction(Timeout::Never);
        self.step("cannot commit a transaction", began, commit)?;
        self.began = None;
        drop(self.refused());
        if let Some(reader) = reader {
            reader.committed();
        }
        Ok(())
    }

    /// Takes back all since the last commit. The reader has to be told too, by [`RawReader::rewind`].
    ///
    /// # Errors
    /// When it cannot be: the writer has to be opened anew then.
    pub fn abort(&mut self) -> Result<(), KafkaError> {
        let Some(began) = self.began else { return Ok(()) };
        let abort = || self.producer.abort_transaction(LOOK);
        self.step("cannot abort a transaction", began, abort)?;
        self.began = None;
        drop(self.refused());
        Ok(())
    }

    fn begin(&mut self) -> Result<Instant, KafkaError> {
        if let Some(began) = self.began {
            return Ok(began);
        }
        self.access.check()?;
        self.producer.begin_transaction().map_err(|error| self.fault("cannot begin a transaction", error))?;
        let now = Instant::now();
        self.began = Some(now);
        Ok(now)
    }

    /// Waits until the brokers have all records. The library's own waiting has a grain of 100 ms.
    fn flush(&self, began: Instant) -> Result<(), KafkaError> {
        while let Err(error) = self.producer.flush(Duration::ZERO) {
            if !error::is_retriable(&error) || began.elapsed() > LONGEST_TRANSACTION + AGAIN {
                return Err(self.fault("cannot write records", error));
            }
            std::thread::sleep(QUEUE_WAIT);
        }
        Ok(())
    }

    /// A step of a transaction, as often as it may be tried again: what was not over in time goes on, and is asked for once more.
    /// With old credentials it may never be over.
    fn step(
        &self,
        action: &'static str,
        began: Instant,
        call: impl Fn() -> Result<(), Library>,
    ) -> Result<(), KafkaError> {
        let until = began.max(Instant::now()) + ANSWER;
        loop {
            match call() {
                Ok(()) => return Ok(()),
                Err(error) if error::is_retriable(&error) && !self.is_refused() && Instant::now() < until => {
                    self.access.check()?;
                    std::thread::sleep(AGAIN);
                }
                Err(error) => return Err(self.fault(action, error)),
            }
        }
    }

    /// What is wrong, by the word of the record that the brokers refused where there is one.
    fn fault(&self, action: &'static str, error: Library) -> KafkaError {
        let error = error::cause(self.producer.client(), error);
        let is_late = self.began.is_some_and(|began| began.elapsed() >= LONGEST_TRANSACTION);
        let fault = KafkaError::of_transaction(action, error, is_late);
        match self.refused() {
            Some(why) if error::code(&why).is_some_and(error::is_refusal) => {
                KafkaError::of("a record was not taken", why)
            }
            Some(why) => {
                tracing::warn!(error = %why, "kafka client: a record was not taken");
                fault
            }
            None => match fault {
                KafkaError::Passing { source, .. } if !self.is_open() => {
                    KafkaError::Unreachable { source, complaint: self.producer.context().complaint() }
                }
                fault => fault,
            },
        }
    }

    fn is_refused(&self) -> bool {
        let refused = self.producer.context().refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().and_then(error::code).is_some_and(error::is_refusal)
    }

    /// Why the brokers did not take a record, where that is so; asked once.
    fn refused(&self) -> Option<Library> {
        self.producer.context().refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.is_open() {
            // Readers behind it need not wait for its end by age. Where it fails, the next writer of the name does it.
            let _ = self.producer.abort_transaction(Duration::from_secs(5));
        }
    }
}
