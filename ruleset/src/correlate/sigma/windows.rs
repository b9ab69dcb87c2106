//! One match in one group.
//!
//! Enters: a match and its group. Leaves: the group with it, and whether the condition of a correlation that is decided at
//! once now holds.

use super::chains::Stamp;
use super::groups::{Group, Key, NEVER};
use super::origin::Origin;
use super::plan::{Plan, Sources};
use super::recent::Entry;
use super::tally::{Counted, Held, Tally};
use super::{Carried, Counters, Limits};

/// A match in one group.
pub(super) struct Member<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) sources: &'a Sources,
    pub(super) key: Key,
    pub(super) entry: Entry,
    pub(super) rules: &'a [u32],
}

/// What is to be added to the counters.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) counted: u64,
    pub(super) late: u64,
    pub(super) dropped: u64,
}

impl Outcome {
    pub(super) fn count(&self, counters: &mut Counters) {
        counters.counted += self.counted;
        counters.late += self.late;
        counters.dropped += self.dropped;
    }
}

/// That a group's condition holds, and on what it rests.
pub(super) struct Fired {
    pub(super) held: Held,
    pub(super) evidence: Vec<Stamp>,
    pub(super) time: i64,
}

/// All that a match is made of.
pub(super) struct Decided {
    pub(super) held: Held,
    pub(super) evidence: Vec<Stamp>,
    pub(super) time: i64,
    pub(super) last: Option<i64>,
    pub(super) group: Vec<Box<[u8]>>,
    pub(super) carried: Carried,
}

/// Adds a match to a moving window; what was decided.
pub(super) fn slide(
    plan: &Plan,
    limits: &Limits,
    group: &mut Group,
    member: &Member<'_>,
    outcome: &mut Outcome,
) -> Option<Fired> {
    let entry = member.entry;
    let now = group.last.max(entry.time);
    let horizon = now.saturating_sub(plan.span);
    if entry.time < horizon {
        outcome.late += 1;
        return None;
    }
    group.last = now;
    outcome.counted += 1;
    // What is not after the last match belongs to its window.
    if group.anchor != NEVER && entry.time <= group.anchor {
        return None;
    }
    outcome.dropped += group.tally.add(plan, limits, &Counted { entry, rules: member.rules, horizon });
    if group.anchor != NEVER && now.saturating_sub(group.anchor) <= plan.span {
        return None;
    }
    let held = group.tally.holds(plan, horizon)?;
    let evidence = group.tally.evidence(plan, horizon);
    group.anchor = now;
    group.tally = Tally::Empty;
    Some(Fired { held, evidence, time: now })
}

/// Adds a match to a standing window.
pub(super) fn gather(
    plan: &Plan,
    limits: &Limits,
    group: &mut Group,
    member: &Member<'_>,
    outcome: &mut Outcome,
) {
    let entry = member.entry;
    if entry.time < group.anchor {
        outcome.late += 1;
        return;
    }
    outcome.counted += 1;
    let counted = Counted { entry, rules: member.rules, horizon: i64::MIN };
    outcome.dropped += group.tally.add(plan, limits, &counted);
    if entry.time >= group.last {
        group.last = entry.time;
        if !member.sources.carried.is_empty()
            && let Some(window) = group.window.as_mut()
        {
            window.carried = member.origin.carried(member.sources);
        }
    }
}
