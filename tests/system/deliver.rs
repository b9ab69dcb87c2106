//! `deliver`, with a real broker: each sink its own group, each alert once, whatever is killed or fails.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Site, complete_lines, count_lines, ids, is_soak, json_lines};
use crate::hook::Hook;
use crate::kafka::{Topics, id};

const FILE: &str = "sinks:\n- {name: alerts, type: file, path: DIR/alerts.jsonl}\n";

fn expected(numbers: std::ops::Range<u32>) -> BTreeSet<String> {
    numbers.map(id).collect()
}

/// Ids in a file that nobody writes to; none twice.
fn seen(path: &Path) -> BTreeSet<String> {
    ids(&json_lines(path)).into_keys().collect()
}

#[test]
fn a_file_has_each_alert_once_through_kills_under_load() {
    let topics = Topics::start();
    let site = Site::new();
    topics.configure(&site, "one", FILE);
    let kills: u32 = if is_soak() { 20 } else { 6 };
    let path = site.path("alerts.jsonl");
    let of_one = 2_000;
    for kill in 0..kills {
        topics.alerts(kill * of_one..(kill + 1) * of_one);
        let mut daemon = site.start_role("deliver");
        // In the middle of it: more lines than before, at different places of each round.
        let before = count_lines(&path);
        let enough = before + usize::try_from(1 + kill * 300 % of_one).unwrap();
        daemon.until("lines", || (count_lines(&path) >= enough).then_some(()));
        daemon.kill();
    }
    topics.alerts(kills * of_one..kills * of_one + 10);
    let mut daemon = site.start_role("deliver");
    let all = usize::try_from(kills * of_one + 10).unwrap();
    daemon.until("all alerts", || (count_lines(&path) >= all).then_some(()));
    daemon.until("the figures", || {
        (site.client().metric("threatlockdown_sink_alerts_total") >= 1.0).then_some(())
    });
    daemon.stop();
    assert_eq!(seen(&path), expected(0..kills * of_one + 10));
}

#[test]
fn a_sink_that_fails_holds_up_no_other_and_what_is_refused_is_redriven_to_it_alone() {
    let topics = Topics::start();
    let site = Site::new();
    let is_down = Arc::new(AtomicUsize::new(1));
    let down = Arc::clone(&is_down);
    let hook = Hook::start(move |body| match down.load(Ordering::SeqCst) {
        1 => 500,
        2 if body.contains(r#""id":"7""#) => 422,
        _ => 200,
    });
    let sinks = format!(
        "{FILE}- {{name: hook, type: webhook, url: '{}', headers: {{X-Secret: s}}}}\n\
         - {{name: high, type: topic, min_level: 8}}\n\
         - {{name: lost, type: file, path: DIR/dead.jsonl, content: dead_letters}}\n",
        hook.url()
    );
    topics.configure(&site, "one", &sinks);
    topics.alerts(0..20);
    let mut daemon = site.start_role("deliver").ready();
    let path = site.path("alerts.jsonl");
    daemon.until("the file", || (count_lines(&path) == 20).then_some(()));
    let failures = "threatlockdown_sink_failures_total{sink=\"hook\"}";
    daemon.until("failures", || (site.client().metric(failures) >= 2.0).then_some(()));
    topics.alerts(20..30);
    daemon.until("the file", || (count_lines(&path) == 30).then_some(()));
    daemon.until("the topic", || (topics.read("t.alerts.high").len() == 6).then_some(()));

    is_down.store(2, Ordering::SeqCst);
    let dead = site.path("dead.jsonl");
    daemon.until("the webhook", || (hook.taken().len() == 29).then_some(()));
    daemon.until("the dead letter", || (count_lines(&dead) == 1).then_some(()));
    let letter = &json_lines(&dead)[0];
    assert_eq!((letter["sink"].as_str(), letter["reason"].as_str()), (Some("hook"), Some("rejected")));
    assert!(letter["detail"].as_str().unwrap().starts_with("422"), "{letter}");

    // The target is mended: the alert goes to it alone.
    is_down.store(3, Ordering::SeqCst);
    let config = site.text("config.yaml");
    let redrive =
        || crate::harness::Task::new(["deadletter", "redrive", "-c", &config, "--reason", "rejected"]).run();
    assert_eq!(redrive().with_code(0).stdout, "1 sent back\n");
    daemon.until("the redriven one", || (hook.taken().len() == 30).then_some(()));
    assert_eq!(redrive().with_code(0).stdout, "nothing sent back: 1 was before (see --again)\n");
    daemon.stop();
    let taken: BTreeSet<String> = hook.taken().into_iter().collect();
    assert_eq!(taken, expected(0..30), "each has its id as Idempotency-Key");
    assert_eq!(hook.secret(), Some("s".to_owned()));
    assert_eq!(seen(&path), expected(0..30), "the others do not get it again");
    let high: BTreeSet<Vec<u8>> =
        topics.read("t.alerts.high").into_iter().filter_map(|one| one.key).collect();
    let wanted = (0..30).filter(|number| number % 10 >= 8).map(|number| id(number).into_bytes());
    assert_eq!(high, wanted.collect());
    assert_eq!(topics.read("t.alerts.high").len(), 6, "none twice");
}

#[test]
fn copies_share_the_alerts_and_take_over_from_each_other() {
    let topics = Topics::start();
    let (one, two) = (Site::new(), Site::new());
    topics.configure(&one, "one", FILE);
    topics.configure(&two, "two", FILE);
    let lines = |site: &Site| count_lines(&site.path("alerts.jsonl"));
    topics.alerts(0..1_000);
    let mut first = one.start_role("deliver");
    first.until("the first alerts", || (lines(&one) == 1_000).then_some(()));
    let mut second = two.start_role("deliver");
    let mut sent = 1_000;
    // New ones, until the second copy has had its share.
    second.until("a share", || {
        topics.alerts(sent..sent + 50);
        sent += 50;
        (lines(&two) > 0).then_some(())
    });
    let all = |sent: u32| usize::try_from(sent).unwrap();
    first.until("all", || (lines(&one) + lines(&two) == all(sent)).then_some(()));
    first.stop();
    let before = lines(&one);
    topics.alerts(sent..sent + 200);
    sent += 200;
    second.until("all after the first has gone", || (lines(&one) + lines(&two) == all(sent)).then_some(()));
    second.stop();
    assert_eq!(lines(&one), before);
    let (first, second) = (seen(&one.path("alerts.jsonl")), seen(&two.path("alerts.jsonl")));
    assert!(first.is_disjoint(&second), "no alert is in both");
    assert_eq!(first.union(&second).cloned().collect::<BTreeSet<_>>(), expected(0..sent));
    assert!(!complete_lines(&two.path("alerts.jsonl")).is_empty());
}
