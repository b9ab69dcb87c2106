//! What only a wall clock can know: which lanes are silent, and that time passes all the same.
//!
//! Enters: the lanes of a correlator, and what the readers tell. Leaves: markers for the log, each once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use threatlockdown_event::Millis;
use threatlockdown_topics::{Lane, LogPosition, Marker};

use super::{Correlator, Inputs, Patience};

/// A reader that had to wait for room may be behind for so long.
const LONGEST_BLOCKED: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) ticked: Instant,
    patience: Patience,
    /// So long a silence counts while readers are behind, too.
    longest: Duration,
    blocked: u64,
    blocked_at: Option<Instant>,
    /// Lanes that were said to be idle, by where they were heard of last.
    decided: HashMap<Lane, LogPosition>,
    /// The last time that was said to have passed.
    passed: Option<Millis>,
}

impl Clock {
    pub(super) fn new(patience: Patience, longest: Duration) -> Self {
        let decided = HashMap::new();
        Self {
            ticked: Instant::now(),
            longest: longest.max(patience.longest()),
            patience,
            blocked: 0,
            blocked_at: None,
            decided,
            passed: None,
        }
    }

    /// Nothing has been decided yet.
    pub(super) fn forget(&mut self) {
        self.decided.clear();
        self.passed = None;
    }

    /// That time has passed, where windows end by it and no event tells so; said once.
    pub(super) fn passed(&mut self, correlator: &Correlator, now: Millis) -> Option<Marker> {
        let end = correlator.next_end()?;
        let until = self.patience.passed(now);
        if end >= until || self.passed.is_some_and(|passed| end < passed) {
            return None;
        }
        self.passed = Some(until);
        Some(Marker::Passed { until })
    }

    /// Lanes that hold nothing back any more. While readers wait for room, a silent lane may only be behind.
    pub(super) fn idle(&mut self, correlator: &Correlator, inputs: &dyn Inputs) -> Vec<Marker> {
        let blocked = inputs.times_blocked();
        if blocked != self.blocked {
            self.blocked = blocked;
            self.blocked_at = Some(Instant::now());
        }
        let is_behind =
            self.blocked_at.is_some_and(|at| at.elapsed() < LONGEST_BLOCKED.max(self.patience.idle));
        let now = Millis::now();
        let silent = correlator.silent(|lane, silence, until| match is_behind {
            true => silence >= self.longest,
            false => self.patience.is_over(&lane.source, silence, until, now),
        });
        self.decided.retain(|lane, seen| silent.iter().any(|(other, at)| other == lane && at == seen));
        let mut markers = Vec::new();
        for (lane, seen) in silent {
            if !self.decided.contains_key(&lane) && !inputs.holds(&lane.stream) {
                self.decided.insert(lane.clone(), seen);
                markers.push(Marker::Idle { lane, seen });
            }
        }
        markers
    }
}
