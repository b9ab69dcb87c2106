//! Event and alert ids: pure functions of what was read, so that reading it again gives the same ids.
//!
//! Event id = hash of source, account and the provider's own key for the event (CloudTrail's `eventID`, Log Analytics'
//! `_ItemId`); where there is no such key, of the origin: its identity, the place in it, and the bytes. Equal lines at
//! different places are two events. Alert id = hash of event id and rule id.

use std::fmt;

/// 16-byte identity of an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

/// 16-byte identity of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertId(pub [u8; 16]);

impl EventId {
    /// From the provider's own key for the event.
    #[must_use]
    pub fn from_key(source: &str, account: &str, key: &[u8]) -> Self {
        Self(hash(&[b"key", source.as_bytes(), account.as_bytes(), key]))
    }

    /// From the place of the record in its origin.
    #[must_use]
    pub fn from_origin(source: &str, origin_id: &[u8; 16], place: u64, record: &[u8]) -> Self {
        Self(hash(&[b"origin", source.as_bytes(), origin_id, &place.to_be_bytes(), record]))
    }
}

impl AlertId {
    /// The alert that `rule` gives for `event`.
    #[must_use]
    pub fn new(event: &EventId, rule: &str) -> Self {
        Self(hash(&[b"alert", &event.0, rule.as_bytes()]))
    }
}

/// First 16 bytes of BLAKE3 over the parts, each preceded by its length so that parts cannot run into each other.
#[must_use]
pub fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let hash = hash_short(parts).unwrap_or_else(|| {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    });
    let mut id = [0; 16];
    id.copy_from_slice(&hash.as_bytes()[..16]);
    id
}

/// The same where all parts are short: in one go, without the state that longer ones need, which is larger than they are.
fn hash_short(parts: &[&[u8]]) -> Option<blake3::Hash> {
    let mut text = [0; SHORT];
    let mut end = 0;
    for part in parts {
        let length = (part.len() as u64).to_be_bytes();
        for piece in [&length, *part] {
            text.get_mut(end..end + piece.len())?.copy_from_slice(piece);
            end += piece.len();
        }
    }
    Some(blake3::hash(&text[..end]))
}

/// Bytes of parts that are short, with their lengths.
const SHORT: usize = 256;

/// One write: alerts carry two ids each, and formatting byte by byte was a tenth of the cost of an alert.
fn write_hex(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    f.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

macro_rules! hex_format {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
    };
}
hex_format!(EventId);
hex_format!(AlertId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(EventId::from_key("a", "bc", b"d"), EventId::from_key("ab", "c", b"d"));
    }

    #[test]
    fn equal_lines_at_different_places_are_two_events() {
        let origin = [7; 16];
        assert_ne!(
            EventId::from_origin("syslog", &origin, 0, b"line"),
            EventId::from_origin("syslog", &origin, 5, b"line")
        );
    }

    #[test]
    fn short_and_long_parts_are_hashed_alike() {
        let text = [b'x'; 2 * SHORT];
        for length in [0, 1, SHORT - 17, SHORT - 16, SHORT - 15, SHORT, 2 * SHORT] {
            let parts: [&[u8]; 2] = [&text[..length], b""];
            let all = [&(length as u64).to_be_bytes(), parts[0], &[0; 8]].concat();
            assert_eq!(hash(&parts), blake3::hash(&all).as_bytes()[..16], "{length}");
            assert_eq!(hash_short(&parts).is_some(), length <= SHORT - 16, "{length}");
        }
    }

    #[test]
    fn ids_are_pinned_because_stored_alerts_carry_them() {
        let event =
            EventId::from_key("aws.cloudtrail", "111122223333", b"11111111-2222-3333-4444-555555555555");
        assert_eq!(event.to_string(), EVENT);
        assert_eq!(AlertId::new(&event, "80254").to_string(), ALERT);
    }

    const EVENT: &str = "5023b31930b7292dfa29d8a0a990aab4";
    const ALERT: &str = "191873c0a550427a5309cf2e2bbb6121";
}
