//! The first thing that anyone meets: the command of `scripts/quickstart`, what it shows, and what it can be asked.

use std::fs;

use serde_json::Value;

use super::{blocked, site, wait_for_alerts};
use crate::harness::{Site, Task, ids, json_lines, repository, rule_ids};

/// The arguments that `scripts/quickstart` gives to `run`, with another data folder.
fn quickstart(data: &str) -> Vec<String> {
    let script = fs::read_to_string(repository().join("scripts/quickstart")).unwrap();
    let (_, arguments) = script.split_once("threatlockdown -- run").expect("the script starts `run`");
    let words = arguments.split_whitespace().filter(|word| *word != "\\");
    let words = words.take_while(|word| *word != "\"$@\"");
    std::iter::once("run".to_owned())
        .chain(words.map(|word| word.trim_matches('"').replace("$data", data)))
        .collect()
}

#[test]
fn the_samples_give_their_alerts_once() {
    let site = Site::new();
    let data = site.text("data");
    let arguments = quickstart(&data);
    assert!(arguments.contains(&data), "{arguments:?}");
    let run = || Task::new(&arguments).arg("--once").current_dir(repository()).run().with_code(0);
    let printed = run().json();
    let found = ids(&printed);
    for source in ["aws.cloudtrail", "azure.log_analytics"] {
        let count = printed.iter().filter(|alert| alert["event"]["source"] == source).count();
        assert!(count >= 10, "{count} alerts of {source}");
    }
    assert_eq!(
        ids(&json_lines(&site.path("data/alerts.jsonl"))),
        found,
        "the file has what the screen shows"
    );
    let scan = Task::new(["scan", "samples/AWSLogs", "samples/azure"]).current_dir(repository()).run();
    assert_eq!(ids(&scan.with_code(1).json()), found, "`scan` finds the same");

    // Read to the end: a second run has nothing to add.
    assert_eq!(run().stdout, "");
    assert_eq!(ids(&json_lines(&site.path("data/alerts.jsonl"))), found);
}

#[test]
fn it_goes_on_listening_and_shows_a_line_to_try() {
    let site = Site::new();
    site.write("in.jsonl", "");
    let address = format!("127.0.0.1:{}", site.port);
    let input = format!("json={}", site.text("in.jsonl"));
    let daemon =
        site.start_with(&["--input", &input, "--data-dir", &site.text("data"), "--listen", &address]);
    let mut daemon = daemon.ready();
    let shown = daemon.until("the line to try", || {
        let text = fs::read_to_string(site.path("stderr.log")).unwrap();
        text.lines().find(|line| line.contains("curl ")).map(str::to_owned)
    });
    assert!(shown.contains(&format!("http://{address}/v1/ingest/aws.cloudtrail")), "{shown}");
    // What the line sends, sent.
    let body = shown.split_once("-d '").unwrap().1.trim_end_matches('\'');
    daemon.client.post("/v1/ingest/aws.cloudtrail", &[], body).with_status(200);
    let alert = daemon.until("the alert on the screen", || {
        let text = fs::read_to_string(site.path("stdout.log")).unwrap();
        text.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap())
    });
    assert_eq!(alert["rule"]["id"], "80254");
    daemon.stop();
    assert_eq!(rule_ids(&json_lines(&site.path("data/alerts.jsonl"))), ["80254"]);
}

#[test]
fn an_alert_has_everything_that_is_known() {
    let site = site("- {name: shop, type: file, source: json, paths: [DIR/app.log]}\n");
    site.write("app.log", blocked(7));
    let mut daemon = site.start().ready();
    wait_for_alerts(&site, &mut daemon, 1);
    daemon.stop();
    let alert = &site.alerts()[0];
    assert_eq!(alert["rule"]["description"], "Request 7 was blocked.");
    assert_eq!((&alert["rule"]["level"], &alert["rule"]["id"]), (&7.into(), &"100300".into()));
    assert_eq!(alert["full_log"], blocked(7).trim_end());
    assert_eq!(alert["data"]["verdict"], "blocked");
    assert_eq!((&alert["event"]["source"], &alert["event"]["connector"]), (&"json".into(), &"shop".into()));
    assert_eq!(alert["location"], site.text("app.log"));
    for member in ["timestamp", "id", "agent", "manager", "decoder", "ruleset"] {
        assert!(!alert[member].is_null(), "{member}: {alert}");
    }
}

