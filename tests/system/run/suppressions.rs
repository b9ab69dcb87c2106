//! Suppressions in a running process: what they hold back is counted and named, and changed ones come into force.

use std::fs;

use super::reload::{configured, event, wait_for};
use super::{numbers, wait_for_alerts};
use crate::harness::{Site, Task};

/// Events with even numbers are held back.
const ONE: &str = "suppressions:\n  - {id: two, rules: 100300, where: {number: ['2', '3']}, reason: known, permanent: true}\n";

fn counted(daemon: &crate::harness::Daemon, suppression: &str) -> f64 {
    daemon.client.metric(&format!("threatlockdown_suppressed_total{{suppression=\"{suppression}\""))
}

#[test]
fn what_is_held_back_is_counted_named_and_changed_with_the_files() {
    let site: Site = configured("paths: [DIR/rules], reload_interval: 100ms");
    site.write("rules/own.suppressions.yaml", ONE);
    let mut daemon = site.start().ready();
    assert!(fs::read_to_string(site.path("stderr.log")).unwrap().contains("names=\"two\""));
    for number in 1..=4 {
        site.append("app.log", event(number, "blocked"));
    }
    wait_for_alerts(&site, &mut daemon, 2);
    assert_eq!(counted(&daemon, "two"), 2.0);
    // A faulty file changes nothing, a right one is taken.
    site.write("rules/own.suppressions.yaml", "suppressions:\n  - {id: all, rules: any}\n");
    wait_for(&mut daemon, "refused", 1);
    let soon = "suppressions:\n  - {id: four, rules: 100300, where: {number: 6}, reason: known, permanent: true}\n  \
        - {id: old, rules: 100300, where: {number: 7}, reason: was, until: 2026-01-01T00:00:00Z}\n";
    site.write("rules/own.suppressions.yaml", soon);
    wait_for(&mut daemon, "applied", 1);
    for number in 5..=8 {
        site.append("app.log", event(number, "blocked"));
    }
    wait_for_alerts(&site, &mut daemon, 5);
    assert_eq!((counted(&daemon, "four"), counted(&daemon, "old")), (1.0, 0.0));
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [1, 4, 5, 7, 8]);
    let log = fs::read_to_string(site.path("stderr.log")).unwrap();
    assert!(log.contains("own.suppressions.yaml:3:5: the suppression `old` expired"), "{log}");
}

#[test]
fn a_throttle_lets_the_first_pass_and_goes_on_after_a_restart() {
    let site = Site::new();
    site.write("rules/a.xml", super::RULES);
    let throttle = "suppressions:\n  - {id: few, rules: 100300, allow: 2, quiet: 1d, reason: enough}\n";
    site.write("rules/own.suppressions.yaml", throttle);
    site.configure(
        "workers: 2\nrules: {paths: [DIR/rules]}\nstate: {idle: 200ms}\n\
         sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl}]\n\
         sources: [{name: app, type: file, source: json, paths: [DIR/app.log]}]\n",
    );
    let mut daemon = site.start().ready();
    (1..=5).for_each(|number| site.append("app.log", event(number, "blocked")));
    wait_for_alerts(&site, &mut daemon, 2);
    daemon.until("three are held back", || (counted(&daemon_client(&site), 3.0)).then_some(()));
    daemon.stop();
    let mut daemon = site.start().ready();
    (6..=7).for_each(|number| site.append("app.log", event(number, "blocked")));
    daemon.until("two more are held back", || counted(&daemon_client(&site), 2.0).then_some(()));
    daemon.stop();
    assert_eq!(site.alerts().len(), 2);

    fn daemon_client(site: &Site) -> crate::harness::Client {
        site.client()
    }
    fn counted(client: &crate::harness::Client, least: f64) -> bool {
        client.metric("threatlockdown_suppressed_total{suppression=\"few\"") >= least
    }
}

#[test]
fn commands_list_them_and_count_what_they_would_hold_back() {
    let site = Site::new();
    let rules = site.text("rules");
    site.write("rules/a.xml", super::RULES);
    let two = "suppressions:\n  - {id: two, rules: 100300, where: {number: ['2', '3']}, reason: known, author: me, permanent: true}\n  \
        - {id: few, groups: run_test, allow: 1, quiet: 1h, reason: enough}\n  \
        - {id: old, rules: 70, reason: was, until: 2026-01-01T00:00:00Z}\n";
    site.write("rules/own.suppressions.yaml", two);
    let events: String = (1..=5).map(|number| event(number, "blocked")).collect();
    let log = site.write("app.log", events);
    let list = |args: &[&str]| {
        let task = ["rules", "suppressions", "--source", "json", "--rules", &rules]
            .into_iter()
            .chain(args.iter().copied());
        Task::new(task).run().with_code(0)
    };
    let found = list(&["--json", log.to_str().unwrap()]).json();
    let of = |at: usize, key: &str| found[at][key].clone();
    assert_eq!(
        (of(0, "id"), of(0, "state"), of(0, "held_back")),
        ("two".into(), "permanent".into(), 2.into())
    );
    assert_eq!((of(1, "id"), of(1, "about_rules"), of(1, "held_back")), ("few".into(), 2.into(), 2.into()));
    assert_eq!(
        (of(2, "state"), of(2, "held_back"), of(2, "reason")),
        ("expired".into(), 0.into(), "was".into())
    );
    let text = list(&["list"]);
    assert!(
        text.stdout.contains("two  permanent  1 rule") && text.stdout.contains("known (me)"),
        "{}",
        text.stdout
    );
    for warning in ["no rule 70 is loaded", "`old` expired at 2026-01-01"] {
        assert!(text.stderr.contains(warning), "{}", text.stderr);
    }
    let scan =
        Task::new(["scan", "--source", "json", "--stats", "json", "--rules", &rules, log.to_str().unwrap()]);
    let scan = scan.run().with_code(1);
    assert_eq!(scan.json().len(), 1);
    assert_eq!(scan.stats()["suppressed"], 4);
    assert_eq!(scan.stats()["suppressions"], serde_json::json!({"two": 2, "few": 2, "old": 0}));
    site.write("rules/own.suppressions.yaml", "suppressions:\n  - {id: x, rules: any, permanent: true}\n");
    let check = Task::new(["rules", "check", &rules]).run().with_code(2);
    assert!(
        check.stderr.contains("own.suppressions.yaml:2:5: error: `reason` is missing"),
        "{}",
        check.stderr
    );
}
