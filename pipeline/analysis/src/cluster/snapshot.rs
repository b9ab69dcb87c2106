//! Snapshots of correlators, on the compacted topic `memory`.
//!
//! Enters: what a correlator remembers, and where it stands. Leaves: the same for its next owner. A snapshot is written in the
//! transaction that commits the offset it stands at, in pieces that fit into records, each under a key of its own; the first
//! piece tells how many there are, so that pieces of a longer one before it are passed over.

use std::collections::BTreeMap;

use threatlockdown_topics::kafka::{KafkaError, Outgoing, Settings, latest_values};

use super::turn::Turn;

/// Bytes of a piece.
const PIECE: usize = 1 << 20;
const VERSION: u8 = 1;

/// Writes a snapshot of a partition, as part of the transaction.
pub(super) fn write(
    turn: &mut Turn,
    settings: &Settings,
    partition: i32,
    bytes: &[u8],
) -> Result<(), KafkaError> {
    let topic = settings.names.memory();
    let count = u32::try_from(bytes.len().div_ceil(PIECE)).unwrap_or(u32::MAX);
    let mut head = vec![VERSION];
    head.extend_from_slice(&count.to_le_bytes());
    head.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    let mut send = |key: &[u8], payload: &[u8]| {
        let (key, payload) = (Some(key), Some(payload));
        turn.send(Outgoing { topic: &topic, partition: Some(partition), key, payload, ..Outgoing::default() })
    };
    send(b"snapshot", &head)?;
    for (number, piece) in bytes.chunks(PIECE).enumerate() {
        send(key(number).as_bytes(), piece)?;
    }
    Ok(())
}

/// The last snapshots of partitions: all are read together, since a client that has to find the brokers costs more than most.
pub(super) fn read(settings: &Settings, partitions: &[i32]) -> Result<BTreeMap<i32, Vec<u8>>, KafkaError> {
    let tables = latest_values(settings, &settings.names.memory(), partitions)?;
    Ok(tables.into_iter().filter_map(|(partition, values)| Some((partition, join(&values)?))).collect())
}

/// A snapshot of its pieces; nothing where this release cannot read it.
fn join(values: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Vec<u8>> {
    let (&[version], rest) = values.get(&b"snapshot"[..])?.split_first_chunk::<1>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let length = u64::from_le_bytes(*rest.first_chunk::<8>()?);
    if version != VERSION {
        return None;
    }
    let mut bytes = Vec::new();
    for number in 0..u32::from_le_bytes(*count) as usize {
        bytes.extend_from_slice(values.get(key(number).as_bytes())?);
    }
    (bytes.len() as u64 == length).then_some(bytes)
}

fn key(number: usize) -> String {
    format!("snapshot/{number}")
}
