//! `logtest`: the phases for people, one JSON object an event for programs, and that no input ends it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Site, Task, binary};
use crate::scan::FAILED_LOGIN;

fn answers(task: Task, input: &str) -> Vec<Value> {
    task.input(input).run().with_code(0).json()
}

#[test]
fn json_gives_decoder_rule_and_fields() {
    let input =
        format!("{FAILED_LOGIN}\n\nNov 20 10:00:00 web1 su[1]: nothing of note\n{{\"a\":{{\"b\":[1,2]}}}}\n");
    let answers = answers(Task::new(["logtest", "--format", "json"]), &input);
    assert_eq!(answers.len(), 3, "one an event; an empty line is none");
    let login = &answers[0];
    assert_eq!(login["decoder"], json!({"name": "json"}));
    assert_eq!((&login["rule"]["id"], &login["rule"]["level"]), (&"80254".into(), &5.into()));
    assert!(login["rule"]["description"].as_str().unwrap().contains("203.0.113.7"), "{login}");
    assert!(login["rule"]["groups"].as_array().unwrap().contains(&json!("authentication_failed")), "{login}");
    assert_eq!(login["fields"]["aws.eventName"], "ConsoleLogin");
    assert_eq!(login["fields"]["aws.userIdentity.userName"], "alice");

    let line = &answers[1];
    assert!(line.as_object().unwrap().contains_key("rule") && line["rule"].is_null(), "{line}");
    assert_eq!(
        line["predecoder"],
        json!({"timestamp": "Nov 20 10:00:00", "hostname": "web1", "program_name": "su"})
    );
    assert!(answers[2]["rule"].is_null());
    assert_eq!(answers[2]["decoder"]["name"], "json");
}

#[test]
fn text_shows_the_phases() {
    let input = format!("{FAILED_LOGIN}\nnothing of note\n");
    let shown = Task::new(["logtest"]).input(input).run().with_code(0).stdout;
    let (login, nothing) = shown.split_once("full event: 'nothing of note'").expect(&shown);
    let mut rest = login;
    for part in [
        "**Phase 1: Completed pre-decoding.",
        "**Phase 2: Completed decoding.",
        "name: 'json'",
        "aws.eventName: 'ConsoleLogin'",
        "**Phase 3: Completed filtering (rules).",
        "id: '80254'",
        "level: '5'",
        "description: 'AWS console: sign-in as alice from 203.0.113.7 failed.'",
        "groups: '[",
        "**Alert to be generated.",
    ] {
        rest = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part} is missing here, in this order:\n{shown}"))
            .1;
    }
    assert!(
        nothing.contains("No decoder matched.") && !nothing.contains("Alert to be generated"),
        "{nothing}"
    );
}

#[test]
fn custom_rules_and_sources_count() {
    let site = Site::new();
    let rules = site.write(
        "own.xml",
        r#"<group name="own,"><rule id="100300" level="12"><if_sid>80254</if_sid><field name="aws.userIdentity.userName">^alice$</field><description>Alice again.</description><mitre><id>T1110</id></mitre></rule></group>"#,
    );
    let own = || Task::new(["logtest", "--format", "json", "--rules"]).arg(&rules);
    let answer = &answers(own(), FAILED_LOGIN)[0];
    assert_eq!((&answer["rule"]["id"], &answer["rule"]["level"]), (&"100300".into(), &12.into()));
    assert_eq!(answer["rule"]["mitre"]["id"], json!(["T1110"]));
    assert_eq!(answer["rule"]["mitre"]["technique"], json!(["Brute Force"]));
    // As plain JSON it is no CloudTrail event, and without the built-in rules the parent is missing.
    assert!(answers(own().arg("--source").arg("json"), FAILED_LOGIN)[0]["rule"].is_null());
    own().arg("--no-builtin").input(FAILED_LOGIN).run().with_code(2);
}

