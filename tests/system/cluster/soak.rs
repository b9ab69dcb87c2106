//! The same over half a million events: roles are killed at random, brokers die, the network fails, OpenSearch is away for minutes.
//!
//! `THREATLOCKDOWN_SOAK=1` runs it; without, every fault is met once in `faults.rs`. The seed is shown, and stays.

use std::thread;
use std::time::Duration;

use threatlockdown_benches::random::Random;

use super::corpus::Size;
use super::fleet::{ANALYZE, COLLECT, DELIVER, Fleet};
use super::{SEED, brokers, copies, network};
use crate::harness::is_soak;

const SIZE: Size = Size { phases: 20, events: 25_500, failing: 20 };
const KILLS: usize = 3;
/// OpenSearch stays away so long.
const AWAY: Duration = Duration::from_secs(120);

#[test]
fn half_a_million_events_through_kills_of_everything() {
    if !is_soak() {
        return eprintln!("skipped: the soak of the cluster: THREATLOCKDOWN_SOAK=1 runs it");
    }
    let mut fleet = Fleet::start(SEED, SIZE);
    for copy in &mut fleet.copies {
        copy.start();
    }
    let mut random = Random::new(SEED ^ 0x736f_616b);
    let mut kills = 0;
    for phase in 0..SIZE.phases {
        fleet.under_load(phase, &format!("phase {phase}"), |fleet| {
            match phase {
                4 | 12 => brokers::die_in_turn(fleet),
                6 => network::to_brokers(fleet),
                8 => {
                    fleet.search.kill();
                    thread::sleep(AWAY);
                    fleet.search.restart();
                }
                10 => copies::come_and_go(fleet),
                14 => network::to_opensearch(fleet),
                16 => brokers::hang(fleet),
                _ => {}
            }
            for _ in 0..KILLS {
                thread::sleep(Duration::from_millis(random.below(3_000)));
                let victim = *random.pick(&[COLLECT, ANALYZE, ANALYZE + 1, DELIVER]);
                fleet.copies[victim].kill();
                thread::sleep(Duration::from_millis(random.below(500)));
                fleet.copies[victim].start();
                kills += 1;
            }
        });
    }
    fleet.finish(SIZE.phases - 1);
    let alerts = fleet.corpus.until(SIZE.phases - 1).len();
    let events = SIZE.phases * SIZE.events;
    eprintln!(
        "soak: {kills} kills of roles, 4 of brokers, 1 of OpenSearch, {events} events, {alerts} alerts: topic and index equal (seed {SEED})"
    );
}
