//! Sigma rules in a program: expressions over numbered tests, and per source the way from a test to its rules.
//!
//! Enters: the output of [`crate::compile`]. Leaves: what [`crate::matcher`] runs and what tools list. Sigma fields are
//! subjects of their own, apart from those of the other rule language, because they mean the record as it stands.
//! Every matching rule is a match, so there is no order of trial: a rule is looked at when a test holds without which it
//! cannot match ([`SigmaIndex`]), and what an event does not touch costs nothing.

use std::sync::Arc;

use super::{ByPredicate, LiteralSet, Mitre, Pass, PatternSet};
use crate::correlate::sigma::{FieldIndex, Plans};
use crate::expr::Matcher;
use crate::ir::sigma::{Comparison, Logsource, ReferenceSite, SigmaHead, SigmaRuleIndex, TimePart};

/// Index of a [`SigmaPredicate`].
pub(crate) type SigmaPredicateIndex = u32;
/// Index of a [`SigmaSubject`].
pub(crate) type SigmaSubjectIndex = u32;

/// The subject that is every value of the event, or the line.
pub(crate) const KEYWORDS: SigmaSubjectIndex = 0;

/// All Sigma rules of a program.
#[derive(Debug, Default)]
pub struct Sigma {
    pub(crate) rules: Vec<SigmaRule>,
    pub(crate) subjects: Vec<SigmaSubject>,
    pub(crate) predicates: Vec<SigmaPredicate>,
    pub(crate) correlations: Vec<SigmaCorrelation>,
    pub(crate) plans: Arc<Plans>,
    /// By [`FieldIndex`]: where the values that correlations ask for are.
    pub(crate) asked: Vec<Option<SigmaSubjectIndex>>,
}

impl Sigma {
    /// The rules, in load order.
    #[must_use]
    pub fn rules(&self) -> &[SigmaRule] {
        &self.rules
    }

    /// The correlations; each comes after those that it refers to.
    #[must_use]
    pub fn correlations(&self) -> &[SigmaCorrelation] {
        &self.correlations
    }

    /// What is counted for the correlations, in the same order.
    #[must_use]
    pub fn plans(&self) -> &Arc<Plans> {
        &self.plans
    }

    pub(crate) fn asked(&self, field: FieldIndex) -> Option<SigmaSubjectIndex> {
        self.asked.get(field.0 as usize).copied().flatten()
    }

    /// The field of that name, where a rule or a correlation names it; letter case does not count.
    pub(crate) fn subject(&self, name: &str) -> Option<SigmaSubjectIndex> {
        let position =
            self.subjects.iter().skip(1).position(|subject| subject.name.eq_ignore_ascii_case(name));
        position.and_then(|position| u32::try_from(position + 1).ok())
    }
}

/// A Sigma rule.
#[derive(Debug)]
pub struct SigmaRule {
    /// What it is called.
    pub head: SigmaHead,
    /// Which events it is about.
    pub logsource: Logsource,
    /// ATT&CK techniques of its tags, with their tactics and names.
    pub mitre: Mitre,
    /// What alerts show as groups: `sigma` and the parts of its log source.
    pub groups: Vec<String>,
    pub(crate) expr: SigmaExpr,
}

/// A correlation, as tools and alerts show it; what it counts is in [`Sigma::plans`].
#[derive(Debug)]
pub struct SigmaCorrelation {
    /// What it is called.
    pub head: SigmaHead,
    /// ATT&CK techniques of its tags, with their tactics and names.
    pub mitre: Mitre,
    /// What alerts show as groups.
    pub groups: Vec<String>,
    /// Its `type`.
    pub kind: &'static str,
    /// Ids of the rules and correlations that it refers to.
    pub of: Vec<String>,
    /// Names of the fields of `group-by`.
    pub group_by: Vec<String>,
    /// `timespan` in seconds.
    pub timespan: u64,
}

/// An expression over tests.
#[derive(Debug)]
pub(crate) enum SigmaExpr {
    All(Box<[Self]>),
    Any(Box<[Self]>),
    Not(Box<Self>),
    Test { subject: SigmaSubjectIndex, predicate: SigmaPredicateIndex },
}

/// A field.
#[derive(Debug)]
pub(crate) struct SigmaSubject {
    /// In lower case; empty for [`KEYWORDS`].
    pub(crate) name: String,
    /// The literals of all its predicates.
    pub(crate) literals: Option<LiteralSet>,
    /// Those of its regular patterns that one automaton decides together.
    pub(crate) patterns: Option<PatternSet>,
}

/// One distinct test of one field.
#[derive(Debug)]
pub(crate) enum SigmaPredicate {
    /// With all other literals of the field, in one pass over each value; where each literal is the `whole` value, in one
    /// look-up.
    Literal { whole: bool },
    /// By itself, but only when that pass has found a literal that it needs.
    Candidate { matcher: Matcher, joined: bool },
    /// By itself.
    Alone(Matcher),
    /// The value is a number that compares like this.
    Compare(Comparison, f64),
    /// There is no value but null.
    Null,
    /// The record has the field, or has it not.
    Exists(bool),
    /// Another field's value.
    Same { other: SigmaSubjectIndex, site: ReferenceSite, cased: bool, negated: bool },
    /// A part of the time that the value tells.
    TimePart(TimePart, u32),
}

/// What Sigma rules have to do with one source.
#[derive(Debug, Default)]
pub(crate) struct SigmaBinding {
    /// The rules that look at the source.
    pub(crate) rules: Vec<SigmaRuleIndex>,
    /// Where the values of each subject are.
    pub(crate) places: Vec<SlotRange>,
    /// How many slots there are, behind those of the other subjects.
    pub(crate) slots: u32,
    /// The slot of each field that decoders capture, by their field ids.
    pub(crate) captured: Vec<Option<u32>>,
    /// The slot of the service that a record's wrapper names, where a rule asks for it.
    pub(crate) service: Option<u32>,
    pub(crate) index: SigmaIndex,
}

/// Slots of one subject: of several the first that is filled counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SlotRange {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// From what holds to the rules in question.
///
/// Sound because each rule is entered under a set of demands of which every event that it matches fulfils at least one: a
/// test demands itself, or that its field is there; of a conjunction one member's demands are enough, of a disjunction
/// those of all members are needed; a negated test demands nothing, but for the negations of tests for absence. A rule
/// for which that gives no set is entered under `always`.
#[derive(Debug, Default)]
pub(crate) struct SigmaIndex {
    /// Subjects whose literals decide which rules come into question, and which of those literals; sorted.
    pub(crate) pivots: Vec<(SigmaSubjectIndex, Pass)>,
    /// The rules of a predicate.
    pub(crate) by_predicate: ByPredicate,
    /// Rules that come into question when a field is there; sorted.
    pub(crate) by_presence: Vec<(SigmaSubjectIndex, Vec<SigmaRuleIndex>)>,
    /// Rules without such a set; sorted.
    pub(crate) always: Vec<SigmaRuleIndex>,
}
