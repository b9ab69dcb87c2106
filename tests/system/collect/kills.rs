//! Kills of `collect` and of its broker under load: what is committed in the end is what was offered, each record once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use threatlockdown_benches::random::Random;

use super::{read, site};
use crate::harness::{Client, Daemon, Site, is_soak};

const SEED: u64 = 20_261_122;
const SOURCES: &str = "limits: {in_flight_bytes: 4MiB}
sources:
- {name: push, type: http, sources: [json]}
- {name: host, type: file, source: syslog, paths: [\"DIR/in/*.log\"]}
";
/// Lines of a request: more than fit in one batch, so that a request comes in parts.
const OF_REQUEST: usize = 6_000;

/// What is offered, and how much of it was so far.
struct Load {
    lines: usize,
    requests: usize,
    written: AtomicUsize,
    is_over: AtomicBool,
}

#[test]
fn kills_of_collect_and_of_a_broker_neither_lose_nor_double_a_record() {
    let (kills, lines, requests) = if is_soak() { (40, 2_000_000, 60) } else { (7, 240_000, 8) };
    let mut cluster = super::three();
    let site = site(&cluster, "  prefix: k.\n  instance: one", SOURCES);
    let load = Load { lines, requests, written: AtomicUsize::new(0), is_over: AtomicBool::new(false) };
    let mut random = Random::new(SEED);
    let mut daemon = thread::scope(|scope| {
        let mut daemon = site.start_role("collect").ready();
        scope.spawn(|| load.write(&site));
        scope.spawn(|| load.post(&site.client()));
        for kill in 0..kills {
            daemon = kill_within(&load, &site, daemon, &mut random, kills);
            if kill == kills / 2 {
                cluster.kill(0);
                cluster.restart(0);
            }
        }
        daemon
    });
    let all = lines + requests * OF_REQUEST;
    settle(&mut daemon, &site);
    daemon.stop();

    let mut found: Vec<String> = read(&cluster, "k.raw.syslog").into_iter().map(|(_, text)| text).collect();
    found.extend(read(&cluster, "k.raw.json").into_iter().map(|(_, text)| text));
    let offered = (0..lines)
        .map(line)
        .chain((0..requests).flat_map(|number| (0..OF_REQUEST).map(move |at| record(number, at))));
    let mut offered: Vec<String> = offered.collect();
    found.sort_unstable();
    offered.sort_unstable();
    let first = found.iter().zip(&offered).find(|(found, offered)| found != offered);
    assert_eq!((found.len(), first), (all, None), "found and offered (seed {SEED})");
    eprintln!("collect: {kills} kills and one of a broker, {all} records: each once (seed {SEED})");
}

fn line(number: usize) -> String {
    format!("Nov 22 10:00:00 host app[{number}]: what happened, number {number}, and some more text")
}

fn record(request: usize, at: usize) -> String {
    format!(r#"{{"request":{request},"at":{at},"fill":"{}"}}"#, "z".repeat(100))
}

impl Load {
    fn write(&self, site: &Site) {
        for from in (0..self.lines).step_by(500) {
            let text: String =
                (from..(from + 500).min(self.lines)).map(|number| line(number) + "\n").collect();
            site.append("in/a.log", text);
            self.written.fetch_add(500, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Each request until it is answered.
    fn post(&self, client: &Client) {
        for number in 0..self.requests {
            let body: String = (0..OF_REQUEST).map(|at| record(number, at) + "\n").collect();
            let key = format!("key-{number}");
            loop {
                let reply = client.try_post("/v1/ingest/json", &[("Idempotency-Key", &key)], body.as_bytes());
                if reply.is_ok_and(|reply| reply.status == 200) {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Lets it run for a while, kills it, and starts it again.
fn kill_within(load: &Load, site: &Site, daemon: Daemon, random: &mut Random, kills: usize) -> Daemon {
    let step = load.lines / (kills + 1);
    let until = load.written.load(Ordering::Relaxed) + step / 2;
    while load.written.load(Ordering::Relaxed) < until && !load.is_over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(random.below(400)));
    daemon.kill();
    site.start_role("collect").ready()
}

/// Waits until all that was offered is committed.
fn settle(daemon: &mut Daemon, site: &Site) {
    let client = site.client();
    let mut quiet = 0;
    let mut last = -1.0;
    daemon.until("nothing that waits", || {
        let flight = client.metric("threatlockdown_in_flight_bytes")
            + client.metric("threatlockdown_journal_unread_bytes");
        let read = client.metric("threatlockdown_source_bytes_total");
        quiet = if flight == 0.0 && read == last { quiet + 1 } else { 0 };
        last = read;
        (quiet >= 100).then_some(())
    });
}
