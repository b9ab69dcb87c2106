//! What was counted.
//!
//! Enters: for each event who matched on which side; for rules that look back the events on which they matched. Leaves: figures
//! by rule, and of the whole sets.

use super::ordered::Fired;
use super::{Comparison, Spot, Which};

/// How one rule and what was made of it agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Equality {
    /// Events that both match.
    pub both: u64,
    /// Events that the source alone matches.
    pub only_source: u64,
    /// Events that what was made of it alone matches.
    pub only_made: u64,
    /// The first event that the source alone matches.
    pub first_source: Option<Spot>,
    /// The first event that what was made of it alone matches.
    pub first_made: Option<Spot>,
    /// The rule of Wazuh is taken as its whole set has it, where it is a match only if no other rule is the result.
    pub is_in_set: bool,
}

/// What a rule of Wazuh can be taken for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Readings {
    /// It and its parents hold.
    pub(super) alone: Equality,
    /// It is the result among all rules of its set.
    pub(super) in_set: Equality,
}

impl Readings {
    fn merge(&mut self, other: &Self) {
        self.alone.merge(&other.alone);
        self.in_set.merge(&other.in_set);
    }

    /// By itself, unless only the other reading is equal: then what was made of it leaves out what other rules take.
    fn better(&self) -> Equality {
        match self.alone.differences() > 0 && self.in_set.differences() == 0 {
            true => Equality { is_in_set: true, ..self.in_set },
            false => self.alone,
        }
    }
}

impl Equality {
    /// On how many events they differ.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.only_source + self.only_made
    }

    /// Whether any event matched on either side: without one nothing is shown.
    #[must_use]
    pub fn is_exercised(&self) -> bool {
        self.both > 0 || self.differences() > 0
    }

    /// The first event on which they differ, and which side matches it.
    #[must_use]
    pub fn first(&self) -> Option<(Spot, Which)> {
        let both = [Which::Source, Which::Made].map(|only| self.first_of(only));
        both.into_iter().flatten().min_by_key(|(spot, _)| *spot)
    }

    /// How many events this side alone matches.
    #[must_use]
    pub fn only(&self, which: Which) -> u64 {
        match which {
            Which::Source => self.only_source,
            Which::Made => self.only_made,
        }
    }

    /// The first event that this side alone matches.
    #[must_use]
    pub fn first_of(&self, which: Which) -> Option<(Spot, Which)> {
        let spot = match which {
            Which::Source => self.first_source,
            Which::Made => self.first_made,
        };
        spot.map(|spot| (spot, which))
    }

    pub(super) fn add(&mut self, source: bool, made: bool, spot: Spot) {
        match (source, made) {
            (true, true) => self.both += 1,
            (true, false) => {
                self.only_source += 1;
                self.first_source = first(self.first_source, Some(spot));
            }
            (false, true) => {
                self.only_made += 1;
                self.first_made = first(self.first_made, Some(spot));
            }
            (false, false) => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        self.both += other.both;
        self.only_source += other.only_source;
        self.only_made += other.only_made;
        self.first_source = first(self.first_source, other.first_source);
        self.first_made = first(self.first_made, other.first_made);
    }
}

fn first(one: Option<Spot>, other: Option<Spot>) -> Option<Spot> {
    one.into_iter().chain(other).min()
}

/// How often the whole sets alert on the same events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whole {
    /// Events of which both have an alert.
    pub both: u64,
    /// Events of which the source alone has one.
    pub only_source: u64,
    /// Events of which what was made of it alone has one.
    pub only_made: u64,
}

impl Whole {
    pub(super) fn add(&mut self, source: bool, made: bool) {
        match (source, made) {
            (true, true) => self.both += 1,
            (true, false) => self.only_source += 1,
            (false, true) => self.only_made += 1,
            (false, false) => {}
        }
    }
}

/// What one judge has counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub(super) events: u64,
    pub(super) unreadable: u64,
    /// By rule of the conversion.
    pub(super) rules: Vec<Readings>,
    pub(super) whole: Whole,
    /// By rule of the conversion: numbers of the kept events that concern it.
    pub(super) kept: Vec<Vec<u32>>,
}

