//! What is forgotten when, so that memory stays within its limits.
//!
//! Enters: a correlator to which something was added. Leaves: the same without groups that can make no difference any more and,
//! where that is not enough, without those that were touched least recently, which are counted.

use std::sync::Arc;

use super::Correlator;
use super::groups::Groups;
use super::plan::{Plan, Plans};

/// Idle groups that are forgotten at most for each match.
const EXPIRED_PER_MATCH: usize = 2;

impl Correlator {
    pub(super) fn expire_some(&mut self, plan: &Plan, index: u32) {
        self.expire_of(plan, index as usize, EXPIRED_PER_MATCH);
    }

    pub(super) fn expire(&mut self, plans: &Plans, index: usize, most: usize) -> usize {
        plans.plans.get(index).map_or(0, |plan| self.expire_of(plan, index, most))
    }

    /// Forgets groups that can make no difference any more, at most so many; returns how many.
    fn expire_of(&mut self, plan: &Plan, index: usize, most: usize) -> usize {
        let Some(groups) = self.groups.get_mut(index).filter(|_| !plan.at_end) else { return 0 };
        let (before, horizon) = (groups.bytes(), self.clock.saturating_sub(plan.span));
        let mut gone = 0;
        while gone < most
            && let Some((number, group)) = groups.oldest()
            && group.last < horizon
        {
            groups.remove(number);
            gone += 1;
        }
        self.bytes = (self.bytes + groups.bytes()).saturating_sub(before);
        gone
    }

    /// Where there is too much: forgets what is idle, then what was touched least recently, of the correlation that was just
    /// added to or of that which holds most, with some to spare, so that this is rare.
    pub(super) fn keep_within(&mut self, index: u32) {
        let most = self.limits.max_bytes_each;
        let is_over = |groups: &Groups| groups.bytes() > most;
        let is_one_over = self.groups.get(index as usize).is_some_and(is_over);
        if !is_one_over && self.bytes <= self.limits.max_bytes {
            return;
        }
        let plans = Arc::clone(&self.plans);
        for index in 0..plans.len() {
            self.expire(&plans, index, usize::MAX);
        }
        if self.groups.get(index as usize).is_some_and(is_over) {
            self.evict(index as usize, most - most / 128);
        }
        while self.bytes > self.limits.max_bytes {
            let largest = (0_usize..)
                .zip(&self.groups)
                .max_by_key(|(index, groups)| (groups.bytes(), std::cmp::Reverse(*index)));
            let Some((index, groups)) = largest.filter(|(_, groups)| groups.len() > 0) else { return };
            let over = self.bytes - (self.limits.max_bytes - self.limits.max_bytes / 128);
            self.evict(index, groups.bytes().saturating_sub(over));
        }
    }

    /// Forgets the least recently touched groups of a correlation until it has at most so many bytes.
    fn evict(&mut self, index: usize, most: usize) {
        let Some(groups) = self.groups.get_mut(index) else { return };
        let span = self.plans.plans.get(index).map_or(0, |plan| plan.span);
        let before = groups.bytes();
        let mut evicted = 0;
        while groups.bytes() > most
            && let Some((number, _)) = groups.oldest()
            && let Some(group) = groups.remove(number)
        {
            if group.window.is_some() {
                self.ends.remove(&(group.anchor.saturating_add(span), index as u32, group.key));
            }
            evicted += 1;
        }
        self.bytes = (self.bytes + groups.bytes()).saturating_sub(before);
        self.counter(index as u32, |counters| counters.evicted += evicted);
    }
}