#[test]
fn figures_can_be_scraped_and_are_right() {
    let site =
        site("- {name: push, type: http}\n- {name: app, type: file, source: json, paths: [DIR/app.log]}\n");
    let mut text: String = (0..30).map(blocked).collect();
    text.push_str("{\"number\":30,\"verdict\":\"passed\"}\n{\"number\": oops}\n");
    site.write("app.log", &text);
    let mut daemon = site.start().ready();
    daemon
        .client
        .post("/v1/ingest/syslog", &[], "Nov 20 10:00:00 web1 su: alice became root\n")
        .with_status(200);
    wait_for_alerts(&site, &mut daemon, 31);
    let client = daemon.client.clone();
    daemon.until("the dead letter in the figures", || {
        (client.metric("threatlockdown_dead_letters_total") == 1.0).then_some(())
    });
    let page = client.get("/metrics").with_status(200).body;
    let value = |name: &str| crate::harness::metric(&page, name);
    assert_eq!(value("threatlockdown_events_total"), 32.0);
    assert_eq!(value("threatlockdown_events_total{source=\"json\""), 31.0);
    assert_eq!(value("threatlockdown_events_total{source=\"syslog\""), 1.0);
    assert_eq!(value("threatlockdown_alerts_total"), 31.0);
    assert_eq!(value("threatlockdown_alerts_total{level=\"7\""), 30.0);
    assert_eq!(value("threatlockdown_alerts_total{level=\"6\""), 1.0);
    assert_eq!(value("threatlockdown_dead_letters_total{reason=\"malformed\""), 1.0);
    assert!(value("threatlockdown_batch_latency_seconds_count") >= 2.0);
    for name in [
        "threatlockdown_bytes_total{source=\"json\"",
        "threatlockdown_decode_errors",
        "threatlockdown_queue_depth ",
        "threatlockdown_in_flight_bytes ",
        "threatlockdown_checkpoint_age_seconds ",
        "threatlockdown_batch_latency_seconds_bucket{le=",
        "threatlockdown_sink_lag_bytes{sink=\"alerts\"",
        "threatlockdown_source_events_total{connector=\"app\"",
        "threatlockdown_journal_unread_bytes ",
        "threatlockdown_build_info{version=",
    ] {
        assert!(page.contains(name), "{name} is missing in:\n{page}");
    }
    let strange: Vec<&str> =
        page.lines().filter(|line| !line.starts_with('#') && !line.starts_with("threatlockdown_")).collect();
    assert_eq!(strange, [""; 0], "every name has the prefix");
    assert!(page.ends_with('\n'), "the last line has an end");
    daemon.stop();
}

#[test]
fn health_is_told() {
    let site = site("- {name: push, type: http}\n");
    let daemon = site.start().ready();
    daemon.client.get("/healthz").with_status(200);
    assert_eq!(daemon.client.get("/readyz").with_status(200).json()["status"], "ok");
    daemon.client.get("/nothing/here").with_status(404);
    daemon.stop();
}

#[test]
fn stdin_is_a_source() {
    let site = Site::new();
    let rules = site.write("rules.xml", super::RULES);
    let lines: String =
        (0..500).map(|number| format!("Nov 20 10:00:00 web1 su[{number}]: became root\n")).collect();
    let task = Task::new(["run", "--once", "--source", "syslog", "--input", "-", "--data-dir"]);
    let task = task.arg(site.path("data")).arg("--rules").arg(rules);
    let printed = task.input(lines.trim_end()).run().with_code(0).json();
    assert_eq!(printed.len(), 500, "the last line has no end");
    assert_eq!(ids(&printed).len(), 500, "equal lines at different places would be different events");
}

#[test]
fn mistakes_end_before_anything_starts() {
    let site = site("- {name: push, type: http}\n");
    let config = site.text("config.yaml");
    for wrong in [
        &["run", "-c", "/nonexistent/x.yaml"][..],
        &["run", "-c", &config, "--rules", "/nonexistent/rules"],
        &["run", "-c", &config, "--listen", "0.0.0.0:0"],
        &["run", "--once", "--listen", "off"],
    ] {
        let finished = Task::new(wrong).current_dir(&site.path("")).run().with_code(2);
        assert!(!finished.stderr.is_empty(), "{wrong:?}");
        assert!(!site.path("data/state.redb").exists(), "{wrong:?}");
    }
}
