//! Why a rule fired on an event, or did not.
//!
//! Enters: the rules as they were written (the intermediate form) and verdicts of the engine, one after the other.
//! Leaves: an [`Explanation`]: the way from the root of the tree to the rule, each condition on it with the value that
//! it saw, and one sentence that says what decided. It tries every condition by itself, in the plainest way and with no
//! part of the engine but its patterns; it is asked about one rule by a person, so it need not be fast.

mod checks;
mod event;
mod history;
mod paths;
mod sigma;

use rustc_hash::FxHashMap;
use threatlockdown_event::Millis;

use crate::ir::{NodeIndex, RuleIndex, RuleSet};
use crate::matcher::Verdict;
use checks::Judge;
use event::Event;
use history::History;

pub use checks::{Checked, Holds};
pub use sigma::{SigmaCheck, SigmaExplainer, SigmaExplanation};

/// Why a rule fired on one event, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Id of the rule that was asked about.
    pub rule: u32,
    /// Whether it is the event's result.
    pub fired: bool,
    /// The event's decoder.
    pub decoder: Option<String>,
    /// The event's result: id and level.
    pub result: Option<(u32, u8)>,
    /// The way to the rule that got furthest, from the root to the rule itself.
    pub path: Vec<Stage>,
    /// At how many further places in the tree the rule hangs.
    pub other_places: usize,
    /// One sentence.
    pub reason: String,
}

/// One rule on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its id.
    pub rule: u32,
    /// Its level.
    pub level: u8,
    /// Where it is written.
    pub place: crate::ir::Place,
    /// Its conditions in the order of trial, up to the first that fails.
    pub checks: Vec<Checked>,
}

impl Stage {
    /// No where a condition fails, unknown where one cannot be judged, else yes.
    #[must_use]
    pub fn holds(&self) -> Holds {
        checks::all(&self.checks)
    }
}

/// Explains one rule, event after event of one session.
pub struct Explainer<'s> {
    set: &'s RuleSet,
    target: RuleIndex,
    judge: Judge<'s>,
    history: History,
    /// By rule: the ways to it.
    paths: FxHashMap<RuleIndex, Vec<Vec<NodeIndex>>>,
}

impl<'s> Explainer<'s> {
    /// For the rule with this id; `None` when the set has none.
    #[must_use]
    pub fn new(set: &'s RuleSet, rule: u32) -> Option<Self> {
        let at = set.tree.rules.iter().position(|known| known.id == rule)?;
        Some(Self {
            set,
            target: u32::try_from(at).ok()?,
            judge: Judge::new(set),
            history: History::new(set),
            paths: FxHashMap::default(),
        })
    }

    /// Explains the verdict on the next event of the session.
    pub fn explain(&mut self, verdict: &Verdict<'_>, received: Millis) -> Explanation {
        let event = Event::new(verdict, received);
        let result = verdict.rule_index().and_then(|at| u32::try_from(at).ok());
        let mut explanation = self.explain_event(&event, result);
        self.history.remember(self.set, event, result, verdict.counts());
        let seconds = self.set.tree.rules[self.target as usize].ignore_seconds;
        if explanation.fired && !verdict.counts() && seconds > 0 {
            explanation
                .reason
                .push_str(&format!(", without an alert: it is ignored for {seconds} s after one"));
        }
        explanation
    }

    fn explain_event(&mut self, event: &Event, result: Option<RuleIndex>) -> Explanation {
        let places = self.paths_to(self.target);
        let mut best: Option<(usize, &Vec<NodeIndex>, Vec<Stage>)> = None;
        for path in &places {
            let stages = self.stages(path, event);
            let progress = stages.iter().take_while(|stage| stage.holds() != Holds::No).count();
            if best.as_ref().is_none_or(|(known, ..)| progress > *known) {
                best = Some((progress, path, stages));
            }
        }
        let nowhere = Vec::new();
        let (_, path, stages) = best.unwrap_or((0, &nowhere, Vec::new()));
        let reason = self.reason(path, &stages, event, result);
        let rules = &self.set.tree.rules;
        Explanation {
            rule: rules[self.target as usize].id,
            fired: result == Some(self.target),
            decoder: event.decoder.clone(),
            result: result.and_then(|rule| rules.get(rule as usize)).map(|rule| (rule.id, rule.level)),
            path: stages,
            other_places: places.len().saturating_sub(1),
            reason,
        }
    }

    fn paths_to(&mut self, rule: RuleIndex) -> Vec<Vec<NodeIndex>> {
        let tree = &self.set.tree;
        self.paths.entry(rule).or_insert_with(|| paths::paths_to(tree, rule)).clone()
    }

