//! Copies that come and go: stopped, killed, and two of one name.

use std::thread;
use std::time::Duration;

use super::fleet::{ANALYZE, COLLECT, DELIVER, Fleet};

/// Enough for a member to be missed and its partitions to be given to others: its session is six seconds.
const MISSED: Duration = Duration::from_secs(7);

/// Workers and a deliverer are added; one is stopped in order, the others are killed.
pub(super) fn come_and_go(fleet: &mut Fleet) {
    let added = [fleet.add("analyze", "x"), fleet.add("analyze", "y"), fleet.add("deliver", "e")];
    for copy in added {
        fleet.copies[copy].start();
    }
    thread::sleep(MISSED / 2);
    fleet.copies[added[0]].stop();
    thread::sleep(MISSED / 4);
    fleet.copies[added[1]].kill();
    fleet.copies[added[2]].kill();
    thread::sleep(MISSED);
}

/// Each role is killed at once, and started again.
pub(super) fn are_killed(fleet: &mut Fleet) {
    for copy in [COLLECT, ANALYZE, ANALYZE + 1, DELIVER] {
        fleet.copies[copy].kill();
        thread::sleep(MISSED / 14);
        fleet.copies[copy].start();
        thread::sleep(MISSED / 7);
    }
}

/// A second copy of each role starts with the name of one that runs: the older one ends, and the newer one goes on. Only the transaction of a
/// sink tells copies of `deliver` apart, so those that have none would go on side by side.
pub(super) fn share_a_name(fleet: &mut Fleet) {
    for (older, role, instance) in
        [(ANALYZE, "analyze", "a"), (COLLECT, "collect", "c"), (DELIVER, "deliver", "d")]
    {
        let newer = fleet.add(role, instance);
        fleet.copies[newer].start();
        let mut daemon = fleet.copies[older].daemon.take().unwrap();
        assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.log());
        assert!(daemon.log().contains("kafka.instance"), "{}", daemon.log());
        // The younger one has the older one's place from now on.
        fleet.copies.swap(older, newer);
    }
}
