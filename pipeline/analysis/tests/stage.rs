//! The stage as others use it: units in, commits out.
//!
//! The committer's promises (order within a stream, nothing past a gap, retry until it succeeds, one alert per id) and
//! the alert's JSON, member by member.

#![allow(clippy::unwrap_used)] // clippy sees a test in a function that is marked as one, not in what it calls

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{Committer, Metrics, Outcome, Target, TargetError, WorkerOptions};
use threatlockdown_event::{Alert, AlertId, Context, Millis, Reason, Record, Unit};
use threatlockdown_ruleset::{Origin, RuleText, Texts, load};
use threatlockdown_topics::commit_log::Commit;

fn unit(source: &str, records: &[&[u8]]) -> Unit {
    let context = Context {
        source: source.into(),
        connector: "test".into(),
        location: "/var/log/app.log".into(),
        account: None,
        envelope: Vec::new(),
        origin: "app.log".into(),
        origin_id: [1; 16],
    };
    let mut buffer = Vec::new();
    let mut spans = Vec::new();
    for record in records {
        spans.push(Record {
            start: buffer.len() as u32,
            len: record.len() as u32,
            origin: buffer.len() as u64,
        });
        buffer.extend_from_slice(record);
        buffer.push(b'\n');
    }
    Unit {
        stream: "test/file/1".into(),
        sequence: 0,
        checkpoint: Some(b"p1".to_vec()),
        context: Arc::new(context),
        ingested: Millis(1_795_226_400_000),
        buffer,
        records: spans,
        dead_letters: Vec::new(),
    }
}

fn worker(rules: &str) -> Worker {
    let rules =
        RuleText { path: "9000-own.xml".into(), text: rules.as_bytes().to_vec(), origin: Origin::User };
    let loaded = load(Texts::builtin_and(vec![rules]));
    let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    let program = loaded.program.unwrap_or_else(|| panic!("{}", faults.join("\n")));
    let options = WorkerOptions { min_level: 3, host: "host-1".into(), ..WorkerOptions::default() };
    Worker::new(&program, &options, &Metrics::unregistered())
}

const FAILED_LOGIN: &[u8] = br#"{"eventTime":"2026-11-20T10:00:00Z","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"us-east-1","responseElements":{"ConsoleLogin":"Failure"},"eventID":"e-1","recipientAccountId":"111122223333"}"#;

#[test]
fn an_alert_has_the_reference_members_and_our_own() {
    let rules = r#"<group name="own,pci_dss_10.2.4,">
      <rule id="100001" level="12"><if_sid>80254</if_sid><description>Login of $(aws.recipientAccountId) failed in $(aws.awsRegion)</description>
      <mitre><id>T1110</id></mitre></rule></group>"#;
    let outcome = worker(rules).analyze(unit("aws.cloudtrail", &[FAILED_LOGIN]));
    assert_eq!((outcome.events, outcome.alerts.len(), outcome.dead_letters.len()), (1, 1, 0));
    let alert: Value = serde_json::from_slice(&outcome.alerts[0].json).unwrap();
    assert_eq!(alert["timestamp"], "2026-11-20T10:00:00.000+0000");
    assert_eq!(alert["rule"]["id"], "100001");
    assert_eq!(alert["rule"]["level"], 12);
    assert_eq!(alert["rule"]["description"], "Login of 111122223333 failed in us-east-1");
    assert_eq!(alert["rule"]["mail"], true);
    assert_eq!(alert["rule"]["firedtimes"], 1);
    assert_eq!(alert["rule"]["groups"], serde_json::json!(["own"]));
    assert_eq!(alert["rule"]["pci_dss"], serde_json::json!(["10.2.4"]));
    assert_eq!(alert["rule"]["mitre"]["tactic"], serde_json::json!(["Credential Access"]));
    assert_eq!(alert["agent"]["name"], "host-1");
    assert_eq!(alert["decoder"]["name"], "json");
    assert_eq!(alert["location"], "Wazuh-AWS");
    assert_eq!(alert["data"]["integration"], "aws");
    assert_eq!(alert["data"]["aws"]["responseElements"]["ConsoleLogin"], "Failure");
    assert_eq!(alert["full_log"].as_str().unwrap().as_bytes(), FAILED_LOGIN);
    assert_eq!(alert["event"]["source"], "aws.cloudtrail");
    assert_eq!(alert["cloud"]["account"]["id"], "111122223333");
    assert_eq!(alert["cloud"]["region"], "us-east-1");
    assert_eq!(alert["id"].as_str().unwrap(), outcome.alerts[0].id.to_string());
}

