//! Targets of `deliver` that fail: OpenSearch that is away, or refuses some alerts; a disk without room under one of several
//! sinks.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::corpus::{Alerts, event, index_day};
use super::fleet::{DELIVER, Fleet};
use super::watch::{self, ask};
use crate::harness::{Task, complete_lines, ids, json_lines};

/// Tens of seconds in a test, with the start.
const AWAY: Duration = Duration::from_secs(10);
/// Alerts that are refused for good.
const REFUSED: u64 = 7;

/// OpenSearch is killed, stays away, and comes back.
pub(super) fn opensearch_is_away(fleet: &mut Fleet) {
    fleet.search.kill();
    thread::sleep(AWAY);
    fleet.search.restart();
}

/// Indices of two days of a phase as somebody else made them, before there is a template: one in which an address must be a number,
/// and one in which no time of an alert is any.
pub(super) fn prepare_indices(fleet: &Fleet, phase: usize) {
    let mappings = [
        (
            0,
            json!({"data": {"properties": {"aws": {"properties": {"sourceIPAddress": {"type": "integer"}}}}}}),
        ),
        (1, json!({"timestamp": {"type": "ip"}, "id": {"type": "keyword"}})),
    ];
    for (day, properties) in mappings {
        let mut properties = properties;
        properties["id"] = json!({"type": "keyword"});
        let body = json!({"mappings": {"properties": properties}, "settings": {"number_of_replicas": 0}});
        let made = ask(&fleet.search.url(), "PUT", &format!("/tld-{}", index_day(phase, day)), &body);
        assert_eq!(made["acknowledged"], true, "{made}");
    }
}

/// What comes on the second day of the phase, when its first is over, is refused in any form.
pub(super) fn send_refused(fleet: &mut Fleet, phase: usize) {
    let lines: String = (0..REFUSED)
        .map(|number| event(phase, &format!("refused-{number}"), 86_400 + number * 600, "FailedCall", number))
        .collect();
    let alerts = scanned(fleet, &lines);
    assert_eq!(alerts.len() as u64, REFUSED);
    fleet.more.extend(alerts.clone());
    fleet.refused = alerts;
    fleet.shared.append("in/0.jsonl", lines);
}

/// Those of the first day came with their parts as text; those of the second are dead letters with OpenSearch's reason. When the
/// index is mended they are sent back, and are there, once.
pub(super) fn check_refused(fleet: &mut Fleet, phase: usize) {
    let url = fleet.search.url();
    let index = index_day(phase, 0);
    let found = ask(
        &url,
        "POST",
        &format!("/tld-{index}/_search"),
        &json!({"size": 1, "query": {"exists": {"field": "unmapped.reason"}}}),
    );
    let hit = &found["hits"]["hits"][0]["_source"];
    assert!(hit["unmapped"]["reason"].as_str().is_some_and(|why| why.contains("sourceIPAddress")), "{found}");
    assert!(hit["unmapped"]["data"].as_str().is_some_and(|data| data.contains("FailedCall")), "{found}");

    let rejected = rejected(fleet);
    let found: Alerts = rejected
        .iter()
        .map(|letter| {
            let alert: Value = serde_json::from_str(letter["record"].as_str().unwrap()).unwrap();
            (
                letter["alert_id"].as_str().unwrap().to_owned(),
                alert["rule"]["id"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!((rejected.len() as u64, &found), (REFUSED, &fleet.refused), "each is a dead letter, once");
    for letter in &rejected {
        let detail = letter["detail"].as_str().unwrap();
        assert!(detail.contains("[timestamp] of type [ip]"), "{detail}");
        assert_eq!(letter["sink"], "os");
    }
    ask(&url, "DELETE", &format!("/tld-{}", index_day(phase, 1)), &json!({}));
    let config = fleet.copies[DELIVER].site.text("config.yaml");
    let sent = Task::new(["deadletter", "redrive", "-c", &config, "--reason", "rejected"]).run().with_code(0);
    assert_eq!(sent.stdout, format!("{REFUSED} sent back\n"));
    fleet.refused.clear();
    fleet.settle(phase, "what was refused is sent back");
}

/// There is no room for one of the sinks; the others go on. When there is room, all is there once.
pub(super) fn disk_is_full(fleet: &mut Fleet, phase: usize) {
    let Some(disk) = &fleet.disk else { return };
    disk.fill();
    let client = fleet.copies[DELIVER].site.client();
    let failures = "threatlockdown_sink_failures_total{sink=\"alerts\"";
    let url = fleet.search.url();
    let index = format!("tld-{}", index_day(phase, 0));
    let daemon = fleet.copies[DELIVER].daemon.as_mut().unwrap();
    daemon.until("a failure of the file", || (client.metric(failures) > 0.0).then_some(()));
    let before = watch::count(&url, &index);
    daemon.until("the index to go on", || (watch::count(&url, &index) > before).then_some(()));
    fleet.disk.as_ref().unwrap().empty();
}

/// The file of the one copy that delivered all so far.
pub(super) fn check_file(fleet: &mut Fleet, phase: usize) {
    let mut expected = fleet.corpus.until(phase);
    expected.extend(fleet.more.clone());
    let path = fleet.copies[DELIVER].site.path("out/alerts.jsonl");
    let daemon = fleet.copies[DELIVER].daemon.as_mut().unwrap();
    daemon.until("the file", || (complete_lines(&path).len() >= expected.len()).then_some(()));
    assert!(ids(&json_lines(&path)) == expected, "each alert stands in the file, once");
}

fn rejected(fleet: &Fleet) -> Vec<Value> {
    let all = fleet.dead_letters().into_values();
    let config = fleet.copies[DELIVER].site.text("config.yaml");
    let whole = |letter: Value| {
        let place = letter["place"].as_str().unwrap();
        let shown = Task::new(["deadletter", "show", "-c", &config, place]).run().with_code(0);
        serde_json::from_str(&shown.stdout).unwrap()
    };
    all.filter(|letter| letter["reason"] == "rejected" && letter["redriven"] != true).map(whole).collect()
}

/// What `scan` makes of lines.
pub(super) fn scanned(fleet: &Fleet, lines: &str) -> Alerts {
    let path = fleet.shared.write("scanned.jsonl", lines);
    let rules = fleet.shared.text("rules");
    let scan =
        Task::new(["scan", "--source", "aws.cloudtrail", "--rules", &rules]).arg(path).run().with_code(1);
    ids(&scan.json())
}
