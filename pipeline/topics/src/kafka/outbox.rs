//! Makes the records of a transaction: of units, of what could not become a record, and of checkpoints.
//!
//! Enters: units and the newest checkpoints. Leaves: records in an open transaction, and what they come to. A record that is
//! larger than a message may be becomes a dead letter, whole if that fits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rdkafka::message::{Header, OwnedHeaders};
use sha2::{Digest as _, Sha256};
use threatlockdown_event::dead_letter::KEPT_BYTES;
use threatlockdown_event::{DeadLetter, Reason, Record, Unit};

use super::checkpoints::Keys;
use super::error::{KafkaError, Remedy};
use super::names::Names;
use super::raw_record::HeadMaker;
use super::relay::Progress;
use super::writer::{Outgoing, Writer};

/// See the module.
pub(super) struct Outbox {
    names: Names,
    dead_letters: String,
    checkpoints: String,
    /// Topics of log sources; `None` where none can be named by it.
    topics: HashMap<Arc<str>, Option<String>>,
    head: Option<HeadMaker>,
    /// Of the open transaction.
    pub(super) progress: Progress,
}

impl Outbox {
    pub(super) fn new(names: &Names) -> Self {
        Self {
            dead_letters: names.dead_letters(),
            checkpoints: names.checkpoints(),
            names: names.clone(),
            topics: HashMap::new(),
            head: None,
            progress: Progress::default(),
        }
    }

    pub(super) fn unit(&mut self, writer: &mut Writer, unit: &Unit) -> Result<(), KafkaError> {
        let head = match self.head.take() {
            Some(head) if head.is_for(&unit.context) => head,
            _ => HeadMaker::new(Arc::clone(&unit.context)),
        };
        let sent = self.records(writer, unit, &head);
        self.head = Some(head);
        sent
    }

    fn records(&mut self, writer: &mut Writer, unit: &Unit, head: &HeadMaker) -> Result<(), KafkaError> {
        let source = &unit.context.source;
        let names = &self.names;
        let topic = self.topics.entry(Arc::clone(source)).or_insert_with(|| names.raw(source).ok()).clone();
        let (mut count, mut bytes) = (0_u64, 0_u64);
        for record in &unit.records {
            let payload = unit.bytes(record);
            let Some(topic) = &topic else {
                let detail = format!("no topic can be named by the log source `{source}`");
                self.letter(writer, unit, head, &letter(unit, record, Reason::Unreadable, detail))?;
                continue;
            };
            let outgoing = Outgoing {
                topic,
                partition: None,
                key: unit.context.account.as_ref().map(|account| account.as_bytes()),
                payload: Some(payload),
                headers: Some(head.at(record.origin)),
                timestamp: Some(unit.ingested.0),
            };
            match writer.send(outgoing) {
                Ok(()) => (count, bytes) = (count + 1, bytes + payload.len() as u64),
                Err(error) if error.remedy() == Remedy::SetAside => {
                    let letter = letter(unit, record, Reason::Oversize, error.to_string());
                    self.letter(writer, unit, head, &letter)?;
                }
                Err(error) => return Err(error),
            }
        }
        let counted = self.progress.sources.entry(Arc::clone(source)).or_default();
        *counted = (counted.0 + count, counted.1 + bytes);
        unit.dead_letters.iter().try_for_each(|letter| self.letter(writer, unit, head, letter))
    }

    /// Sends a dead letter, its record whole if that fits.
    fn letter(
        &mut self,
        writer: &mut Writer,
        unit: &Unit,
        head: &HeadMaker,
        letter: &DeadLetter,
    ) -> Result<(), KafkaError> {
        let place =
            letter.origin.rsplit_once(':').and_then(|(_, place)| place.parse().ok()).unwrap_or_default();
        let topic = &self.dead_letters;
        let mut send = |letter: &DeadLetter, is_headed: bool| {
            let version = Header { key: "v", value: Some("1") };
            let headers = if is_headed { head.at(place) } else { OwnedHeaders::new().insert(version) };
            let reason = letter.reason.as_str();
            let headers = headers.insert(Header { key: "reason", value: Some(reason) });
            let json = letter.to_json();
            writer.send(Outgoing {
                topic,
                payload: Some(&json),
                headers: Some(headers),
                timestamp: Some(unit.ingested.0),
                ..Outgoing::default()
            })
        };
        let is_too_large = |error: &KafkaError| error.remedy() == Remedy::SetAside;
        match send(letter, true) {
            // It may be what stands beside the record that is too large.
            Err(error) if is_too_large(&error) => {
                let bare = DeadLetter { context: None, ..letter.clone() };
                match send(&bare, false) {
                    Err(error) if is_too_large(&error) => send(&shortened(&bare), false)?,
                    other => other?,
                }
            }
            other => other?,
        }
        self.progress.dead_letters.push(letter.reason);
        Ok(())
    }

    pub(super) fn checkpoints(
        &mut self,
        writer: &mut Writer,
        keys: &Keys,
        newest: &BTreeMap<&str, &[u8]>,
        mark: &str,
    ) -> Result<(), KafkaError> {
        let topic = &self.checkpoints;
        for (stream, value) in newest {
            let key = keys.stream(stream);
            // An empty checkpoint ends its stream for good.
            let payload = Some(*value).filter(|value| !value.is_empty());
            writer.send(Outgoing { topic, key: Some(key.as_bytes()), payload, ..Outgoing::default() })?;
        }
        let (key, payload) = (Some(keys.mark().as_bytes()), Some(mark.as_bytes()));
        writer.send(Outgoing { topic, key, payload, ..Outgoing::default() })
    }
}

fn letter(unit: &Unit, record: &Record, reason: Reason, detail: String) -> DeadLetter {
    let bytes = unit.bytes(record);
    DeadLetter {
        reason,
        detail,
        source: unit.context.source.to_string(),
        connector: unit.context.connector.to_string(),
        origin: format!("{}:{}", unit.context.origin, record.origin),
        ingested: unit.ingested,
        record: bytes.to_vec(),
        length: bytes.len() as u64,
        sha256: None,
        context: Some(Arc::clone(&unit.context)),
        place: record.origin,
    }
}

/// The head of the record, with what tells the whole one.
fn shortened(letter: &DeadLetter) -> DeadLetter {
    let head = letter.record.get(..KEPT_BYTES).unwrap_or(&letter.record);
    let sha256 = letter.sha256.unwrap_or_else(|| Sha256::digest(&letter.record).into());
    DeadLetter { record: head.to_vec(), sha256: Some(sha256), ..letter.clone() }
}

#[cfg(test)]
mod tests {
    use threatlockdown_event::Millis;

    use super::*;

    #[test]
    fn a_dead_letter_is_cut_to_its_head_and_says_what_it_was() {
        let record = vec![b'x'; KEPT_BYTES + 9];
        let letter = DeadLetter {
            reason: Reason::Oversize,
            detail: "too large".into(),
            source: "syslog".into(),
            connector: "c".into(),
            origin: "/a:12".into(),
            ingested: Millis(0),
            length: record.len() as u64,
            record,
            sha256: None,
            context: None,
            place: 0,
        };
        let short = shortened(&letter);
        assert_eq!((short.record.len(), short.length), (KEPT_BYTES, KEPT_BYTES as u64 + 9));
        assert_eq!(short.sha256, Some(Sha256::digest(&letter.record).into()));
        // What the connector knows of a record that it cut itself stands.
        let cut = DeadLetter { sha256: Some([7; 32]), ..letter };
        assert_eq!(shortened(&cut).sha256, Some([7; 32]));
    }
}
