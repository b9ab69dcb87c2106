//! Values of a group: their number, sum, average or percentile, as the window moves.
//!
//! Enters: numbers with their times. Leaves: the figure. Sums are kept in millionths as integers, so that adding and taking
//! away leaves no rounding behind and the result does not depend on the order; a percentile is looked up in the sorted values.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::measure::percentile;
use super::recent::{Entry, insert, shrink};
use crate::ir::sigma::Figure;

/// Larger numbers are not counted: their sums could not be kept.
const MAX_NUMBER: f64 = 1e24;
/// Parts of one.
const PARTS: f64 = 1e6;

/// See the module's comment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    /// Matches in the order of time; where the window does not move, the first of them.
    pub(super) ring: VecDeque<Entry>,
    pub(super) count: u64,
    pub(super) last: Option<i64>,
    sum: i128,
    /// Where a percentile is asked for.
    sorted: Vec<f64>,
}

impl Series {
    /// Adds a match to a window that moves: what is before `horizon` goes, and the oldest of more than `keep`. Returns how
    /// many went for the second reason.
    pub(super) fn slide(&mut self, entry: Entry, horizon: i64, keep: usize, sorts: bool) -> u64 {
        self.take_in(entry, sorts);
        insert(&mut self.ring, entry);
        let mut dropped = 0;
        while let Some(oldest) = self.ring.front().copied() {
            let is_old = oldest.time < horizon;
            if !is_old && self.ring.len() <= keep {
                break;
            }
            dropped += u64::from(!is_old);
            self.ring.pop_front();
            self.give_out(oldest, sorts);
        }
        shrink(&mut self.ring);
        dropped
    }

    /// Adds a match to a window that stands: the first `named` are kept, the others only counted. A value beyond `keep` is not
    /// taken into a percentile; returns whether that happened.
    pub(super) fn collect(&mut self, entry: Entry, named: usize, keep: usize, sorts: bool) -> u64 {
        let is_full = sorts && self.sorted.len() >= keep;
        self.take_in(entry, sorts && !is_full);
        if self.ring.len() < named || self.ring.back().is_some_and(|last| entry.time < last.time) {
            insert(&mut self.ring, entry);
            self.ring.truncate(named);
        }
        u64::from(is_full)
    }

    fn take_in(&mut self, entry: Entry, sorts: bool) {
        let number = f64::from_bits(entry.value);
        self.count += 1;
        self.last = self.last.max(Some(entry.time));
        self.sum = self.sum.saturating_add(parts(number));
        if sorts {
            let at = self.sorted.partition_point(|known| known.total_cmp(&number).is_lt());
            self.sorted.insert(at, number);
        }
    }

    fn give_out(&mut self, entry: Entry, sorts: bool) {
        let number = f64::from_bits(entry.value);
        self.count = self.count.saturating_sub(1);
        self.sum = self.sum.saturating_sub(parts(number));
        if sorts && let Ok(at) = self.sorted.binary_search_by(|known| known.total_cmp(&number)) {
            self.sorted.remove(at);
        }
    }

    /// The figure; `None` of nothing.
    pub(super) fn figure(&self, figure: Figure) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let sum = self.sum as f64 / PARTS;
        match figure {
            Figure::Sum => Some(sum),
            Figure::Average => Some(sum / self.count as f64),
            Figure::Percentile(percent) => percentile(&self.sorted, percent),
        }
    }

    /// Bytes beside its own.
    pub(super) fn bytes(&self) -> usize {
        self.ring.len().next_power_of_two() * size_of::<Entry>()
            + self.sorted.len().next_power_of_two() * size_of::<f64>()
    }
}

/// A value as a number; `None` where it is none, or is not finite, or too large.
pub(super) fn number(value: &[u8]) -> Option<f64> {
    let first = value.first()?;
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) {
        return None;
    }
    let number: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    // There is one zero.
    (number.abs() <= MAX_NUMBER).then_some(number + 0.0)
}

fn parts(number: f64) -> i128 {
    (number * PARTS).round() as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for (text, expected) in [
            ("12", Some(12.0)),
            ("-2.5", Some(-2.5)),
            ("1e3", Some(1000.0)),
            ("+7", Some(7.0)),
            ("-0", Some(0.0)),
            ("", None),
            ("12 kB", None),
            (" 12", None),
            ("NaN", None),
            ("-inf", None),
            ("infinity", None),
            ("0x10", None),
            ("1e25", None),
            ("1e999", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(number(b"\xff1"), None);
        assert!(number(b"-0").unwrap().is_sign_positive());
    }

    fn entry(time: i64, number: f64) -> Entry {
        Entry { time, id: [0; 16], value: number.to_bits() }
    }

    /// Adding and taking away large and small numbers leaves nothing behind.
    #[test]
    fn sums_do_not_drift() {
        let mut series = Series::default();
        for time in 0..10_000_i64 {
            let number = if time % 2 == 0 { 1e15 } else { 0.1 };
            series.slide(entry(time, number), time - 2, 100, false);
        }
        // 9,997: 0.1, 9,998: 1e15, 9,999: 0.1
        assert_eq!(series.figure(Figure::Sum), Some(1e15 + 0.2));
        assert_eq!((series.count, series.bytes()), (3, 4 * 32 + 8));
    }

    #[test]
    fn a_standing_window_names_its_first_matches() {
        let mut series = Series::default();
        for time in [5, 7, 6, 9, 1] {
            series.collect(entry(time, 1.0), 2, 4, true);
        }
        assert_eq!(series.ring.iter().map(|entry| entry.time).collect::<Vec<_>>(), [1, 5]);
        assert_eq!((series.count, series.last, series.sorted.len()), (5, Some(9), 4));
    }
}
