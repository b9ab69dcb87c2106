//! One alert as a document: its index, its identity, and its form for an index that does not take it as it is.
//!
//! Enters: an alert. Leaves: the two lines of a bulk request. The index is the day of the alert's own time, so that an event
//! that is read again, whenever that is, meets the alert that it gave before.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use threatlockdown_event::Alert;

/// Members that are never moved: without them an alert is none.
const KEPT: [&str; 2] = ["timestamp", "id"];
/// Where the event's own members stand, which no mapping can foresee.
const FREE: &str = "data";
/// Of OpenSearch's reason, in a document.
const REASON: usize = 2_000;

/// An alert on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) alert: Alert,
    /// `YYYY.MM.DD`
    day: String,
    /// The text that is sent in place of the alert's own, with the reason why.
    fallback: Option<(Vec<u8>, String)>,
}

impl Document {
    /// Of an alert; the reason where it can be none.
    pub(super) fn new(alert: &Alert) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            timestamp: Cow<'a, str>,
        }
        let head: Head<'_> =
            serde_json::from_slice(&alert.json).map_err(|error| format!("not an alert: {error}"))?;
        let day = day(&head.timestamp).ok_or_else(|| format!("no day of an index: {:?}", head.timestamp))?;
        if alert.json.contains(&b'\n') {
            return Err(String::from("the alert has more than one line"));
        }
        Ok(Self { alert: alert.clone(), day, fallback: None })
    }

    /// What is sent.
    pub(super) fn text(&self) -> &[u8] {
        self.fallback.as_ref().map_or(&self.alert.json, |(text, _)| text)
    }

    pub(super) fn is_fallback(&self) -> bool {
        self.fallback.is_some()
    }

    /// Appends the lines that create it in an index whose name begins so.
    pub(super) fn write(&self, prefix: &str, out: &mut Vec<u8>) {
        let action = format!(
            "{{\"create\":{{\"_index\":\"{prefix}-{}\",\"_id\":\"{}\"}}}}\n",
            self.day, self.alert.id
        );
        out.extend_from_slice(action.as_bytes());
        out.extend_from_slice(self.text());
        out.push(b'\n');
    }

    /// The document after it was refused: in the form that takes anything, or, where that was refused too, the whole reason.
    pub(super) fn after_refusal(self, reason: String) -> Result<Self, (Alert, String)> {
        if let Some((_, first)) = self.fallback {
            return Err((self.alert, format!("{first}; with its parts as text: {reason}")));
        }
        match fallback(&self.alert.json, &reason) {
            Some(text) => Ok(Self { fallback: Some((text, reason)), ..self }),
            None => Err((self.alert, reason)),
        }
    }
}

/// `2024-03-02T…` → `2024.03.02`
fn day(timestamp: &str) -> Option<String> {
    let bytes = timestamp.get(..10)?.as_bytes();
    let is_date = bytes.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_date.then(|| timestamp[..10].replace('-', "."))
}

/// The alert with the event's own members, and those that the reason names, as texts under `unmapped`. `None` where there
/// is nothing to move.
fn fallback(json: &[u8], reason: &str) -> Option<Vec<u8>> {
    let Members(members) = serde_json::from_slice(json).ok()?;
    let is_moved = |name: &str| !KEPT.contains(&name) && (name == FREE || names(reason, name));
    if !members.iter().any(|(name, _)| is_moved(name)) {
        return None;
    }
    let mut out = Vec::with_capacity(json.len() * 5 / 4);
    let mut unmapped = Vec::new();
    for (name, value) in &members {
        let (out, text) = if is_moved(name) {
            (&mut unmapped, serde_json::to_string(value.get()).ok()?)
        } else {
            (&mut out, value.get().to_owned())
        };
        out.push(b',');
        out.extend_from_slice(serde_json::to_string(name).ok()?.as_bytes());
        out.push(b':');
        out.extend_from_slice(text.as_bytes());
    }
    let shown: String = reason.chars().take(REASON).collect();
    out.extend_from_slice(b",\"unmapped\":{\"reason\":");
    out.extend_from_slice(serde_json::to_string(&shown).ok()?.as_bytes());
    out.extend_from_slice(&unmapped);
    out.extend_from_slice(b"}}");
    if let Some(first) = out.first_mut() {
        *first = b'{';
    }
    Some(out)
}

/// Whether the reason speaks of this member: `[rule.level]`, `[rule]`, `field="rule.groups"`.
fn names(reason: &str, member: &str) -> bool {
    reason.match_indices(member).any(|(at, _)| {
        let before = reason[..at].ends_with(['[', '"']);
        before && reason[at + member.len()..].starts_with(['.', ']', '"'])
    })
}

/// The members of an object in their order, their values as they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(member.0), member.1));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use threatlockdown_event::AlertId;

    use super::*;

    fn alert(json: &str) -> Alert {
        Alert { id: AlertId([1; 16]), level: 3, json: json.as_bytes().to_vec() }
    }

    #[test]
    fn the_index_is_the_day_of_the_event() {
        let document =
            Document::new(&alert(r#"{"timestamp":"2024-03-02T23:59:59.999+0000","id":"x"}"#)).unwrap();
        let mut out = Vec::new();
        document.write("p", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"create\":{\"_index\":\"p-2024.03.02\",\"_id\":\"01010101010101010101010101010101\"}}\n\
             {\"timestamp\":\"2024-03-02T23:59:59.999+0000\",\"id\":\"x\"}\n"
        );
    }

    #[test]
    fn what_is_no_alert_is_told() {
        for (json, reason) in [
            ("{}", "not an alert: missing field"),
            ("[1", "not an alert"),
            (r#"{"timestamp":5}"#, "not an alert"),
            (r#"{"timestamp":"today"}"#, "no day of an index"),
            (r#"{"timestamp":"20240-3-02T"}"#, "no day of an index"),
            ("{\"timestamp\":\"2024-03-02T\",\n\"a\":1}", "more than one line"),
        ] {
            let error = Document::new(&alert(json)).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn a_refused_alert_is_sent_with_its_parts_as_text_and_then_given_up() {
        let text = r#"{"timestamp":"2024-03-02T08:00:00.000+0000","rule":{"level":"x"},"data":{"a":"\u0041\n"},"id":"i"}"#;
        let document = Document::new(&alert(text)).unwrap();
        let again =
            document.after_refusal(String::from("failed to parse field [rule.level] of type")).unwrap();
        let sent: Value = serde_json::from_slice(again.text()).unwrap();
        let expected = json!({
            "timestamp": "2024-03-02T08:00:00.000+0000",
            "id": "i",
            "unmapped": {
                "reason": "failed to parse field [rule.level] of type",
                "rule": r#"{"level":"x"}"#,
                "data": r#"{"a":"\u0041\n"}"#,
            },
        });
        assert_eq!(sent, expected);
        let (alert, reason) = again.after_refusal(String::from("no")).unwrap_err();
        assert_eq!(
            (alert.json, reason.ends_with("; with its parts as text: no")),
            (text.as_bytes().to_vec(), true)
        );
    }

    #[test]
    fn without_anything_to_move_there_is_no_second_form() {
        let text = r#"{"timestamp":"2024-03-02T08:00:00.000+0000","rule":{"level":3}}"#;
        let refused = |reason: &str| Document::new(&alert(text)).unwrap().after_refusal(reason.to_owned());
        assert!(refused("failed to parse field [timestamp] of type [date]").is_err());
        assert!(refused("a rule that is not named so").is_err());
        assert!(refused("object mapping for [rule] tried to parse").is_ok());
    }
}
