//! The reference's recorded envelopes and verdicts, where a copy of them is at hand. All of them, with the loaders for
//! decoders and lists, are in the differential tests.

use std::path::Path;

use super::super::json::Json;
use super::*;
use crate::wazuh::tests::compat;

/// One recorded case.
struct Case {
    id: String,
    source: String,
    raw: Vec<u8>,
    facts: Vec<(String, String)>,
    event: String,
    decoder: Option<String>,
    rule: Option<u32>,
}

fn cases(folder: &Path, suite: &str) -> Vec<Case> {
    let path = folder.join("cloud").join(format!("{suite}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| case(&Json::parse(line.as_bytes()).unwrap())).collect()
}

fn case(line: &Json) -> Case {
    let text = |json: Option<&Json>| json.and_then(Json::as_text).map(str::to_owned);
    let raw = match line.get("raw").unwrap() {
        Json::Text(line) => line.clone(),
        object => {
            let mut out = String::new();
            object.write(&mut out);
            out
        }
    };
    let Some(Json::Object(context)) = line.get("context") else { panic!("no context") };
    let facts = context
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_text()?.to_owned())))
        .collect();
    let Some(Json::Array(events)) = line.get("events") else { panic!("no events") };
    let expect = line.get("expect").unwrap();
    Case {
        id: text(line.get("id")).unwrap(),
        source: text(line.get("source")).unwrap(),
        raw: raw.into_bytes(),
        facts,
        event: text(events.first()).unwrap(),
        decoder: text(expect.get("decoder")),
        rule: text(expect.get("rule")).map(|rule| rule.parse().unwrap()),
    }
}

const SUITES: &[&str] =
    &["aws_cloudtrail", "azure_log_analytics", "azure_posture", "azure_graph", "azure_storage"];

#[test]
fn envelopes_are_those_of_the_reference() {
    let Some(folder) = compat() else { return };
    for suite in SUITES {
        let cases = cases(&folder, suite);
        for case in &cases {
            let own = envelope(&case.source, &case.raw, &case.facts).unwrap();
            if case.event.starts_with('{') {
                // Order and repeats included, blanks not.
                assert_eq!(Json::parse(&own), Json::parse(case.event.as_bytes()), "{}", case.id);
            } else {
                assert_eq!(String::from_utf8(own).unwrap(), case.event, "{}", case.id);
            }
        }
        println!("{suite}: {} envelopes agree", cases.len());
    }
}

#[test]
fn azure_verdicts_are_those_of_the_reference() {
    let Some(folder) = compat() else { return };
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    let files = [
        ("0555-azure_rules.xml", read("homes/stock/ruleset/rules/0555-azure_rules.xml")),
        ("azure_posture.xml", read("cloud/azure_posture.xml")),
    ];
    let set = set_of(&files, cloud_decoders(), Vec::new());
    let naive = Naive::new(&set);
    for suite in &SUITES[1..] {
        let cases = cases(&folder, suite);
        for case in &cases {
            let own = envelope(&case.source, &case.raw, &case.facts).unwrap();
            for event in [case.event.as_bytes(), &own] {
                let verdict = naive.evaluate(&mut NaiveMemory::default(), &NaiveEvent::new(event));
                assert_eq!((&verdict.decoder, verdict.id), (&case.decoder, case.rule), "{}", case.id);
            }
        }
        println!("{suite}: {} verdicts agree", cases.len());
    }
}
