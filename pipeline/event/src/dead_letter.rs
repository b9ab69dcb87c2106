//! What could not be processed, kept whole with its reason.
//!
//! Enters: the bytes, why they were refused and where they came from. Leaves: one JSON line. A record over the size
//! limit is kept as its first [`KEPT_BYTES`] with its length, its SHA-256 and its origin, so that it can be fetched again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::time::Millis;

/// How much of an oversize record is kept.
pub const KEPT_BYTES: usize = 64 * 1024;

/// Why a record could not be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The text is not what the source's format promises.
    Malformed,
    /// Longer than the largest event that is accepted.
    Oversize,
    /// Nested deeper than is accepted.
    TooDeep,
    /// A compressed object ended early or failed its checksum.
    Truncated,
    /// A compressed object expanded beyond the guard, or its codec is not supported.
    Decompression,
    /// A file or object that could not be read.
    Unreadable,
    /// An alert that a sink's target will never take.
    Refused,
}

impl Reason {
    /// All reasons, for metrics.
    pub const ALL: [Reason; 7] = [
        Reason::Malformed,
        Reason::Oversize,
        Reason::TooDeep,
        Reason::Truncated,
        Reason::Decompression,
        Reason::Unreadable,
        Reason::Refused,
    ];

    /// The word that stands in the dead-letter topic and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::Oversize => "oversize",
            Reason::TooDeep => "too_deep",
            Reason::Truncated => "truncated",
            Reason::Decompression => "decompression",
            Reason::Unreadable => "unreadable",
            Reason::Refused => "refused",
        }
    }
}

/// One record that could not be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why, as a class.
    pub reason: Reason,
    /// Why, in words.
    pub detail: String,
    /// Log source.
    pub source: String,
    /// Connector instance.
    pub connector: String,
    /// Where it came from: path or key, `:`, byte offset or index.
    pub origin: String,
    /// When it was read.
    pub ingested: Millis,
    /// The record, whole, or its first [`KEPT_BYTES`] where it is oversize.
    pub record: Vec<u8>,
    /// Length of the whole record in bytes.
    pub length: u64,
    /// SHA-256 of the whole record, where only a part is kept.
    pub sha256: Option<[u8; 32]>,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    reason: Reason,
    detail: &'a str,
    source: &'a str,
    connector: &'a str,
    origin: &'a str,
    length: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
}

impl DeadLetter {
    /// One JSON object without a line end: `record` holds the text, `record_base64` the bytes where they are not UTF-8.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let text = std::str::from_utf8(&self.record).ok();
        let line = Line {
            timestamp: self.ingested.rfc3339(),
            reason: self.reason,
            detail: &self.detail,
            source: &self.source,
            connector: &self.connector,
            origin: &self.origin,
            length: self.length,
            sha256: self.sha256.map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect()),
            record: text,
            record_base64: text.is_none().then(|| STANDARD.encode(&self.record)),
        };
        // Strings, numbers and options only: serialising them cannot fail.
        serde_json::to_vec(&line).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_bytes_that_are_not_text() {
        let letter = DeadLetter {
            reason: Reason::Malformed,
            detail: "not JSON".into(),
            source: "aws.cloudtrail".into(),
            connector: "file".into(),
            origin: "a.json:12".into(),
            ingested: Millis(0),
            record: vec![0xff, 0x00, b'a'],
            length: 3,
            sha256: None,
        };
        let json = String::from_utf8(letter.to_json()).unwrap();
        assert_eq!(
            json,
            r#"{"timestamp":"1970-01-01T00:00:00.000Z","reason":"malformed","detail":"not JSON","source":"aws.cloudtrail","connector":"file","origin":"a.json:12","length":3,"record_base64":"/wBh"}"#
        );
    }
}
