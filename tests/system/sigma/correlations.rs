//! Sigma's correlations from files to alerts: with `scan`, and with a process that is killed and started again.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{Site, Task, complete_lines};

/// The failures alone are no alerts.
pub(super) const RULES: &str = r"
title: Login failed
name: failed
logsource: {product: aws, service: cloudtrail}
detection:
    failed: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Failure}
    condition: failed
level: low
---
title: Login
name: succeeded
logsource: {product: aws, service: cloudtrail}
detection:
    succeeded: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Success}
    condition: succeeded
level: low
---
title: Brute force
id: 00000000-0000-4000-8000-00000000c001
correlation:
    type: event_count
    rules: [failed]
    group-by: [userIdentity.userName]
    timespan: 5m
    condition: {gte: 5}
level: high
tags: [attack.credential-access, attack.t1110]
---
title: Failures and no login
id: 00000000-0000-4000-8000-00000000c002
correlation:
    type: temporal
    rules: [failed, succeeded]
    group-by: [userIdentity.userName]
    timespan: 5m
    condition: failed and not succeeded
level: medium
";
pub(super) const BRUTE_FORCE: &str = "00000000-0000-4000-8000-00000000c001";
pub(super) const NO_LOGIN: &str = "00000000-0000-4000-8000-00000000c002";

/// A login every ten seconds, of three users in turn; those of `u2` succeed.
pub(super) fn logins(numbers: std::ops::Range<u32>) -> String {
    let mut lines = String::new();
    for number in numbers {
        let (user, second) = (number % 3, number * 10);
        let result = if user == 2 { "Success" } else { "Failure" };
        let time = format!("{:02}:{:02}:{:02}", 8 + second / 3_600, second / 60 % 60, second % 60);
        let _ = writeln!(
            lines,
            r#"{{"eventVersion":"1.08","eventID":"e{number}","eventTime":"2025-03-01T{time}Z","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","userIdentity":{{"userName":"u{user}"}},"responseElements":{{"ConsoleLogin":"{result}"}},"recipientAccountId":"123456789012"}}"#
        );
    }
    lines
}

pub(super) fn correlations(alerts: Vec<Value>) -> Vec<Value> {
    alerts.into_iter().filter(|alert| !alert["sigma"]["correlation"].is_null()).collect()
}

/// Correlation and group, and the id.
pub(super) fn told(alerts: &[Value]) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = alerts.iter().map(|alert| {
        let user = &alert["sigma"]["correlation"]["group_by"]["userIdentity.userName"];
        (text(&alert["rule"]["id"]), text(user), text(&alert["id"]))
    });
    let told: BTreeSet<_> = told.collect();
    assert_eq!(told.len(), alerts.len(), "an alert twice");
    told
}

pub(super) fn scanned(site: &Site, threads: &str) -> Vec<Value> {
    let (rules, all) = (site.text("rules.yml"), site.text("all.log"));
    let scan =
        ["scan", "--source", "aws.cloudtrail", "--no-builtin", "--threads", threads, "--rules", &rules, &all];
    Task::new(scan).run().with_code(1).json()
}

