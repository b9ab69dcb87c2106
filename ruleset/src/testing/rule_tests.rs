//! The tests that stand beside a rule file: `x.tests.yaml` beside `x.xml`.
//!
//! Enters: the YAML text, a list of `{rule, fires: […], misses: […]}`. Leaves: tests, or every fault with its place. An
//! item of `fires` or `misses` is one test: an event, or several in order of which the last decides.
//!
//! ```yaml
//! - rule: "100201"
//!   fires:
//!     - source: syslog
//!       events: ["login failed", "login failed"]
//!       times: [0, 30]
//!   misses:
//!     - source: syslog
//!       event: "login done"
//!       gives: "100200"
//! ```

use std::sync::Arc;

use threatlockdown_event::Millis;

use super::{Check, Expected, ExtraEntries, FROZEN, Step, Test};
use crate::diagnostic::Diagnostic;
use crate::yaml::{self, Faults, Node, Value};

/// Times below count from [`FROZEN`], others from 1970.
const FIRST_ABSOLUTE_SECOND: i64 = 1_000_000_000;
/// Deeper nesting than a test has.
const MAX_DEPTH: usize = 16;

/// Reads the tests of a rule file.
///
/// # Errors
/// Every fault.
pub fn read_rule_tests(file: &str, text: &[u8]) -> Result<Vec<Test>, Vec<Diagnostic>> {
    let file: Arc<str> = file.into();
    let mut reader = Reader { file: Arc::clone(&file), tests: Vec::new(), faults: Faults::default() };
    if let Some(text) = reader.faults.utf8(&file, text) {
        match yaml::parse(&file, text, MAX_DEPTH) {
            Err(fault) => reader.faults.0.push(fault),
            Ok(None) => {}
            Ok(Some(Node { value: Value::Sequence(entries), .. })) => {
                entries.iter().for_each(|entry| reader.entry(entry));
            }
            Ok(Some(other)) => reader.faults.expected(&other, "the file", "a list of `- rule: …`"),
        }
    }
    if reader.faults.0.is_empty() { Ok(reader.tests) } else { Err(reader.faults.0) }
}

struct Reader {
    file: Arc<str>,
    tests: Vec<Test>,
    faults: Faults,
}

/// Whether the rule must be the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Fires,
    Misses,
}

