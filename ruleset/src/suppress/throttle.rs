//! The first so many alerts pass, then it is quiet for a while.
//!
//! Enters: what an alert asks, in the order of counting. Leaves: whether it passes; nothing else is looked at, no clock
//! either, so that the same alerts in the same order give the same. A *run* begins with an alert that passes and has the
//! length of `quiet`; of the alerts whose time is less than that away from its first, as many as are allowed pass, and the
//! rest are held back. The next alert after it begins another run: what goes on for months is heard of again and again,
//! at most `allow` times in each `quiet`. An alert that comes late counts in the run that its time is near to, or begins
//! one of its own. When there are too many keys, the run that ends first is forgotten and said to be: its next alerts pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use threatlockdown_event::Millis;

/// How many runs are known at most, unless it is said otherwise.
pub const MOST_KEYS: usize = 65_536;

/// What an alert asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Name of the suppression.
    pub suppression: Arc<str>,
    /// Alerts with the same key are counted together; suppression and rule are part of it.
    pub key: [u8; 16],
    /// So many pass …
    pub allow: u32,
    /// … in so many milliseconds.
    pub quiet: i64,
}

/// What the throttle says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The alert is written.
    pub passes: bool,
    /// A run that was not over was forgotten for it.
    pub evicted: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Throttle {
    runs: FxHashMap<[u8; 16], Run>,
    /// The same runs by their ends.
    by_end: BTreeSet<(i64, [u8; 16])>,
    most: usize,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    start: i64,
    end: i64,
    passed: u32,
}

/// A throttle as it is written down: key, start, end and how many passed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleState(Vec<([u8; 16], i64, i64, u32)>);

impl Default for Throttle {
    fn default() -> Self {
        Self::new(MOST_KEYS)
    }
}

