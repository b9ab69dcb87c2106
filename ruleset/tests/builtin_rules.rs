//! Runs the tests that stand beside the built-in rules: events that fire a rule, and near misses that do not.
//!
//! Enters: `ruleset/rules/*.tests.yaml`, a list of `{rule, fires: [{source, event}], misses: [{source, event, gives}]}`.
//! Every built-in rule but the roots must have at least one of each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use saphyr::{LoadableYamlNode, Yaml};
use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{Texts, load};

struct Engine {
    program: Arc<Program>,
    scratch: Scratch,
}

impl Engine {
    fn verdict(&mut self, source: &str, event: &str) -> Option<String> {
        let context = Context {
            source: source.into(),
            connector: "test".into(),
            location: "test".into(),
            account: None,
            envelope: Vec::new(),
            origin: "test".into(),
            origin_id: [0; 16],
        };
        let record = event.trim().as_bytes();
        let input =
            Input { binding: self.program.binding(source), record, context: &context, received: Millis(0) };
        let verdict = self
            .program
            .evaluate(&mut self.scratch, &input, |verdict| verdict.rule().map(|rule| rule.id.clone()));
        verdict.unwrap_or_else(|fault| panic!("{fault}: {event}"))
    }
}

/// One file of tests and what it has shown so far.
struct Suite<'y> {
    file: &'y str,
    tested: &'y mut BTreeMap<String, (usize, usize)>,
    wrong: &'y mut Vec<String>,
}

impl Suite<'_> {
    fn run(&mut self, entry: &Yaml<'_>, engine: &mut Engine) {
        let file = self.file;
        let rule = self.text(entry, "rule");
        let (mut fired, mut missed) = (0, 0);
        for case in cases(entry, "fires") {
            fired += 1;
            let event = self.text(case, "event");
            let verdict = engine.verdict(&self.text(case, "source"), &event);
            if verdict.as_deref() != Some(&rule) {
                self.wrong.push(format!("{file}: {rule} does not fire but {verdict:?}: {event}"));
            }
        }
        for case in cases(entry, "misses") {
            missed += 1;
            let event = self.text(case, "event");
            let verdict = engine.verdict(&self.text(case, "source"), &event);
            let gives = case
                .as_mapping_get("gives")
                .filter(|gives| !gives.is_null())
                .map(|_| self.text(case, "gives"));
            if verdict != gives {
                self.wrong
                    .push(format!("{file}: near miss of {rule} gives {verdict:?}, not {gives:?}: {event}"));
            }
        }
        let counts = self.tested.entry(rule).or_default();
        counts.0 += fired;
        counts.1 += missed;
    }

    fn text(&self, case: &Yaml<'_>, key: &str) -> String {
        let file = self.file;
        let value =
            case.as_mapping_get(key).unwrap_or_else(|| panic!("{file}: `{key}` is missing in {case:?}"));
        let number = || value.as_integer().map(|number| number.to_string());
        value
            .as_str()
            .map(str::to_owned)
            .or_else(number)
            .unwrap_or_else(|| panic!("{file}: `{key}` is no text"))
    }
}

fn cases<'y>(entry: &'y Yaml<'_>, key: &str) -> &'y [Yaml<'y>] {
    entry.as_mapping_get(key).and_then(|list| list.as_vec()).map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn every_builtin_rule_fires_and_misses_as_its_tests_say() {
    let loaded = load(Texts::builtin());
    let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let program = loaded.program.unwrap();
    let mut engine = Engine { scratch: Scratch::new(&program), program: Arc::clone(&program) };
    let (mut wrong, mut tested) = (Vec::new(), BTreeMap::new());
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file.ends_with(".tests.yaml") {
            let yaml = std::fs::read_to_string(&path).unwrap();
            let documents = Yaml::load_from_str(&yaml).unwrap_or_else(|error| panic!("{file}: {error}"));
            let mut suite = Suite { file: &file, tested: &mut tested, wrong: &mut wrong };
            documents[0].as_vec().unwrap().iter().for_each(|entry| suite.run(entry, &mut engine));
        }
    }
    for rule in program.rules().iter().filter(|rule| rule.id.len() > 1) {
        match tested.get(&rule.id) {
            Some((fires, misses)) if *fires > 0 && *misses > 0 => {}
            other => wrong.push(format!("rule {} lacks tests: {other:?}", rule.id)),
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}
