//! Brokers that die and come back one after the other, and partitions that are added: each under load.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use super::fleet::Fleet;
use crate::harness::DEADLINE;

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
/// Of a partition in what the tool tells.
const LEADER: &str = "Leader: ";

/// One broker is killed, others lead, it comes back, the next is killed.
pub(super) fn die_in_turn(fleet: &mut Fleet) {
    for broker in [0, 1] {
        fleet.cluster.kill(broker);
        let number = (broker + 1).to_string();
        until("another leader", || !leaders(fleet, "t.alerts").contains(&number));
        // For a while the others are all there is.
        thread::sleep(Duration::from_secs(2));
        fleet.cluster.restart(broker);
        until("all replicas in sync", || is_in_sync(fleet, "t.alerts"));
    }
}

/// Brokers that hang instead of dying: leaders change when their session ends, and then they wake up.
pub(super) fn hang(fleet: &mut Fleet) {
    fleet.cluster.signal(2, "STOP");
    until("another leader", || !leaders(fleet, "t.alerts").contains("3"));
    fleet.cluster.signal(2, "CONT");
    until("all replicas in sync", || is_in_sync(fleet, "t.alerts"));
}

/// The raw topic has three partitions more from now on.
pub(super) fn add_partitions(fleet: &mut Fleet) {
    let brokers = fleet.cluster.bootstrap();
    let raw = "t.raw.aws.cloudtrail";
    let add = ["--bootstrap-server", &brokers, "--alter", "--topic", raw, "--partitions", "6"];
    drop(fleet.cluster.tool(TOPICS, &add));
    // Until somebody writes there, nobody has seen them.
    let ends = "org.apache.kafka.tools.GetOffsetShell";
    until("records in a new partition", || {
        let told = fleet.cluster.tool(ends, &["--bootstrap-server", &brokers, "--topic", raw]);
        told.lines().any(|line| {
            let mut parts = line.rsplit(':');
            let (end, partition) = (parts.next(), parts.next());
            matches!(partition, Some("3" | "4" | "5")) && end != Some("0")
        })
    });
}

fn described(fleet: &Fleet, topic: &str) -> String {
    // Any broker that is there answers.
    let brokers = fleet.cluster.bootstrap();
    fleet.cluster.tool(TOPICS, &["--bootstrap-server", &brokers, "--describe", "--topic", topic])
}

fn leaders(fleet: &Fleet, topic: &str) -> BTreeSet<String> {
    let described = described(fleet, topic);
    let leaders = described.split(LEADER).skip(1).filter_map(|rest| rest.split_whitespace().next());
    leaders.map(str::to_owned).collect()
}

fn is_in_sync(fleet: &Fleet, topic: &str) -> bool {
    let described = described(fleet, topic);
    let of = described.split("Isr: ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    let sizes: Vec<usize> = of.map(|replicas| replicas.split(',').count()).collect();
    !sizes.is_empty() && sizes.iter().all(|size| *size == 3)
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "waited too long for {what}");
        thread::sleep(Duration::from_millis(200));
    }
}
