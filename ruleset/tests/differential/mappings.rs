//! Mappings against the envelopes of the reference: same names, same texts, same verdicts.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use threatlockdown_ruleset::correlate::FrontEnd;
use threatlockdown_ruleset::load;
use threatlockdown_ruleset::naive::envelope;
use threatlockdown_ruleset::naive::json::Json;

use crate::compat::{Case, folder};
use crate::harness::{Engine, Oracle, file, set};
use crate::reference::recorded_texts;

/// Sources whose records have mappings, and the suites that hold them.
const SUITES: &[(&str, &[&str])] = &[
    ("aws_guardduty", &["aws.guardduty", "aws.eventbridge"]),
    ("aws_eventbridge", &["aws.eventbridge"]),
    ("aws_kms", &["aws.eventbridge", "aws.cloudtrail"]),
    ("aws_macie", &["aws.eventbridge"]),
    ("aws_trusted_advisor", &["aws.eventbridge"]),
    ("aws_inspector", &["aws.eventbridge"]),
    ("aws_subscriber", &["aws.subscriber"]),
    ("gcp_pubsub", &["gcp.pubsub"]),
    ("office365", &["office365"]),
    ("github_audit", &["github"]),
    ("docker_events", &["docker"]),
    ("k8s_audit", &["k8s.audit"]),
    ("ms_graph", &["ms_graph"]),
];

/// Alerts of the first Macie have a summary that the reference's collector turns into lists of names; the mapping does
/// not, which shows in `aws.summary` alone.
fn is_known_to_differ(case: &Case) -> bool {
    let raw = Json::parse(&case.raw).unwrap();
    let summary = raw.get("detail").and_then(|detail| detail.get("summary"));
    raw.get("source").and_then(Json::as_text) == Some("aws.macie") && matches!(summary, Some(Json::Object(_)))
}

/// How many conditions a rule gets.
const CONDITIONS: usize = 25;

/// Rules each below the one before, so that the last is the verdict when every field has its text; the last one's id,
/// and how many fields they test.
fn rules_of(fields: &BTreeMap<String, String>) -> (String, String, usize) {
    // The reference's rule files know no escape for all that a text may hold.
    let is_special = |char: char| char.is_control() || matches!(char, '\\' | '$' | '<' | '>' | '&');
    let may_stand = |text: &str| !text.is_empty() && text.trim() == text && !text.contains(is_special);
    let tested: Vec<_> = fields
        .iter()
        .filter(|(name, value)| may_stand(name) && !name.contains('"') && may_stand(value))
        .filter(|(name, _)| name.split('.').count() <= 16)
        .collect();
    let mut rules = String::from("<group name=\"t,\">");
    let mut id = 99_999;
    for fields in tested.chunks(CONDITIONS) {
        let parent = if id < 100_000 { String::new() } else { format!("<if_sid>{id}</if_sid>") };
        id += 1;
        rules += &format!("<rule id=\"{id}\" level=\"3\">{parent}<description>d</description>");
        for (name, value) in fields {
            rules += &format!("<field name=\"{name}\" type=\"pcre2\">^\\Q{value}\\E$</field>");
        }
        rules += "</rule>";
    }
    (rules + "</group>", id.to_string(), tested.len())
}

struct Count {
    equal: usize,
    fields: usize,
    conditions: usize,
    different: usize,
}

