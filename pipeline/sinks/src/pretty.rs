//! One alert as a line for people.
//!
//! Enters: an alert's JSON. Leaves: time, level, rule id, description and source in columns. What an alert says comes
//! from logs, which an attacker may have written: control characters are shown as `�` and cannot reach the terminal.

use serde_json::Value;

/// The line, without a line end. What is missing in the alert is shown as `-`.
pub(crate) fn line(json: &[u8]) -> String {
    let alert: Value = serde_json::from_slice(json).unwrap_or_default();
    let time = text(&alert["timestamp"]);
    let level = text(&alert["rule"]["level"]);
    let rule = text(&alert["rule"]["id"]);
    let description = text(&alert["rule"]["description"]);
    let source = text(&alert["event"]["source"]);
    format!("{time}  level {level:>2}  rule {rule:<8}  {description}  [{source}]")
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::from("-"),
        Value::String(text) => {
            text.chars().map(|char| if unsafe_to_show(char) { '\u{fffd}' } else { char }).collect()
        }
        other => other.to_string(),
    }
}

/// Control characters, line separators, and marks that reverse the direction of what follows.
fn unsafe_to_show(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_a_person_looks_for() {
        let alert = br#"{"timestamp":"2024-03-02T08:01:11.123+0000","rule":{"level":7,"id":"80254","description":"Trail stopped"},
            "event":{"source":"aws.cloudtrail"},"data":{}}"#;
        let expected =
            "2024-03-02T08:01:11.123+0000  level  7  rule 80254     Trail stopped  [aws.cloudtrail]";
        assert_eq!(line(alert), expected);
    }

    #[test]
    fn nothing_in_an_alert_breaks_the_line_or_the_terminal() {
        let alert = "{\"rule\":{\"description\":\"a\\u001b[2Jb\\nc\\u202ed\"}}";
        let line = line(alert.as_bytes());
        assert!(line.contains("a\u{fffd}[2Jb\u{fffd}c\u{fffd}d"), "{line}");
        assert!(super::line(b"not json").starts_with("-  level  -  rule -"));
    }
}
