//! Suppressions: which alerts are held back, why, and until when.
//!
//! Enters: what the files say ([`crate::suppress`]). Leaves: a part of a [`super::RuleSet`], with which it is compiled
//! and written. Names of rules, groups and fields are still names.

use serde::{Deserialize, Serialize};

use super::{Network, Place};

/// One entry of a file of suppressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Its name, unique among all; what metrics and lists show.
    pub id: String,
    /// Where it is written.
    pub place: Place,
    /// Of these rules; empty: the rules do not matter.
    pub rules: Vec<RuleRef>,
    /// Of rules that are in one of these groups; empty: the groups do not matter.
    pub groups: Vec<GroupRef>,
    /// Of rules from the first to the second level.
    pub levels: Option<(u8, u8)>,
    /// What the alert's fields have to be; all must hold.
    pub conditions: Vec<FieldDemand>,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub author: Option<String>,
    /// Alerts of events from this time on, in milliseconds since 1970, are held back no longer.
    pub until: Option<i64>,
    /// Some alerts pass; without it none does.
    pub allowance: Option<Allowance>,
}

/// Rules that a suppression names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Where it is written.
    pub place: Place,
    /// Which.
    pub which: RuleName,
}

/// How rules are named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleName {
    /// Numeric ids, from the first to the second.
    Numbers(u32, u32),
    /// The id of a Sigma rule or correlation, in lower case.
    Id(String),
    /// Every rule.
    Any,
}

/// A group that a suppression names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRef {
    /// Where it is written.
    pub place: Place,
    /// Its name.
    pub name: String,
}

/// What a field has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDemand {
    /// The field, as rules name it.
    pub field: String,
    /// One of these.
    pub values: Vec<ValueTest>,
}

/// A value that a field may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueTest {
    /// This text, letter case included.
    Text(String),
    /// A text in which `*` stands for any characters and `?` for one, as written.
    Wildcard(String),
    /// An address in this network.
    Network(Network),
}

/// How many alerts pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// So many …
    pub allow: u32,
    /// … in so many milliseconds from the first of them.
    pub quiet: i64,
    /// Counted apart by the values of these fields, and always by rule.
    pub per: Vec<String>,
}
