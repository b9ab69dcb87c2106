//! Runs the tests that stand beside the built-in rules: events that fire a rule, and near misses that do not.
//!
//! Every built-in rule but the roots must have at least one of each.

use std::collections::{BTreeMap, BTreeSet};

use threatlockdown_ruleset::testing::{self, Expected};
use threatlockdown_ruleset::{Texts, builtin_tests, load};

#[test]
fn every_builtin_rule_fires_and_misses_as_its_tests_say() {
    let loaded = load(Texts::builtin());
    let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let program = loaded.program.unwrap();
    let mut wrong: Vec<String> = Vec::new();
    let mut tested: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (file, text) in builtin_tests() {
        let tests =
            testing::read_rule_tests(&file, text.as_bytes()).unwrap_or_else(|faults| panic!("{}", faults[0]));
        for test in &tests {
            let rule = test.id.split(' ').next().unwrap().to_owned();
            let fires = test.checks[0].expected == Expected::Rule(Some(rule.clone()));
            let counts = tested.entry(rule).or_default();
            if fires { counts.0 += 1 } else { counts.1 += 1 }
        }
        wrong.extend(testing::run(&program, &tests).iter().map(ToString::to_string));
    }
    for rule in program.rules().iter().filter(|rule| rule.id.len() > 1) {
        match tested.get(&rule.id) {
            Some((fires, misses)) if *fires > 0 && *misses > 0 => {}
            other => wrong.push(format!("rule {} lacks tests: {other:?}", rule.id)),
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_test_file_is_part_of_the_product() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let files = files.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".tests.yaml"));
    let files: BTreeSet<String> = files.map(|name| format!("builtin/{name}")).collect();
    let known: BTreeSet<String> = builtin_tests().into_iter().map(|(path, _)| path).collect();
    assert_eq!(files, known);
}
