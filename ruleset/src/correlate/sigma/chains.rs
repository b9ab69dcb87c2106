//! Rules that must match in their order.
//!
//! Enters: matches of rules in the order of time. Leaves: for each order that is asked for the chain of matches that starts
//! latest, so that if any chain fits into the window this one does. Matches at the same millisecond stand in any order,
//! since many logs tell the time in seconds: a chain asks that no match is earlier than the one before it.

use serde::{Deserialize, Serialize};

use super::measure::Branch;

/// A match in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) time: i64,
    pub(super) id: [u8; 16],
}

/// See the module's comment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Chains {
    /// By branch and place in it: the matches up to that place; empty where there is no chain yet.
    best: Vec<Vec<Vec<Stamp>>>,
    /// The latest match of each rule.
    latest: Vec<Option<Stamp>>,
}

impl Chains {
    pub(super) fn new(branches: &[Branch], rules: usize) -> Self {
        let best = branches.iter().map(|branch| vec![Vec::new(); branch.order.len()]).collect();
        Self { best, latest: vec![None; rules] }
    }

    /// Whether it is of this shape: what was read from bytes may be anything.
    pub(super) fn fits(&self, branches: &[Branch], rules: usize) -> bool {
        let same = |(best, branch): (&Vec<Vec<Stamp>>, &Branch)| {
            let length = |(place, chain): (usize, &Vec<Stamp>)| chain.is_empty() || chain.len() == place + 1;
            best.len() == branch.order.len() && best.iter().enumerate().all(length)
        };
        self.latest.len() == rules
            && self.best.len() == branches.len()
            && self.best.iter().zip(branches).all(same)
    }

    /// Adds a match of these rules.
    pub(super) fn add(&mut self, branches: &[Branch], rules: &[u32], stamp: Stamp) {
        for rule in rules {
            if let Some(latest) = self.latest.get_mut(*rule as usize)
                && latest.is_none_or(|known| known.time <= stamp.time)
            {
                *latest = Some(stamp);
            }
        }
        for (branch, best) in branches.iter().zip(&mut self.best) {
            for (place, rule) in branch.order.iter().enumerate() {
                let latest = self.latest.get(*rule as usize).copied().flatten();
                let new = rules.contains(rule).then_some(stamp);
                // A later one of the chain may have come before, at the same time.
                for candidate in new.into_iter().chain(latest) {
                    extend(best, place, candidate);
                }
            }
        }
    }

    /// The complete chain that starts latest and not before `horizon`, of a branch whose absent rules did not match.
    pub(super) fn complete(&self, branches: &[Branch], horizon: i64) -> Option<&[Stamp]> {
        let is_absent = |rule: &u32| self.latest.get(*rule as usize).copied().flatten().is_none();
        let mut found: Option<&[Stamp]> = None;
        for (branch, best) in branches.iter().zip(&self.best) {
            let chain = best.last().map_or(&[][..], Vec::as_slice);
            let is_complete = chain.len() == branch.order.len();
            // A branch that only asks for absence has an empty chain; any match says more.
            let start = chain.first().map(|first| first.time);
            if is_complete
                && start.is_none_or(|start| start >= horizon)
                && branch.absent.iter().all(is_absent)
                && found.is_none_or(|found| found.first().map(|first| first.time) < start)
            {
                found = Some(chain);
            }
        }
        found
    }

    /// How many stamps it holds.
    pub(super) fn len(&self) -> usize {
        self.latest.len() + self.best.iter().flatten().map(|chain| chain.len() + 1).sum::<usize>()
    }
}

/// Puts the match behind the chain before it, if that starts later than the one that is there.
fn extend(best: &mut [Vec<Stamp>], place: usize, stamp: Stamp) {
    let Some((before, rest)) = best.split_at_mut_checked(place) else { return };
    let Some(chain) = rest.first_mut() else { return };
    let before = match before.last() {
        Some(before) if before.last().is_some_and(|last| last.time <= stamp.time) => before.as_slice(),
        None => &[],
        Some(_) => return,
    };
    let start = before.first().map_or(stamp.time, |first| first.time);
    if chain.first().is_none_or(|first| first.time < start) {
        chain.clear();
        chain.extend_from_slice(before);
        chain.push(stamp);
    }
}
