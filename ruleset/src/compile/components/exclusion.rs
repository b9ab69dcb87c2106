//! Whether the demands of two places in the tree exclude each other.
//!
//! Enters: two nodes. Leaves: true only where no event can satisfy everything that the nodes and their ancestors demand.
//! Each ground is a fact about one event: it has one decoder; a subject has one text, so it cannot be two different whole
//! texts, nor begin with two literals of which neither begins with the other; a test holds or does not.

use rustc_hash::FxHashMap;

use super::Input;
use crate::ir::NodeIndex;
use crate::program::{Condition, DecoderId, Rule, SubjectIndex};

/// A literal that the text is, or begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::compile) struct Literal {
    /// In lower case: where case counts, more texts are taken for possible. Without line feeds at its end, because the end
    /// of a Perl-compatible pattern may stand before one.
    text: Vec<u8>,
    whole: bool,
}

impl Literal {
    pub(in crate::compile) fn new(literal: &[u8], whole: bool) -> Self {
        let end = literal.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1);
        Self { text: literal[..end].to_vec(), whole }
    }

    /// Whether no text is both.
    fn excludes(&self, other: &Self) -> bool {
        match (self.whole, other.whole) {
            (true, true) => self.text != other.text,
            (true, false) => !self.text.starts_with(&other.text),
            (false, true) => !other.text.starts_with(&self.text),
            (false, false) => !self.text.starts_with(&other.text) && !other.text.starts_with(&self.text),
        }
    }
}

/// What a node and its ancestors demand.
#[derive(Debug, Default)]
pub(super) struct Demands {
    decoder: Option<DecoderId>,
    by_subject: FxHashMap<SubjectIndex, Vec<Condition>>,
}

/// The tree with what its rules demand.
pub(super) struct Exclusion<'e> {
    pub(super) input: &'e Input<'e>,
    pub(super) rules: &'e [Rule],
    pub(super) parents: &'e [Option<NodeIndex>],
}

impl Exclusion<'_> {
    pub(super) fn rule_at(&self, node: NodeIndex) -> &Rule {
        &self.rules[self.input.tree.nodes[node as usize].rule as usize]
    }

    fn path(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        std::iter::successors(Some(node), |node| self.parents[*node as usize])
    }

    pub(super) fn demands(&self, node: NodeIndex) -> Demands {
        let mut demands = Demands::default();
        for rule in self.path(node).map(|node| self.rule_at(node)) {
            demands.decoder = demands.decoder.or(rule.decoder);
            for condition in &rule.conditions {
                demands.by_subject.entry(condition.subject).or_default().push(*condition);
            }
        }
        demands
    }

    /// Whether no event that satisfies these demands can come to that node. What they have in common excludes nothing.
    pub(super) fn excludes(&self, demands: &Demands, node: NodeIndex) -> bool {
        self.path(node).map(|node| self.rule_at(node)).any(|rule| {
            let other_decoder = rule
                .decoder
                .is_some_and(|decoder| demands.decoder.is_some_and(|demanded| demanded != decoder));
            other_decoder
                || rule.conditions.iter().any(|one| {
                    let same = demands.by_subject.get(&one.subject);
                    same.is_some_and(|others| others.iter().any(|other| self.contradict(one, other)))
                })
        })
    }

    /// Whether both conditions, of one subject, cannot hold for one text.
    fn contradict(&self, one: &Condition, other: &Condition) -> bool {
        if one.predicate == other.predicate {
            return one.negate != other.negate;
        }
        let literals = |condition: &Condition| {
            if condition.negate { None } else { self.input.literals.get(&condition.predicate) }
        };
        match (literals(one), literals(other)) {
            (Some(ones), Some(others)) => {
                ones.iter().all(|one| others.iter().all(|other| one.excludes(other)))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Literal;

    #[test]
    fn literals_exclude_each_other_when_no_text_is_both() {
        let whole = |text: &str| Literal::new(text.as_bytes(), true);
        let prefix = |text: &str| Literal::new(text.as_bytes(), false);
        for (one, other, excludes) in [
            (whole("a"), whole("b"), true),
            (whole("a"), whole("a"), false),
            (whole("a"), whole("a\n"), false),
            (whole("ab"), prefix("a"), false),
            (whole("a"), prefix("ab"), true),
            (prefix("ab"), prefix("a"), false),
            (prefix("ab"), prefix("ac"), true),
            (prefix(""), whole("x"), false),
        ] {
            assert_eq!(one.excludes(&other), excludes, "{one:?} {other:?}");
            assert_eq!(other.excludes(&one), excludes, "{other:?} {one:?}");
        }
    }
}