#[test]
fn identity_is_the_provider_key_or_the_place() {
    let rules = r#"<group name="own,"><rule id="100002" level="5"><match>denied</match><description>Denied</description></rule></group>"#;
    let mut worker = worker(rules);
    let ids = |outcome: &Outcome| outcome.alerts.iter().map(|alert| alert.id).collect::<Vec<_>>();
    let twice = ids(&worker.analyze(unit("aws.cloudtrail", &[FAILED_LOGIN, FAILED_LOGIN])));
    assert_eq!(twice[0], twice[1], "the same CloudTrail event is one event wherever it is read");
    let lines = ids(&worker.analyze(unit("syslog", &[b"access denied", b"access denied"])));
    assert_ne!(lines[0], lines[1], "equal lines at different places are two events");
    assert_eq!(lines, ids(&worker.analyze(unit("syslog", &[b"access denied", b"access denied"]))));
}

#[test]
fn bad_records_become_dead_letters_and_the_rest_goes_on() {
    let deep = [b"{\"a\":".repeat(500), b"1".to_vec(), b"}".repeat(500)].concat();
    let mut invalid = FAILED_LOGIN.to_vec();
    let at = invalid.windows(7).position(|window| window == b"Failure").unwrap();
    invalid.splice(at..at, [0xff]);
    let outcome =
        worker(r#"<group name="own,"><rule id="100003" level="3"><if_sid>87801</if_sid><description>x</description></rule></group>"#).analyze(unit("aws.cloudtrail", &[b"{\"a\":", &deep, &invalid, FAILED_LOGIN]));
    let reasons: Vec<Reason> = outcome.dead_letters.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(reasons, [Reason::Malformed, Reason::TooDeep]);
    assert_eq!((outcome.events, outcome.alerts.len()), (2, 2));
    let alert: Value = serde_json::from_slice(&outcome.alerts[0].json).unwrap();
    assert_eq!(alert["data"]["aws"]["responseElements"]["ConsoleLogin"], "\u{fffd}Failure");
}

#[derive(Clone, Default)]
struct Recorder {
    commits: Arc<Mutex<Vec<Commit>>>,
    refuse: Arc<Mutex<u32>>,
}

impl Target for Recorder {
    fn is_known(&self, id: &AlertId) -> bool {
        self.commits.lock().unwrap().iter().flat_map(|commit| &commit.alerts).any(|alert| alert.id == *id)
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), TargetError> {
        let mut refuse = self.refuse.lock().unwrap();
        if *refuse > 0 {
            *refuse -= 1;
            return Err(TargetError::Retry("disk full".to_owned()));
        }
        self.commits.lock().unwrap().push(commit.clone());
        Ok(())
    }
}

fn outcome(stream: &str, sequence: u64, alert: u8) -> Outcome {
    Outcome {
        checkpoint: Some(sequence.to_string().into_bytes()),
        alerts: vec![Alert {
            id: AlertId([alert; 16]),
            level: 3,
            json: format!("{{\"n\":{alert}}}").into_bytes(),
        }],
        ..Outcome::empty(stream.into(), sequence)
    }
}

fn run(recorder: &Recorder, outcomes: Vec<Outcome>) {
    let (sender, receiver) = sync_channel(outcomes.len().max(1));
    outcomes.into_iter().for_each(|outcome| sender.send(outcome).unwrap());
    drop(sender);
    Committer::new(recorder.clone(), &Metrics::unregistered()).run(&receiver);
}

fn committed(recorder: &Recorder) -> Vec<u8> {
    recorder
        .commits
        .lock()
        .unwrap()
        .iter()
        .flat_map(|commit| &commit.alerts)
        .map(|alert| alert.id.0[0])
        .collect()
}

#[test]
fn outcomes_are_committed_in_the_order_of_their_stream() {
    let recorder = Recorder::default();
    run(&recorder, vec![outcome("a", 2, 3), outcome("a", 0, 1), outcome("b", 0, 10), outcome("a", 1, 2)]);
    let of_a: Vec<u8> = committed(&recorder).into_iter().filter(|alert| *alert < 10).collect();
    assert_eq!(of_a, [1, 2, 3]);
    let last = recorder.commits.lock().unwrap().iter().flat_map(|commit| commit.checkpoints.clone()).fold(
        std::collections::BTreeMap::new(),
        |mut all, (stream, checkpoint)| {
            all.insert(stream.to_string(), checkpoint);
            all
        },
    );
    assert_eq!(last["a"], b"2");
    assert_eq!(last["b"], b"0");
}

#[test]
fn nothing_is_committed_past_a_gap() {
    let recorder = Recorder::default();
    run(&recorder, vec![outcome("a", 0, 1), outcome("a", 2, 3)]);
    assert_eq!(committed(&recorder), [1]);
    assert!(
        recorder
            .commits
            .lock()
            .unwrap()
            .iter()
            .all(|commit| commit.checkpoints.iter().all(|(_, at)| at == b"0"))
    );
}

#[test]
fn a_refused_commit_is_tried_until_it_succeeds() {
    let recorder = Recorder::default();
    *recorder.refuse.lock().unwrap() = 3;
    run(&recorder, vec![outcome("a", 0, 1), outcome("a", 1, 2)]);
    assert_eq!(committed(&recorder), [1, 2]);
}

#[test]
fn an_alert_is_committed_once_however_often_its_event_is_read() {
    let recorder = Recorder::default();
    run(&recorder, vec![outcome("a", 0, 1), outcome("b", 0, 1)]);
    run(&recorder, vec![outcome("a", 0, 1), outcome("a", 1, 2)]);
    assert_eq!(committed(&recorder), [1, 2]);
}

const SIGMA: &str = "
title: Console login failed
id: 5e2f2c1a-7d3b-4c6e-9a52-0f1e2d3c4b5a
status: test
author: somebody
level: high
tags: [attack.credential-access, attack.t1110]
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Failure}
  condition: selection
