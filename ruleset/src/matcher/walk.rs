//! The search: from the roots down the first branch that matches.
//!
//! Enters: the facts of one event. Leaves: the node that decides. A predicate is decided at most once per event, the
//! literal ones of a subject together, and a wide node looks only at the children that the event's decoder and the
//! literals in question allow (see [`crate::program::Dispatch`]), in the reference's order.

use std::ops::Range;

use super::apart::Due;
use super::facts::Facts;
use super::marks::{Known, Marks};
use super::observe::Observer;
use super::past::{Conclusion, Past};
use crate::ir::NodeIndex;
use crate::program::{
    Condition, Dispatch, LOG, LogPivots, Pass, Pivots, PredicateIndex, PredicateTest, Program, Rule,
    SubjectIndex, SubjectPlace, WORTH_IT,
};

/// Bytes of a log for which all literals cost what one test alone costs.
const LONG_LOG: usize = 40;
/// So few tests cost less than a pass over any log: most of them look at its beginning.
const FEW_TESTS: usize = 10;

/// The search for one event.
pub(super) struct Walk<'w, O> {
    pub(super) facts: Facts<'w>,
    pub(super) marks: &'w mut Marks,
    pub(super) past: Past<'w>,
    pub(super) observer: &'w mut O,
}

/// The node that decides, and its parent.
pub(super) type Decision = (NodeIndex, Option<NodeIndex>);

impl<'w, O: Observer> Walk<'w, O> {
    /// Finds the verdict and leaves in memory what it leaves.
    pub(super) fn judge(&mut self) -> Conclusion {
        self.find_verdict()
    }

    /// Finds the verdict that the event would have if it were the first one ever, and what state could change about it;
    /// `key` becomes that of the candidate.
    pub(super) fn judge_apart(&mut self, key: &mut Vec<u8>) -> (Conclusion, Option<Due>) {
        let conclusion = self.find_verdict();
        let due = self.due(key);
        (conclusion, due)
    }

    fn find_verdict(&mut self) -> Conclusion {
        // An event that is an earlier alert names its rule itself.
        let rules = &self.facts.program.rules;
        let named = self.facts.decoded.rule.and_then(|id| rules.iter().position(|rule| rule.number == id));
        let decision = if named.is_some() { None } else { self.search() };
        self.conclude(decision, named.and_then(|index| u32::try_from(index).ok()))
    }

    /// The node whose rule is the verdict.
    fn search(&mut self) -> Option<Decision> {
        let program: &'w Program = self.facts.program;
        let category = self.facts.decoded.category?;
        self.marks.begin();
        for &root in &program.roots {
            let rule = &program.rules[program.nodes[root as usize].rule as usize];
            if rule.category == category
                && let Some(result) = self.try_node(root, None)
            {
                return Some(result);
            }
        }
        None
    }

    /// Recursion is as deep as the chain of parents, which the compiler bounds.
    fn try_node(&mut self, index: NodeIndex, parent: Option<NodeIndex>) -> Option<Decision> {
        let program: &'w Program = self.facts.program;
        let node = &program.nodes[index as usize];
        let rule = &program.rules[node.rule as usize];
        let since = self.observer.now();
        let holds =
            (node.decoder.is_none() || node.decoder == self.facts.decoded.decoder_id) && self.holds(rule);
        self.observer.rule(node.rule, holds, since);
        if !holds {
            return None;
        }
        let below = match &node.children.dispatch {
            None => node.children.all.iter().find_map(|child| self.try_node(*child, Some(index))),
            Some(dispatch) => self.try_candidates(index, &node.children.all, dispatch),
        };
        below.or_else(|| (!rule.noalert).then_some((index, parent)))
    }

    /// Tries the children that come into question, in their order. Those that only their test of the log singles out
    /// join when the first of them would be next.
    fn try_candidates(
        &mut self,
        parent: NodeIndex,
        all: &'w [NodeIndex],
        dispatch: &'w Dispatch,
    ) -> Option<Decision> {
        let base = self.marks.candidates.len();
        let own = self.facts.decoded.decoder_id.and_then(|decoder| dispatch.by_decoder.get(&decoder));
        let groups = [Some(&dispatch.any), own];
        for pivots in groups.into_iter().flatten() {
            self.marks.candidates.extend_from_slice(&pivots.always);
            for &subject in &pivots.subjects {
                self.run_literals(subject);
                self.marks.add_candidates(subject, &pivots.by_predicate);
            }
        }
        self.marks.candidates[base..].sort_unstable();
        let mut at = base;
        let mut result = None;
        let mut from = 0;
        while result.is_none() {
            let next = self.marks.candidates.get(at).copied();
            // Those that only their test of the log singles out, and that come before the next one.
            let until = next.unwrap_or(u32::MAX);
            if from < until {
                let before = self.marks.candidates.len();
                from = self.add_by_log(groups, from..until);
                if self.marks.candidates.len() > before {
                    self.marks.sort_candidates(at);
                    continue;
                }
            }
            let Some(position) = next else { break };
            at += 1;
            result = self.try_node(all[position as usize], Some(parent));
        }
        self.marks.candidates.truncate(base);
        result
    }

