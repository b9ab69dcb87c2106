//! Random rules against random records.
//!
//! `THREATLOCKDOWN_SOAK=1` runs fifty times as many; `THREATLOCKDOWN_SEED` starts elsewhere.

use std::fmt::Write as _;

use threatlockdown_ruleset::naive::envelope;

use crate::events::{Style, record};
use crate::harness::{Engine, Oracle, Said, facts, file, set, usual_facts};
use crate::rng::Rng;
use crate::rules::{self, Shape};

const RULE_SETS: u64 = 400;
const RECORDS: usize = 16;

fn is_soak() -> bool {
    std::env::var_os("THREATLOCKDOWN_SOAK").is_some_and(|value| value == "1")
}

fn seed() -> u64 {
    std::env::var("THREATLOCKDOWN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// What was compared.
#[derive(Default)]
struct Count {
    rule_sets: u64,
    refused: u64,
    pairs: u64,
    matched: u64,
}

impl Count {
    fn print(&self, name: &str) {
        let kind = if is_soak() { "soak: " } else { "" };
        let Self { rule_sets, refused, pairs, matched } = self;
        println!(
            "{kind}{name}: {pairs} pairs of {rule_sets} rule sets agree, {matched} with a rule ({refused} sets refused)"
        );
        assert!(*refused * 10 < *rule_sets, "too many rule sets do not load");
        assert!(*matched * 5 > *pairs, "too few records match anything");
    }
}

/// Runs `compare` on each rule set; it says how many records it compared and how many of them matched a rule.
fn for_each_rule_set(
    name: &str,
    sets: u64,
    shape: Shape,
    mut compare: impl FnMut(&mut Rng, &mut Engine, &Oracle<'_>, &str) -> (u64, u64),
) {
    let mut count = Count::default();
    let sets = sets * if is_soak() { 50 } else { 1 };
    for number in 0..sets {
        let mut rng = Rng::new((seed() << 32) + number);
        let text = rules::file(&mut rng, shape);
        let files = vec![file("t.xml", text.clone())];
        let Ok(set) = set(&files) else {
            count.refused += 1;
            continue;
        };
        let oracle = Oracle::new(&set);
        let mut engine = Engine::new(files, false);
        let (pairs, matched) = compare(&mut rng, &mut engine, &oracle, &text);
        count.rule_sets += 1;
        count.pairs += pairs;
        count.matched += matched;
    }
    count.print(name);
}

/// Fails with everything that is needed to see why.
fn check(own: &Said, expected: &Said, source: &str, text: &str, event: &[u8]) {
    if own == expected {
        return;
    }
    let mut report = format!(
        "{source}: {}\nengine: {:?}\noracle: {:?}\n",
        String::from_utf8_lossy(event).escape_debug(),
        own.verdict(),
        expected.verdict()
    );
    for (name, value) in &expected.fields {
        if own.fields.get(name) != Some(value) {
            let _ = writeln!(report, "{name}: engine {:?}, oracle {value:?}", own.fields.get(name));
        }
    }
    for (name, value) in own.fields.iter().filter(|(name, _)| !expected.fields.contains_key(*name)) {
        let _ = writeln!(report, "{name}: engine {value:?}, oracle none");
    }
    if own.verdict() != expected.verdict() {
        let _ = writeln!(report, "\n{text}");
    }
    panic!("{report}");
}

#[test]
fn records_that_rules_see_as_they_are() {
    let shape = Shape { on_log: true, below: None, stateful: false };
    for_each_rule_set("plain", RULE_SETS, shape, |rng, engine, oracle, text| {
        let mut matched = 0;
        for _ in 0..RECORDS {
            let record = record(rng, Style::Plain);
            let source = rng.pick(&["json", "syslog"]);
            // Only text sources doubt that a record is JSON.
            let source = if record == "{}" { "syslog" } else { source };
            let expected = oracle.say(record.as_bytes());
            matched += u64::from(expected.rule.is_some());
            let own = engine
                .say(source, record.as_bytes(), &[])
                .unwrap_or_else(|fault| panic!("{fault}: {record}"));
            check(&own, &expected, source, text, record.as_bytes());
        }
        (RECORDS as u64, matched)
    });
}

#[test]
fn lines_of_text() {
    let shape = Shape { on_log: true, below: None, stateful: false };
    for_each_rule_set("lines", RULE_SETS, shape, |rng, engine, oracle, text| {
        let mut matched = 0;
        for _ in 0..RECORDS {
            let json = record(rng, Style::Plain);
            let half = json.floor_char_boundary(json.len() / 2);
            let (header, log) = match rng.below(10) {
                0 => ("", format!("{json} {{\"tail\":1}}")),
                1 => ("", format!("{json}}}")),
                2 => ("", json[..half].to_owned()),
                3 => ("Dec 29 10:00:01 host ", json),
                4 => ("Dec 29 10:00:01 host app[12]: ", format!("alpha ConsoleLogin {}", rng.below(20))),
                5 => ("", format!("Azure_tag: azure-storage. azure_storage_tag: posture {json}")),
                6 => ("", json.replacen('{', "{\"Integration\":\"ms-graph\",", 1).replacen(",}", "}", 1)),
                7 => ("", format!(" {json}")),
                8 => ("", format!("be {}\0 alpha", rng.below(20))),
                _ => ("", format!("{{  {}", json.trim_start_matches('{'))),
            };
            let line = format!("{header}{log}");
            let expected = oracle.say(line.as_bytes());
            matched += u64::from(expected.rule.is_some());
            let own = engine.say("syslog", line.as_bytes(), &[]).unwrap();
            check(&own, &expected, "syslog", text, line.as_bytes());
        }
        (RECORDS as u64, matched)
    });
}

#[test]
fn cloudtrail_records() {
    let shape = Shape { on_log: false, below: Some("aws"), stateful: false };
    for_each_rule_set("cloudtrail", RULE_SETS, shape, |rng, engine, oracle, text| {
        let facts = usual_facts("aws.cloudtrail");
        let mut matched = 0;
        for _ in 0..RECORDS {
            let record = record(rng, Style::CloudTrail);
            let event = envelope("aws.cloudtrail", record.as_bytes(), &facts).unwrap();
            let expected = oracle.say(&event);
            matched += u64::from(expected.rule.is_some());
            let own = engine.say("aws.cloudtrail", record.as_bytes(), &facts).unwrap();
            check(&own, &expected, "aws.cloudtrail", text, record.as_bytes());
            for source in ["aws.cloudtrail", "json", "syslog"] {
                let own = engine.say(source, &event, &[]).unwrap();
                check(&own, &expected, source, text, &event);
            }
        }
        (RECORDS as u64, matched)
    });
}

#[test]
fn azure_records() {
    let shape = Shape { on_log: false, below: None, stateful: false };
    for_each_rule_set("azure", RULE_SETS, shape, |rng, engine, oracle, text| {
        let mut matched = 0;
        for _ in 0..RECORDS {
            let source = rng.pick(&["azure.log_analytics", "azure.graph", "azure.storage"]);
            let style = if source == "azure.storage" { Style::Plain } else { Style::Rewritten };
            let record = record(rng, style);
            let facts = facts(&[("tag", "posture")]);
            let event = envelope(source, record.as_bytes(), &facts).unwrap();
            let expected = oracle.say(&event);
            matched += u64::from(expected.rule.is_some());
            let own = engine.say(source, record.as_bytes(), &facts).unwrap();
            check(&own, &expected, source, text, record.as_bytes());
        }
        (RECORDS as u64, matched)
    });
}

#[test]
fn records_below_a_name() {
    for (source, below, style) in [
        ("docker", "docker", Style::Rewritten),
        ("gcp.pubsub", "gcp", Style::Plain),
        ("github", "github", Style::Plain),
        ("office365", "office365", Style::Plain),
        ("ms_graph", "ms-graph", Style::Plain),
        ("aws.subscriber", "aws", Style::CloudTrail),
        ("aws.guardduty", "aws", Style::CloudTrail),
        ("aws.eventbridge", "aws", Style::CloudTrail),
    ] {
        let shape = Shape { on_log: false, below: Some(below), stateful: false };
        for_each_rule_set(source, RULE_SETS / 4, shape, |rng, engine, oracle, text| {
            let facts = usual_facts(source);
            let mut matched = 0;
            for _ in 0..RECORDS {
                let record = record(rng, style);
                let record = match source {
                    "aws.guardduty" if rng.one_in(2) => wrapped(rng, &record),
                    "aws.eventbridge" => wrapped(rng, &record),
                    _ => record,
                };
                let event = envelope(source, record.as_bytes(), &facts).unwrap();
                let expected = oracle.say(&event);
                matched += u64::from(expected.rule.is_some());
                let own = engine.say(source, record.as_bytes(), &facts).unwrap();
                check(&own, &expected, source, text, record.as_bytes());
                for source in [source, "json", "syslog"] {
                    let own = engine.say(source, &event, &[]).unwrap();
                    check(&own, &expected, source, text, &event);
                }
            }
            (RECORDS as u64, matched)
        });
    }
}

/// As an event bus delivers it.
fn wrapped(rng: &mut Rng, record: &str) -> String {
    let source = rng.pick(&["aws.guardduty", "aws.macie", "my.app", "aws.kms"]);
    let around = rng.pick(&["\"id\":\"1\",\"resources\":[]", "\"a\":{\"b\":[1,null]},\"tags\":[1]"]);
    format!("{{{around},\"source\":\"{source}\",\"detail\":{record},\"time\":\"t\"}}")
}
