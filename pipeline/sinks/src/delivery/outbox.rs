//! What a sink writes to topics, in the transaction that says its source is delivered that far.
//!
//! Enters: records from a sink. Leaves: they and the offsets of what they were made from, together or not at all. The sink
//! and the source of one delivery share it; both are used by one thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use threatlockdown_topics::kafka::{KafkaError, Outgoing, RawReader, Remedy, Settings, Writer};

use super::SourceError;
use crate::sink::SinkError;

/// See the module.
#[derive(Clone, Default)]
pub struct Outbox {
    writer: Arc<Mutex<Option<Writer>>>,
    refused: Arc<Refused>,
}

/// Alerts that became dead letters.
#[derive(Default)]
struct Refused {
    /// In the transaction.
    sent: AtomicU64,
    committed: AtomicU64,
}

impl Outbox {
    /// Adds a record.
    ///
    /// # Errors
    /// When it cannot be written; delivery goes back then.
    pub fn send(&self, record: Outgoing<'_>) -> Result<(), SinkError> {
        let target = record.topic.to_owned();
        match self.lock().as_mut() {
            Some(writer) => writer.send(record).map_err(|error| refused(target, &error)),
            None => Err(SinkError::Refused { target, reason: "there is no connection yet".to_owned() }),
        }
    }

    /// Adds the dead letter of an alert.
    ///
    /// # Errors
    /// As for [`Outbox::send`].
    pub fn refuse(&self, record: Outgoing<'_>) -> Result<(), SinkError> {
        self.send(record)?;
        self.refused.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How many alerts became dead letters, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.committed.load(Ordering::Relaxed)
    }

    /// Takes back what was sent and is not committed. Returns whether readers of the same transactions can go on.
    pub(super) fn take_back(&self) -> bool {
        self.refused.sent.store(0, Ordering::Relaxed);
        let mut writer = self.lock();
        let is_back = writer.as_mut().is_some_and(|writer| writer.abort().is_ok() && writer.is_current());
        if !is_back {
            *writer = None;
        }
        is_back
    }

    /// Opens it where it is closed.
    pub(super) fn open(&self, settings: &Settings, transactional_id: &str) -> Result<(), SourceError> {
        let mut writer = self.lock();
        if writer.is_none() {
            *writer = Some(Writer::open(settings, transactional_id).map_err(fault)?);
        }
        Ok(())
    }

    /// Makes what was sent visible, and that the reader came as far as it did.
    pub(super) fn commit(&self, reader: &mut RawReader) -> Result<(), SourceError> {
        match self.lock().as_mut() {
            Some(writer) => writer.commit(Some(reader)).map_err(fault)?,
            None => return Err(SourceError::Back("there is no connection".to_owned())),
        }
        let committed = self.refused.sent.swap(0, Ordering::Relaxed);
        self.refused.committed.fetch_add(committed, Ordering::Relaxed);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(target: String, error: &KafkaError) -> SinkError {
    SinkError::Refused { target, reason: error.to_string() }
}

/// What delivery is to do about a fault of a client.
#[allow(clippy::needless_pass_by_value, reason = "so that it stands alone behind map_err")]
pub(super) fn fault(error: KafkaError) -> SourceError {
    match error.remedy() {
        Remedy::Stop => SourceError::Stop(error.to_string()),
        Remedy::Rewind | Remedy::Reopen | Remedy::SetAside => SourceError::Back(error.to_string()),
    }
}
