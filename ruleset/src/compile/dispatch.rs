//! Which children of a node an event can concern at all.
//!
//! Enters: the children in the order of trial. Leaves: a [`Dispatch`] from the literal tests that hold to the children
//! that demand them. Sound: a child is indexed by a test that it demands (not by one that it demands to fail), so when
//! the test does not hold the child cannot match; children without such a test are always tried.

use crate::ir::{NodeIndex, RuleTree};
use crate::program::{Dispatch, Predicate, PredicateTest, Rule, Subject};

/// From how many children on the index is worth it.
const MIN_CHILDREN: usize = 6;

pub(super) fn plan(
    tree: &RuleTree,
    children: &[NodeIndex],
    rules: &[Rule],
    subjects: &[Subject],
    predicates: &[Predicate],
) -> Option<Dispatch> {
    if children.len() < MIN_CHILDREN {
        return None;
    }
    let mut plan = Dispatch { subjects: Vec::new(), by_predicate: Vec::new(), always: Vec::new() };
    for (position, child) in children.iter().enumerate() {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        let rule = &rules[tree.nodes[*child as usize].rule as usize];
        let pivot = rule.conditions.iter().find(|condition| {
            !condition.negate
                && subjects[condition.subject as usize].literals.is_some()
                && matches!(predicates[condition.predicate as usize].test, PredicateTest::Literal)
        });
        match pivot {
            None => plan.always.push(position),
            Some(condition) => {
                plan.by_predicate.push((condition.predicate, position));
                if !plan.subjects.contains(&condition.subject) {
                    plan.subjects.push(condition.subject);
                }
            }
        }
    }
    plan.by_predicate.sort_unstable();
    (plan.always.len() * 2 <= children.len()).then_some(plan)
}
