//! What is kept of one group.
//!
//! Enters: matches. Leaves: whether the condition holds, and the matches that it rests on. Most groups never have more than
//! one match in a window; that one is kept in place.

use std::collections::VecDeque;

use super::Limits;
use super::chains::{Chains, Stamp};
use super::measure::{self, Measure};
use super::plan::Plan;
use super::recent::{self, Entry, Wide};
use super::series::Series;
use crate::ir::sigma::Figure;

/// See the module's comment.
#[derive(Debug, Clone, Default)]
pub(super) enum Tally {
    #[default]
    Empty,
    One(Entry),
    Ring(VecDeque<Entry>),
    Wide(Box<Wide>),
    Chains(Chains),
    Series(Box<Series>),
}

/// A match to be counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted<'a> {
    pub(super) entry: Entry,
    /// The rules that matched.
    pub(super) rules: &'a [u32],
    /// What is before this time does not count any more.
    pub(super) horizon: i64,
}

/// That a condition holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Held {
    pub(super) count: u64,
    pub(super) figure: Option<f64>,
}

impl Tally {
    /// Adds a match; returns how many values were forgotten for lack of room.
    pub(super) fn add(&mut self, plan: &Plan, limits: &Limits, counted: &Counted<'_>) -> u64 {
        let Counted { entry, rules, horizon } = *counted;
        match &plan.measure {
            Measure::Count(threshold) if !plan.at_end => {
                self.ring(|ring| recent::add_newest(ring, entry, horizon, threshold.keep as usize));
            }
            Measure::Count(_) => match std::mem::take(self) {
                // Most windows have one match.
                Self::Empty => *self = Self::One(entry),
                Self::One(first) => {
                    self.series(|series| {
                        series.collect(first, limits.max_events, 0, false);
                        series.collect(entry, limits.max_events, 0, false)
                    });
                }
                known => {
                    *self = known;
                    self.series(|series| series.collect(entry, limits.max_events, 0, false));
                }
            },
            Measure::Distinct(threshold) => self.distinct(entry, horizon, threshold.keep as usize),
            Measure::Rules(_) | Measure::Expr(_) => {
                for rule in rules {
                    let entry = Entry { value: u64::from(*rule), ..entry };
                    self.distinct(entry, horizon, plan.referents.len());
                }
            }
            Measure::Chains(branches) => {
                if !matches!(self, Self::Chains(_)) {
                    *self = Self::Chains(Chains::new(branches, plan.referents.len()));
                }
                if let Self::Chains(chains) = self {
                    chains.add(
                        branches,
                        plan.referents.len(),
                        rules,
                        Stamp { time: entry.time, id: entry.id },
                    );
                }
            }
            Measure::Figure(figure, _) => {
                let sorts = matches!(figure, Figure::Percentile(_));
                let keep = limits.max_values;
                return self.series(|series| match plan.at_end {
                    true => series.collect(entry, limits.max_events, keep, sorts),
                    false => series.slide(entry, horizon, keep, sorts),
                });
            }
        }
        0
    }

    /// Changes the matches as a ring; one alone stays in place.
    fn ring(&mut self, change: impl FnOnce(&mut VecDeque<Entry>)) {
        let mut ring = match std::mem::take(self) {
            Self::Ring(ring) => ring,
            Self::One(entry) => {
                let mut ring = VecDeque::with_capacity(2);
                ring.push_back(entry);
                ring
            }
            _ => VecDeque::with_capacity(1),
        };
        change(&mut ring);
        *self = match ring.front() {
            Some(entry) if ring.len() == 1 => Self::One(*entry),
            Some(_) => Self::Ring(ring),
            None => Self::Empty,
        };
    }

    fn distinct(&mut self, entry: Entry, horizon: i64, keep: usize) {
        if let Self::Ring(ring) = self
            && let Some(wide) = Wide::from_ring(ring)
        {
            *self = Self::Wide(Box::new(wide));
        }
        match self {
            Self::Wide(wide) => wide.add(entry, horizon, keep),
            // The first one, and the same again: the ring is not needed.
            Self::Empty => *self = Self::One(entry),
            Self::One(one) if one.value == entry.value => {
                if one.time <= entry.time {
                    *one = entry;
                }
            }
            _ => self.ring(|ring| recent::add_distinct(ring, entry, horizon, keep)),
        }
    }

