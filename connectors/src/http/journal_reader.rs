//! Publishes what the journal holds: from there on a push source is like any other.
//!
//! Enters: journal entries in order. Leaves: units of the stream `journal`. A large entry becomes several units, each with a
//! checkpoint: should the process end in between, the entry goes on behind what is committed of it.

use std::sync::Arc;
use std::time::Duration;

use threatlockdown_event::unit::{MAX_UNIT_RECORDS, UNIT_BYTES};
use threatlockdown_event::{Context, Record, Unit};
use threatlockdown_topics::{Closed, Entry, EntryPlace, JOURNAL_STREAM, JournalReader, LogError, Publisher};

use super::IngestStats;
use crate::stop::Stop;

/// How long a stop may go unnoticed.
const WAIT: Duration = Duration::from_millis(50);

/// Why publishing ended early.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The journal cannot be read on.
    #[error("cannot read the journal: {0}")]
    Log(#[from] LogError),
    /// The topic takes no more.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Publishes until told to stop.
///
/// # Errors
/// When the journal is damaged, and when the topic takes no more.
pub fn run(
    mut reader: JournalReader,
    publisher: &Publisher,
    stats: &IngestStats,
    stop: &Stop,
) -> Result<(), JournalError> {
    let stream: Arc<str> = JOURNAL_STREAM.into();
    let mut sequence = 0;
    while !stop.is_set() {
        let Some((place, entry)) = reader.next(WAIT)? else { continue };
        for mut unit in units(&entry, place) {
            unit.stream = Arc::clone(&stream);
            unit.sequence = sequence;
            sequence += 1;
            if let Some(stats) = stats.get(&entry.source) {
                stats.unit(&unit);
            }
            publisher.publish(unit)?;
        }
    }
    Ok(())
}

/// The units of one entry that are not committed yet, made one after the other.
fn units(entry: &Entry, place: EntryPlace) -> impl Iterator<Item = Unit> + '_ {
    let context = Arc::new(Context {
        source: entry.source.as_str().into(),
        connector: entry.connector.as_str().into(),
        location: format!("{}:{}", entry.connector, entry.peer).into(),
        account: None,
        envelope: Vec::new(),
        origin: request_name(entry).into(),
        origin_id: entry.request_id,
    });
    let (mut next, mut is_over) = (place.committed(), false);
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let mut unit = Unit {
            stream: "".into(),
            sequence: 0,
            checkpoint: None,
            context: Arc::clone(&context),
            ingested: entry.received,
            buffer: Vec::new(),
            records: Vec::new(),
            dead_letters: Vec::new(),
        };
        while let Some(record) = entry.records.get(next) {
            let full =
                unit.buffer.len() + record.len() > UNIT_BYTES || unit.records.len() >= MAX_UNIT_RECORDS;
            if full && !unit.records.is_empty() {
                unit.checkpoint = Some(place.within(next));
                return Some(unit);
            }
            // Both stay far below 4 GiB: a unit is bounded, and so is a body.
            let (start, len) = (unit.buffer.len() as u32, record.len() as u32);
            unit.records.push(Record { start, len, origin: next as u64 });
            unit.buffer.extend_from_slice(record);
            next += 1;
        }
        (unit.checkpoint, is_over) = (Some(place.after()), true);
        Some(unit)
    })
}

/// What a person finds the request again by.
fn request_name(entry: &Entry) -> String {
    match &entry.idempotency_key {
        Some(key) => format!("http request {key}"),
        None => {
            let id: String = entry.request_id.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("http request {id}")
        }
    }
}

#[cfg(test)]
mod tests {
    use threatlockdown_event::Millis;

    use super::*;

    #[test]
    fn records_have_the_time_of_their_request_however_late_they_are_read() {
        let entry = Entry {
            source: "syslog".into(),
            connector: "push".into(),
            idempotency_key: None,
            request_id: [7; 16],
            peer: "192.0.2.1:5".into(),
            received: Millis(1_700_000_000_000),
            records: vec![vec![b'x'; 100]; MAX_UNIT_RECORDS + 1],
            digest: [0; 16],
            response: Vec::new(),
        };
        let place = EntryPlace::default();
        let units: Vec<Unit> = units(&entry, place).collect();
        let checkpoints = units.iter().map(|unit| unit.checkpoint.clone());
        assert!(checkpoints.eq([Some(place.within(MAX_UNIT_RECORDS)), Some(place.after())]));
        assert!(units.iter().all(|unit| unit.ingested == entry.received));
        let places = units.iter().flat_map(|unit| &unit.records).map(|record| record.origin);
        assert!(places.eq(0..=MAX_UNIT_RECORDS as u64));
    }
}
