//! Sigma rules as the engine sees them: boolean expressions over tests of fields, and correlations over their matches.
//!
//! Enters: what the Sigma front end has checked, with modifiers applied, filters joined and placeholders filled in. Leaves: the
//! input of the compiler. Field names are those of the rule; what they mean in the records of a source is bound when
//! rules are compiled.

use serde::{Deserialize, Serialize};

use super::expression_form::{ExprLeaf, Form};
use super::{Network, Place};

/// Index into [`SigmaSet::rules`].
pub type SigmaRuleIndex = u32;

/// All Sigma rules and correlations of a set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SigmaSet {
    /// Detection rules, in load order.
    pub rules: Vec<SigmaRule>,
    /// Correlations; each comes after those that it refers to.
    pub correlations: Vec<SigmaCorrelation>,
}

/// What rules and correlations have in common: everything that lists and alerts show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SigmaHead {
    /// `id`; where there is none, one made of the rule's title and place in its file.
    pub id: String,
    /// `name`, which correlations and filters refer to.
    pub name: Option<String>,
    /// `title`.
    pub title: String,
    /// `level`.
    pub level: SigmaLevel,
    /// `status` as written.
    pub status: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `author`.
    pub author: Option<String>,
    /// `references`.
    pub references: Vec<String>,
    /// `falsepositives`.
    pub false_positives: Vec<String>,
    /// `tags` as written, in lower case.
    pub tags: Vec<String>,
    /// ATT&CK techniques of the tags (`T1098.003`), in order, without repeats.
    pub mitre: Vec<String>,
    /// `fields`: what an analyst wants to see.
    pub fields: Vec<String>,
    /// Matches are alerts; false where they only feed a correlation.
    pub alerts: bool,
    /// Where it begins.
    pub place: Place,
    /// Whether it ships with the product.
    pub builtin: bool,
}

impl SigmaHead {
    /// A head that says no more than an id, which is the title as well.
    #[must_use]
    pub fn new(id: &str, place: Place) -> Self {
        Self {
            id: id.to_owned(),
            name: None,
            title: id.to_owned(),
            level: SigmaLevel::default(),
            status: None,
            description: None,
            author: None,
            references: Vec::new(),
            false_positives: Vec::new(),
            tags: Vec::new(),
            mitre: Vec::new(),
            fields: Vec::new(),
            alerts: true,
            place,
            builtin: false,
        }
    }
}

/// `level`, with the alert levels that they stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum SigmaLevel {
    Informational,
    Low,
    /// Also what a rule without a level has.
    #[default]
    Medium,
    High,
    Critical,
}

impl SigmaLevel {
    /// The alert level: 3, 5, 8, 12, 14.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Informational => 3,
            Self::Low => 5,
            Self::Medium => 8,
            Self::High => 12,
            Self::Critical => 14,
        }
    }

    /// The name in rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A detection rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SigmaRule {
    /// What it is called.
    pub head: SigmaHead,
    /// Which events it is about.
    pub logsource: Logsource,
    /// What it looks for.
    pub expr: Expr,
}

/// `logsource`, each part in lower case; a part that is absent stands for every value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Logsource {
    pub category: Option<String>,
    pub product: Option<String>,
    pub service: Option<String>,
}

/// A boolean expression. `All` of nothing holds, `Any` of nothing does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Form<ExprLeaf>", try_from = "Form<ExprLeaf>")]
pub enum Expr {
    /// Each of them.
    All(Vec<Expr>),
    /// At least one of them.
    Any(Vec<Expr>),
    /// The opposite.
    Not(Box<Expr>),
    /// A test of a field; of a field with several values one that passes is enough. A field that is missing or null
    /// passes only [`FieldTest::Null`] and [`FieldTest::Exists`]`(false)` (null exists).
    Field {
        /// The field as the rule names it.
        name: String,
        /// The test.
        test: FieldTest,
    },
    /// Some value of the event, or the line where it is a line of text, matches; a pattern is looked for anywhere in it.
    Keyword(FieldTest),
}

/// A test of a field's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FieldTest {
    /// The whole value fits. Numbers and truth values are compared as JSON writes them.
    Pattern(Pattern),
    /// A regular expression (PCRE syntax, the flags written in front) is found in the value, case counts.
    Regex(String),
    /// The value is an address in one of these networks.
    Networks(Vec<Network>),
    /// The value is a number that compares like this.
    Compare(Comparison, f64),
    /// The field is missing or null.
    Null,
    /// The record has the field, or has it not.
    Exists(bool),
    /// Another field of the same event, compared as text.
    Same {
        /// The other field as the rule names it.
        field: String,
        /// Where this one must have the other one's value.
        site: ReferenceSite,
        /// Letter case counts.
        cased: bool,
        /// The values must differ.
        negated: bool,
    },
    /// A part of the time that the value tells (ISO 8601) is this number.
    TimePart(TimePart, u32),
}

