//! Every fault of a cluster once, against real servers. After each: the alerts in the topic (`read_committed`) and in the index
//! are those that `scan` makes of the same events, each once.
//!
//! One cluster serves all of them, since it takes most of the time. A phase that fails names itself.

use super::corpus::Size;
use super::fleet::Fleet;
use super::{SEED, brokers, copies, network, poison, scrape, targets};

const SIZE: Size = Size { phases: 11, events: 900, failing: 50 };
/// In whose index OpenSearch refuses some alerts.
const REFUSING: usize = 4;

#[test]
fn after_every_fault_topic_and_index_have_each_alert_once() {
    let mut fleet = Fleet::start(SEED, SIZE);
    targets::prepare_indices(&fleet, REFUSING);
    for copy in &mut fleet.copies {
        copy.start();
    }
    fleet.under_load(0, "metrics are scraped", scrape::scrape);
    fleet.under_load(1, "the network to OpenSearch fails", network::to_opensearch);
    fleet.under_load(2, "OpenSearch is away", targets::opensearch_is_away);
    fleet.under_load(3, "a disk is full", |fleet| targets::disk_is_full(fleet, 3));
    targets::check_file(&mut fleet, 3);
    fleet.under_load(REFUSING, "OpenSearch refuses some as they are", |_| {});
    targets::send_refused(&mut fleet, REFUSING);
    fleet.settle(REFUSING, "OpenSearch refuses some in any form");
    targets::check_refused(&mut fleet, REFUSING);
    fleet.under_load(5, "the network to the brokers fails", network::to_brokers);
    fleet.under_load(6, "brokers die in turn", brokers::die_in_turn);
    fleet.under_load(7, "poison", |fleet| poison::send(fleet, 7));
    poison::check(&mut fleet);
    fleet.under_load(8, "partitions are added", brokers::add_partitions);
    fleet.under_load(9, "copies come and go, and are killed", |fleet| {
        copies::come_and_go(fleet);
        copies::are_killed(fleet);
    });
    fleet.under_load(10, "two copies have one name", copies::share_a_name);
    fleet.finish(10);
}
