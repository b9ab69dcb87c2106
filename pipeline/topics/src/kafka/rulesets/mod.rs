//! Rule sets for running workers, on the compacted topic `rulesets`.
//!
//! | key | value |
//! |---|---|
//! | `active` | the [`Catalogue`] as JSON: the set in force, those before it that are kept, and the pieces of each |
//! | `<version>/<number>` | a piece of a set; tombstones where the set is not kept any more |
//!
//! Enters: a set as bytes, which are no affair of this module. Leaves: the same bytes, whole and as they were written, or
//! the word why not. A set is larger than a message may be, so it is written in pieces; the catalogue tells the hash of each,
//! and comes last in the same transaction. All stands in the first partition, so that there is one order.

mod catalogue;
mod follow;
mod publish;

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::Offset;
use rdkafka::message::Message as _;
use sha2::{Digest as _, Sha256};

pub use self::catalogue::{Catalogue, CatalogueError, Manifest, Piece};
pub use self::follow::RulesetReader;
pub use self::publish::{NewSet, PublishError, Published, Publisher};
use super::ends::read;
use super::error::KafkaError;
use super::settings::Settings;

/// The key of the catalogue.
const ACTIVE: &[u8] = b"active";
/// The partition of all records.
const PARTITION: i32 = 0;
/// Bytes of a piece: less than brokers take that nobody told how large messages may be.
const PIECE: usize = 512 << 10;
/// Bytes of a set: it is written within the ten seconds of a transaction.
const MAX_BYTES: u64 = 64 << 20;
/// Sets that are kept, the one in force among them.
const KEPT: usize = 5;

/// Why a set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The brokers do not answer, or refuse.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// What stands on the topic is not what was published.
    #[error("the published set {version} is damaged: {why}; publish it again")]
    Damaged {
        /// Its version.
        version: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What stands under `active` now, with read-committed eyes.
///
/// # Errors
/// When the brokers do not answer, or refuse.
pub fn read_catalogue(settings: &Settings) -> Result<Option<Vec<u8>>, KafkaError> {
    let mut found = None;
    read(settings, &settings.names.rulesets(), &[(PARTITION, Offset::Beginning)], |message| {
        if message.key() == Some(ACTIVE) {
            found = message.payload().map(<[u8]>::to_vec);
        }
        true
    })?;
    Ok(found)
}

/// The bytes of a set, each piece as its manifest tells it.
///
/// # Errors
/// When the brokers do not answer, or a piece is missing or another one.
pub fn fetch(settings: &Settings, manifest: &Manifest) -> Result<Vec<u8>, FetchError> {
    let mut pieces: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let keys = (0..manifest.pieces.len()).map(|number| key(&manifest.version, number).into_bytes());
    let wanted: BTreeSet<Vec<u8>> = keys.collect();
    read(settings, &settings.names.rulesets(), &[(PARTITION, Offset::Beginning)], |message| {
        if let Some(key) = message.key().filter(|key| wanted.contains(*key)) {
            match message.payload() {
                Some(piece) => pieces.insert(key.to_vec(), piece.to_vec()),
                None => pieces.remove(key),
            };
        }
        true
    })?;
    join(manifest, &pieces)
}

/// The key of a piece.
fn key(version: &str, number: usize) -> String {
    format!("{version}/{number}")
}

/// A set in pieces, with what the manifest tells of them.
fn cut(bytes: &[u8]) -> Vec<(&[u8], Piece)> {
    let piece = |chunk: &'_ [u8]| Piece { bytes: chunk.len() as u64, sha256: sha256(chunk) };
    bytes.chunks(PIECE).map(|chunk| (chunk, piece(chunk))).collect()
}

/// A set of its pieces.
fn join(manifest: &Manifest, pieces: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Vec<u8>, FetchError> {
    let damaged = |number: usize, why: &str| FetchError::Damaged {
        version: manifest.version.clone(),
        why: format!("piece {} of {} {why}", number + 1, manifest.pieces.len()),
    };
    let mut bytes = Vec::new();
    for (number, told) in manifest.pieces.iter().enumerate() {
        let Some(piece) = pieces.get(key(&manifest.version, number).as_bytes()) else {
            return Err(damaged(number, "is missing"));
        };
        if piece.len() as u64 != told.bytes {
            return Err(damaged(number, &format!("has {} bytes, not {}", piece.len(), told.bytes)));
        }
        if sha256(piece) != told.sha256 {
            return Err(damaged(number, "is another one than its SHA-256 tells"));
        }
        bytes.extend_from_slice(piece);
    }
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pieces = BTreeMap<Vec<u8>, Vec<u8>>;

    fn set(bytes: &[u8]) -> (Manifest, Pieces) {
        let mut manifest = Manifest { version: "a1".to_owned(), ..Manifest::default() };
        let mut pieces = BTreeMap::new();
        for (number, (chunk, piece)) in cut(bytes).into_iter().enumerate() {
            manifest.pieces.push(piece);
            pieces.insert(key("a1", number).into_bytes(), chunk.to_vec());
        }
        (manifest, pieces)
    }

    #[test]
    fn a_set_is_put_together_as_it_was_cut() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let (manifest, mut pieces) = set(&bytes);
            assert_eq!(manifest.pieces.len(), length.div_ceil(PIECE));
            // Another set's pieces lie beside them.
            pieces.insert(b"a1b/0".to_vec(), b"x".to_vec());
            assert_eq!(join(&manifest, &pieces).unwrap(), bytes, "{length}");
        }
    }

    #[test]
    fn every_damage_is_told_with_its_piece() {
        let (manifest, pieces) = set(&vec![7; 2 * PIECE + 9]);
        let told = |change: &dyn Fn(&mut Pieces)| {
            let mut pieces = pieces.clone();
            change(&mut pieces);
            join(&manifest, &pieces).unwrap_err().to_string()
        };
        let cut = told(&|pieces| pieces.get_mut(&b"a1/2"[..]).unwrap().truncate(8));
        assert!(
            cut.contains("set a1 is damaged: piece 3 of 3 has 8 bytes, not 9; publish it again"),
            "{cut}"
        );
        let missing = told(&|pieces| drop(pieces.remove(&b"a1/1"[..])));
        assert!(missing.contains("piece 2 of 3 is missing"), "{missing}");
        let changed = told(&|pieces| pieces.get_mut(&b"a1/0"[..]).unwrap()[5] ^= 1);
        assert!(changed.contains("piece 1 of 3 is another one"), "{changed}");
    }
}