falsepositives: [typing errors]
---
title: Any login
id: 6e2f2c1a-7d3b-4c6e-9a52-0f1e2d3c4b5a
level: informational
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName: ConsoleLogin}
  condition: selection
";

#[test]
fn each_sigma_rule_has_an_alert_of_its_own_beside_that_of_the_verdict() {
    let mut texts = Texts::builtin();
    texts.add(RuleText { path: "own.yml".into(), text: SIGMA.into(), origin: Origin::User });
    let loaded = load(texts);
    let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    let program = loaded.program.unwrap_or_else(|| panic!("{}", faults.join("\n")));
    let worker = |min_level| {
        let options = WorkerOptions { min_level, host: "host-1".into(), ..WorkerOptions::default() };
        Worker::new(&program, &options, &Metrics::unregistered())
    };
    let outcome = worker(3).analyze(unit("aws.cloudtrail", &[FAILED_LOGIN, FAILED_LOGIN]));
    let alerts: Vec<Value> =
        outcome.alerts.iter().map(|alert| serde_json::from_slice(&alert.json).unwrap()).collect();
    let ids: Vec<&str> = alerts.iter().map(|alert| alert["rule"]["id"].as_str().unwrap()).collect();
    let (high, low) = ("5e2f2c1a-7d3b-4c6e-9a52-0f1e2d3c4b5a", "6e2f2c1a-7d3b-4c6e-9a52-0f1e2d3c4b5a");
    assert_eq!(ids, ["80254", high, low, "80254", high, low]);
    let alert = &alerts[1];
    assert_eq!(outcome.alerts[1].level, 12);
    assert_eq!(alert["rule"]["level"], 12);
    assert_eq!(alert["rule"]["description"], "Console login failed");
    assert_eq!(alert["rule"]["groups"], serde_json::json!(["sigma", "aws", "cloudtrail"]));
    assert_eq!(alert["rule"]["mail"], true);
    let mitre =
        serde_json::json!({"id": ["T1110"], "tactic": ["Credential Access"], "technique": ["Brute Force"]});
    assert_eq!(alert["rule"]["mitre"], mitre);
    let sigma = &alert["sigma"];
    assert_eq!((&sigma["title"], &sigma["level"]), (&"Console login failed".into(), &"high".into()));
    assert_eq!((&sigma["status"], &sigma["author"]), (&"test".into(), &"somebody".into()));
    assert_eq!(sigma["falsepositives"], serde_json::json!(["typing errors"]));
    assert_eq!(sigma.get("references"), None);
    assert_eq!(alert["data"]["aws"]["eventName"], "ConsoleLogin");
    assert_eq!(alert["event"]["id"], alerts[0]["event"]["id"]);
    assert_eq!(alerts[4]["rule"]["firedtimes"], 2);
    assert_ne!(alerts[0]["id"], alert["id"]);
    assert_eq!(alert["id"], alerts[4]["id"], "the same event and rule");
    let above: Vec<u8> = worker(4)
        .analyze(unit("aws.cloudtrail", &[FAILED_LOGIN]))
        .alerts
        .iter()
        .map(|alert| alert.level)
        .collect();
    assert_eq!(above.len(), 2, "an informational one is below");
}
