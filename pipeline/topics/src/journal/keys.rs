//! Idempotency keys of the last day, with the answers that were given.
//!
//! They live in memory. After a restart they come back from the journal's entries; those of segments that were deleted
//! from the store, where they are written before the deletion.

use std::time::Duration;

use threatlockdown_event::Millis;

use super::entry::{Entry, decode_group};
use crate::codec::{DecodeError, Decoder, put_bytes};
use crate::segment::{LogError, SegmentReader};
use crate::sliding::{Kept, Sliding};
use crate::store::{REQUEST_KEYS, Store, StoreError};

/// Most keys that are remembered: some hundred bytes each.
const MAX_KEYS: usize = 250_000;

/// Whether a request was seen before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    New,
    /// With the same body; this was the answer.
    Repeated(Vec<u8>),
    WithOtherBody,
}

/// What is remembered of a request.
struct Answered {
    digest: [u8; 16],
    response: Box<[u8]>,
}

/// The keys.
pub(super) struct Keys {
    set: Sliding<Answered>,
}

impl Keys {
    /// From the store and all entries that the journal still holds.
    pub(super) fn rebuild(store: &Store, mut reader: SegmentReader) -> Result<Self, LogError> {
        let set = Sliding::load(MAX_KEYS, &store.rows(REQUEST_KEYS)?);
        let set = set.map_err(|error| store.corrupt("idempotency keys", error))?;
        let mut keys = Self { set };
        while let Some(frame) = reader.next(Duration::ZERO, decode_group)? {
            for entry in &frame.value {
                keys.remember(entry);
            }
        }
        keys.set.expire(Millis::now());
        Ok(keys)
    }

    pub(super) fn look_up(&self, entry: &Entry) -> Seen {
        let known = entry.idempotency_key.as_ref().and_then(|_| self.set.get(&entry.request_id));
        match known {
            None => Seen::New,
            Some(known) if known.digest == entry.digest => Seen::Repeated(known.response.to_vec()),
            Some(_) => Seen::WithOtherBody,
        }
    }

    /// To be called when the entry is durable.
    pub(super) fn remember(&mut self, entry: &Entry) {
        if entry.idempotency_key.is_some() {
            let answered = Answered { digest: entry.digest, response: entry.response.clone().into() };
            self.set.insert(entry.request_id, entry.received, answered);
        }
    }

    pub(super) fn expire(&mut self, now: Millis) {
        self.set.expire(now);
    }

    /// Writes what the store does not have yet.
    pub(super) fn save(&mut self, store: &Store) -> Result<(), StoreError> {
        store.change_rows(REQUEST_KEYS, &self.set.change())?;
        self.set.mark_saved();
        Ok(())
    }
}

impl Kept for Answered {
    fn put(&self, row: &mut Vec<u8>) {
        row.extend_from_slice(&self.digest);
        put_bytes(row, &self.response);
    }

    fn take(row: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self { digest: row.array()?, response: row.bytes()?.into() })
    }
}
