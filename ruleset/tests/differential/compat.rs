//! The reference's recorded results, where a copy of them is at hand.

use std::path::{Path, PathBuf};

use threatlockdown_ruleset::naive::json::Json;

use crate::harness::{Engine, Oracle, file, set};

/// The folder with the recorded results.
pub(crate) fn folder() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/compat");
    let folder = std::env::var_os("THREATLOCKDOWN_COMPAT").map_or(default, PathBuf::from);
    let found = folder.is_dir();
    if !found {
        println!("skipped: there is no folder {}", folder.display());
    }
    found.then_some(folder)
}

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
    fn read(line: &str) -> Self {
        let line = Json::parse(line.as_bytes()).unwrap();
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
        let facts =
            context.iter().filter_map(|(name, value)| Some((name.clone(), value.as_text()?.to_owned())));
        let Some(Json::Array(events)) = line.get("events") else { panic!("no events") };
        let expect = line.get("expect").unwrap();
        Self {
            id: text(line.get("id")).unwrap(),
            source: text(line.get("source")).unwrap(),
            raw: raw.into_bytes(),
            facts: facts.collect(),
            event: text(events.last()).unwrap(),
            decoder: text(expect.get("decoder")),
            rule: text(expect.get("rule")),
        }
    }

    pub(crate) fn all(folder: &Path, suite: &str) -> Vec<Self> {
        let text = std::fs::read_to_string(folder.join("cloud").join(format!("{suite}.jsonl"))).unwrap();
        text.lines().map(Self::read).collect()
    }

    fn is_text(&self) -> bool {
        !self.event.starts_with('{')
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
            let fields = oracle.say(case.event.as_bytes()).fields;
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