    /// Takes the series out to change it, and puts it back.
    fn series(&mut self, change: impl FnOnce(&mut Series) -> u64) -> u64 {
        let mut series = match std::mem::take(self) {
            Self::Series(series) => series,
            _ => Box::default(),
        };
        let dropped = change(&mut series);
        *self = Self::Series(series);
        dropped
    }

    /// Whether the condition holds for what is not before `horizon`.
    pub(super) fn holds(&self, plan: &Plan, horizon: i64) -> Option<Held> {
        let counted = |count: usize| Held { count: count as u64, figure: None };
        match &plan.measure {
            Measure::Count(threshold) => {
                let count = self.count();
                threshold.holds(count).then(|| counted(count))
            }
            Measure::Distinct(threshold) | Measure::Rules(threshold) => {
                let count = self.count().min(threshold.keep as usize);
                threshold.holds(count).then(|| counted(count))
            }
            Measure::Expr(expr) => {
                let has = |rule| self.entries().any(|entry| entry.value == u64::from(rule));
                measure::holds(expr, &has).then(|| counted(self.count()))
            }
            Measure::Chains(branches) => {
                let Self::Chains(chains) = self else { return None };
                chains.complete(branches, plan.referents.len(), horizon).map(|chain| counted(chain.len()))
            }
            Measure::Figure(figure, bounds) => {
                let Self::Series(series) = self else { return None };
                let value = series.figure(*figure)?;
                let holds = bounds.iter().all(|bound| measure::compare(value, *bound));
                holds.then_some(Held { count: series.count, figure: Some(value) })
            }
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Empty | Self::Chains(_) => 0,
            Self::One(_) => 1,
            Self::Ring(ring) => ring.len(),
            Self::Wide(wide) => wide.len(),
            Self::Series(series) => usize::try_from(series.count).unwrap_or(usize::MAX),
        }
    }

    /// The matches that the condition rests on, in the order of time.
    pub(super) fn evidence(&self, plan: &Plan, horizon: i64) -> Vec<Stamp> {
        if let (Self::Chains(chains), Measure::Chains(branches)) = (self, &plan.measure) {
            return chains.complete(branches, plan.referents.len(), horizon).unwrap_or_default().to_vec();
        }
        self.entries().map(|entry| Stamp { time: entry.time, id: entry.id }).collect()
    }

    /// The latest match that was counted, where not all are kept.
    pub(super) fn last(&self) -> Option<i64> {
        match self {
            Self::Series(series) => series.last,
            _ => None,
        }
    }

    /// Time of the newest of a few.
    pub(super) fn newest(&self) -> Option<i64> {
        match self {
            Self::One(entry) => Some(entry.time),
            Self::Ring(ring) => ring.back().map(|entry| entry.time),
            _ => None,
        }
    }

    fn entries(&self) -> Box<dyn Iterator<Item = Entry> + '_> {
        match self {
            Self::Empty | Self::Chains(_) => Box::new(std::iter::empty()),
            Self::One(entry) => Box::new(std::iter::once(*entry)),
            Self::Ring(ring) => Box::new(ring.iter().copied()),
            Self::Wide(wide) => Box::new(wide.entries()),
            Self::Series(series) => Box::new(series.ring.iter().copied()),
        }
    }

    /// Bytes beside its own (estimated from what it holds, so that it is the same after a restart).
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Empty | Self::One(_) => 0,
            Self::Ring(ring) => ring.len().next_power_of_two() * size_of::<Entry>(),
            // Holes and the index, which is never quite full.
            Self::Wide(wide) => size_of::<Wide>() + wide.len() * (2 * size_of::<Entry>() + 32),
            Self::Chains(chains) => chains.bytes(),
            Self::Series(series) => size_of::<Series>() + series.bytes(),
        }
    }

    /// Whether it is what the plan keeps: what was read from bytes may be anything.
    pub(super) fn fits(&self, plan: &Plan) -> bool {
        let rules = plan.referents.len();
        match (self, &plan.measure) {
            (Self::Empty, _) => true,
            (Self::Chains(chains), Measure::Chains(branches)) => chains.fits(branches, rules),
            (Self::Series(_), Measure::Figure(..)) => true,
            (Self::Series(_), Measure::Count(_)) => plan.at_end,
            (Self::One(_), Measure::Count(_)) => true,
            (Self::Ring(_), Measure::Count(_)) => !plan.at_end,
            (
                Self::One(_) | Self::Ring(_) | Self::Wide(_),
                Measure::Distinct(_) | Measure::Rules(_) | Measure::Expr(_),
            ) => true,
            _ => false,
        }
    }
}
