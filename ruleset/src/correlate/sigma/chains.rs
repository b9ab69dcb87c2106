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

/// There is none. No match has this time: they are cut to less.
const ABSENT: Stamp = Stamp { time: i64::MIN, id: [0; 16] };

/// The latest match of each rule, then by branch, and by place in it, the matches up to that place. All in one piece: there
/// are many groups, and each piece of memory that is far from the others costs as much as everything else together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Chains(Box<[Stamp]>);

impl Chains {
    pub(super) fn new(branches: &[Branch], rules: usize) -> Self {
        Self(vec![ABSENT; size(branches, rules)].into_boxed_slice())
    }

    /// Whether it is of this shape: what was read from bytes may be anything.
    pub(super) fn fits(&self, branches: &[Branch], rules: usize) -> bool {
        self.0.len() == size(branches, rules)
    }

    /// Adds a match of these rules.
    pub(super) fn add(&mut self, branches: &[Branch], count: usize, rules: &[u32], stamp: Stamp) {
        let Some((latest, mut chains)) = self.0.split_at_mut_checked(count) else { return };
        for rule in rules {
            if let Some(latest) = latest.get_mut(*rule as usize)
                && latest.time <= stamp.time
            {
                *latest = stamp;
            }
        }
        for branch in branches {
            let mut before: &[Stamp] = &[];
            for (place, rule) in branch.order.iter().enumerate() {
                let all = std::mem::take(&mut chains);
                let Some((chain, rest)) = all.split_at_mut_checked(place + 1) else { return };
                if rules.contains(rule) {
                    extend(before, chain, stamp);
                }
                // A later one of the chain may have come before, at the same time.
                if let Some(latest) = latest.get(*rule as usize).filter(|latest| latest.time != ABSENT.time) {
                    extend(before, chain, *latest);
                }
                (before, chains) = (chain, rest);
            }
        }
    }

    /// The complete chain that starts latest and not before `horizon`, of a branch whose absent rules did not match.
    pub(super) fn complete(&self, branches: &[Branch], count: usize, horizon: i64) -> Option<&[Stamp]> {
        let (latest, mut chains) = self.0.split_at_checked(count)?;
        let is_absent =
            |rule: &u32| latest.get(*rule as usize).is_none_or(|latest| latest.time == ABSENT.time);
        let mut found: Option<&[Stamp]> = None;
        for branch in branches {
            let length = branch.order.len();
            let (branch_chains, rest) = chains.split_at_checked(places(length))?;
            chains = rest;
            let chain = branch_chains.get(branch_chains.len() - length..).unwrap_or_default();
            // A branch that only asks for absence has an empty chain; any match says more.
            let start = chain.first().map(|first| first.time);
            if start.is_none_or(|start| start != ABSENT.time && start >= horizon)
                && branch.absent.iter().all(is_absent)
                && found.is_none_or(|found| found.first().map(|first| first.time) < start)
            {
                found = Some(chain);
            }
        }
        found
    }

    /// Bytes beside its own.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

fn size(branches: &[Branch], rules: usize) -> usize {
    rules + branches.iter().map(|branch| places(branch.order.len())).sum::<usize>()
}

/// Matches of all chains of a branch: one, two, three …
fn places(length: usize) -> usize {
    length * (length + 1) / 2
}

/// Puts the match behind the chain before it, if that starts later than the one that is there.
fn extend(before: &[Stamp], chain: &mut [Stamp], stamp: Stamp) {
    if before.last().is_some_and(|last| last.time == ABSENT.time || last.time > stamp.time) {
        return;
    }
    let start = before.first().map_or(stamp.time, |first| first.time);
    if chain.first().is_none_or(|first| first.time >= start) {
        return;
    }
    if let Some((last, front)) = chain.split_last_mut() {
        front.copy_from_slice(before);
        *last = stamp;
    }
}