    /// Adds the children in that range that their test of the log singles out, and perhaps some behind it; returns up to
    /// where all have been added. The log is long: a few tests are made one by one, as they come; for many the literals of
    /// all of them are run.
    fn add_by_log(&mut self, groups: [Option<&'w Pivots>; 2], range: Range<u32>) -> u32 {
        let logs = groups.map(|pivots| pivots.and_then(|pivots| pivots.by_log.as_ref()));
        let within = |log: &'w LogPivots| {
            let first = log.positions.partition_point(|position| *position < range.start);
            let end = log.positions.partition_point(|position| *position < range.end);
            &log.positions[first..end]
        };
        let positions = logs.map(|log| log.map(within).unwrap_or_default());
        let count: usize = positions.iter().map(|positions| positions.len()).sum();
        if count == 0 {
            return range.end;
        }
        let text = self.facts.decoded.header.log;
        if count <= FEW_TESTS || count * LONG_LOG <= text.len() {
            positions.iter().for_each(|positions| self.marks.candidates.extend_from_slice(positions));
            return range.end;
        }
        let since = self.observer.now();
        for log in logs.into_iter().flatten() {
            log.set.run(text, |hit| self.marks.hit_log(hit, &log.by_predicate, range.start));
        }
        self.observer.literals(LOG, since);
        u32::MAX
    }

    /// Whether everything holds that the rule demands beside its decoder.
    fn holds(&mut self, rule: &'w Rule) -> bool {
        rule.conditions.iter().all(|condition| self.condition(*condition))
            && rule.more.as_ref().is_none_or(|more| self.holds_more(rule, more))
    }

    pub(super) fn condition(&mut self, condition: Condition) -> bool {
        self.facts.is_present(condition.subject)
            && self.predicate(condition.subject, condition.predicate) != condition.negate
    }

    fn predicate(&mut self, subject: SubjectIndex, predicate: PredicateIndex) -> bool {
        match self.marks.known(predicate) {
            Known::Yes => return true,
            Known::No => return false,
            Known::Unknown | Known::Candidate => {}
        }
        let program: &'w Program = self.facts.program;
        let since = self.observer.now();
        let holds = match &program.predicates[predicate as usize].test {
            PredicateTest::Literal { .. } => {
                self.run_literals(subject);
                self.marks.known(predicate) == Known::Yes
            }
            PredicateTest::Candidate { matcher, joined } => {
                self.run_literals(subject);
                if self.marks.known(predicate) != Known::Candidate {
                    false
                } else if *joined && self.run_patterns(subject) {
                    self.marks.known(predicate) == Known::Yes
                } else {
                    self.on_text(subject, |text| matcher.is_match(text))
                }
            }
            PredicateTest::Alone(matcher) => self.on_text(subject, |text| matcher.is_match(text)),
            PredicateTest::List(check) => self.on_text(subject, |text| check.holds(&program.lists, text)),
        };
        self.observer.test(predicate, holds, since);
        self.marks.set(predicate, holds);
        holds
    }

    fn on_text(&mut self, subject: SubjectIndex, test: impl FnOnce(&[u8]) -> bool) -> bool {
        self.facts.text(subject, &mut self.marks.text).is_some_and(test)
    }

    /// Decides all joined patterns of a subject, where there are enough candidates to be worth it; false when each has to
    /// be run by itself.
    fn run_patterns(&mut self, subject: SubjectIndex) -> bool {
        let program: &'w Program = self.facts.program;
        let Some(set) = &program.subjects[subject as usize].patterns else { return false };
        if self.marks.candidates_of(subject) < WORTH_IT {
            return false;
        }
        let mut buffer = std::mem::take(&mut self.marks.text);
        let decided = match self.facts.text(subject, &mut buffer) {
            Some(text) => self.marks.run_patterns(subject, set, text),
            None => false,
        };
        self.marks.text = buffer;
        decided
    }

    /// Decides all literal predicates of a subject.
    fn run_literals(&mut self, subject: SubjectIndex) {
        let program: &'w Program = self.facts.program;
        let target = &program.subjects[subject as usize];
        let Some(set) = &target.literals else { return };
        if !self.marks.start(subject, Pass::Both) {
            return;
        }
        // Most fields that rules name are missing in most events.
        if matches!(target.place, SubjectPlace::Slot { .. }) && !self.facts.is_present(subject) {
            return;
        }
        let since = self.observer.now();
        let mut buffer = std::mem::take(&mut self.marks.text);
        if let Some(text) = self.facts.text(subject, &mut buffer) {
            self.marks.run(subject, set, Pass::Both, text);
        }
        self.marks.text = buffer;
        self.observer.literals(subject, since);
    }
}
