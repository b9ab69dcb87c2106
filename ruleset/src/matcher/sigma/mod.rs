//! Sigma rules on one event: which of them match.
//!
//! Enters: the facts of an event, and what its source has to do with Sigma rules. Leaves: the rules that match, in load
//! order. The literals of the few fields by which rules are found are run first; each hit leads to the rules in question,
//! and only these are evaluated. A predicate is decided at most once per event.

mod arrivals;
mod correlated;
mod decide;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod nul;
#[cfg(test)]
mod tests;
mod values;
mod verdict;
#[cfg(test)]
mod wrapped;

pub use self::arrivals::Arrivals;
pub use self::correlated::Correlated;
pub(super) use self::decide::{compares, read_number, stands, time_part};
pub(super) use self::values::Event;
use self::values::Only;
use super::marks::{Known, Marks};
use super::observe::Observer;
use crate::decode::lists::Value;
use crate::ir::sigma::SigmaRuleIndex;
use crate::program::{
    Pass, Program, SigmaExpr, SigmaPredicate, SigmaPredicateIndex, SigmaSubjectIndex, WORTH_IT,
};

/// What a worker keeps between events.
pub(super) struct Room {
    pub(super) marks: Marks,
    /// The rules that match the event.
    pub(super) matches: Vec<SigmaRuleIndex>,
}

impl Room {
    pub(super) fn new(program: &Program) -> Self {
        let sigma = &program.sigma;
        Self { marks: Marks::new(sigma.predicates.len(), sigma.subjects.len()), matches: Vec::new() }
    }
}

/// Finds the rules that match, into `room.matches`.
pub(super) fn run(event: Event<'_>, room: &mut Room, observer: &mut impl Observer) {
    room.matches.clear();
    let binding = &event.binding.sigma;
    if binding.rules.is_empty() {
        return;
    }
    room.marks.begin();
    let mut search = Search { event, marks: &mut room.marks };
    search.collect();
    let program = event.facts.program;
    for at in 0..search.marks.candidates.len() {
        let rule = search.marks.candidates[at];
        let since = observer.now();
        let holds = search.holds(&program.sigma.rules[rule as usize].expr);
        observer.sigma(rule, holds, since);
        if holds {
            room.matches.push(rule);
        }
    }
}

/// The search for one event.
struct Search<'s> {
    event: Event<'s>,
    marks: &'s mut Marks,
}

impl<'s> Search<'s> {
    /// Gathers the rules in question, in order and each once.
    fn collect(&mut self) {
        let index = &self.event.binding.sigma.index;
        self.marks.candidates.extend_from_slice(&index.always);
        for &(subject, pass) in &index.pivots {
            self.run_literals(subject, pass);
        }
        for (subject, _) in index.pivots.chunk_by(|one, other| one.0 == other.0).filter_map(<[_]>::first) {
            self.marks.add_candidates(*subject, &index.by_predicate);
        }
        for (subject, rules) in &index.by_presence {
            if self.event.is_present(*subject) {
                self.marks.candidates.extend_from_slice(rules);
            }
        }
        self.marks.sort_candidates(0);
    }

    /// Recursion is as deep as the expression, which the compiler bounds.
    fn holds(&mut self, expr: &'s SigmaExpr) -> bool {
        match expr {
            SigmaExpr::All(parts) => parts.iter().all(|part| self.holds(part)),
            SigmaExpr::Any(parts) => parts.iter().any(|part| self.holds(part)),
            SigmaExpr::Not(part) => !self.holds(part),
            SigmaExpr::Test { subject, predicate } => self.predicate(*subject, *predicate),
        }
    }

    fn predicate(&mut self, subject: SigmaSubjectIndex, predicate: SigmaPredicateIndex) -> bool {
        match self.marks.known(predicate) {
            Known::Yes => return true,
            Known::No => return false,
            Known::Unknown | Known::Candidate => {}
        }
        let program: &'s Program = self.event.facts.program;
        let holds = match &program.sigma.predicates[predicate as usize] {
            SigmaPredicate::Literal { whole } => {
                self.run_literals(subject, Pass::LookUp);
                if !whole && self.marks.known(predicate) != Known::Yes {
                    self.run_literals(subject, Pass::Search);
                }
                self.marks.known(predicate) == Known::Yes
            }
            SigmaPredicate::Candidate { matcher, joined } => {
                self.run_literals(subject, Pass::Search);
                if self.marks.known(predicate) != Known::Candidate {
                    false
                } else if *joined && self.run_patterns(subject) {
                    self.marks.known(predicate) == Known::Yes
                } else {
                    self.any_text(subject, |text| matcher.is_match(text))
                }
            }
            SigmaPredicate::Alone(matcher) => self.any_text(subject, |text| matcher.is_match(text)),
            other => self.decide(subject, other),
        };
        self.marks.set(predicate, holds);
        holds
    }

    /// Decides the literal predicates of a subject, as far as that pass does it.
    fn run_literals(&mut self, subject: SigmaSubjectIndex, pass: Pass) {
        let program: &'s Program = self.event.facts.program;
        let Some(set) = &program.sigma.subjects[subject as usize].literals else { return };
        if !self.marks.start(subject, pass) {
            return;
        }
        let mut room = std::mem::take(&mut self.marks.text);
        let marks = &mut *self.marks;
        let mut run = |text: &[u8]| marks.run(subject, set, pass, text);
        match self.event.only(subject) {
            Only::Nothing => {}
            Only::Text(text) => run(text),
            Only::Look => self.event.visit(subject, &mut room, &mut |value| {
                if let Value::Text(text) = value {
                    run(text);
                }
            }),
        }
        self.marks.text = room;
    }

    /// Decides all joined patterns of a subject that has one value, where there are enough candidates to be worth it; false
    /// when each has to be run by itself.
    fn run_patterns(&mut self, subject: SigmaSubjectIndex) -> bool {
        let program: &'s Program = self.event.facts.program;
        let Some(set) = &program.sigma.subjects[subject as usize].patterns else { return false };
        if self.marks.candidates_of(subject) < WORTH_IT || !self.event.is_single(subject) {
            return false;
        }
        let mut room = std::mem::take(&mut self.marks.text);
        let (marks, mut decided) = (&mut *self.marks, false);
        self.event.visit(subject, &mut room, &mut |value| {
            if let Value::Text(text) = value {
                decided = marks.run_patterns(subject, set, text);
            }
        });
        self.marks.text = room;
        decided
    }
}
