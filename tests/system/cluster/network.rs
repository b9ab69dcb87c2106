//! A network between the roles and what they need that is cut, refuses, or lets nothing pass while connections stay.

use std::thread;
use std::time::Duration;

use threatlockdown_services::Proxy;

use super::fleet::Fleet;

/// Long enough for members to be thought dead and for transactions to be aborted for their age.
const LONG: Duration = Duration::from_secs(11);
const SHORT: Duration = Duration::from_secs(2);

/// Between the roles and the brokers.
pub(super) fn to_brokers(fleet: &mut Fleet) {
    each(fleet, Proxy::cut);
    thread::sleep(SHORT);
    each(fleet, Proxy::refuse);
    thread::sleep(SHORT);
    each(fleet, Proxy::resume);
    thread::sleep(SHORT);
    each(fleet, Proxy::stall);
    thread::sleep(LONG);
    each(fleet, Proxy::resume);
    // One broker alone cannot be reached; the others can, and say that it leads.
    if let Some(proxy) = fleet.cluster.proxies().next() {
        proxy.refuse();
        thread::sleep(SHORT * 2);
        proxy.resume();
    }
}

/// Between `deliver` and OpenSearch.
pub(super) fn to_opensearch(fleet: &mut Fleet) {
    let gate = &fleet.gate;
    let before = gate.taken();
    gate.cut();
    thread::sleep(SHORT);
    gate.refuse();
    thread::sleep(SHORT);
    gate.resume();
    thread::sleep(SHORT);
    // Longer than a request may take.
    gate.stall();
    thread::sleep(SHORT * 3);
    gate.resume();
    assert!(gate.taken() > before, "nobody came back after the cut");
}

fn each(fleet: &Fleet, harm: fn(&Proxy)) {
    fleet.cluster.proxies().for_each(harm);
}
