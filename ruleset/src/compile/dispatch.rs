//! Which children of a node an event can concern at all.
//!
//! Enters: the children in the order of trial. Leaves: a [`Dispatch`] from the event's decoder and the tests that hold to
//! the children that demand them. Sound: a child is indexed by a test that it demands (not by one that it demands to
//! fail), so when the test does not hold the child cannot match; children without such a test are always tried.

use crate::ir::{NodeIndex, RuleTree};
use crate::program::{Condition, Dispatch, Pivots, Predicate, PredicateTest, Rule, Subject, SubjectPlace};

/// From how many children on the index is worth it.
const MIN_CHILDREN: usize = 6;
/// From how many children of one decoder on they are told apart further.
const MIN_PIVOTS: usize = 4;

/// What planning looks at.
pub(super) struct Planner<'p> {
    pub(super) tree: &'p RuleTree,
    pub(super) rules: &'p [Rule],
    pub(super) subjects: &'p [Subject],
    pub(super) predicates: &'p [Predicate],
}

impl Planner<'_> {
    pub(super) fn plan(&self, children: &[NodeIndex]) -> Option<Dispatch> {
        if children.len() < MIN_CHILDREN {
            return None;
        }
        let mut plan = Dispatch::default();
        let mut by_decoder: rustc_hash::FxHashMap<Option<u32>, Vec<u32>> = rustc_hash::FxHashMap::default();
        for (position, child) in (0..).zip(children) {
            by_decoder.entry(self.rule(*child).decoder).or_default().push(position);
        }
        for (decoder, positions) in by_decoder {
            let pivots = self.pivots(children, &positions);
            match decoder {
                None => plan.any = pivots,
                Some(decoder) => drop(plan.by_decoder.insert(decoder, pivots)),
            }
        }
        Some(plan)
    }

    fn rule(&self, node: NodeIndex) -> &Rule {
        &self.rules[self.tree.nodes[node as usize].rule as usize]
    }

    fn pivots(&self, children: &[NodeIndex], positions: &[u32]) -> Pivots {
        let mut pivots = Pivots::default();
        for &position in positions {
            let rule = self.rule(children[position as usize]);
            let pivot = if positions.len() < MIN_PIVOTS { None } else { self.pivot(rule) };
            match pivot {
                None => pivots.always.push(position),
                Some(Condition { subject, predicate, .. }) if self.is_log(subject) => {
                    pivots.by_log.push((predicate, position));
                    pivots.log_positions.push(position);
                }
                Some(Condition { subject, predicate, .. }) => {
                    pivots.by_predicate.push((predicate, position));
                    if !pivots.subjects.contains(&subject) {
                        pivots.subjects.push(subject);
                    }
                }
            }
        }
        pivots.by_predicate.sort_unstable();
        pivots.by_log.sort_unstable();
        pivots
    }

    /// A test that decides together with others: one look-up if possible, on something short at least.
    fn pivot(&self, rule: &Rule) -> Option<Condition> {
        let cost = |condition: &Condition| {
            let kind = match self.predicates[condition.predicate as usize].test {
                _ if condition.negate => return None,
                PredicateTest::Literal { whole: true, .. } => 0,
                PredicateTest::Literal { whole: false, .. } => 1,
                PredicateTest::Candidate { .. } => 2,
                PredicateTest::Alone(_) | PredicateTest::List(_) => return None,
            };
            Some((self.is_log(condition.subject), kind))
        };
        let usable = rule.conditions.iter().filter_map(|condition| Some((cost(condition)?, *condition)));
        usable.min_by_key(|(cost, _)| *cost).map(|(_, condition)| condition)
    }

    fn is_log(&self, subject: u32) -> bool {
        self.subjects[subject as usize].place == SubjectPlace::Log
    }
}