fn is_number(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// Mostly a UUID; test ids separate it by a blank.
fn is_sigma_id(id: &str) -> bool {
    !id.is_empty() && !id.contains(char::is_whitespace)
}

impl Reader {
    fn entry(&mut self, node: &Node) {
        let Some([rule, fires, misses]) =
            self.faults.members(node, ["rule", "fires", "misses"], "a rule's tests")
        else {
            return;
        };
        let Some(rule) = rule else {
            return self.faults.add(&node.place, "", "`rule` is missing", "add `rule: ID`");
        };
        let Some(id) = rule.text().filter(|id| is_number(id) || is_sigma_id(id)) else {
            return self.faults.expected(rule, "`rule`", "the number of a rule or the id of a Sigma rule");
        };
        if fires.is_none() && misses.is_none() {
            let help = "add `fires: […]` with events on which it must fire, or `misses: […]`";
            return self.faults.add(&node.place, "", &format!("rule {id} has no tests here"), help);
        }
        // Written with leading zeros it is the same rule.
        let id = if is_number(id) { id.trim_start_matches('0') } else { id };
        for (list, wanted) in [(fires, Wanted::Fires), (misses, Wanted::Misses)] {
            let Some(list) = list else { continue };
            let Value::Sequence(items) = &list.value else {
                self.faults.expected(list, "`fires` and `misses`", "a list");
                continue;
            };
            for (number, item) in items.iter().enumerate() {
                self.item(id, wanted, number + 1, item);
            }
        }
    }

    fn item(&mut self, rule: &str, wanted: Wanted, number: usize, node: &Node) {
        let keys = ["source", "event", "events", "location", "times", "facts", "gives"];
        let Some([source, event, events, location, times, facts, gives]) =
            self.faults.members(node, keys, "a test")
        else {
            return;
        };
        let before = self.faults.0.len();
        let source = match source {
            Some(source) => self.text(source, "`source`"),
            None => {
                let help = "add the log source, for example `source: syslog`";
                self.faults.add(&node.place, "", "`source` is missing", help);
                None
            }
        };
        let records = self.records(node, event, events);
        let location = location.map_or(Some("test".into()), |location| self.text(location, "`location`"));
        let times = times.map_or(Some(Vec::new()), |times| self.times(times, records.len()));
        let facts = facts.map_or(Some(Vec::new()), |facts| self.facts(facts));
        let expected = self.verdict(rule, wanted, gives);
        let (Some(source), Some(location), Some(times), Some(facts)) = (source, location, times, facts)
        else {
            return;
        };
        if self.faults.0.len() > before {
            return;
        }
        let (source, location): (Arc<str>, Arc<str>) = (source.into(), location.into());
        let steps: Vec<Step> = records
            .into_iter()
            .enumerate()
            .map(|(at, record)| Step {
                source: Arc::clone(&source),
                record,
                location: Arc::clone(&location),
                facts: facts.clone(),
                received: times.get(at).copied().unwrap_or(FROZEN),
            })
            .collect();
        let what = if wanted == Wanted::Fires { "fires" } else { "misses" };
        self.tests.push(Test {
            id: format!("{rule} {what} #{number}"),
            suite: Arc::clone(&self.file),
            place: node.place.clone(),
            checks: vec![Check { event: steps.len().saturating_sub(1), expected }],
            steps,
            lists: ExtraEntries::default(),
        });
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match node.text().filter(|text| !text.is_empty()) {
            Some(text) => Some(text.to_owned()),
            None => {
                self.faults.expected(node, what, "a text");
                None
            }
        }
    }

    fn records(&mut self, node: &Node, event: Option<&Node>, events: Option<&Node>) -> Vec<Vec<u8>> {
        let items: Vec<&Node> = match (event, events) {
            (Some(event), None) => vec![event],
            (None, Some(Node { value: Value::Sequence(items), .. })) if !items.is_empty() => {
                items.iter().collect()
            }
            (None, Some(other)) => {
                self.faults.expected(other, "`events`", "a list of texts");
                return Vec::new();
            }
            (None, None) => {
                let help = "add `event: …`, or `events: […]` for several in order";
                self.faults.add(&node.place, "", "the event is missing", help);
                return Vec::new();
            }
            (Some(event), Some(_)) => {
                self.faults.add(&event.place, "", "both `event` and `events`", "keep one of them");
                return Vec::new();
            }
        };
        items
            .into_iter()
            .filter_map(|item| self.text(item, "an event"))
            .map(|text| text.trim().as_bytes().to_vec())
            .collect()
    }

    fn times(&mut self, node: &Node, events: usize) -> Option<Vec<Millis>> {
        let form = "a list of whole seconds, one for each event";
        let Value::Sequence(items) = &node.value else {
            self.faults.expected(node, "`times`", form);
            return None;
        };
        if items.len() != events {
            let message = format!("{} times for {events} events", items.len());
            self.faults.add(&node.place, "", &message, "give one time for each event");
            return None;
        }
        let mut times = Vec::with_capacity(items.len());
        for item in items {
            let seconds = item.text().and_then(|text| text.parse::<u32>().ok()).map(i64::from);
            let Some(seconds) = seconds else {
                self.faults.expected(item, "a time", "a number of whole seconds");
                return None;
            };
            let base = if seconds < FIRST_ABSOLUTE_SECOND { FROZEN.0 } else { 0 };
            let time = Millis(base + seconds * 1000);
            if times.last().is_some_and(|last| *last > time) {
                let help = "list the events in the order in which they arrive";
                self.faults.add(&item.place, "", "this time lies before the one before it", help);
                return None;
            }
            times.push(time);
        }
        Some(times)
    }

    fn facts(&mut self, node: &Node) -> Option<Vec<(String, String)>> {
        let Value::Mapping(pairs) = &node.value else {
            self.faults.expected(node, "`facts`", "a mapping of names and texts");
            return None;
        };
        let mut facts = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let name = self.text(name, "the name of a fact")?;
            let Some(value) = value.text() else {
                self.faults.expected(value, &format!("`{name}`"), "a text");
                return None;
            };
            facts.push((name, value.to_owned()));
        }
        Some(facts)
    }

    fn verdict(&mut self, rule: &str, wanted: Wanted, gives: Option<&Node>) -> Expected {
        if !is_number(rule) {
            if let Some(gives) = gives {
                let help = "remove it: other rules may match beside a Sigma rule";
                self.faults.add(&gives.place, "", "`gives` is for rules with a number only", help);
            }
            return Expected::Sigma { rule: rule.to_owned(), matches: wanted == Wanted::Fires };
        }
        match (wanted, gives) {
            (Wanted::Fires, None) => Expected::Rule(Some(rule.to_owned())),
            (Wanted::Fires, Some(gives)) => {
                let help = "remove it: what fires gives the rule itself";
                self.faults.add(&gives.place, "", "`gives` is for `misses` only", help);
                Expected::Rule(Some(rule.to_owned()))
            }
            (Wanted::Misses, None) => Expected::NotRule(rule.to_owned()),
            (Wanted::Misses, Some(gives)) if gives.is_null() => Expected::Rule(None),
            (Wanted::Misses, Some(gives)) => {
                let text = self.text(gives, "`gives`").unwrap_or_default();
                if text == rule {
                    let help = "name the rule that fires instead, or null for none";
                    self.faults.add(
                        &gives.place,
                        &text,
                        "a miss gives another rule than the one it misses",
                        help,
                    );
                }
                Expected::Rule(Some(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let faults = read_rule_tests("x.tests.yaml", text.as_bytes()).unwrap_err();
        faults.iter().map(|fault| fault.to_string().lines().next().unwrap().to_owned()).collect()
    }

    #[test]
    fn all_keys_are_read() {
        let text = r#"
- rule: 100201
  fires:
    - source: syslog
      location: /var/log/auth.log
      events: [a, ' b ']
      times: [0, 30]
      facts: {s3bucket: trail, empty: ""}
  misses:
    - {source: json, event: '{"a":1}', gives: null}
    - {source: json, event: x, gives: "100200"}
    - {source: json, event: x, times: [1710316800]}
"#;
        let tests = read_rule_tests("x.tests.yaml", text.as_bytes()).unwrap();
        assert_eq!(tests.len(), 4);
        let first = &tests[0];
        assert_eq!((first.id.as_str(), first.place.line, first.place.column), ("100201 fires #1", 4, 7));
        let expected = Expected::Rule(Some("100201".into()));
        assert_eq!(first.checks, [Check { event: 1, expected }], "the last event decides");
        assert_eq!(&*first.steps[1].location, "/var/log/auth.log");
        assert_eq!(first.steps[1].record, b"b");
        assert_eq!(first.steps[1].received.0 - first.steps[0].received.0, 30_000);
        assert_eq!(
            first.steps[0].facts,
            [("s3bucket".into(), "trail".into()), ("empty".into(), String::new())]
        );
        assert_eq!(tests[1].checks[0].expected, Expected::Rule(None));
        assert_eq!(tests[2].checks[0].expected, Expected::Rule(Some("100200".into())));
        assert_eq!(tests[3].checks[0].expected, Expected::NotRule("100201".into()));
        assert_eq!(tests[3].steps[0].received, Millis(1_710_316_800_000));
        assert!(read_rule_tests("x", b"").unwrap().is_empty());
    }

    #[test]
    fn every_fault_has_its_place() {
        let text = "- rule: a bc
  fires: []
- rule: 1000
- fires: []
- rule: 1001
  fires:
    - {event: x, sorce: y}
    - {source: syslog}
    - {source: syslog, events: [a, b], times: [5]}
    - {source: syslog, events: [a, b], times: [5, 4]}
    - {source: syslog, event: a, gives: 5}
    - {source: syslog, event: a, events: [b]}
  misses: x
";
        let expected = [
            "x.tests.yaml:1:9: error: `rule` must be the number of a rule or the id of a Sigma rule, this is a single value",
            "x.tests.yaml:3:3: error: rule 1000 has no tests here",
            "x.tests.yaml:4:3: error: `rule` is missing",
            "x.tests.yaml:7:18: error: unknown key in a test",
            "x.tests.yaml:7:7: error: `source` is missing",
            "x.tests.yaml:8:7: error: the event is missing",
            "x.tests.yaml:9:47: error: 1 times for 2 events",
            "x.tests.yaml:10:51: error: this time lies before the one before it",
            "x.tests.yaml:11:41: error: `gives` is for `misses` only",
            "x.tests.yaml:12:31: error: both `event` and `events`",
            "x.tests.yaml:13:11: error: `fires` and `misses` must be a list, this is a single value",
        ];
        assert_eq!(faults(text), expected);
    }

    #[test]
    fn no_text_expands_or_nests_without_end() {
        assert!(faults("a: &a [x]\nb: *a\n")[0].contains("an anchor"));
        assert!(faults(&"[".repeat(20))[0].contains("deep nesting"));
        assert_eq!(faults(&"[".repeat(100_000)).len(), 1);
        assert!(faults("- rule: 1\n---\n- rule: 2\n")[0].contains("a second document"));
        assert!(faults("rule: 1\n")[0].contains("must be a list"));
        assert!(faults("- rule: [\n")[0].contains("not YAML"));
        let not_utf8 = read_rule_tests("x", b"- rule: 1\n\xff").unwrap_err();
        assert_eq!(not_utf8[0].place.line, 2);
    }
}