impl Tally {
    pub(super) fn new(comparison: &Comparison) -> Self {
        let rules = comparison.len();
        Self { rules: vec![Readings::default(); rules], kept: vec![Vec::new(); rules], ..Self::default() }
    }

    /// Takes in what another judge has counted.
    pub fn merge(&mut self, other: Self) {
        self.events += other.events;
        self.unreadable += other.unreadable;
        self.rules.iter_mut().zip(&other.rules).for_each(|(own, other)| own.merge(other));
        self.whole.both += other.whole.both;
        self.whole.only_source += other.whole.only_source;
        self.whole.only_made += other.whole.only_made;
        self.kept.iter_mut().zip(other.kept).for_each(|(own, other)| own.extend(other));
    }

    /// Records that could not become events.
    pub fn add_unreadable(&mut self, count: u64) {
        self.unreadable += count;
    }

    /// Kept events get the numbers of their order: `ranks` has the new one of each.
    pub fn order(&mut self, ranks: &[u32]) {
        for kept in &mut self.kept {
            for number in kept.iter_mut() {
                *number = ranks.get(*number as usize).copied().unwrap_or(u32::MAX);
            }
            kept.sort_unstable();
        }
    }
}

/// What the comparison comes to.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// Events that were judged.
    pub events: u64,
    /// Records that could not be.
    pub unreadable: u64,
    /// By rule of the conversion; `None` where nothing was made of it.
    pub rules: Vec<Option<Equality>>,
    /// The whole sets.
    pub whole: Whole,
}

impl Comparison {
    /// Joins what judges and tasks have found; `spots` has the places of the kept events, in their order.
    #[must_use]
    pub fn conclude(&self, mut tally: Tally, found: &[Fired], spots: &dyn Fn(u32) -> Option<Spot>) -> Proof {
        let fired = |which: Which, rule: usize| {
            let of_it = found.iter().filter(move |fired| fired.which == Some(which));
            of_it
                .flat_map(move |fired| fired.rules.iter().filter(move |(own, _)| *own as usize == rule))
                .flat_map(|(_, events)| events.iter().copied())
        };
        for (at, Readings { alone: equality, .. }) in tally.rules.iter_mut().enumerate() {
            if !self.is_ordered.get(at).copied().unwrap_or_default() {
                continue;
            }
            let [source, made] = [Which::Source, Which::Made].map(|which| {
                let mut events: Vec<u32> = fired(which, at).collect();
                events.sort_unstable();
                events.dedup();
                events
            });
            join(&source, &made, |event, in_source, in_made| {
                if let Some(spot) = spots(event) {
                    equality.add(in_source, in_made, spot);
                }
            });
        }
        for whole in found.iter().map(|fired| fired.whole) {
            tally.whole.both += whole.both;
            tally.whole.only_source += whole.only_source;
            tally.whole.only_made += whole.only_made;
        }
        let rules = tally.rules.into_iter().enumerate();
        let reading = |at: usize, readings: Readings| match self.is_ordered.get(at) {
            // They are judged alone.
            Some(true) => readings.alone,
            _ => readings.better(),
        };
        let rules = rules.map(|(at, readings)| self.has(at).then(|| reading(at, readings)));
        Proof {
            events: tally.events,
            unreadable: tally.unreadable,
            rules: rules.collect(),
            whole: tally.whole,
        }
    }
}

/// Walks two sorted lists at once: each number, and in which of them it is.
pub(super) fn join(one: &[u32], other: &[u32], mut visit: impl FnMut(u32, bool, bool)) {
    let (mut ones, mut others) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    loop {
        let next = match (ones.peek(), others.peek()) {
            (Some(one), Some(other)) => *one.min(other),
            (Some(one), None) => *one,
            (None, Some(other)) => *other,
            (None, None) => return,
        };
        let in_one = ones.next_if_eq(&next).is_some();
        let in_other = others.next_if_eq(&next).is_some();
        visit(next, in_one, in_other);
    }
}
