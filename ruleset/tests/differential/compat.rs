//! The reference's recorded results, where a copy of them is at hand.

use std::collections::BTreeMap;
use std::path::Path;

use threatlockdown_ruleset::naive::envelope;
use threatlockdown_ruleset::naive::json::Json;
use threatlockdown_ruleset::testing::{CaseOptions, Check, Expected, Outcome, Step, Test, View, read_cases};

pub(crate) use crate::folders::compat as folder;
use crate::harness::{Engine, Oracle, file, set};

pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) raw: Vec<u8>,
    pub(crate) facts: Vec<(String, String)>,
    /// The last of the events that the record became.
    pub(crate) event: String,
    pub(crate) decoder: Option<String>,
    pub(crate) rule: Option<String>,
}

impl Case {
    /// The cases of a suite whose records have mappings.
    pub(crate) fn all(folder: &Path, suite: &str) -> Vec<Self> {
        let path = folder.join("cloud").join(format!("{suite}.jsonl"));
        let text = std::fs::read(&path).unwrap();
        let read = |view: View| {
            let options = CaseOptions { view, ..CaseOptions::default() };
            read_cases(&path.to_string_lossy(), &text, options).unwrap().tests
        };
        let envelopes = read(View::Envelope).into_iter().map(|test| (test.id.clone(), test));
        let mut envelopes: BTreeMap<String, Test> = envelopes.collect();
        let case = |test: Test| {
            let event = envelopes.remove(&test.id).unwrap().steps.pop().unwrap();
            Self::of(test, event)
        };
        read(View::Raw).into_iter().map(case).collect()
    }

    fn of(mut test: Test, event: Step) -> Self {
        let [Check { expected: Expected::Exactly(expected), .. }] = &test.checks[..] else {
            panic!("{} states no verdict", test.id)
        };
        let Outcome { decoder, rule, .. } = expected.clone();
        let Step { source, record, facts, .. } = test.steps.pop().unwrap();
        let event = String::from_utf8(event.record).unwrap();
        Self { id: test.id, source: source.to_string(), raw: record, facts, event, decoder, rule }
    }

    fn is_text(&self) -> bool {
        !self.event.starts_with('{')
    }
}

#[test]
fn envelopes_are_those_of_the_reference() {
    let Some(folder) = folder() else { return };
    for suite in ["aws_cloudtrail", "azure_log_analytics", "azure_posture", "azure_graph", "azure_storage"] {
        let cases = Case::all(&folder, suite);
        assert!(!cases.is_empty(), "{suite}");
        for case in &cases {
            let own = envelope(&case.source, &case.raw, &case.facts).unwrap();
            if case.is_text() {
                assert_eq!(String::from_utf8(own).unwrap(), case.event, "{}", case.id);
            } else {
                // Order and repeats included, blanks not.
                assert_eq!(Json::parse(&own), Json::parse(case.event.as_bytes()), "{}", case.id);
            }
        }
        println!("{suite}: {} envelopes agree", cases.len());
    }
}

#[test]
fn azure_records_and_envelopes_give_the_references_verdict() {
    let Some(folder) = folder() else { return };
    let read = |path: &str| std::fs::read(folder.join(path)).unwrap();
    let files = vec![
        file("0555-azure_rules.xml", read("homes/stock/ruleset/rules/0555-azure_rules.xml")),
        file("azure_posture.xml", read("cloud/azure_posture.xml")),
    ];
    let set = set(&files).unwrap();
    let oracle = Oracle::new(&set);
    let mut engine = Engine::new(files, false);
    for suite in ["azure_log_analytics", "azure_posture", "azure_graph", "azure_storage"] {
        let cases = Case::all(&folder, suite);
        for case in &cases {
            let expected = (case.decoder.as_deref(), case.rule.as_deref());
            let recorded = oracle.say(case.event.as_bytes());
            assert_eq!(recorded.verdict(), expected, "{}", case.id);
            let own = envelope(&case.source, &case.raw, &case.facts).unwrap();
            assert_eq!(oracle.say(&own), recorded, "{}", case.id);
            let fields = recorded.fields;
            for source in ["syslog", "json"] {
                if source == "json" && case.is_text() {
                    continue;
                }
                let said = engine.say(source, case.event.as_bytes(), &[]).unwrap();
                assert_eq!(said.verdict(), expected, "{} as {source}", case.id);
                assert_eq!(said.fields, fields, "{} as {source}", case.id);
            }
            // Lines of text come as the reference's module writes them.
            if !case.is_text() {
                let said = engine.say(&case.source, &case.raw, &case.facts).unwrap();
                assert_eq!(said.verdict(), expected, "{}", case.id);
                assert_eq!(said.fields, fields, "{}", case.id);
            }
        }
        println!("{suite}: {} records and envelopes agree", cases.len());
    }
}

#[test]
fn cloudtrail_records_have_the_fields_of_their_envelopes() {
    let Some(folder) = folder() else { return };
    let mut engine = Engine::new(Vec::new(), true);
    let cases = Case::all(&folder, "aws_cloudtrail");
    for case in &cases {
        let raw = engine.say("aws.cloudtrail", &case.raw, &case.facts).unwrap();
        for source in ["syslog", "json", "aws.cloudtrail"] {
            let enveloped = engine.say(source, case.event.as_bytes(), &[]).unwrap();
            assert_eq!(raw, enveloped, "{} as {source}", case.id);
        }
        assert_eq!(raw.decoder, case.decoder, "{}", case.id);
    }
    println!("aws_cloudtrail: {} records have the fields of their envelopes", cases.len());
}
