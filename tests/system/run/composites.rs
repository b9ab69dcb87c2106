//! Composite rules in a living process: when they are told, beside what, and what comes late.

use std::fmt::Write as _;

use serde_json::Value;

use super::wait_for_alerts;
use crate::harness::{Daemon, Site, Task, rule_ids};

const RULES: &str = r#"<group name="composites,">
  <rule id="100700" level="5"><decoded_as>json</decoded_as><field name="outcome">^failed$</field><description>Login failed.</description></rule>
  <rule id="100701" level="10" frequency="3" timeframe="60"><if_matched_sid>100700</if_matched_sid><same_field>address</same_field><description>Logins failed.</description></rule>
</group>
"#;

fn site(more: &str) -> Site {
    let site = Site::new();
    site.write("rules.xml", RULES);
    site.configure(&format!(
        "rules: {{paths: [DIR/rules.xml]}}\n{more}\n\
         sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]\n\
         sources: [{{name: app, type: file, source: json, paths: [DIR/app.log]}}]\n"
    ));
    site
}

fn failed(second: u32) -> String {
    let mut line = String::new();
    let _ = writeln!(
        line,
        r#"{{"timestamp":"2025-03-01T10:{:02}:{:02}Z","outcome":"failed","address":"10.0.0.1"}}"#,
        second / 60,
        second % 60
    );
    line
}

fn finished(site: &Site, daemon: Daemon) -> Vec<Value> {
    daemon.stop();
    site.alerts()
}

#[test]
fn a_count_is_told_beside_its_events_when_nothing_more_comes() {
    let site = site("state: {idle: 200ms}");
    let mut daemon = site.start().ready();
    site.append("app.log", (0..3).map(failed).collect::<String>());
    wait_for_alerts(&site, &mut daemon, 4);
    let alerts = finished(&site, daemon);
    assert_eq!(rule_ids(&alerts), ["100700", "100700", "100700", "100701"]);
    assert_eq!(alerts[3]["full_log"], alerts[2]["full_log"]);
    assert_ne!(alerts[3]["id"], alerts[2]["id"]);
    assert_eq!(alerts[3]["previous_output"].as_str().unwrap().lines().count(), 2);
}

#[test]
fn a_composite_rule_takes_the_place_of_its_event_where_that_is_wanted() {
    let site = site("composites: replace\nstate: {idle: 200ms}");
    let mut daemon = site.start().ready();
    site.append("app.log", (0..3).map(failed).collect::<String>());
    wait_for_alerts(&site, &mut daemon, 3);
    assert_eq!(rule_ids(&finished(&site, daemon)), ["100700", "100700", "100701"]);
}

#[test]
fn a_count_goes_on_after_a_restart_and_what_is_late_is_counted_and_metered() {
    let site = site("state: {idle: 200ms}");
    let mut daemon = site.start().ready();
    site.append("app.log", failed(100) + &failed(101));
    wait_for_alerts(&site, &mut daemon, 2);
    let client = daemon.client.clone();
    let waiting = "threatlockdown_candidates_waiting";
    daemon.until("nothing to wait", || (client.metric(waiting) == 0.0).then_some(()));
    daemon.stop();
    let mut daemon = site.start().ready();
    // It is older than what has been counted.
    site.append("app.log", failed(99));
    wait_for_alerts(&site, &mut daemon, 4);
    assert!(client.metric("threatlockdown_candidates_late_total") >= 1.0);
    assert!(site.path("data/memory.snapshot").exists());
    assert_eq!(rule_ids(&finished(&site, daemon)), ["100700", "100700", "100700", "100701"]);
}

#[test]
fn nothing_that_is_counted_is_left_when_inputs_end() {
    const ADDRESSES: usize = 7_000;
    let site = site("");
    let mut lines = String::new();
    for _ in 0..3 {
        for address in 0..ADDRESSES {
            let line = format!(
                r#"{{"timestamp":"2025-03-01T10:00:00Z","outcome":"failed","address":"10.1.{}.{}"}}"#,
                address / 250,
                address % 250
            );
            let _ = writeln!(lines, "{line}");
        }
    }
    site.write("app.log", &lines);
    // The last word may come together with the last events, or by itself: that is a matter of luck.
    for run in 0..4 {
        let finished = Task::new(["run", "--once", "--stdout", "json", "--listen", "off"])
            .arg("--input")
            .arg(format!("json={}", site.path("app.log").display()))
            .arg("--rules")
            .arg(site.path("rules.xml"))
            .arg("--data-dir")
            .arg(site.path(&format!("state-{run}")))
            .run()
            .with_code(0);
        let alerts = finished.json();
        let ids = rule_ids(&alerts);
        assert_eq!(ids.iter().filter(|id| **id == "100701").count(), ADDRESSES, "run {run}");
        assert_eq!(ids.len(), 4 * ADDRESSES, "run {run}");
    }
}
