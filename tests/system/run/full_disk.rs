//! A full disk: nothing is answered for or counted as read that is not stored, and when there is room again all of it
//! arrives, once. Needs the right to mount a small file system; elsewhere the tests say that they were skipped.

use super::{blocked, numbers};
use crate::harness::{Disk, Site, complete_lines, skip};

fn site() -> Site {
    let site = Site::new();
    site.write("rules.xml", super::RULES);
    site.configure(
        "rules: {paths: [DIR/rules.xml]}
sinks: [{name: alerts, type: file, path: DIR/out/alerts.jsonl}]
sources:
- {name: push, type: http}
- {name: app, type: file, source: json, paths: [DIR/app.log]}
",
    );
    site
}

fn alerts(site: &Site) -> Vec<serde_json::Value> {
    crate::harness::json_lines(&site.path("out/alerts.jsonl"))
}

fn wait_for(site: &Site, daemon: &mut crate::harness::Daemon, count: usize) {
    let path = site.path("out/alerts.jsonl");
    daemon.until(&format!("{count} alerts"), || (complete_lines(&path).len() >= count).then_some(()));
}

#[test]
fn a_full_data_folder_refuses_and_recovers() {
    let site = site();
    let Some(disk) = Disk::mount(site.path("data"), 24) else {
        return skip("a_full_data_folder_refuses_and_recovers", "this user may not mount");
    };
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    site.append("app.log", blocked(0));
    client.post("/v1/ingest/json", &[], blocked(1)).with_status(200);
    wait_for(&site, &mut daemon, 2);

    disk.fill();
    // Enough that no rest of a block takes it in.
    let many: String = (1_000..12_000).map(blocked).collect();
    let refused = client.post("/v1/ingest/json", &[], &many);
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.retry_after.is_some());
    site.append("app.log", &many);
    daemon.until("the answer of /readyz", || (client.get("/readyz").status == 503).then_some(()));
    client.get("/healthz").with_status(200);
    assert_eq!(alerts(&site).len(), 2, "nothing is delivered that is not stored");

    disk.empty();
    daemon.until("readiness", || (client.get("/readyz").status == 200).then_some(()));
    client.post("/v1/ingest/json", &[], blocked(2)).with_status(200);
    wait_for(&site, &mut daemon, 11_003);
    daemon.stop();
    let expected: Vec<usize> = (0..3).chain(1_000..12_000).collect();
    assert_eq!(numbers(&alerts(&site)), expected);
}

#[test]
fn a_full_disk_of_alerts_holds_them_back_and_loses_none() {
    let site = site();
    let Some(disk) = Disk::mount(site.path("out"), 24) else {
        return skip("a_full_disk_of_alerts_holds_them_back_and_loses_none", "this user may not mount");
    };
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    site.append("app.log", blocked(0));
    wait_for(&site, &mut daemon, 1);
    disk.fill();
    site.append("app.log", (1..5_000).map(blocked).collect::<String>());
    daemon.until("a failed delivery", || {
        (client.metric("threatlockdown_sink_failures_total{sink=\"alerts\"") > 0.0).then_some(())
    });
    // Judging goes on: this sink alone is held back.
    daemon.until("all events", || (client.metric("threatlockdown_events_total") >= 5_000.0).then_some(()));
    assert!(client.metric("threatlockdown_sink_lag_bytes{sink=\"alerts\"") > 0.0);
    disk.empty();
    wait_for(&site, &mut daemon, 5_000);
    daemon.stop();
    assert_eq!(numbers(&alerts(&site)), (0..5_000).collect::<Vec<_>>());
}

#[test]
fn a_kill_on_a_full_disk_loses_nothing() {
    let site = site();
    let Some(disk) = Disk::mount(site.path("data"), 24) else {
        return skip("a_kill_on_a_full_disk_loses_nothing", "this user may not mount");
    };
    let mut daemon = site.start().ready();
    site.append("app.log", blocked(0));
    wait_for(&site, &mut daemon, 1);
    disk.fill();
    site.append("app.log", (1..12_000).map(blocked).collect::<String>());
    let client = daemon.client.clone();
    daemon.until("the answer of /readyz", || (client.get("/readyz").status == 503).then_some(()));
    daemon.kill();
    disk.empty();
    let mut daemon = site.start().ready();
    wait_for(&site, &mut daemon, 12_000);
    daemon.stop();
    assert_eq!(numbers(&alerts(&site)), (0..12_000).collect::<Vec<_>>());
}
