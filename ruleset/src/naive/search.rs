//! The walk through the tree.
//!
//! Enters: an event. Leaves: the deepest match along the first matching branch. There is no comparison of branches.

use super::conditions::hold;
use super::event::Event;
use super::memory::NaiveMemory;
use super::{Naive, correlate};
use crate::ir::{Category, NodeIndex, RuleIndex};

/// A rule, and the rule above it at the place where it was reached.
pub(super) struct Found {
    pub(super) rule: RuleIndex,
    pub(super) parent: Option<RuleIndex>,
}

impl Naive<'_> {
    /// A rule with `noalert` is no result itself: without a result below it, the search goes on beside it.
    pub(super) fn find(&self, event: &mut Event, memory: &mut NaiveMemory) -> Option<Found> {
        // Nodes that are still to be tried, and the rule that they hang below.
        let mut lists: Vec<(&[NodeIndex], Option<RuleIndex>)> = vec![(&self.set.tree.roots, None)];
        while let Some((list, owner)) = lists.last_mut() {
            let owner = *owner;
            let Some((node, rest)) = list.split_first() else {
                lists.pop();
                let parent = lists.last().and_then(|(_, above)| *above);
                match owner.and_then(|owner| self.rule(owner)) {
                    Some(rule) if !rule.noalert => return owner.map(|rule| Found { rule, parent }),
                    _ => continue,
                }
            };
            *list = rest;
            let is_root = lists.len() == 1;
            let Some(node) = self.set.tree.nodes.get(*node as usize) else { continue };
            if self.matches(node.rule, is_root, event, memory) {
                lists.push((&node.children, Some(node.rule)));
            }
        }
        None
    }

    /// What changes the memory comes last, in the reference's order.
    fn matches(&self, index: RuleIndex, is_root: bool, event: &mut Event, memory: &mut NaiveMemory) -> bool {
        let (Some(rule), Some(compiled)) = (self.rule(index), self.rules.get(index as usize)) else {
            return false;
        };
        let lists = &self.set.lists;
        let local = event.seconds + i64::from(memory.options.zone_offset);
        (!is_root || event.category == Some(rule.category))
            && hold(rule, &compiled.conditions, event, local, lists)
            && (!rule.check_diff || memory.is_different(event, rule.id))
            && (!rule.if_fts || self.is_first_seen(event, memory))
            && compiled.lists.iter().all(|condition| condition.holds(event, lists))
            && rule.correlation.as_ref().is_none_or(|correlation| {
                let regex = compiled.matched_regex.as_ref();
                correlate::fires(correlation, index, rule.level, regex, event, memory)
            })
    }

    /// Only decoders with `fts` have a key.
    fn is_first_seen(&self, event: &Event, memory: &mut NaiveMemory) -> bool {
        let decoder = event.decoder.and_then(|index| self.decoders.get(index));
        let Some(decoder) = decoder.filter(|decoder| !decoder.fts.is_empty()) else { return false };
        memory.is_first(event.line(&decoder.fts, true), event.category == Some(Category::Ids))
    }
}