fn compare(folder: &Path, suite: &str, sources: &[&str]) -> Count {
    let no_rules = set(&[]).unwrap();
    let oracle = Oracle::new(&no_rules);
    let mut engine = Engine::new(Vec::new(), false);
    let mut count = Count { equal: 0, fields: 0, conditions: 0, different: 0 };
    for case in Case::all(folder, suite).iter().filter(|case| sources.contains(&case.source.as_str())) {
        let own_envelope = envelope(&case.source, &case.raw, &case.facts).unwrap();
        let recorded = oracle.say(case.event.as_bytes());
        let raw = engine.say(&case.source, &case.raw, &case.facts).unwrap();
        if is_known_to_differ(case) {
            let shown = |name: &String| !name.starts_with("aws.summary.");
            let rest = |fields: &BTreeMap<String, String>| -> Vec<(String, String)> {
                fields
                    .iter()
                    .filter(|(name, _)| shown(name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect()
            };
            assert_eq!(rest(&raw.fields), rest(&recorded.fields), "{}", case.id);
            assert_ne!(raw.fields, recorded.fields, "{}", case.id);
            count.different += 1;
            continue;
        }
        assert_eq!(oracle.say(&own_envelope).fields, recorded.fields, "{}: envelope", case.id);
        assert_eq!(raw.fields, recorded.fields, "{}: record", case.id);
        assert_eq!(raw.decoder, case.decoder, "{}", case.id);
        let data = |engine: &mut Engine, source: &str, record: &[u8]| -> Value {
            serde_json::from_str(&engine.show(source, record, &case.facts).unwrap().2).unwrap()
        };
        let shown = data(&mut engine, &case.source, &case.raw);
        let (rules, last, conditions) = rules_of(&recorded.fields);
        let mut strict = Engine::new(vec![file("t.xml", rules)], false);
        let said = strict.say(&case.source, &case.raw, &case.facts).unwrap();
        assert_eq!(said.rule.as_deref(), Some(last.as_str()), "{}: record", case.id);
        for source in ["syslog", "json", case.source.as_str()] {
            let event = case.event.as_bytes();
            let said = strict.say(source, event, &[]).unwrap();
            assert_eq!(said.fields, recorded.fields, "{} as {source}", case.id);
            assert_eq!(said.decoder, case.decoder, "{} as {source}", case.id);
            assert_eq!(said.rule.as_deref(), Some(last.as_str()), "{} as {source}", case.id);
            assert_eq!(data(&mut engine, source, event), shown, "{} as {source}", case.id);
        }
        count.equal += 1;
        count.fields += recorded.fields.len();
        count.conditions += conditions;
    }
    count
}

#[test]
fn records_have_the_fields_of_their_envelopes() {
    let Some(folder) = folder() else { return };
    for (suite, sources) in SUITES {
        let Count { equal, fields, conditions, different } = compare(&folder, suite, sources);
        assert!(equal > 0, "{suite} has no cases");
        println!(
            "{suite}: {equal} records with {fields} fields equal, {conditions} of them tested by rules, {different} differ"
        );
    }
}

#[test]
fn records_get_the_references_verdict() {
    let Some(folder) = folder() else { return };
    let mut engine = Engine::of(load(recorded_texts(&folder)).program.unwrap());
    for (suite, sources) in SUITES {
        let cases = Case::all(&folder, suite);
        let mut equal = 0;
        for case in cases.iter().filter(|case| sources.contains(&case.source.as_str())) {
            engine.restart(FrontEnd::Test);
            let said = engine.say(&case.source, &case.raw, &case.facts).unwrap();
            assert_eq!(said.verdict(), (case.decoder.as_deref(), case.rule.as_deref()), "{}", case.id);
            equal += 1;
        }
        assert!(equal > 0, "{suite} has no cases");
        println!("{suite}: {equal} records get the reference's verdict");
    }
}

#[test]
fn a_finding_is_the_same_in_a_wrapper_and_bare() {
    let Some(folder) = folder() else { return };
    let mut engine = Engine::new(Vec::new(), false);
    let mut wrapped = 0;
    for case in Case::all(&folder, "aws_guardduty") {
        let expected = engine.say(&case.source, &case.raw, &case.facts).unwrap();
        let message = Json::parse(&case.raw).unwrap();
        let mut bare = String::new();
        message.get("detail").unwrap_or(&message).write(&mut bare);
        let mut in_wrapper = String::from(r#"{"version":"0","source":"aws.guardduty","detail":"#);
        in_wrapper += &bare;
        in_wrapper += r#","id":"i","detail-type":"GuardDuty Finding"}"#;
        for (source, message) in
            [("aws.guardduty", &bare), ("aws.guardduty", &in_wrapper), ("aws.eventbridge", &in_wrapper)]
        {
            let said = engine.say(source, message.as_bytes(), &case.facts).unwrap();
            assert_eq!(said, expected, "{} as {source}", case.id);
            wrapped += 1;
        }
    }
    assert!(wrapped > 0);
}
