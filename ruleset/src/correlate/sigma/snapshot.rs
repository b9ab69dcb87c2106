//! Everything that a [`Correlator`] keeps, as bytes.
//!
//! Enters: a correlator. Leaves: bytes, and from bytes a correlator that goes on as the first one would have. What
//! is kept belongs to a hash of what the correlation demands, so it outlives a change of the rules for those that
//! stay. Groups are written in the order in which they were touched, so that the same ones are forgotten first.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::chains::Chains;
use super::groups::{Group, Key, Window};
use super::plan::Plan;
use super::recent::{Entry, Wide};
use super::series::Series;
use super::tally::Tally;
use super::{Correlator, Counters, Limits, Plans};

/// The version of these bytes.
const FORMAT: u8 = 1;

/// Why bytes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// Made by another version.
    #[error(
        "this snapshot of correlations has format {0}, this version reads format {FORMAT}; open windows start anew"
    )]
    Format(u8),
    /// Not as it was written.
    #[error("this snapshot of correlations is damaged; open windows start anew")]
    Damaged,
    /// Cannot be written.
    #[error("the state of correlations cannot be written: {0}")]
    Unwritable(String),
}

#[derive(Serialize, Deserialize)]
struct Saved {
    clock: i64,
    correlations: Vec<SavedCorrelation>,
}

#[derive(Serialize, Deserialize)]
struct SavedCorrelation {
    identity: [u8; 16],
    counters: Counters,
    groups: Vec<SavedGroup>,
}

#[derive(Serialize, Deserialize)]
struct SavedGroup {
    key: Key,
    anchor: i64,
    last: i64,
    tally: SavedTally,
    window: Option<Window>,
}

#[derive(Serialize, Deserialize)]
enum SavedTally {
    Empty,
    One(Entry),
    Ring(VecDeque<Entry>),
    Wide(VecDeque<Entry>),
    Chains(Chains),
    Series(Series),
}

impl Correlator {
    /// Everything that is kept.
    ///
    /// # Errors
    /// None that a correlator's state gives.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let correlations = self.plans.plans.iter().zip(&self.counters).zip(&self.groups);
        let correlations = correlations
            .map(|((plan, counters), groups)| SavedCorrelation {
                identity: plan.identity,
                counters: *counters,
                groups: groups.iter().map(save).collect(),
            })
            .collect();
        let saved = Saved { clock: self.clock, correlations };
        let bytes = postcard::to_extend(&saved, vec![FORMAT]);
        bytes.map_err(|error| SnapshotError::Unwritable(error.to_string()))
    }

    /// Goes on from a snapshot. What was kept for correlations that `plans` has no more, or not as they were, is left out;
    /// what does not fit into `limits` is forgotten, and counted.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn restore(plans: &Arc<Plans>, limits: Limits, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (format, bytes) = bytes.split_first().ok_or(SnapshotError::Damaged)?;
        if *format != FORMAT {
            return Err(SnapshotError::Format(*format));
        }
        let (saved, rest) = postcard::take_from_bytes::<Saved>(bytes).map_err(|_| SnapshotError::Damaged)?;
        if !rest.is_empty() {
            return Err(SnapshotError::Damaged);
        }
        let mut correlator = Self::new(Arc::clone(plans), limits);
        correlator.clock = saved.clock;
        for saved in saved.correlations {
            let mut all = (0_u32..).zip(&plans.plans);
            if let Some((index, plan)) = all.find(|(_, plan)| plan.identity == saved.identity) {
                correlator.restore_one(index, plan, saved)?;
            }
        }
        (0_u32..).zip(&plans.plans).for_each(|(index, _)| correlator.keep_within(index));
        Ok(correlator)
    }

    /// Goes on with other rules: those that stay as they were keep what they have counted.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn with_plans(&self, plans: &Arc<Plans>) -> Result<Self, SnapshotError> {
        let mut correlator = Self::restore(plans, self.limits, &self.snapshot()?)?;
        correlator.set_share(self.share);
        Ok(correlator)
    }

    fn restore_one(&mut self, index: u32, plan: &Plan, saved: SavedCorrelation) -> Result<(), SnapshotError> {
        let place = index as usize;
        if let Some(counters) = self.counters.get_mut(place) {
            *counters = saved.counters;
        }
        let Some(groups) = self.groups.get_mut(place) else { return Ok(()) };
        for saved in saved.groups {
            let group = load(saved, plan).ok_or(SnapshotError::Damaged)?;
            if groups.find(&group.key).is_some() {
                return Err(SnapshotError::Damaged);
            }
            if plan.at_end {
                self.ends.insert((group.anchor.saturating_add(plan.span), index, group.key));
            }
            groups.add(group);
        }
        self.bytes += groups.bytes();
        Ok(())
    }
}

fn save(group: &Group) -> SavedGroup {
    let tally = match &group.tally {
        Tally::Empty => SavedTally::Empty,
        Tally::One(entry) => SavedTally::One(*entry),
        Tally::Ring(ring) => SavedTally::Ring(ring.clone()),
        Tally::Wide(wide) => SavedTally::Wide(wide.entries().collect()),
        Tally::Chains(chains) => SavedTally::Chains(chains.clone()),
        Tally::Series(series) => SavedTally::Series((**series).clone()),
    };
    SavedGroup {
        key: group.key,
        anchor: group.anchor,
        last: group.last,
        tally,
        window: group.window.as_deref().cloned(),
    }
}

fn load(saved: SavedGroup, plan: &Plan) -> Option<Group> {
    let mut group = Group::new(saved.key, saved.anchor, saved.last);
    group.tally = match saved.tally {
        SavedTally::Empty => Tally::Empty,
        SavedTally::One(entry) => Tally::One(entry),
        SavedTally::Ring(ring) => Tally::Ring(ring),
        SavedTally::Wide(ring) => Tally::Wide(Box::new(Wide::of(ring))),
        SavedTally::Chains(chains) => Tally::Chains(chains),
        SavedTally::Series(series) => Tally::Series(Box::new(series)),
    };
    group.window = saved.window.map(Box::new);
    (group.tally.fits(plan) && group.window.is_some() == plan.at_end).then_some(group)
}
