//! Records of the topics `alerts` and `deadletter`: what analysis writes and sinks read.
//!
//! Enters: an alert, or the JSON line of a dead letter. Leaves: records to be written, and the same from them.
//!
//! | topic | key | headers | payload |
//! |---|---|---|---|
//! | `alerts` | the alert's id as hex text | `v` = `1`, `level`: decimal; `sink`, where only that one is to get it | the alert, a JSON object |
//! | `deadletter` | none | `v` = `1`, `reason`: its class | the dead letter, a JSON object |
//! | `deadletter` | none | `v` = `1`, `redriven`: partition `:` offset of a dead letter that was sent back | when, and to which topic |
//!
//! The key makes records of one alert neighbours, whoever wrote them. A record with another `v` is of a release that is not
//! known here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use threatlockdown_event::dead_letter::KEPT_BYTES;
use threatlockdown_event::{Alert, AlertId};

use super::received::Received;
use super::writer::Outgoing;

const VERSION: &[u8] = b"1";

const REDRIVEN: &str = "redriven";

/// Digits of an alert's id.
const DIGITS: usize = 32;

/// The key of an alert's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertKey([u8; DIGITS]);

impl AlertKey {
    /// Of an alert.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; DIGITS];
        for (pair, byte) in text.chunks_exact_mut(2).zip(alert.id.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self(text)
    }
}

/// The record of an alert; its key is [`AlertKey::of`] it.
#[must_use]
pub fn alert_record<'o>(topic: &'o str, key: &'o AlertKey, alert: &'o Alert) -> Outgoing<'o> {
    let level = alert.level.to_string();
    let headers = headers("level", level.as_bytes());
    let (key, payload, headers) = (Some(&key.0[..]), Some(&alert.json[..]), Some(headers));
    Outgoing { topic, key, payload, headers, ..Outgoing::default() }
}

/// The record of an alert that only one sink is to get.
#[must_use]
pub fn alert_record_for<'o>(topic: &'o str, key: &'o AlertKey, alert: &'o Alert, sink: &str) -> Outgoing<'o> {
    let mut record = alert_record(topic, key, alert);
    let to = Header { key: "sink", value: Some(sink.as_bytes()) };
    record.headers = record.headers.map(|headers| headers.insert(to));
    record
}

/// The record of a dead letter: its JSON line and the class of its reason.
#[must_use]
pub fn dead_letter_record<'o>(topic: &'o str, reason: &str, json: &'o [u8]) -> Outgoing<'o> {
    let headers = Some(headers("reason", reason.as_bytes()));
    Outgoing { topic, payload: Some(json), headers, ..Outgoing::default() }
}

/// The JSON line of a dead letter that is too large for a message: with the head of its record, and what tells the whole one.
/// `None` where the line is something else.
#[must_use]
pub fn dead_letter_head(json: &[u8]) -> Option<Vec<u8>> {
    let mut line: Map<String, Value> = serde_json::from_slice(json).ok()?;
    // Nothing of it can be sent back, and facts beside it may be as large.
    ["envelope", "place", "origin_id"].iter().for_each(|name| drop(line.remove(*name)));
    let (head, whole) = match (line.remove("record"), line.remove("record_base64")) {
        (Some(Value::String(text)), _) => {
            let end = (0..=KEPT_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
            let head = text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned();
            (("record", head), Sha256::digest(text.as_bytes()))
        }
        (None, Some(Value::String(text))) => {
            // Four digits stand for three bytes.
            let digits = KEPT_BYTES / 3 * 4;
            let whole = STANDARD.decode(&text).ok()?;
            (("record_base64", text.get(..digits).unwrap_or(&text).to_owned()), Sha256::digest(whole))
        }
        _ => return None,
    };
    line.insert(head.0.to_owned(), Value::String(head.1));
    let digest = || Value::String(whole.iter().map(|byte| format!("{byte:02x}")).collect());
    line.entry("sha256").or_insert_with(digest);
    serde_json::to_vec(&line).ok()
}

/// The note beside dead letters that one of them was sent back: its partition and offset in the header, for whom in the JSON.
#[must_use]
pub fn redriven_marker<'o>(topic: &'o str, place: &str, json: &'o [u8]) -> Outgoing<'o> {
    let headers = Some(headers(REDRIVEN, place.as_bytes()));
    Outgoing { topic, payload: Some(json), headers, ..Outgoing::default() }
}

/// Which dead letter a note of [`redriven_marker`] speaks of.
#[must_use]
pub fn is_redriven_marker<'r>(record: &'r Received<'_>) -> Option<&'r str> {
    std::str::from_utf8(record.header(REDRIVEN)?).ok()
}

/// An alert's id from its hex text.
#[must_use]
pub fn parse_alert_id(text: &str) -> Option<AlertId> {
    id(text.as_bytes())
}

/// Reads what [`alert_record`] made; `None` where the record is something else.
#[must_use]
pub fn decode_alert(record: &Received<'_>) -> Option<Alert> {
    alert(record.header("v"), record.header("level"), record.key(), record.payload())
}

/// Reads what [`dead_letter_record`] made: the class of the reason and the JSON line. `None` where it is something else.
#[must_use]
pub fn decode_dead_letter<'r>(record: &'r Received<'_>) -> Option<(&'r str, &'r [u8])> {
    let is_ours = record.header("v") == Some(VERSION) && !record.payload().is_empty();
    let reason = std::str::from_utf8(record.header("reason")?).ok()?;
    is_ours.then(|| (reason, record.payload()))
}

