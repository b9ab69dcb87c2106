//! Nothing missing, nothing twice: a process that is killed again and again under load delivers what an undisturbed one
//! does. Every kind of source that keeps a place (files, HTTP) and every kind of sink that can promise it belongs in here.

pub(crate) mod counting;
mod lane;
mod load;
mod throttles;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use threatlockdown_benches::random::Random;

use crate::harness::{Daemon, Site, count_lines, ids, is_soak, json_lines, rotated};
use lane::{Gate, GiveUp};
use load::{Load, MAX_EVENT_BYTES, RULES, load};

pub(crate) const SEED: u64 = 20_261_120;

/// Two file sinks, because a rotated file is resumed in another way than one that only grows.
fn site() -> Site {
    let site = Site::new();
    site.write("rules.xml", RULES);
    site.configure(&format!(
        "workers: 3
rules: {{paths: [DIR/rules.xml]}}
limits: {{max_event_bytes: {MAX_EVENT_BYTES}, in_flight_bytes: 4MiB}}
sources:
- {{name: push, type: http}}
- {{name: trail, type: file, source: aws.cloudtrail, paths: [\"DIR/in/trail/events.jsonl*\"]}}
- {{name: objects, type: file, source: aws.cloudtrail, paths: [\"DIR/in/objects/**/*.json.*\"]}}
- {{name: app, type: file, source: json, paths: [\"DIR/in/app/app.log*\"]}}
- {{name: host, type: file, source: syslog, paths: [\"DIR/in/host/messages*\", DIR/in/spool/spool.log]}}
sinks:
- {{name: whole, type: file, path: DIR/alerts.jsonl}}
- {{name: parts, type: file, path: DIR/parts/alerts.jsonl, rotate_bytes: 512KiB, keep: 10000}}
"
    ));
    site
}

/// What a run delivered, in a form that two runs can be compared in.
#[derive(PartialEq, Eq)]
struct Delivered {
    /// Alert id → rule.
    alerts: BTreeMap<String, String>,
    /// (reason, what is kept of the record) → how often.
    dead_letters: BTreeMap<(String, String), usize>,
}

#[test]
fn kills_neither_lose_nor_double_anything() {
    let size = if is_soak() { 5 } else { 1 };
    let kills = if is_soak() { 120 } else { 24 };
    let load = load(SEED, size);
    let events: u64 = load.events.iter().map(|(_, count)| count).sum();
    assert!(events >= 200_000, "{events}");

    let calm = undisturbed(&load);
    assert!(calm.alerts.len() >= 5_000, "{} alerts", calm.alerts.len());
    for (rule, owed) in &load.owed {
        let found = calm.alerts.values().filter(|found| found == rule).count() as u64;
        assert_eq!(found, *owed, "alerts of rule {rule}");
    }
    let bad: usize = calm.dead_letters.values().sum();
    assert_eq!(bad as u64, load.bad, "dead letters: {:?}", reasons(&calm));

    let stormy = disturbed(&load, &calm, kills);
    compare(&calm, &stormy);
    eprintln!(
        "soak: {kills} kills, {events} events, {} alerts, {bad} dead letters: equal (seed {SEED})",
        calm.alerts.len()
    );
}

fn undisturbed(load: &Load) -> Delivered {
    let site = site();
    let mut daemon = site.start().ready();
    let gate = Gate::new(1);
    gate.open_all();
    execute(load, &site, &gate, || {
        let client = daemon.client.clone();
        let judged =
            |source: &str| client.metric(&format!("threatlockdown_events_total{{source=\"{source}\"")) as u64;
        for (source, count) in &load.events {
            daemon.until(&format!("{count} events of {source}"), || (judged(source) >= *count).then_some(()));
        }
        let bad = site.path("data/deadletter.jsonl");
        daemon.until("all dead letters", || (count_lines(&bad) as u64 >= load.bad).then_some(()));
        // What the object that is cut off still holds is not in the count of its source.
        for (source, count) in load.events.iter().filter(|(source, _)| *source != "aws.cloudtrail") {
            assert_eq!(judged(source), *count, "events of {source}");
        }
    });
    daemon.stop();
    delivered(&site)
}

/// Runs the load while the process is killed at seeded moments, some of them during its start, some right after another.
fn disturbed(load: &Load, calm: &Delivered, kills: usize) -> Delivered {
    let site = site();
    let mut random = Random::new(SEED ^ 0x6b69_6c6c);
    let gate = Gate::new(kills + 1);
    let mut daemon = None;
    let mut progress = Vec::new();
    execute(load, &site, &gate, || {
        for number in 0..kills {
            gate.open_next();
            let victim = site.start();
            let pause = match number % 4 {
                // Within its start.
                0 => Duration::from_millis(random.below(60)),
                // Soon after the kill before.
                1 => Duration::from_millis(random.below(100)),
                _ => {
                    let victim = victim.ready();
                    thread::sleep(Duration::from_millis(random.below(400)));
                    progress.push(count_lines(&site.path("alerts.jsonl")));
                    victim.kill();
                    continue;
                }
            };
            thread::sleep(pause);
            victim.kill();
        }
        gate.open_all();
        let mut last = site.start().ready();
        let bad = calm.dead_letters.values().sum();
        for (path, count) in [("alerts.jsonl", calm.alerts.len()), ("data/deadletter.jsonl", bad)] {
            let path = site.path(path);
            wait_for_lines(&mut last, &[path], count);
        }
        daemon = Some(last);
    });
    let mut daemon = daemon.unwrap();
    let count = calm.alerts.len();
    let parts = site.path("parts/alerts.jsonl");
    daemon.until("the rotated sink", || {
        (rotated(&parts).iter().map(|part| count_lines(part)).sum::<usize>() >= count).then_some(())
    });
    daemon.stop();
    // A kill that met no work proves nothing.
    let mut distinct = progress.clone();
    distinct.dedup();
    assert!(distinct.len() * 2 >= progress.len(), "the kills met too little work: {progress:?}");
    assert!(rotated(&parts).len() > 5, "the second sink was to be rotated often");
    delivered(&site)
}

/// Waits until there are so many lines. That there are not too many is checked at the end, when nobody writes any more.
fn wait_for_lines(daemon: &mut Daemon, paths: &[PathBuf], count: usize) {
    let lines = || paths.iter().map(|path| count_lines(path)).sum::<usize>();
    daemon.until(&format!("{count} lines in {paths:?}"), || (lines() >= count).then_some(()));
}

/// Executes all lanes and, in this thread, `meanwhile`.
fn execute(load: &Load, site: &Site, gate: &Gate, meanwhile: impl FnOnce()) {
    let seen = site.path("alerts.jsonl");
    thread::scope(|scope| {
        for lane in &load.lanes {
            let seen = &seen;
            scope.spawn(move || {
                let _give_up = GiveUp(gate);
                lane::execute(lane, site, seen, gate);
            });
        }
        let _give_up = GiveUp(gate);
        meanwhile();
    });
}

fn delivered(site: &Site) -> Delivered {
    let alerts = ids(&site.alerts());
    let parts = rotated(&site.path("parts/alerts.jsonl"));
    let parts: Vec<Value> = parts.iter().flat_map(|path| json_lines(path)).collect();
    assert!(ids(&parts) == alerts, "the two sinks of one run differ: {}, {}", parts.len(), alerts.len());
    let mut dead_letters = BTreeMap::new();
    for letter in json_lines(&site.path("data/deadletter.jsonl")) {
        let kept = ["record", "record_base64"].iter().find_map(|member| letter[member].as_str());
        let key = (letter["reason"].as_str().unwrap().to_owned(), kept.unwrap_or_default().to_owned());
        *dead_letters.entry(key).or_insert(0) += 1;
    }
    Delivered { alerts, dead_letters }
}

fn reasons(delivered: &Delivered) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for ((reason, _), count) in &delivered.dead_letters {
        *reasons.entry(reason.as_str()).or_insert(0) += count;
    }
    reasons
}

/// Fails with some of the differences, not with all of the thousands of ids.
fn compare(calm: &Delivered, stormy: &Delivered) {
    let only = |one: &Delivered, other: &Delivered| {
        let only = one.alerts.iter().filter(|(id, _)| !other.alerts.contains_key(*id));
        only.map(|(id, rule)| format!("{id} of rule {rule}")).collect::<Vec<_>>()
    };
    let (missing, new) = (only(calm, stormy), only(stormy, calm));
    assert!(
        missing.is_empty() && new.is_empty(),
        "seed {SEED}: {} alerts missing, {} that the undisturbed run has not; the first ones: {:?}, {:?}",
        missing.len(),
        new.len(),
        &missing[..missing.len().min(5)],
        &new[..new.len().min(5)]
    );
    assert!(calm.alerts == stormy.alerts, "the rules of some alerts differ");
    let differing: Vec<_> = calm
        .dead_letters
        .iter()
        .chain(&stormy.dead_letters)
        .filter(|(key, _)| calm.dead_letters.get(*key) != stormy.dead_letters.get(*key))
        .map(|((reason, record), count)| {
            format!("{reason}, {count}: {}", record.chars().take(200).collect::<String>())
        })
        .collect();
    assert!(
        differing.is_empty(),
        "seed {SEED}: dead letters differ: {:#?}",
        &differing[..differing.len().min(6)]
    );
}