impl Throttle {
    /// Knows of so many runs at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { runs: FxHashMap::default(), by_end: BTreeSet::new(), most: most.max(1) }
    }

    /// Asks for an alert of an event that happened at `time`.
    pub fn ask(&mut self, ask: &Ask, time: Millis) -> Answer {
        let Ask { key, allow, quiet, .. } = ask;
        if let Some(run) = self.runs.get_mut(key)
            && time.0.abs_diff(run.start) < quiet.unsigned_abs()
        {
            let passes = run.passed < *allow;
            run.passed += u32::from(passes);
            return Answer { passes, evicted: false };
        }
        if let Some(over) = self.runs.remove(key) {
            self.by_end.remove(&(over.end, *key));
        }
        let evicted = self.make_room(time);
        let end = time.0.saturating_add(*quiet);
        let passes = *allow > 0;
        self.runs.insert(*key, Run { start: time.0, end, passed: u32::from(passes) });
        self.by_end.insert((end, *key));
        Answer { passes, evicted }
    }

    /// How many runs are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// What it knows, in an order that depends on nothing else.
    #[must_use]
    pub fn state(&self) -> ThrottleState {
        let run =
            |(_, key): &(i64, [u8; 16])| self.runs.get(key).map(|run| (*key, run.start, run.end, run.passed));
        ThrottleState(self.by_end.iter().filter_map(run).collect())
    }

    /// Goes on from what another one knew.
    pub fn restore(&mut self, state: &ThrottleState) {
        self.runs.clear();
        self.by_end.clear();
        for (key, start, end, passed) in &state.0 {
            if let Some(before) = self.runs.remove(key) {
                self.by_end.remove(&(before.end, *key));
            }
            self.make_room(Millis(i64::MAX));
            self.runs.insert(*key, Run { start: *start, end: *end, passed: *passed });
            self.by_end.insert((*end, *key));
        }
    }

    /// Whether a run that is not over at `time` had to go.
    fn make_room(&mut self, time: Millis) -> bool {
        let mut evicted = false;
        while self.runs.len() >= self.most {
            let Some((end, key)) = self.by_end.pop_first() else { break };
            self.runs.remove(&key);
            evicted |= end > time.0;
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(key: u8, allow: u32, quiet: i64) -> Ask {
        Ask { suppression: "s".into(), key: [key; 16], allow, quiet }
    }

    fn passes(throttle: &mut Throttle, ask: &Ask, times: &[i64]) -> Vec<bool> {
        times.iter().map(|time| throttle.ask(ask, Millis(*time)).passes).collect()
    }

    #[test]
    fn so_many_pass_in_each_length_from_the_first() {
        let mut throttle = Throttle::default();
        let times = [0, 10, 50, 99, 100, 150, 199, 200];
        assert_eq!(
            passes(&mut throttle, &ask(1, 2, 100), &times),
            [true, true, false, false, true, true, false, true]
        );
        assert_eq!(passes(&mut throttle, &ask(2, 0, 100), &[0, 50, 100]), [false; 3]);
    }

    #[test]
    fn a_late_alert_counts_where_its_time_is_near() {
        let mut throttle = Throttle::default();
        assert_eq!(passes(&mut throttle, &ask(1, 1, 100), &[1_000, 950, 901]), [true, false, false]);
        // Far from the run it is another matter.
        assert_eq!(passes(&mut throttle, &ask(1, 1, 100), &[900, 850, 1_001]), [true, false, true]);
    }

    #[test]
    fn what_has_no_room_is_forgotten_and_said_to_be() {
        let mut throttle = Throttle::new(2);
        let evicted =
            |throttle: &mut Throttle, key, time| throttle.ask(&ask(key, 1, 100), Millis(time)).evicted;
        assert!(!evicted(&mut throttle, 1, 0) && !evicted(&mut throttle, 2, 10));
        assert!(evicted(&mut throttle, 3, 20), "the run of 1 lasts until 100");
        assert!(!evicted(&mut throttle, 4, 110), "that of 2 is over");
        assert_eq!(throttle.len(), 2);
        assert_eq!(passes(&mut throttle, &ask(1, 1, 100), &[111]), [true]);
    }

    /// All runs of all keys, in a list.
    #[derive(Default)]
    struct Naive(Vec<(u8, i64, u32)>);

    impl Naive {
        fn ask(&mut self, key: u8, allow: u32, quiet: i64, time: i64) -> bool {
            let last = self.0.iter().rposition(|(known, ..)| *known == key);
            match last.map(|at| &mut self.0[at]) {
                Some((_, start, count)) if (time - *start).abs() < quiet => {
                    *count += 1;
                    *count <= allow
                }
                _ => {
                    self.0.push((key, time, 1));
                    allow > 0
                }
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_count_and_goes_on_from_any_point(
            alerts in prop::collection::vec((0_u8..4, 0_i64..60, -30_i64..30), 0..200),
            allow in 0_u32..4,
            quiet in 1_i64..80,
            cut in 0_usize..200,
        ) {
            let (mut throttle, mut naive, mut now) = (Throttle::default(), Naive::default(), 0);
            for (at, (key, step, late)) in alerts.iter().enumerate() {
                if at == cut {
                    let state = serde_json::to_vec(&throttle.state()).unwrap();
                    throttle = Throttle::default();
                    throttle.restore(&serde_json::from_slice(&state).unwrap());
                }
                now += step;
                let time = now + late;
                let answer = throttle.ask(&ask(*key, allow, quiet), Millis(time));
                prop_assert_eq!(answer.passes, naive.ask(*key, allow, quiet, time));
                prop_assert!(!answer.evicted);
            }
        }

        #[test]
        fn no_more_than_allowed_pass_in_any_run_of_alerts_in_order(
            steps in prop::collection::vec(0_i64..50, 0..200),
            allow in 1_u32..5,
            quiet in 1_i64..200,
        ) {
            let (mut throttle, mut now) = (Throttle::default(), 0);
            let mut passed: Vec<i64> = Vec::new();
            for step in steps {
                now += step;
                if throttle.ask(&ask(0, allow, quiet), Millis(now)).passes {
                    passed.push(now);
                }
            }
            // Two runs may touch, no more.
            for window in passed.windows(allow as usize * 2 + 1) {
                prop_assert!(window[window.len() - 1] - window[0] >= quiet);
            }
        }
    }
}
