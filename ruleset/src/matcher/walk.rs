//! The search: from the roots down the first branch that matches.
//!
//! Enters: the fields of one event. Leaves: the node that decides. A predicate is decided at most once per event, the
//! literal ones of a subject together, and a wide node looks only at the children that the literals in question allow
//! (see [`Dispatch`]), in the reference's order.

use simd_json::Node as TapeNode;
use threatlockdown_event::Context;

use super::{Known, State};
use crate::decode::text;
use crate::ir::{Category, NodeIndex};
use crate::program::{
    Condition, Decoder, Dispatch, Given, LOG, PredicateIndex, PredicateTest, Program, Rule, SubjectIndex,
    View,
};

/// Everything that conditions look at.
pub(crate) struct Event<'a> {
    pub(crate) program: &'a Program,
    pub(crate) view: &'a View,
    pub(crate) tape: &'a [TapeNode<'a>],
    pub(crate) context: &'a Context,
    pub(crate) log: &'a [u8],
    pub(crate) decoder: Option<Decoder>,
    /// The field that the decoder for tagged text lines took.
    pub(crate) tag: Option<&'a str>,
    /// The service that the record's wrapper names.
    pub(crate) service: Option<&'a str>,
}

impl Event<'_> {
    /// The node whose rule is the verdict.
    pub(crate) fn search(&self, state: &mut State) -> Option<NodeIndex> {
        state.known.fill(Known::Unknown);
        state.ran.fill(false);
        state.candidates.clear();
        let program = self.program;
        for &root in &program.roots {
            let rule = &program.rules[program.nodes[root as usize].rule as usize];
            // Every built-in decoder is of the syslog type.
            if rule.category == Category::Syslog
                && let Some(result) = self.try_node(root, state)
            {
                return Some(result);
            }
        }
        None
    }

    /// Recursion is as deep as the chain of parents, which the compiler bounds.
    fn try_node(&self, index: NodeIndex, state: &mut State) -> Option<NodeIndex> {
        let node = &self.program.nodes[index as usize];
        let rule = &self.program.rules[node.rule as usize];
        if !self.holds(rule, state) {
            return None;
        }
        let below = match &node.children.dispatch {
            None => node.children.all.iter().find_map(|child| self.try_node(*child, state)),
            Some(dispatch) => self.try_candidates(&node.children.all, dispatch, state),
        };
        below.or_else(|| (!rule.noalert).then_some(index))
    }

    fn try_candidates(&self, all: &[NodeIndex], dispatch: &Dispatch, state: &mut State) -> Option<NodeIndex> {
        let base = state.candidates.len();
        state.candidates.extend_from_slice(&dispatch.always);
        for &subject in &dispatch.subjects {
            self.run_literals(subject, state);
            let State { hits, candidates, .. } = state;
            for &hit in &hits[subject as usize] {
                let first = dispatch.by_predicate.partition_point(|(predicate, _)| *predicate < hit);
                let same =
                    dispatch.by_predicate[first..].iter().take_while(|(predicate, _)| *predicate == hit);
                candidates.extend(same.map(|(_, position)| *position));
            }
        }
        state.candidates[base..].sort_unstable();
        let mut result = None;
        let end = state.candidates.len();
        for at in base..end {
            let position = state.candidates[at];
            result = self.try_node(all[position as usize], state);
            if result.is_some() {
                break;
            }
        }
        state.candidates.truncate(base);
        result
    }

    fn holds(&self, rule: &Rule, state: &mut State) -> bool {
        if rule.decoder.is_some_and(|decoder| self.decoder != Some(decoder)) {
            return false;
        }
        // Almost always 0; the size test comes after the conditions in the reference, which no condition can tell.
        if self.log.len() < rule.maxsize as usize {
            return false;
        }
        rule.conditions.iter().all(|condition| self.condition(*condition, state))
    }

    fn condition(&self, condition: Condition, state: &mut State) -> bool {
        if condition.subject != LOG && !self.is_present(condition.subject, state) {
            return false;
        }
        self.predicate(condition.subject, condition.predicate, state) != condition.negate
    }

    fn predicate(&self, subject: SubjectIndex, predicate: PredicateIndex, state: &mut State) -> bool {
        match state.known[predicate as usize] {
            Known::Yes => return true,
            Known::No => return false,
            Known::Unknown => {}
        }
        match &self.program.predicates[predicate as usize].test {
            PredicateTest::Literal => {
                self.run_literals(subject, state);
                state.known[predicate as usize] == Known::Yes
            }
            PredicateTest::Alone(matcher) => {
                let mut buffer = std::mem::take(&mut state.text);
                let holds = self.text(subject, state, &mut buffer).is_some_and(|text| matcher.is_match(text));
                state.text = buffer;
                state.known[predicate as usize] = if holds { Known::Yes } else { Known::No };
                holds
            }
        }
    }

    /// Decides all literal predicates of a subject.
    fn run_literals(&self, subject: SubjectIndex, state: &mut State) {
        if std::mem::replace(&mut state.ran[subject as usize], true) {
            return;
        }
        let Some(set) = &self.program.subjects[subject as usize].literals else { return };
        for predicate in &set.predicates {
            state.known[*predicate as usize] = Known::No;
        }
        let mut hits = std::mem::take(&mut state.hits[subject as usize]);
        let mut buffer = std::mem::take(&mut state.text);
        hits.clear();
        if let Some(text) = self.text(subject, state, &mut buffer) {
            let known = &mut state.known;
            set.run(text, |predicate| {
                let place = &mut known[predicate as usize];
                if *place != Known::Yes {
                    *place = Known::Yes;
                    hits.push(predicate);
                }
            });
        }
        state.hits[subject as usize] = hits;
        state.text = buffer;
    }

    fn is_present(&self, subject: SubjectIndex, state: &State) -> bool {
        match &self.view.given[subject as usize] {
            Given::Constant(_) => return true,
            Given::Fact(fact) if self.context.envelope(fact).is_some() => return true,
            Given::Service if self.service.is_some() => return true,
            Given::Fact(_) | Given::Service | Given::No => {}
        }
        state.slots[subject as usize].get().is_some() || self.tag_of(subject).is_some()
    }

    fn tag_of(&self, subject: SubjectIndex) -> Option<&str> {
        let tag = self.tag?;
        (self.program.subjects[subject as usize].name == "tag").then_some(tag)
    }

    /// The text of a subject; made in `buffer` where it does not stand in the record as it is.
    fn text<'b>(&'b self, subject: SubjectIndex, state: &State, buffer: &'b mut String) -> Option<&'b [u8]> {
        if subject == LOG {
            return Some(self.log);
        }
        match &self.view.given[subject as usize] {
            Given::Constant(value) => return Some(value.as_bytes()),
            Given::Fact(fact) => {
                if let Some(value) = self.context.envelope(fact) {
                    return Some(value.as_bytes());
                }
            }
            Given::Service => {
                if let Some(value) = self.service {
                    return Some(value.as_bytes());
                }
            }
            Given::No => {}
        }
        let Some((at, python)) = state.slots[subject as usize].get() else {
            return self.tag_of(subject).map(str::as_bytes);
        };
        if let Some(TapeNode::String(value)) = self.tape.get(at) {
            return Some(value.as_bytes());
        }
        buffer.clear();
        if python {
            text::write_python(self.tape, at, buffer);
        } else {
            text::write_value(self.tape, at, buffer);
        }
        Some(buffer.as_bytes())
    }
}
