//! All roles together over Kafka: nothing missing, nothing twice, counts as of one process, whichever copy is killed.
//!
//! The expectation is `scan`'s, which sorts everything. The same events come through files to `collect`, are judged and counted by
//! three copies of `analyze`, and are written by `deliver`; at each step one of these is killed and started again.

mod brokers;
mod copies;
pub(crate) mod corpus;
mod faults;
mod fleet;
mod network;
mod poison;
mod scrape;
mod soak;
mod targets;
pub(crate) mod watch;

use std::time::Duration;

use threatlockdown_benches::random::Random;
use threatlockdown_services::kafka::Cluster;

use self::fleet::Copy;
use crate::harness::{Site, Task, complete_lines, ids, is_soak};
use crate::kill::SEED;
use crate::kill::counting::{COUNTING, PARTS, RULES, expected, found, load};

/// Long enough for a rebalance after a kill: who is silent for so long holds nothing back.
const IDLE: &str = "30s";

fn yaml(cluster: &Cluster, shared: &Site, instance: &str) -> String {
    let folder = shared.text("");
    format!(
        "workers: 1
rules: {{paths: [\"{folder}rules\"]}}
state: {{lateness: {{json: {}}}, idle: {IDLE}}}
kafka:
  brokers: [\"{}\"]
  prefix: t.
  instance: {instance}
  librdkafka: {{session.timeout.ms: 6000}}
  topics: {{partitions: 3, correlate_partitions: 3}}
sources: [{{name: app, type: file, source: json, paths: [\"{folder}in/*.log\"]}}]
sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]
",
        COUNTING.lateness,
        cluster.bootstrap(),
    )
}

#[test]
fn roles_that_are_killed_alert_as_one_process_does() {
    let load = load(if is_soak() { 60_000 } else { 4_000 });
    let expected = expected(&COUNTING, &load);
    let cluster = Cluster::single();
    let shared = Site::new();
    shared.write("rules/a.xml", RULES);
    let new = |role, instance: &str| Copy::new(role, instance, &yaml(&cluster, &shared, instance));
    let mut copies = [
        new("deliver", "d"),
        new("analyze", "a"),
        new("analyze", "b"),
        new("analyze", "c"),
        new("collect", "c"),
    ];
    let config = copies[0].site.path("config.yaml");
    drop(Task::new(["topics", "create", "-c"]).arg(&config).run().with_code(0));
    copies.iter_mut().for_each(Copy::start);

    let mut random = Random::new(SEED ^ 0x6b61_666b);
    let (mut kills, steps) = (0, if is_soak() { 1 } else { 3 });
    for part in 0..=PARTS {
        let of_part = |stream: usize| load.parts.get(stream).and_then(|parts| parts.get(part));
        for stream in 0..load.parts.len() {
            let text = of_part(stream).or_else(|| load.last.get(stream)).unwrap();
            shared.append(&format!("in/{stream}.log"), text);
        }
        if part % steps == 0 {
            std::thread::sleep(Duration::from_millis(random.below(1_500)));
            let victim = (kills + 1) % copies.len();
            copies[victim].kill();
            copies[victim].start();
            kills += 1;
        }
    }
    let count: usize = expected.values().sum();
    let path = copies[0].site.path("alerts.jsonl");
    copies[0]
        .daemon
        .as_mut()
        .unwrap()
        .until(&format!("{count} alerts"), || (complete_lines(&path).len() >= count).then_some(()));
    for copy in copies.iter_mut().rev() {
        copy.daemon.take().unwrap().stop();
    }
    let alerts = copies[0].site.alerts();
    assert!(found(&alerts) == expected, "{} alerts, not {count}, after {kills} kills", alerts.len());
    assert_eq!(ids(&alerts).len(), alerts.len());
    eprintln!("soak: {kills} kills of roles, {} alerts: equal (seed {SEED})", alerts.len());
}