    /// The rules of a path, up to the first that fails.
    fn stages(&mut self, path: &[NodeIndex], event: &Event) -> Vec<Stage> {
        let mut stages = Vec::with_capacity(path.len());
        for (depth, node) in path.iter().enumerate() {
            let index = self.set.tree.nodes[*node as usize].rule;
            let rule = &self.set.tree.rules[index as usize];
            let checks = self.judge.checks(index, depth == 0, event, &self.history);
            let stage = Stage { rule: rule.id, level: rule.level, place: rule.place.clone(), checks };
            let failed = stage.holds() == Holds::No;
            stages.push(stage);
            if failed {
                break;
            }
        }
        stages
    }

    fn reason(
        &mut self,
        path: &[NodeIndex],
        stages: &[Stage],
        event: &Event,
        result: Option<RuleIndex>,
    ) -> String {
        let set = self.set;
        let id = set.tree.rules[self.target as usize].id;
        if result == Some(self.target) {
            return format!("rule {id} fired");
        }
        if path.is_empty() {
            return format!("rule {id} hangs nowhere in the tree, so it is never tried");
        }
        let failed = stages.last().filter(|stage| stage.holds() == Holds::No).map(|stage| {
            let check = stage.checks.iter().find(|check| check.holds == Holds::No);
            let check = check.map(ToString::to_string).unwrap_or_default();
            if stage.rule == id { check } else { format!("its parent {} did not match: {check}", stage.rule) }
        });
        let taken = result.and_then(|result| self.taken(path, event, result));
        match (failed, taken) {
            (Some(failed), Some(Taken::Before(by, below))) => {
                format!("rule {id} did not match: {failed}; and {}", before(by, below))
            }
            (Some(failed), _) => format!("rule {id} did not match: {failed}"),
            (None, Some(Taken::Before(by, below))) => {
                format!("rule {id} was not tried: {}", before(by, below))
            }
            (None, Some(Taken::Below(by))) => {
                format!("rule {id} matched, but its descendant {by}, which is tried then, decided")
            }
            (None, _) => self.open(id, stages),
        }
    }

    /// Nothing that can be seen in this event alone kept the rule from firing.
    fn open(&self, id: u32, stages: &[Stage]) -> String {
        let unknown =
            stages.iter().flat_map(|stage| &stage.checks).filter(|check| check.holds == Holds::Unknown);
        let unknown: Vec<String> = unknown.map(ToString::to_string).collect();
        if !unknown.is_empty() {
            return format!("rule {id} did not match; what is left is {}", unknown.join(", "));
        }
        if set_noalert(self.set, self.target) {
            return format!(
                "rule {id} matched, but it is never a result itself (noalert), and no child matched"
            );
        }
        let ignore = self.set.tree.rules[self.target as usize].ignore_seconds;
        if ignore > 0 {
            return format!("rule {id} matched, but is ignored for {ignore} s after it last fired");
        }
        format!("rule {id} matched by itself; what is remembered of earlier events kept it from firing")
    }

    /// What the result's place says about a rule at `path`.
    fn taken(&mut self, path: &[NodeIndex], event: &Event, result: RuleIndex) -> Option<Taken> {
        let places = self.paths_to(result);
        let taken = places
            .iter()
            .find(|place| self.stages(place, event).iter().all(|stage| stage.holds() != Holds::No))
            .or_else(|| places.first())?;
        let tree = &self.set.tree;
        let common = path.iter().zip(taken).take_while(|(a, b)| a == b).count();
        let id = |node: NodeIndex| tree.rules[tree.nodes[node as usize].rule as usize].id;
        let by = tree.rules[result as usize].id;
        match (path.get(common), taken.get(common)) {
            (None, Some(_)) => Some(Taken::Below(by)),
            (Some(ours), Some(theirs)) => {
                let parent = common.checked_sub(1).and_then(|at| path.get(at));
                let siblings = parent.map_or(&tree.roots, |parent| &tree.nodes[*parent as usize].children);
                let position = |node| siblings.iter().position(|sibling| sibling == node);
                (position(theirs) < position(ours)).then(|| Taken::Before(by, parent.map(|node| id(*node))))
            }
            (_, None) => None,
        }
    }
}

/// Where the result stands as seen from the rule.
enum Taken {
    /// In a branch that is tried before, below this rule or at the roots.
    Before(u32, Option<u32>),
    /// Below the rule.
    Below(u32),
}

fn before(by: u32, below: Option<u32>) -> String {
    let place = below.map_or_else(|| "among the roots".to_owned(), |parent| format!("below {parent}"));
    format!("rule {by}, whose branch is tried earlier {place}, took the event")
}

fn set_noalert(set: &RuleSet, rule: RuleIndex) -> bool {
    set.tree.rules[rule as usize].noalert
}

#[cfg(test)]
mod tests;
