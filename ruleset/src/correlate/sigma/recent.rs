//! The newest matches of a group, or the newest match of each value.
//!
//! Enters: matches in the order of time (late ones take their place). Leaves: how many count, and which. No more are kept
//! than make a difference to the condition, so whether it holds is exact. Few values are searched one by one; many
//! have an index, and what is replaced stays as a hole until there are as many holes as values.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Values from which an index is kept.
const INDEX_FROM: usize = 64;

/// A match.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) time: i64,
    pub(super) id: [u8; 16],
    /// Hash of a value, index of a rule, bits of a number.
    pub(super) value: u64,
}

/// Where a match belongs among those that are in the order of time.
pub(super) fn insert(ring: &mut VecDeque<Entry>, entry: Entry) {
    if ring.back().is_none_or(|last| last.time <= entry.time) {
        ring.push_back(entry);
        return;
    }
    let at = ring.partition_point(|known| known.time <= entry.time);
    ring.insert(at, entry);
}

/// Gives memory back where most of it is empty.
pub(super) fn shrink(ring: &mut VecDeque<Entry>) {
    if ring.capacity() > 8 && ring.len() * 4 <= ring.capacity() {
        ring.shrink_to(ring.len() * 2);
    }
}

/// Adds a match; the oldest go that are before `horizon` or beyond the newest `keep`.
pub(super) fn add_newest(ring: &mut VecDeque<Entry>, entry: Entry, horizon: i64, keep: usize) {
    insert(ring, entry);
    trim(ring, horizon, keep);
}

/// The same, where each value counts once, with its newest match.
pub(super) fn add_distinct(ring: &mut VecDeque<Entry>, entry: Entry, horizon: i64, keep: usize) {
    match ring.iter().rposition(|known| known.value == entry.value) {
        Some(at) if ring.get(at).is_some_and(|known| known.time > entry.time) => {}
        Some(at) => {
            ring.remove(at);
            insert(ring, entry);
        }
        None => insert(ring, entry),
    }
    trim(ring, horizon, keep);
}

fn trim(ring: &mut VecDeque<Entry>, horizon: i64, keep: usize) {
    while ring.front().is_some_and(|first| first.time < horizon) || ring.len() > keep {
        ring.pop_front();
    }
    shrink(ring);
}

/// The newest match of each of many values.
#[derive(Debug, Clone, Default)]
pub(super) struct Wide {
    /// In the order of time, with holes.
    ring: VecDeque<Entry>,
    /// Number of the first of them.
    first: u64,
    /// By value the number of its newest match.
    newest: FxHashMap<u64, u64>,
}

impl Wide {
    /// Takes over from a ring when it has grown long.
    pub(super) fn from_ring(ring: &mut VecDeque<Entry>) -> Option<Self> {
        (ring.len() >= INDEX_FROM).then(|| Self::of(std::mem::take(ring)))
    }

    /// Of matches with different values, in the order of time.
    pub(super) fn of(ring: VecDeque<Entry>) -> Self {
        let newest = ring.iter().zip(0_u64..).map(|(entry, number)| (entry.value, number)).collect();
        Self { ring, first: 0, newest }
    }

    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Those that are no holes, oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let numbered = self.ring.iter().zip(self.first..);
        numbered
            .filter(|(entry, number)| self.newest.get(&entry.value) == Some(number))
            .map(|(entry, _)| *entry)
    }

    pub(super) fn add(&mut self, entry: Entry, horizon: i64, keep: usize) {
        if self.ring.back().is_none_or(|last| last.time <= entry.time) {
            self.newest.insert(entry.value, self.first + self.ring.len() as u64);
            self.ring.push_back(entry);
        } else {
            self.add_late(entry);
        }
        while let Some(oldest) = self.ring.front().copied() {
            let is_hole = self.newest.get(&oldest.value) != Some(&self.first);
            if !is_hole && oldest.time >= horizon && self.newest.len() <= keep {
                break;
            }
            if !is_hole {
                self.newest.remove(&oldest.value);
            }
            self.ring.pop_front();
            self.first += 1;
        }
        if self.ring.len() > 2 * self.newest.len() + INDEX_FROM {
            *self = Self::of(self.entries().collect());
        }
    }

    /// Rare, and no longer than the values are many.
    fn add_late(&mut self, entry: Entry) {
        let mut ring: VecDeque<Entry> = self.entries().collect();
        let at = ring.iter().position(|known| known.value == entry.value);
        match at {
            Some(at) if ring.get(at).is_some_and(|known| known.time > entry.time) => return,
            Some(at) => drop(ring.remove(at)),
            None => {}
        }
        insert(&mut ring, entry);
        *self = Self::of(ring);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time: i64, value: u64) -> Entry {
        Entry { time, id: [0; 16], value }
    }

    /// A few thousand matches in a row and out of it: the index gives what the search gives.
    #[test]
    fn the_index_agrees_with_the_search() {
        for (values, keep) in [(3_u64, 2), (200, 100), (500, 1_000)] {
            let (mut ring, mut wide) = (VecDeque::new(), Wide::default());
            let mut state = 7_u64;
            for step in 0..3_000_i64 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let late = i64::from(state >> 60 == 0) * (state >> 32 & 15) as i64;
                let entry = entry(step - late, state >> 33);
                let entry = Entry { value: entry.value % values, ..entry };
                let horizon = step - 300;
                add_distinct(&mut ring, entry, horizon, keep);
                wide.add(entry, horizon, keep);
                assert_eq!(wide.len(), ring.len(), "{step}");
                assert_eq!(
                    wide.entries().collect::<Vec<_>>(),
                    ring.iter().copied().collect::<Vec<_>>(),
                    "{step}"
                );
                assert!(wide.ring.len() <= 2 * wide.len() + INDEX_FROM);
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut ring = VecDeque::new();
        for time in 0..10_000 {
            add_newest(&mut ring, entry(time, 0), 0, 10_000);
        }
        add_newest(&mut ring, entry(20_000, 0), 19_999, 10_000);
        assert!(ring.len() == 1 && ring.capacity() <= 8, "{}", ring.capacity());
    }
}
