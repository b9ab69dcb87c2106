//! Every event of the built-in rules' own tests, three ways: the record through the engine, its envelope through the
//! engine, its envelope through the oracle.

use std::path::Path;

use saphyr::{LoadableYamlNode, Yaml};
use threatlockdown_ruleset::naive::envelope;

use crate::harness::{Engine, Oracle, builtin_set, usual_facts};

/// Source and record of each event.
pub(crate) fn events() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let mut events = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".tests.yaml") {
            continue;
        }
        let documents = Yaml::load_from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for rule in documents[0].as_vec().unwrap() {
            for key in ["fires", "misses"] {
                let list = rule.as_mapping_get(key).and_then(|list| list.as_vec());
                for case in list.map(Vec::as_slice).unwrap_or_default() {
                    let text = |key| case.as_mapping_get(key).and_then(Yaml::as_str).unwrap().trim();
                    events.push((text("source").to_owned(), text("event").as_bytes().to_vec()));
                }
            }
        }
    }
    events
}

#[test]
fn records_and_envelopes_give_the_same() {
    let set = builtin_set();
    let oracle = Oracle::new(&set);
    let mut engine = Engine::new(Vec::new(), true);
    let events = events();
    assert!(events.len() > 250, "{}", events.len());
    for (source, record) in &events {
        let facts = usual_facts(source);
        let shown = String::from_utf8_lossy(record);
        let event = match source.as_str() {
            "json" | "syslog" => record.clone(),
            _ if record.starts_with(br#"{"integration""#) => record.clone(),
            _ => envelope(source, record, &facts).unwrap_or_else(|| panic!("no envelope: {shown}")),
        };
        let expected = oracle.say(&event);
        let own = engine.say(source, record, &facts).unwrap();
        assert_eq!(own.verdict(), expected.verdict(), "{source}: {shown}");
        assert_eq!(own.fields, expected.fields, "{source}: {shown}");
        // Azure's sources have no envelope form: there is nothing to tell one by.
        for other in ["json", "syslog", "aws.cloudtrail"] {
            let is_possible = match other {
                "json" => event.starts_with(b"{"),
                "syslog" => true,
                _ => source == other,
            };
            if !is_possible {
                continue;
            }
            let enveloped = engine.say(other, &event, &[]).unwrap();
            assert_eq!(enveloped, expected, "envelope as {other}: {shown}");
        }
    }
    println!("{} events of the built-in rules agree", events.len());
}

/// An envelope is known by its member wherever that stands.
#[test]
fn an_envelope_may_have_its_members_in_any_order() {
    let mut engine = Engine::new(Vec::new(), true);
    let inner = r#"{"source":"cloudtrail","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"}}"#;
    for event in [
        format!(r#"{{"integration":"aws","aws":{inner}}}"#),
        format!(r#"{{"aws":{inner},"integration":"aws"}}"#),
        format!(
            r#"{{"x":[{{"integration":"gcp"}}],"aws":{inner},"y":{{"integration":1}},"integration":"aws"}}"#
        ),
    ] {
        let said = engine.say("aws.cloudtrail", event.as_bytes(), &[]).unwrap();
        assert_eq!(said.verdict(), (Some("json"), Some("80254")), "{event}");
        assert_eq!(said.fields["aws.eventname"], "ConsoleLogin");
    }
    let other = format!(r#"{{"aws":{inner},"integration":"gcp"}}"#);
    let said = engine.say("aws.cloudtrail", other.as_bytes(), &[]).unwrap();
    assert_eq!(said.fields["aws.aws.eventname"], "ConsoleLogin");
}
