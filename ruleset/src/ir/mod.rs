//! What both rule languages are lowered to: rules as conjunctions of conditions, hung into the tree that gives the
//! order of trial.
//!
//! Enters: syntax trees, checked and attached by the front ends. Leaves: the input of [`crate::compile`]. Nothing here
//! refers to syntax any more, except for the [`Place`]s that messages and metadata need. Field names are lower case
//! (the reference compares them without case) and still names: paths are bound per source when the rules are compiled.

mod decoder;
pub mod expression_form;
pub mod sigma;
mod state;
mod subject;
pub mod suppression;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use decoder::{Decoder, DecoderIndex, DecoderTree, Offset, OrderField, Plugin};
pub use state::{BuiltinCheck, Correlation, CorrelationSource, Feed, KeyPart, TimeOfDay, Weekdays};
pub use subject::{Condition, ListTest, Lookup, Network, StaticField, Subject, Test};

/// A place in a text that the user wrote; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path of the file as it was given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// Index into [`RuleTree::rules`].
pub type RuleIndex = u32;
/// Index into [`RuleTree::nodes`].
pub type NodeIndex = u32;

/// All rules and the order in which they are tried (SEMANTICS section 8: a rule can hang at several nodes).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RuleTree {
    /// The rules, in load order, without those that were skipped.
    pub rules: Vec<Rule>,
    /// The nodes of the tree.
    pub nodes: Vec<Node>,
    /// The roots, in the order of trial.
    pub roots: Vec<NodeIndex>,
}

/// Everything that rule texts, decoders and lists say: what is compiled, and what an artefact holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RuleSet {
    /// The rules.
    pub tree: RuleTree,
    /// The decoders.
    pub decoders: DecoderTree,
    /// The lists that rules look into.
    pub lists: Vec<List>,
    /// Sigma rules and correlations.
    pub sigma: sigma::SigmaSet,
    /// Which alerts are held back, in the order in which they are asked.
    pub suppressions: Vec<suppression::Suppression>,
}

/// A list of keys with values; keys are unique, compared byte by byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The name that rules use.
    pub name: String,
    /// Key and value, in the order of the file.
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One rule at one place of the tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// The rule.
    pub rule: RuleIndex,
    /// Children in the order of trial: the first that gives a result decides.
    pub children: Vec<NodeIndex>,
}

/// One rule: it matches when its decoder and all its conditions do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rule {
    /// Numeric id, at most six digits.
    pub id: u32,
    /// 0–16; 0 is a verdict but no alert. (99 is what the reference makes of level 0 with accuracy 0.)
    pub level: u8,
    /// Which root it belongs to; compared with the decoder's type at the roots only.
    pub category: Category,
    /// Never a result itself: without a matching child the search goes on beside it.
    pub noalert: bool,
    /// The event must have at least that many bytes.
    pub maxsize: Option<u32>,
    /// Name of the decoder that must have decoded the event.
    pub decoded_as: Option<String>,
    /// All must hold; in the order of the reference (SEMANTICS 7.6), which puts every test of a list after the others.
    pub conditions: Vec<Condition>,
    /// `<compiled_rule>`.
    pub builtin_check: Option<BuiltinCheck>,
    /// `<time>`.
    pub time: Option<TimeOfDay>,
    /// `<weekday>`.
    pub weekdays: Option<Weekdays>,
    /// `<check_diff>`: the log differs from the last one of the same host for this rule. Checked after all conditions but lists.
    pub check_diff: bool,
    /// `<if_fts>`: the decoder's key is new. Checked after `check_diff`, before lists.
    pub if_fts: bool,
    /// Look-ups in lists, checked last of what concerns this event alone.
    pub lists: Vec<Condition>,
    /// Demands on earlier events, checked after everything else.
    pub correlation: Option<Correlation>,
    /// Attribute `frequency` as written, which alerts show.
    pub frequency: Option<u32>,
    /// For so many seconds after a match it does not match again; 0: never ignored.
    pub ignore_seconds: u32,
    /// `<ignore>`: when it is the result, events with equal values are remembered …
    pub ignore: Vec<KeyPart>,
    /// `<check_if_ignored>`: … and discarded when a rule with this one is the result.
    pub check_if_ignored: Vec<KeyPart>,
    /// Group correlations that its results count for.
    pub feeds: Vec<Feed>,
    /// `<cve>`.
    pub cve: Option<String>,
    /// The alert's text.
    pub description: Template,
    /// Group names in order, without empty ones; compliance prefixes still on them.
    pub groups: Vec<String>,
    /// ATT&CK technique ids, in order, without repeats.
    pub mitre: Vec<String>,
    /// Tactic ids, where the rule states them for its techniques (same index); alerts then show these alone.
    pub mitre_tactics: Vec<String>,
    /// `<info>`: text, then type (`text`, `link`, `cve`, `osvdb`).
    pub info: Vec<(String, String)>,
    /// `<options>`.
    pub options: Options,
    /// Where it stands.
    pub place: Place,
    /// Whether it ships with the product.
    pub builtin: bool,
}

/// The reference's rule categories, one root each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Category {
    Syslog,
    Firewall,
    Ids,
    WebLog,
    Squid,
    Windows,
    Ossec,
}

impl Category {
    /// All of them, in the order of the ids of their roots (1–7).
    pub const ALL: [Self; 7] =
        [Self::Syslog, Self::Firewall, Self::Ids, Self::WebLog, Self::Squid, Self::Windows, Self::Ossec];

    /// The name in rules and decoders.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Syslog => "syslog",
            Self::Firewall => "firewall",
            Self::Ids => "ids",
            Self::WebLog => "web-log",
            Self::Squid => "squid",
            Self::Windows => "windows",
            Self::Ossec => "ossec",
        }
    }

    /// The category with that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }
}

/// Output switches of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Options {
    /// `no_full_log`: the alert goes without `full_log`.
    pub no_full_log: bool,
    /// `log_alert`: an alert whatever the level; never together with `no_log`.
    pub log_alert: bool,
    /// `no_log`: a match is a verdict but no alert.
    pub no_log: bool,
    /// `no_counter`: the alert goes without `firedtimes`.
    pub no_counter: bool,
    /// `alert_by_email`.
    pub mail: bool,
    /// `no_email_alert`.
    pub no_mail: bool,
}

/// Text with references to fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// In order.
    pub parts: Vec<Part>,
    /// The text as it was written.
    pub source: String,
}

/// One part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// `$(name)`, the name in lower case.
    Field(String),
}