fn headers(key: &str, value: &[u8]) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(2);
    headers.insert(Header { key: "v", value: Some(VERSION) }).insert(Header { key, value: Some(value) })
}

fn alert(version: Option<&[u8]>, level: Option<&[u8]>, key: Option<&[u8]>, json: &[u8]) -> Option<Alert> {
    let level = std::str::from_utf8(level?).ok()?.parse().ok()?;
    let id = id(key?)?;
    (version? == VERSION && !json.is_empty()).then(|| Alert { id, level, json: json.to_vec() })
}

fn id(key: &[u8]) -> Option<AlertId> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut id = [0; DIGITS / 2];
    if key.len() != DIGITS {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(key.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(AlertId(id))
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;
    use threatlockdown_event::{Context, DeadLetter, Millis, Reason};

    use super::*;

    fn read(record: &Outgoing<'_>) -> Option<Alert> {
        let headers = record.headers.as_ref()?;
        let find = |name| headers.iter().find(|header| header.key == name)?.value;
        alert(find("v"), find("level"), record.key, record.payload?)
    }

    #[test]
    fn what_is_written_is_read() {
        for level in [0, 7, 16] {
            let id = AlertId([0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
            let alert = Alert { id, level, json: b"{}".to_vec() };
            let key = AlertKey::of(&alert);
            assert_eq!(key.0, alert.id.to_string().as_bytes());
            assert_eq!(read(&alert_record("t", &key, &alert)), Some(alert.clone()));
            let record = alert_record_for("t", &key, &alert, "siem");
            assert_eq!(read(&record), Some(alert.clone()));
            let headers = record.headers.unwrap();
            let to = headers.iter().find(|header| header.key == "sink").unwrap().value;
            assert_eq!(to, Some(&b"siem"[..]));
        }
    }

    #[test]
    fn of_a_dead_letter_that_is_too_large_the_head_stays() {
        let text = format!("{}äx", "\u{1}".repeat(KEPT_BYTES - 1));
        let bytes = [vec![0xff; KEPT_BYTES], vec![0; 9]].concat();
        for record in [text.as_bytes(), &bytes, b"short"] {
            let letter = DeadLetter {
                reason: Reason::Malformed,
                detail: "d".into(),
                source: "s".into(),
                connector: "c".into(),
                origin: "o:1".into(),
                ingested: Millis(0),
                record: record.to_vec(),
                length: record.len() as u64,
                sha256: None,
                context: Some(context().into()),
                place: 1,
            };
            let head: Map<String, Value> =
                serde_json::from_slice(&dead_letter_head(&letter.to_json()).unwrap()).unwrap();
            let kept = match head.get("record") {
                Some(text) => text.as_str().unwrap().as_bytes().to_vec(),
                None => STANDARD.decode(head["record_base64"].as_str().unwrap()).unwrap(),
            };
            assert!(record.starts_with(&kept) && kept.len() + 3 > record.len().min(KEPT_BYTES));
            let digest: String = Sha256::digest(record).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((&head["sha256"], &head["length"]), (&digest.into(), &record.len().into()));
            assert_eq!((&head["reason"], head.get("envelope")), (&"malformed".into(), None));
        }
        assert_eq!(dead_letter_head(b"{}"), None);
    }

    fn context() -> Context {
        Context {
            source: "s".into(),
            connector: "c".into(),
            location: "l".into(),
            account: None,
            envelope: vec![("tag".into(), "x".repeat(9))],
            origin: "o".into(),
            origin_id: [0; 16],
        }
    }

    #[test]
    fn what_is_not_an_alert_is_not_read_as_one() {
        let (v, level, key) = (Some(VERSION), Some(&b"7"[..]), [b'a'; 32]);
        assert!(alert(v, level, Some(&key), b"{}").is_some());
        assert_eq!(alert(Some(b"2"), level, Some(&key), b"{}"), None);
        assert_eq!(alert(None, level, Some(&key), b"{}"), None);
        assert_eq!(alert(v, Some(b"x"), Some(&key), b"{}"), None);
        assert_eq!(alert(v, level, Some(&key[1..]), b"{}"), None);
        assert_eq!(alert(v, level, Some(&[b'g'; 32]), b"{}"), None);
        assert_eq!(alert(v, level, None, b"{}"), None);
        assert_eq!(alert(v, level, Some(&key), b""), None);
    }
}
