//! `rules test`: what passes, what fails and how it is told, what cannot be used.

use serde_json::{Value, json};

use super::OWN;
use crate::harness::{Finished, Site, Task};
use crate::scan::FAILED_LOGIN;

fn last_line(finished: &Finished) -> &str {
    finished.stdout.lines().last().unwrap_or_default()
}

#[test]
fn the_tests_of_the_builtin_rules_pass() {
    let finished = Task::new(["rules", "test", "-v"]).run().with_code(0);
    let (passed, rest) = last_line(&finished).split_once(" passed, ").expect(&finished.stdout);
    assert!(passed.parse::<usize>().unwrap() > 200 && rest == "0 failed", "{}", finished.stdout);
    let suite = "builtin/0555-azure.tests.yaml: ";
    assert!(finished.stdout.lines().any(|line| line.starts_with(suite)), "{}", finished.stdout);
    // None of them is there without the rules.
    let finished = Task::new(["rules", "test", "--no-builtin"]).run().with_code(2);
    assert!(finished.stderr.contains("there are no tests"), "{}", finished.stderr);
}

#[test]
fn tests_beside_rule_files_are_run() {
    let site = Site::new();
    let rules = site.write("rules/own.xml", OWN);
    let tests = site.write(
        "rules/own.tests.yaml",
        format!(
            "- rule: 100300\n  fires:\n    - {{source: aws.cloudtrail, event: '{FAILED_LOGIN}'}}\n  \
             misses:\n    - {{source: aws.cloudtrail, event: '{}', gives: 100301}}\n",
            FAILED_LOGIN.replace("alice", "bob")
        ),
    );
    let run = || Task::new(["rules", "test", "--rules"]).arg(&rules);
    let passed =
        |finished: &Finished| last_line(finished).split_once(" passed").unwrap().0.parse::<usize>().unwrap();
    let builtin = passed(&Task::new(["rules", "test"]).run());
    assert_eq!(passed(&run().run().with_code(0)), builtin + 2);

    // The same test against a rule that no longer fires.
    site.write("rules/own.xml", OWN.replace("^alice$", "^eve$"));
    let finished = run().run().with_code(1);
    let failures: Vec<&str> = finished.stdout.lines().filter(|line| line.starts_with("FAILED ")).collect();
    let [failure] = &failures[..] else { panic!("{}", finished.stdout) };
    let place = format!("{}:3: 100300 fires #1: event 1 of 1", tests.display());
    for part in [place.as_str(), "expected rule 100300", "got decoder json, rule 80254, level 5"] {
        assert!(failure.contains(part), "{part} is not in {failure}");
    }
    assert_eq!(last_line(&finished), format!("{} passed, 1 failed", builtin + 1));
    // Named alone, only they are run; on any number of threads.
    for threads in ["1", "7"] {
        let finished = run().arg("--threads").arg(threads).arg(&tests).run().with_code(1);
        assert_eq!(last_line(&finished), "1 passed, 1 failed");
    }
}

fn verdict(rule: Option<&str>, level: Option<u8>) -> Value {
    json!({"decoder": "json", "rule": rule, "level": level})
}

/// A case of one record of CloudTrail, as the envelope and as the provider sent it.
fn case(id: &str, expect: &Value) -> Value {
    let raw: Value = serde_json::from_str(FAILED_LOGIN).unwrap();
    let envelope = json!({"integration": "aws", "aws": raw}).to_string();
    let envelope = envelope.replace("\"aws\":{", "\"aws\":{\"source\":\"cloudtrail\",");
    json!({"id": id, "suite": "own", "location": "stdin", "events": ["{\"a\":1}", envelope], "negate": false,
           "expect": expect, "scored": true, "observed": [verdict(None, None), expect],
           "source": "aws.cloudtrail", "raw": raw, "context": {"s3bucket": "trail"}})
}

#[test]
fn recorded_cases_are_run_in_both_views() {
    let site = Site::new();
    let right = verdict(Some("80254"), Some(5));
    let mut negated = case("own/2", &right);
    negated["negate"] = true.into();
    let mut unscored = case("own/3", &verdict(Some("1"), Some(1)));
    unscored["scored"] = false.into();
    let mut unmapped = case("own/4", &right);
    unmapped["source"] = "no.such".into();
    let lines = [case("own/1", &right), negated, unscored, unmapped].map(|case| case.to_string()).join("\n");
    let file = site.write("cases/own.jsonl", lines);
    let run = |args: &[&str]| {
        let mut task = Task::new(["rules", "test"]).arg(&file);
        for arg in args {
            task = task.arg(arg);
        }
        task.run().with_code(1)
    };
    let finished = run(&[]);
    assert_eq!(last_line(&finished), "2 passed, 1 failed");
    let failure = finished.stdout.lines().next().unwrap();
    assert!(
        failure.contains(
            "own.jsonl:2: own/2: event 2 of 2: expected anything but decoder json, rule 80254, level 5"
        ),
        "{failure}"
    );
    let finished = run(&["--view", "raw"]);
    assert_eq!(last_line(&finished), "1 passed, 1 failed");
    let skipped = finished.stdout.lines().rev().nth(1).unwrap();
    assert_eq!(skipped, "1 skipped: no mapping for no.such (1)");
    // All events but the last of the unscored case, whose record is wrong.
    assert_eq!(last_line(&run(&["--every-event"])), "7 passed, 1 failed");
}

#[test]
fn sequences_are_checked_event_by_event() {
    let site = Site::new();
    let event = |name: &str| json!({"integration": "x", "n": name}).to_string();
    let line = json!({"id": "seq/001", "source": "mixed", "location": "stdin", "times": [10, 11, 11],
        "events": [event("a"), event("b"), "plain"],
        "observed": [verdict(None, None), verdict(Some("5"), Some(3)), {"decoder": null, "rule": null, "level": null}],
        "extra_list_entries": {"etc/lists/own": {"key": "value"}}});
    let file = site.write("seq.jsonl", line.to_string());
    let finished = Task::new(["rules", "test"]).arg(&file).run().with_code(1);
    assert_eq!(last_line(&finished), "2 passed, 1 failed");
    assert!(
        finished.stdout.starts_with(&format!("FAILED {}:1: seq/001: event 2 of 3: ", file.display())),
        "{}",
        finished.stdout
    );
}

#[test]
fn tests_that_cannot_be_used_are_told_with_their_place() {
    let site = Site::new();
    let cases = site.write("bad.jsonl", "{\"id\":\"a\"}\nnot json\n");
    let yaml = site.write("bad.tests.yaml", "- rule: 80254\n  fires:\n    - {source: json, evnt: x}\n");
    let finished = Task::new(["rules", "test"]).arg(&cases).arg(&yaml).arg(site.path("none.jsonl")).run();
    let finished = finished.with_code(2);
    for (path, rest) in [
        (&cases, ":1:"),
        (&cases, ":2:"),
        (&yaml, ":3:22: error: unknown key in a test"),
        (&site.path("none.jsonl"), ":1:1: error: cannot read"),
    ] {
        let place = format!("{}{rest}", path.display());
        assert!(finished.stderr.contains(&place), "{place} is not in:\n{}", finished.stderr);
    }
    assert!(finished.stderr.contains("help: "), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
    Task::new(["rules", "test"]).arg(site.path("")).run().with_code(2);
}
