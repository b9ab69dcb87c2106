//! Ends and beginnings: drains, data folders, outputs that were tampered with.

use std::fs;
use std::time::Duration;

use threatlockdown_benches::random::Random;

use super::{blocked, numbers, site, wait_for_alerts};
use crate::harness::{Site, Task, count_lines, ids, is_soak, rotated};

fn app_site() -> Site {
    site("- {name: push, type: http}\n- {name: app, type: file, source: json, paths: [DIR/app.log]}\n")
}

#[test]
fn a_signal_drains_what_was_read() {
    for name in ["TERM", "INT"] {
        let site = app_site();
        site.write("app.log", (0..40_000).map(blocked).collect::<String>());
        let mut daemon = site.start().ready();
        let client = daemon.client.clone();
        // In the middle of it, wherever that is.
        daemon.until("some events", || (client.metric("threatlockdown_events_total") > 0.0).then_some(()));
        daemon.signal(name);
        assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
        let delivered = ids(&site.alerts()).len();
        assert!(delivered > 0);
        // The rest comes after the next start, and nothing twice.
        let mut daemon = site.start().ready();
        wait_for_alerts(&site, &mut daemon, 40_000);
        daemon.stop();
        assert_eq!(numbers(&site.alerts()), (0..40_000).collect::<Vec<_>>());
    }
}

#[test]
fn a_data_folder_has_one_process() {
    let site = app_site();
    let daemon = site.start().ready();
    let config = site.text("config.yaml");
    let second = Task::new(["run", "-c", &config, "--listen", "127.0.0.1:0"]).run().with_code(2);
    assert!(second.stderr.contains(&site.text("data")), "{}", second.stderr);
    assert!(
        second.stderr.contains("another process") || second.stderr.contains("in use"),
        "{}",
        second.stderr
    );
    // The first one does not mind.
    daemon.client.get("/readyz").with_status(200);
    daemon.stop();
    // A port that is taken is another mistake.
    let taken = std::net::TcpListener::bind(("127.0.0.1", site.port)).unwrap();
    let third = Task::new(["run", "-c", &config]).run().with_code(2);
    assert!(third.stderr.contains(&site.port.to_string()), "{}", third.stderr);
    drop(taken);
}

#[test]
fn a_kill_within_the_first_start_leaves_a_folder_that_can_be_used() {
    const SEED: u64 = 7;
    let mut random = Random::new(SEED);
    for round in 0..if is_soak() { 400 } else { 40 } {
        let site = app_site();
        site.write("app.log", blocked(0));
        let victim = site.start();
        // A moment between nothing and all that a start makes.
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        victim.kill();
        let mut daemon = site.start().ready();
        wait_for_alerts(&site, &mut daemon, 1);
        daemon.stop();
        assert_eq!(numbers(&site.alerts()), [0], "round {round}, seed {SEED}");
    }
}

#[test]
fn alerts_are_rotated_without_a_loss() {
    let site = Site::new();
    site.write("rules.xml", super::RULES);
    site.configure(
        "rules: {paths: [DIR/rules.xml]}
sources: [{name: app, type: file, source: json, paths: [DIR/app.log]}]
sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl, rotate_bytes: 64KiB, keep: 3}]
",
    );
    let path = site.path("alerts.jsonl");
    let mut daemon = site.start().ready();
    let mut written = 0;
    // Until the oldest files fall out.
    while !site.path("alerts.jsonl.3").exists() {
        site.append("app.log", (written..written + 100).map(blocked).collect::<String>());
        written += 100;
        let last = format!("\"number\":\"{}\"", written - 1);
        daemon.until("the last alert", || {
            let found =
                |path: &std::path::PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains(&last));
            rotated(&path).iter().any(found).then_some(())
        });
        assert!(written < 100_000, "it does not rotate");
    }
    daemon.stop();
    assert!(!site.path("alerts.jsonl.4").exists(), "only so many are kept");
    let kept: Vec<_> = rotated(&path).iter().flat_map(|path| crate::harness::json_lines(path)).collect();
    let numbers = numbers(&kept);
    assert_eq!(
        numbers,
        (written - numbers.len()..written).collect::<Vec<_>>(),
        "the youngest, without a gap"
    );
}

#[test]
fn somebody_else_may_move_the_alerts_away() {
    let site = app_site();
    site.append("app.log", blocked(0));
    let mut daemon = site.start().ready();
    wait_for_alerts(&site, &mut daemon, 1);
    fs::rename(site.path("alerts.jsonl"), site.path("moved.jsonl")).unwrap();
    let both = |name: &str| count_lines(&site.path(name));
    // Lines go to the moved file until the move is noticed; what counts is that each line is in one of them.
    for number in 1..200 {
        site.append("app.log", blocked(number));
        daemon.until("the alert", || (both("moved.jsonl") + both("alerts.jsonl") > number).then_some(()));
        if both("alerts.jsonl") > 0 {
            daemon.stop();
            let mut alerts = crate::harness::json_lines(&site.path("moved.jsonl"));
            alerts.extend(site.alerts());
            assert_eq!(numbers(&alerts), (0..=number).collect::<Vec<_>>());
            return;
        }
    }
    panic!("the new file was never begun\n{}", daemon.log());
}

#[test]
fn once_ends_when_all_is_delivered() {
    let site = Site::new();
    site.write("rules.xml", super::RULES);
    site.write(
        "in/app.log",
        (0..5_000).map(blocked).collect::<String>() + "{\"number\":5000,\"verdict\":\"blocked\"}",
    );
    let run = || {
        let task =
            Task::new(["run", "--once", "--stdout", "none", "--workers", "2", "--source", "json", "--input"]);
        let task = task.arg(site.path("in")).arg("--rules").arg(site.path("rules.xml"));
        let task =
            task.arg("--data-dir").arg(site.path("data")).arg("--alerts").arg(site.path("alerts.jsonl"));
        let finished = task.run().with_code(0);
        assert_eq!(finished.stdout, "");
    };
    run();
    assert_eq!(numbers(&site.alerts()), (0..=5_000).collect::<Vec<_>>(), "the last line has no end");
    site.append("in/second.log", blocked(5_001));
    run();
    assert_eq!(numbers(&site.alerts()), (0..=5_001).collect::<Vec<_>>());
}