/// A text with wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// In order.
    pub parts: Vec<PatternPart>,
    /// Letter case counts; otherwise that of ASCII letters does not.
    pub cased: bool,
}

/// One part of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatternPart {
    /// These bytes (text, or what an encoding modifier has made of it).
    Bytes(Vec<u8>),
    /// `*`: anything, nothing too.
    AnyRun,
    /// `?`: one character.
    AnyOne,
}

/// How a number is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// Where a field has another one's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ReferenceSite {
    Whole,
    Start,
    End,
    Anywhere,
}

/// A part of a time, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TimePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// What a correlation refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Referent {
    /// A detection rule.
    Rule(SigmaRuleIndex),
    /// An earlier correlation.
    Correlation(u32),
}

/// A correlation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SigmaCorrelation {
    /// What it is called.
    pub head: SigmaHead,
    /// What is counted.
    pub kind: CorrelationKind,
    /// Whose matches, in the order in which they are written.
    pub of: Vec<Referent>,
    /// `group-by`; empty: all matches together. For each field its name in the events of each referent (same index as
    /// `of`), which aliases may make different.
    pub group_by: Vec<GroupField>,
    /// Of the fields whose values are counted those that aliases name, in the same form; others have one name everywhere.
    pub value_aliases: Vec<GroupField>,
    /// `timespan` in seconds: matches that lie at most so far apart.
    pub timespan: u64,
}

/// A field that keeps matches apart, or whose values are counted under an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupField {
    /// Its name in the correlation.
    pub name: String,
    /// Its name in the events of each referent; `None`: an alias leaves this one out.
    pub fields: Vec<Option<String>>,
}

impl SigmaCorrelation {
    /// The fields whose values are counted, by their names in the correlation.
    #[must_use]
    pub fn value_fields(&self) -> &[String] {
        match &self.kind {
            CorrelationKind::ValueCount { fields, .. } => fields,
            CorrelationKind::Value { field, .. } => std::slice::from_ref(field),
            CorrelationKind::EventCount(_)
            | CorrelationKind::Temporal(_)
            | CorrelationKind::TemporalOrdered(_) => &[],
        }
    }

    /// What the field of that name, whose values are counted, is called in the events of the referent at `place` in `of`;
    /// `None` where an alias leaves this one out.
    #[must_use]
    pub fn value_field_of<'n>(&'n self, name: &'n str, place: usize) -> Option<&'n str> {
        match self.value_aliases.iter().find(|alias| alias.name == name) {
            Some(alias) => alias.fields.get(place)?.as_deref(),
            None => Some(name),
        }
    }
}

/// What a correlation counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CorrelationKind {
    /// Matches.
    EventCount(Vec<Bound>),
    /// Distinct values of some fields together.
    ValueCount {
        /// The fields.
        fields: Vec<String>,
        /// All must hold.
        bounds: Vec<Bound>,
    },
    /// Different rules that match, in any order.
    Temporal(Occurrence),
    /// Different rules that match, in the order of [`SigmaCorrelation::of`].
    TemporalOrdered(Occurrence),
    /// A figure made of the values of a field.
    Value {
        /// Which figure.
        figure: Figure,
        /// The field.
        field: String,
        /// All must hold.
        bounds: Vec<Bound>,
    },
}

/// Which of the rules of a temporal correlation must have matched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Occurrence {
    /// All of them.
    Every,
    /// So many different ones.
    Number(Vec<Bound>),
    /// An expression over them.
    Expr(OccurrenceExpr),
}

/// An expression over the rules of a correlation, by index into [`SigmaCorrelation::of`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Form<u32>", try_from = "Form<u32>")]
#[allow(missing_docs)]
pub enum OccurrenceExpr {
    All(Vec<OccurrenceExpr>),
    Any(Vec<OccurrenceExpr>),
    Not(Box<OccurrenceExpr>),
    Matched(u32),
}

/// A demand on a count or figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// How it is compared …
    pub comparison: Comparison,
    /// … with what.
    pub number: f64,
}

/// What is made of values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Figure {
    Sum,
    Average,
    /// 0–100.
    Percentile(f64),
}
