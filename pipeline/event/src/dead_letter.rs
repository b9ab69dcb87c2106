//! What could not be processed, kept whole with its reason.
//!
//! Enters: the bytes, why they were refused and where they came from. Leaves: one JSON line. A record over the size
//! limit is kept as its first [`KEPT_BYTES`] with its length, its SHA-256 and its origin, so that it can be fetched again.
//! A record that is kept whole is kept with all that it was read with, so that it can be put back where it came from and
//! gives the same event. An alert that a sink refused for good is a dead letter too ([`RejectedAlert`]).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::time::Millis;
use crate::{Alert, Context};

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
}

impl Reason {
    /// All reasons, for metrics.
    pub const ALL: [Reason; 6] = [
        Reason::Malformed,
        Reason::Oversize,
        Reason::TooDeep,
        Reason::Truncated,
        Reason::Decompression,
        Reason::Unreadable,
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
    /// What it shares with the records it was read with; `None` where it never was a record.
    pub context: Option<Arc<Context>>,
    /// Its place at the origin: byte offset or index.
    pub place: u64,
}

/// An alert that a sink refused for good.
#[derive(Debug, Clone, Copy)]
pub struct RejectedAlert<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// Name of the sink.
    pub sink: &'a str,
    /// Why, in the words of the target.
    pub detail: &'a str,
    /// When.
    pub at: Millis,
}

impl RejectedAlert<'_> {
    /// The class of its reason.
    pub const REASON: &'static str = "rejected";

    /// One JSON object without a line end, of the form of [`DeadLetter::to_json`]: `sink` and `alert_id` tell what it is.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let text = std::str::from_utf8(&self.alert.json).ok();
        let line = RejectedLine {
            timestamp: self.at.rfc3339(),
            reason: Self::REASON,
            detail: self.detail,
            source: &source_of(&self.alert.json),
            sink: self.sink,
            alert_id: self.alert.id.to_string(),
            level: self.alert.level,
            length: self.alert.json.len() as u64,
            record: text,
            record_base64: text.is_none().then(|| STANDARD.encode(&self.alert.json)),
        };
        // Strings, numbers and options only: serialising them cannot fail.
        serde_json::to_vec(&line).unwrap_or_default()
    }
}

/// The log source that an alert names.
fn source_of(alert: &[u8]) -> String {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Parts {
        event: Event,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Event {
        source: String,
    }
    serde_json::from_slice::<Parts>(alert).unwrap_or_default().event.source
}

#[derive(Serialize)]
struct RejectedLine<'a> {
    timestamp: String,
    reason: &'static str,
    detail: &'a str,
    source: &'a str,
    sink: &'a str,
    alert_id: String,
    level: u8,
    length: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
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
    #[serde(flatten)]
    place: Option<Place<'a>>,
}

/// What is needed to put a record back: the rest of its [`Context`].
#[derive(Serialize)]
struct Place<'a> {
    place: u64,
    origin_id: String,
    location: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    envelope: &'a [(String, String)],
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
            sha256: self.sha256.map(|digest| hex(&digest)),
            record: text,
            record_base64: text.is_none().then(|| STANDARD.encode(&self.record)),
            place: self.context.as_deref().map(|context| Place {
                place: self.place,
                origin_id: hex(&context.origin_id),
                location: &context.location,
                account: context.account.as_deref(),
                envelope: &context.envelope,
            }),
        };
        // Strings, numbers and options only: serialising them cannot fail.
        serde_json::to_vec(&line).unwrap_or_default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
            context: None,
            place: 12,
        };
        let json = String::from_utf8(letter.to_json()).unwrap();
        assert_eq!(
            json,
            r#"{"timestamp":"1970-01-01T00:00:00.000Z","reason":"malformed","detail":"not JSON","source":"aws.cloudtrail","connector":"file","origin":"a.json:12","length":3,"record_base64":"/wBh"}"#
        );
    }

    #[test]
    fn says_what_is_needed_to_put_a_record_back() {
        let context = Context {
            source: "syslog".into(),
            connector: "file".into(),
            location: "/var/log/auth.log".into(),
            account: None,
            envelope: vec![("tag".into(), "a".into())],
            origin: "a.log".into(),
            origin_id: [0xa1; 16],
        };
        let letter = DeadLetter {
            reason: Reason::TooDeep,
            detail: String::new(),
            source: "syslog".into(),
            connector: "file".into(),
            origin: "a.log:5".into(),
            ingested: Millis(0),
            record: b"x".to_vec(),
            length: 1,
            sha256: None,
            context: Some(Arc::new(context)),
            place: 5,
        };
        let json = String::from_utf8(letter.to_json()).unwrap();
        let place = format!(
            r#""place":5,"origin_id":"{}","location":"/var/log/auth.log","envelope":[["tag","a"]]}}"#,
            "a1".repeat(16)
        );
        assert!(json.ends_with(&place), "{json}");
    }

    #[test]
    fn an_alert_that_a_sink_refused_names_the_sink() {
        let json = br#"{"event":{"source":"syslog"}}"#.to_vec();
        let alert = Alert { id: crate::AlertId([1; 16]), level: 7, json };
        let rejected = RejectedAlert { alert: &alert, sink: "siem", detail: "400: no", at: Millis(0) };
        let json = String::from_utf8(rejected.to_json()).unwrap();
        assert!(
            json.contains(r#""reason":"rejected","detail":"400: no","source":"syslog","sink":"siem""#),
            "{json}"
        );
        assert!(json.contains(r#""record":"{\"event\":{\"source\":\"syslog\"}}""#), "{json}");
    }
}
