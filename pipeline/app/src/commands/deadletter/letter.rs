//! A dead letter as it lies in its topic, and where it can be sent back to.
//!
//! Enters: its JSON. Leaves: what a list shows of it, and a [`Return`], or why there is none.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use threatlockdown_event::{Alert, Context};
use threatlockdown_topics::kafka::parse_alert_id;

/// The JSON of a dead letter, as far as it is needed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Letter {
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) source: String,
    pub(super) origin: String,
    /// The sink that refused it; an alert then.
    pub(super) sink: Option<String>,
    connector: String,
    length: u64,
    sha256: Option<String>,
    record: Option<String>,
    record_base64: Option<String>,
    place: Option<u64>,
    origin_id: Option<String>,
    location: String,
    account: Option<String>,
    envelope: Vec<(String, String)>,
    alert_id: String,
    level: u8,
}

/// Where it goes, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Return {
    /// A record, to the topic it came from.
    Record { context: Context, place: u64, bytes: Vec<u8> },
    /// An alert, to the sink that refused it.
    Alert { alert: Alert, sink: String },
}

impl Letter {
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json)
            .map_err(|error| format!("it is not a dead letter of this release: {error}"))
    }

    /// Without its bytes.
    pub(super) fn without_record(self) -> Self {
        Self { record: None, record_base64: None, ..self }
    }

    /// What is sent back.
    pub(super) fn to_return(&self) -> Result<Return, String> {
        if self.sha256.is_some() {
            let whole = format!("it holds only the head of a record of {} bytes", self.length);
            return Err(format!("{whole}; fetch the whole one again from {}", self.origin));
        }
        let bytes = self.bytes()?;
        if bytes.is_empty() {
            return Err(format!("it never was a record: {} could not be read", self.origin));
        }
        match &self.sink {
            Some(sink) => {
                let id = parse_alert_id(&self.alert_id).ok_or("the id of its alert cannot be read")?;
                let alert = Alert { id, level: self.level, json: bytes };
                Ok(Return::Alert { alert, sink: sink.clone() })
            }
            None => self.record(bytes),
        }
    }

    fn record(&self, bytes: Vec<u8>) -> Result<Return, String> {
        let (Some(place), Some(origin_id)) = (self.place, &self.origin_id) else {
            return Err("it is no record of a log source, or an earlier release wrote it, without what is needed to send it back".to_owned());
        };
        let origin_id = parse_alert_id(origin_id).ok_or("its origin_id cannot be read")?.0;
        let suffix = format!(":{place}");
        let origin = self.origin.strip_suffix(&suffix).unwrap_or(&self.origin);
        let context = Context {
            source: self.source.as_str().into(),
            connector: self.connector.as_str().into(),
            location: self.location.as_str().into(),
            account: self.account.as_deref().map(Arc::from),
            envelope: self.envelope.clone(),
            origin: origin.into(),
            origin_id,
        };
        Ok(Return::Record { context, place, bytes })
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.record, &self.record_base64) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(text)) => {
                STANDARD.decode(text).map_err(|error| format!("its record cannot be read: {error}"))
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// The whole of it for a person: what is in it, and where it lies.
pub(super) fn whole(json: &[u8], more: &[(&str, Value)]) -> String {
    let mut letter: Value = serde_json::from_slice(json).unwrap_or_default();
    if let Value::Object(fields) = &mut letter {
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    serde_json::to_string_pretty(&letter).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use threatlockdown_event::{AlertId, DeadLetter, Millis, Reason, RejectedAlert};

    use super::*;

    fn letter() -> DeadLetter {
        let context = Context {
            source: "syslog".into(),
            connector: "in".into(),
            location: "/var/log/a".into(),
            account: Some("x".into()),
            envelope: vec![("tag".into(), "1".into()), ("tag".into(), "2".into())],
            origin: "a:b.log".into(),
            origin_id: [0xab; 16],
        };
        DeadLetter {
            reason: Reason::Malformed,
            detail: "d".into(),
            source: "syslog".into(),
            connector: "in".into(),
            origin: "a:b.log:7".into(),
            ingested: Millis(0),
            record: vec![0xff, b'\n', 0],
            length: 3,
            sha256: None,
            context: Some(Arc::new(context)),
            place: 7,
        }
    }

    #[test]
    fn a_record_goes_back_as_it_was_read() {
        for record in [vec![0xff, b'\n', 0], b"text".to_vec()] {
            let letter = DeadLetter { record: record.clone(), ..letter() };
            let back = Letter::parse(&letter.to_json()).unwrap().to_return().unwrap();
            let context = (*letter.context.unwrap()).clone();
            assert_eq!(back, Return::Record { context, place: 7, bytes: record });
        }
    }

    #[test]
    fn an_alert_goes_back_to_its_sink() {
        let alert = Alert { id: AlertId([0x1f; 16]), level: 9, json: b"{\"id\":1}".to_vec() };
        let rejected = RejectedAlert { alert: &alert, sink: "siem", detail: "400", at: Millis(0) };
        let back = Letter::parse(&rejected.to_json()).unwrap().to_return().unwrap();
        assert_eq!(back, Return::Alert { alert, sink: "siem".to_owned() });
    }

    #[test]
    fn what_cannot_go_back_says_why() {
        let why = |letter: DeadLetter| Letter::parse(&letter.to_json()).unwrap().to_return().unwrap_err();
        let head = why(DeadLetter { sha256: Some([1; 32]), length: 5 << 20, ..letter() });
        assert!(
            head.contains("only the head of a record of 5242880 bytes") && head.contains("a:b.log:7"),
            "{head}"
        );
        assert!(why(DeadLetter { record: Vec::new(), ..letter() }).contains("never was a record"));
        assert!(why(DeadLetter { context: None, ..letter() }).contains("earlier release"));
        assert!(Letter::parse(b"x").is_err());
    }
}
