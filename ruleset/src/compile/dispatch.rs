//! Which children of a node an event can concern at all.
//!
//! Enters: the children in the order of trial. Leaves: a [`Dispatch`] from the event's decoder and the tests that hold to
//! the children that demand them. Sound: a child is indexed by a test that it demands (not by one that it demands to
//! fail), so when the test does not hold the child cannot match; children without such a test are always tried.

use super::intern::LogTests;
use crate::ir::{NodeIndex, RuleTree};
use crate::program::{
    ByPredicate, Condition, Dispatch, LogPivots, Pivots, Predicate, PredicateIndex, PredicateTest, Rule,
    Subject, SubjectPlace,
};

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
    pub(super) log: &'p LogTests,
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
        let mut by_log: Vec<(PredicateIndex, u32)> = Vec::new();
        let mut by_predicate: Vec<(PredicateIndex, u32)> = Vec::new();
        for &position in positions {
            let rule = self.rule(children[position as usize]);
            let pivot = if positions.len() < MIN_PIVOTS { None } else { self.pivot(rule) };
            match pivot {
                None => pivots.always.push(position),
                Some(Condition { subject, predicate, .. }) if self.is_log(subject) => {
                    by_log.push((predicate, position));
                }
                Some(Condition { subject, predicate, .. }) => {
                    by_predicate.push((predicate, position));
                    if !pivots.subjects.contains(&subject) {
                        pivots.subjects.push(subject);
                    }
                }
            }
        }
        pivots.by_predicate = ByPredicate::new(by_predicate);
        self.add_log(by_log, &mut pivots);
        pivots
    }

    fn add_log(&self, mut by_log: Vec<(PredicateIndex, u32)>, pivots: &mut Pivots) {
        by_log.sort_unstable();
        let mut positions: Vec<u32> = by_log.iter().map(|(_, position)| *position).collect();
        positions.sort_unstable();
        let mut predicates: Vec<PredicateIndex> = by_log.iter().map(|(predicate, _)| *predicate).collect();
        predicates.dedup();
        let set = if predicates.len() < MIN_PIVOTS { None } else { self.log.set(predicates.iter().copied()) };
        match set {
            Some(set) => {
                let by_predicate = ByPredicate::new(by_log);
                pivots.by_log = Some(LogPivots { set, by_predicate, positions });
            }
            None => {
                pivots.always.extend(positions);
                pivots.always.sort_unstable();
            }
        }
    }

    /// A test that decides together with others: one look-up if possible, on something short at least.
    fn pivot(&self, rule: &Rule) -> Option<Condition> {
        let decides = |condition: &&Condition| {
            let test = &self.predicates[condition.predicate as usize].test;
            let is_shared = matches!(test, PredicateTest::Literal { .. } | PredicateTest::Candidate { .. });
            !condition.negate && (is_shared || self.log.has(condition.predicate))
        };
        let usable = rule.conditions.iter().filter(decides);
        usable.min_by_key(|condition| cost(condition, self.subjects, self.predicates)).copied()
    }

    fn is_log(&self, subject: u32) -> bool {
        self.subjects[subject as usize].place == SubjectPlace::Log
    }
}

/// What testing a condition costs, roughly, as a rank: the log is long, a pattern more than a look-up.
pub(super) fn cost(condition: &Condition, subjects: &[Subject], predicates: &[Predicate]) -> (bool, u8) {
    let kind = match predicates[condition.predicate as usize].test {
        PredicateTest::Literal { whole: true, .. } => 0,
        PredicateTest::List(_) => 1,
        PredicateTest::Literal { whole: false, .. } => 2,
        PredicateTest::Candidate { .. } => 3,
        PredicateTest::Alone(_) => 4,
    };
    (subjects[condition.subject as usize].place == SubjectPlace::Log, kind)
}
