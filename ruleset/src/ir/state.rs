//! What a rule demands of the events before, and when it applies.

use serde::{Deserialize, Serialize};

use super::{RuleIndex, Subject};

/// The rule matches on the last of several events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correlation {
    /// Which earlier events count.
    pub source: CorrelationSource,
    /// So many events, the current one included.
    pub frequency: u32,
    /// Within so many seconds; exactly as many still count.
    pub timeframe: u32,
    /// Events of all agents together.
    pub global: bool,
    /// Must be present in both events and equal.
    pub same: Vec<Subject>,
    /// Must not be present in both events and equal.
    pub different: Vec<Subject>,
}

/// Which earlier events a correlation counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CorrelationSource {
    /// Those that this rule (by id) decided.
    Sid(u32),
    /// Those decided by rules that name this rule in [`super::Rule::feeds`].
    Group,
    /// All recent ones of the same decoder type whose log matches this OSRegex.
    Regex(String),
}

/// The results of a rule count for the group correlation of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The rule with `if_matched_group`.
    pub correlation: RuleIndex,
    /// How many nodes the feeding rule had when it was linked: the reference counts it as often.
    pub times: u32,
}

/// `<time>`: minutes of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeOfDay {
    /// First minute of the span (0–1439), inclusive.
    pub from: u16,
    /// Last minute, inclusive.
    pub to: u16,
    /// Holds outside the span; both ends then count as inside, so they do not hold.
    pub outside: bool,
}

/// `<weekday>`: bit 0 is Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekdays(pub u8);

/// `<compiled_rule>`: predicates that the reference has in code (SEMANTICS 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum BuiltinCheck {
    CheckIdSize,
    SrcuserDstuser,
    TargetuserCalleruserDiff,
    SimpleHttpRequest,
    ValidCrawler,
}

/// Members of `<ignore>` and `<check_if_ignored>`, in the fixed order in which keys are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyPart {
    /// Name of the decoder.
    DecoderName,
    /// A field, the location included.
    Subject(Subject),
}