#[test]
fn scan_tells_of_brute_force_and_of_what_is_decided_at_the_end() {
    let site = Site::new();
    site.write("rules.yml", RULES);
    site.write("all.log", logins(0..60));
    let alerts = scanned(&site, "8");
    assert_eq!(told(&alerts), told(&scanned(&site, "1")));
    let of = |rule: &str| alerts.iter().filter(|alert| alert["rule"]["id"] == rule).count();
    // Ten minutes of failures of two users, a failure every half a minute.
    assert!((of(BRUTE_FORCE), of(NO_LOGIN)) == (4, 4), "{alerts:#?}");
    assert_eq!(alerts.len(), 8, "the failures alone are no alerts");
    let first = alerts.iter().find(|alert| alert["rule"]["id"] == BRUTE_FORCE).unwrap();
    assert_eq!(first["timestamp"], "2025-03-01T08:02:00.000+0000");
    let rule = &first["rule"];
    assert_eq!((&rule["level"], &rule["description"]), (&json!(12), &json!("Brute force")));
    assert_eq!(rule["groups"], json!(["sigma", "correlation"]));
    assert_eq!(rule["mitre"]["id"], json!(["T1110"]));
    assert_eq!(
        first["sigma"]["correlation"],
        json!({
            "type": "event_count",
            "group_by": {"userIdentity.userName": "u0"},
            "count": 5,
            "timespan": 300,
            "first": "2025-03-01T08:00:00.000Z",
            "last": "2025-03-01T08:02:00.000Z",
        })
    );
    assert_eq!(first["sigma"]["events"].as_array().unwrap().len(), 5);
    assert!(first.get("full_log").is_none());
}

#[test]
fn rules_list_and_check_show_correlations() {
    let site = Site::new();
    site.write("rules.yml", RULES);
    let rules = site.text("rules.yml");
    let list =
        Task::new(["rules", "list", "--no-builtin", "--group", "correlation", "--rules", &rules]).run();
    let lines: Vec<&str> = list.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", list.stdout);
    assert!(lines[0].starts_with(&format!("{BRUTE_FORCE}  12  sigma,correlation,event_count  Brute force")));
    let check = Task::new(["rules", "check", "--no-builtin", &rules]).run();
    assert!(check.stdout.contains("2 of Sigma, 2 correlations"), "{}", check.stdout);
    let shown = format!("correlation {BRUTE_FORCE} (event_count), fed by ");
    assert!(check.stdout.contains(&shown), "{}", check.stdout);
    assert!(check.stdout.contains("key: userIdentity.userName"), "{}", check.stdout);
}

fn configure(site: &Site, state: &str) {
    site.configure(&format!(
        "rules: {{builtin: false, paths: [DIR/rules.yml]}}\n\
         state: {state}\n\
         sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]\n\
         sources: [{{name: trail, type: file, source: aws.cloudtrail, paths: [DIR/in.log]}}]\n"
    ));
}

#[test]
fn a_window_ends_by_the_clock_when_nothing_more_comes() {
    let site = Site::new();
    site.write("rules.yml", RULES);
    configure(&site, "{idle: 200ms}");
    let mut daemon = site.start().ready();
    site.append("in.log", logins(0..1));
    let path = site.path("alerts.jsonl");
    daemon.until("the end of the window", || (!complete_lines(&path).is_empty()).then_some(()));
    daemon.stop();
    let alerts = site.alerts();
    assert_eq!((alerts.len(), &alerts[0]["rule"]["id"]), (1, &json!(NO_LOGIN)));
}

#[test]
fn a_process_that_is_killed_tells_the_same_correlations_as_scan() {
    const PARTS: u32 = 6;
    let count = 120;
    let site = Site::new();
    site.write("rules.yml", RULES);
    site.write("all.log", logins(0..count));
    let expected = told(&scanned(&site, "2"));
    assert!(expected.len() > 10);
    configure(&site, "{idle: 1h, lateness: {aws.cloudtrail: 1m}}");
    let part = count / PARTS;
    for number in 0..PARTS {
        let daemon = site.start().ready();
        site.append("in.log", logins(number * part..(number + 1) * part));
        std::thread::sleep(std::time::Duration::from_millis(u64::from(number) * 60));
        daemon.kill();
    }
    let mut daemon = site.start().ready();
    // Long after all others: every window has ended.
    site.append("in.log", logins(5_000..5_001).replace("ConsoleLogin", "Other"));
    let path = site.path("alerts.jsonl");
    let all = expected.len();
    daemon.until("all correlations", || (complete_lines(&path).len() >= all).then_some(()));
    daemon.stop();
    assert_eq!(told(&correlations(site.alerts())), expected);
}
