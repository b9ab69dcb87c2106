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
    let mut snapshots = BTreeMap::new();
    for (partition, values) in tables {
        let Some(head) = values.get(&b"snapshot"[..]) else { continue };
        match join(head, &values) {
            Ok(bytes) => drop(snapshots.insert(partition, bytes)),
            Err(why) => tracing::error!(
                partition,
                "the snapshot on the topic {} {why}: counting begins anew with what {} still holds",
                settings.names.memory(),
                settings.names.correlate(),
            ),
        }
    }
    Ok(snapshots)
}

/// A snapshot of its pieces, or why this release cannot read it.
fn join(head: &[u8], values: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Vec<u8>, String> {
    let parts = || {
        let (&[version], rest) = head.split_first_chunk::<1>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        Some((version, u32::from_le_bytes(*count) as usize, u64::from_le_bytes(*rest.first_chunk::<8>()?)))
    };
    // Whoever wrote it: what it stands for is counted again.
    let Some((VERSION, count, length)) = parts() else {
        return Err("is a later release's, or not this pipeline's".to_owned());
    };
    let mut bytes = Vec::new();
    for number in 0..count {
        let piece = values.get(key(number).as_bytes());
        bytes.extend_from_slice(piece.ok_or_else(|| format!("lacks its piece {number} of {count}"))?);
    }
    if bytes.len() as u64 == length { Ok(bytes) } else { Err("has pieces of another one".to_owned()) }
}

fn key(number: usize) -> String {
    format!("snapshot/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: u8, count: u32, length: u64) -> Vec<u8> {
        [&[version][..], &count.to_le_bytes(), &length.to_le_bytes()].concat()
    }

    #[test]
    fn a_snapshot_is_whole_or_says_why_not() {
        let pieces = [(key(0), &b"ab"[..]), (key(1), b"c")];
        let mut values: BTreeMap<Vec<u8>, Vec<u8>> =
            pieces.iter().map(|(key, piece)| (key.clone().into_bytes(), piece.to_vec())).collect();
        assert_eq!(join(&head(VERSION, 2, 3), &values).unwrap(), b"abc");
        let why = |head: &[u8], values: &_| join(head, values).unwrap_err();
        assert!(why(&head(VERSION, 1, 3), &values).contains("pieces of another one"));
        assert!(why(&head(VERSION, u32::MAX, 3), &values).contains("lacks its piece 2 of 4294967295"));
        let other = head(VERSION + 1, 2, 3);
        for head in [&b""[..], &[0], &[VERSION], &head(0, 2, 3), &other, &head(VERSION, 2, 3)[..12]] {
            assert!(why(head, &values).contains("not this pipeline's"), "{head:?}");
        }
        values.remove(key(0).as_bytes());
        assert!(why(&head(VERSION, 2, 3), &values).contains("lacks its piece 0 of 2"));
    }
}
