//! Rules that can take an event from another one: the reference reports one rule for an event, Sigma all.
//!
//! Enters: the chains of a rule. Leaves: which rules are tried before it, or below it, and may hold for an event that it holds
//! for. Two rules cannot when one of them wants a subject to be one of a few texts, and the other accepts none of these.

use crate::expr::{Matcher, OsMatch, OsMatchKind, OsMatchPart, OsRegex, pcre2_literals};
use crate::ir::{Condition, Rule, RuleIndex, RuleTree, Subject, Test};

use super::super::REPORTED_INSTEAD;
use super::place::{Chain, Places};

/// Ids that a remark names.
const NAMED: usize = 5;

/// What is known of every rule's conditions.
pub(super) struct Rivals {
    known: Vec<Vec<Known>>,
}

/// A condition that can be tried on a text.
struct Known {
    subject: Subject,
    matcher: Option<Matcher>,
    negate: bool,
    /// Letter case of ASCII does not count.
    ignores_case: bool,
    /// The only texts that it accepts.
    only: Option<Vec<Vec<u8>>>,
}

impl Rivals {
    pub(super) fn new(tree: &RuleTree) -> Self {
        Self {
            known: tree.rules.iter().map(|rule| rule.conditions.iter().map(Known::new).collect()).collect(),
        }
    }

    /// Rules that may take events from the rule of these chains: those tried before it, and those below it.
    pub(super) fn of(
        &self,
        tree: &RuleTree,
        places: &Places<'_>,
        chains: &[Chain],
        is_apart: &dyn Fn(&Rule) -> bool,
    ) -> (Vec<RuleIndex>, Vec<RuleIndex>) {
        let (mut before, mut below) = (Vec::new(), Vec::new());
        for chain in chains {
            for rival in places.tried_before(chain) {
                self.note(tree, chain, rival, &mut before);
            }
            for rival in places.below(chain) {
                self.note(tree, chain, rival, &mut below);
            }
        }
        // One that is both is told once.
        before.retain(|rival| !below.contains(rival));
        for rivals in [&mut before, &mut below] {
            rivals.retain(|rival| tree.rules.get(*rival as usize).is_some_and(|rule| !is_apart(rule)));
        }
        (before, below)
    }

    fn note(&self, tree: &RuleTree, chain: &Chain, rival: RuleIndex, found: &mut Vec<RuleIndex>) {
        let Some(rule) = tree.rules.get(rival as usize) else { return };
        // A composite rule's alert comes beside that of the event that completes its count.
        let takes = rule.correlation.is_none() && !found.contains(&rival);
        if takes && !chain.rules.contains(&rival) && !self.excluded(tree, chain, rival, rule) {
            found.push(rival);
        }
    }

    /// Whether no event can satisfy both.
    fn excluded(&self, tree: &RuleTree, chain: &Chain, rival: RuleIndex, rule: &Rule) -> bool {
        let none = Vec::new();
        let of = |index: RuleIndex| self.known.get(index as usize).unwrap_or(&none);
        chain.rules.iter().any(|own| {
            let decoders = tree
                .rules
                .get(*own as usize)
                .and_then(|own| own.decoded_as.as_ref())
                .zip(rule.decoded_as.as_ref());
            decoders.is_some_and(|(one, other)| one != other)
                || of(*own)
                    .iter()
                    .any(|one| of(rival).iter().any(|other| one.excludes(other) || other.excludes(one)))
        })
    }
}

impl Known {
    fn new(condition: &Condition) -> Self {
        let (only, ignores_case) = only(&condition.test);
        Self {
            subject: condition.subject.clone(),
            matcher: Matcher::new(&condition.test).ok().filter(|_| !matches!(condition.test, Test::List(_))),
            negate: condition.negate,
            ignores_case,
            only: only.filter(|_| !condition.negate),
        }
    }

    /// Whether the other accepts none of the texts that this one accepts.
    fn excludes(&self, other: &Self) -> bool {
        let Some(texts) = self.only.as_ref().filter(|_| self.subject == other.subject) else { return false };
        if let Some(others) = &other.only {
            let apart = |text: &Vec<u8>| others.iter().all(|other| !text.eq_ignore_ascii_case(other));
            if texts.iter().all(apart) {
                return true;
            }
        }
        let Some(matcher) = &other.matcher else { return false };
        // A text stands for itself in every letter case, unless the test tells cases apart.
        (!self.ignores_case || other.ignores_case)
            && texts.iter().all(|text| matcher.is_match(text) == other.negate)
    }
}

/// The only texts that a test accepts, where they are a few, and whether it ignores letter case.
fn only(test: &Test) -> (Option<Vec<Vec<u8>>>, bool) {
    let whole = |parts: &[OsMatchPart]| {
        let texts = parts.iter().map(|part| (part.kind == OsMatchKind::Equals).then(|| part.literal.clone()));
        texts.collect::<Option<Vec<_>>>()
    };
    match test {
        Test::OsMatch(pattern) => {
            let compiled = OsMatch::new(pattern).ok().filter(|compiled| !compiled.inverted());
            (compiled.and_then(|compiled| whole(compiled.parts())), true)
        }
        Test::OsRegex(pattern) => {
            let literals = OsRegex::new(pattern).ok().and_then(|compiled| compiled.as_literals());
            (literals.and_then(|literals| whole(&literals)), true)
        }
        Test::Pcre2(pattern) => match pcre2_literals::literals(pattern) {
            Some((literals, ignores_case)) => {
                let texts = literals
                    .into_iter()
                    .map(|literal| (literal.kind == OsMatchKind::Equals).then_some(literal.literal));
                (texts.collect::<Option<Vec<_>>>(), ignores_case)
            }
            None => (None, false),
        },
        Test::Equals(text) => (Some(vec![text.as_bytes().to_vec()]), false),
        Test::Networks(_) | Test::List(_) => (None, false),
    }
}

/// The sentences about rules that are tried before one, and below it.
pub(super) fn remarks(before: &[u32], below: &[u32]) -> Vec<String> {
    let mut remarks = Vec::new();
    if !below.is_empty() {
        let ids = listed(below);
        remarks.push(format!("Where a rule below it matches ({ids}), {REPORTED_INSTEAD} in its place."));
    }
    if !before.is_empty() {
        let ids = listed(before);
        remarks
            .push(format!("Where a rule that is tried before it matches ({ids}), {REPORTED_INSTEAD} alone."));
    }
    remarks
}

/// The first few ids, and how many more there are.
fn listed(ids: &[u32]) -> String {
    let named: Vec<String> = ids.iter().take(NAMED).map(u32::to_string).collect();
    match ids.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