#[test]
fn what_cannot_be_read_is_an_answer_too() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let input = format!("{{\"a\":\n{long}\n{deep}\n\u{1}\u{2}\n{FAILED_LOGIN}");
    let json = answers(Task::new(["logtest", "--format", "json", "--source", "aws.cloudtrail"]), &input);
    assert_eq!(json.len(), 5);
    for broken in &json[..4] {
        assert!(broken["rule"].is_null() && !broken["error"].as_str().unwrap().is_empty(), "{broken}");
    }
    assert_eq!(json[4]["rule"]["id"], "80254", "the last line, which has no end");
    let text = Task::new(["logtest", "--source", "aws.cloudtrail"]).input(input).run().with_code(0).stdout;
    assert_eq!(text.matches("**Error:").count(), 4);
    assert!(text.len() < 1 << 20, "an event is shown only as far as a terminal can");

    let bytes = b"Nov 20 10:00:00 web1 su: \xff\xfe\n".to_vec();
    let answer = Task::new(["logtest", "--format", "json"]).input(bytes).run().with_code(0).json();
    assert_eq!(answer[0]["predecoder"]["hostname"], "web1");
}

#[test]
fn an_empty_stdin_is_no_error() {
    let finished = Task::new(["logtest"]).input("").run().with_code(0);
    assert_eq!(finished.stdout, "");
}

#[test]
fn every_line_is_answered_while_somebody_waits() {
    let mut child = Command::new(binary())
        .args(["logtest", "--format", "json", "--source", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, answers) = std::sync::mpsc::sync_channel(8);
    let reader =
        std::thread::spawn(move || stdout.lines().for_each(|line| sender.send(line.unwrap()).unwrap()));
    for number in 0..3 {
        // The empty line after it is no event and must not hold the answer back.
        write!(stdin, "{{\"n\":{number}}}\n\n").unwrap();
        stdin.flush().unwrap();
        let answer = answers.recv_timeout(DEADLINE).expect("an answer before the next line");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["fields"]["n"], number.to_string());
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    reader.join().unwrap();
}

#[test]
fn alerts_are_marked_in_json() {
    let json = answers(Task::new(["logtest", "--format", "json"]), &format!("{FAILED_LOGIN}\nnothing\n"));
    assert_eq!((&json[0]["alert"], &json[1]["alert"]), (&true.into(), &false.into()));
}

#[test]
fn a_clock_is_taken_or_refused() {
    let task = Task::new(["logtest", "--format", "json", "--clock", "1710316800,431ms"]);
    assert_eq!(answers(task, FAILED_LOGIN)[0]["rule"]["id"], "80254");
    for clock in ["1710316800", "x,1s", "5,5"] {
        let finished = Task::new(["logtest", "--clock", clock]).input("").run().with_code(2);
        assert!(finished.stderr.contains("START,STEP"), "{}", finished.stderr);
    }
}

#[test]
fn a_rule_that_does_not_fire_is_explained() {
    let site = Site::new();
    let rules = site.write("own.xml", crate::rules::OWN);
    let explain = |rule: &str| Task::new(["logtest", "--explain", rule, "--rules"]).arg(&rules);
    let input = format!("{FAILED_LOGIN}\n{}\n", FAILED_LOGIN.replace("alice", "eve"));
    let shown = explain("100300").input(input.clone()).run().with_code(0).stdout;
    let (alice, eve) = shown.split_once("reason: rule 100300 fired").expect(&shown);
    assert!(alice.contains("result: decoder json, rule 100300, level 12"), "{alice}");
    for part in [
        "[yes] rule 80254",
        "[no]  rule 100300",
        "reason: rule 100300 did not match: field aws.useridentity.username",
    ] {
        assert!(eve.contains(part), "{part} is missing:\n{eve}");
    }
    let json = answers(explain("100301").arg("--format").arg("json"), &input);
    assert_eq!((&json[0]["fired"], &json[0]["result"]["id"]), (&false.into(), &"100300".into()));
    let last = json[0]["path"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["rule"], &last["holds"]), (&"100301".into(), &false.into()));
    assert!(last["file"].as_str().unwrap().ends_with("own.xml"), "{last}");
    let finished = explain("4711").input("").run().with_code(2);
    assert!(finished.stderr.contains("rule 4711 is not loaded"), "{}", finished.stderr);
}
