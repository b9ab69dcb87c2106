//! Every rule that an event reaches, and not only the first branch: what each rule says by itself.
//!
//! Enters: an event that was judged apart from all others. Leaves: the rules that hold below parents that hold, in the order of trial,
//! as the tree that they form. What a set comes to that has only some of these rules can be read from it, so one walk
//! answers for each rule what a program of its own would say. For comparisons; the walk that `run` uses stops at the
//! first branch.

use super::facts::Facts;
use super::observe::Observer;
use super::walk::Walk;
use super::{Candidate, Fault, Input, Mode, Scratch, Verdict};
use crate::ir::sigma::SigmaRuleIndex;
use crate::ir::{NodeIndex, RuleIndex};
use crate::program::{More, PredicateIndex, Program, Rule, SubjectIndex};

/// A rule that holds, below parents that hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The rule.
    pub rule: RuleIndex,
    /// How many parents are above it; those that follow with a greater depth hang below it.
    pub depth: u32,
    /// It or one of its parents has demands on earlier events, which were not asked.
    pub is_pending: bool,
}

/// What a survey found.
#[derive(Debug, Default)]
pub struct Survey {
    /// In the order of trial: each rule before those below it.
    pub reached: Vec<Reached>,
    /// The event's decoder fills fields from earlier events.
    pub accumulates: bool,
}

impl Program {
    /// Judges one record as [`Program::evaluate_apart`] does and also finds every rule that it reaches.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn survey<R>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        survey: &mut Survey,
        then: impl FnOnce(&Verdict<'_>, Option<Candidate<'_>>) -> R,
    ) -> Result<R, Fault> {
        survey.reached.clear();
        survey.accumulates = false;
        self.judge(scratch, input, Mode { apart: true, ..Mode::default() }, survey, then)
    }
}

impl Observer for Survey {
    type Moment = ();
    const SURVEYS: bool = true;

    fn now(&self) {}

    fn decoded(&mut self, facts: &Facts<'_>) {
        let decoder = facts.decoded.decoder;
        self.accumulates = decoder.is_some_and(|decoder| facts.program.decoders.get(decoder).accumulate);
    }

    fn rule(&mut self, _: RuleIndex, _: bool, (): ()) {}

    fn test(&mut self, _: PredicateIndex, _: bool, (): ()) {}

    fn literals(&mut self, _: SubjectIndex, (): ()) {}

    fn sigma(&mut self, _: SigmaRuleIndex, _: bool, (): ()) {}

    fn reached(&mut self, reached: Reached) {
        self.reached.push(reached);
    }
}

impl<'w, O: Observer> Walk<'w, O> {
    /// Tells the observer of every rule that the event reaches. What has been decided of its tests stays decided.
    pub(super) fn survey(&mut self) {
        let program: &'w Program = self.facts.program;
        if let Some(id) = self.facts.decoded.rule
            && let Some(named) = program.rules.iter().position(|rule| rule.number == id)
        {
            let rule = u32::try_from(named).unwrap_or(u32::MAX);
            return self.observer.reached(Reached { rule, depth: 0, is_pending: false });
        }
        let Some(category) = self.facts.decoded.category else { return };
        for &root in &program.roots {
            if program.rules[program.nodes[root as usize].rule as usize].category == category {
                self.survey_node(root, 0, false);
            }
        }
    }

    /// Recursion is as deep as the chain of parents, which the compiler bounds.
    fn survey_node(&mut self, index: NodeIndex, depth: u32, below_pending: bool) {
        let program: &'w Program = self.facts.program;
        let node = &program.nodes[index as usize];
        let rule = &program.rules[node.rule as usize];
        let of_decoder = node.decoder.is_none() || node.decoder == self.facts.decoded.decoder_id;
        if !of_decoder || !self.holds_alone(rule) {
            return;
        }
        let is_pending = below_pending || looks_back(rule);
        self.observer.reached(Reached { rule: node.rule, depth, is_pending });
        for &child in &node.children.all {
            self.survey_node(child, depth + 1, is_pending);
        }
    }

    /// Whether everything holds that the rule demands of this event.
    fn holds_alone(&mut self, rule: &'w Rule) -> bool {
        rule.conditions.iter().all(|condition| self.condition(*condition))
            && rule.more.as_ref().is_none_or(|more| {
                self.holds_of_event(more) && more.lists.iter().all(|condition| self.condition(*condition))
            })
    }
}

/// Whether earlier events have a say in the rule.
fn looks_back(rule: &Rule) -> bool {
    let demands = |more: &More| more.check_diff || more.if_fts || more.correlation.is_some();
    rule.more.as_deref().is_some_and(demands) || rule.ignore_seconds > 0 || rule.ignored.is_some()
}
