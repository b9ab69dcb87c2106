//! From one rule language to the other: Wazuh rules as Sigma rules, Sigma rules as Wazuh rules.
//!
//! Enters: a loaded set. Leaves: files in the other language and, for each rule, what became of it. Both directions start
//! from the intermediate form and not from syntax: what a rule means after parents, variables, overwrites and filters are
//! resolved is what is written. A rule that the other language cannot say in full is either written with each difference
//! named, or not written, with the reason; nothing is left out in silence.

pub mod prove;
mod to_sigma;
pub mod to_wazuh;
mod yaml;

use crate::ir::Place;

pub use to_sigma::to_sigma;
pub use to_wazuh::{ToWazuh, to_wazuh};

/// What became of a set.
#[derive(Debug, Clone, Default)]
pub struct Conversion {
    /// One for each rule, correlation or filter of the set that was asked for, in load order.
    pub rules: Vec<Converted>,
    /// What was written.
    pub files: Vec<OutputFile>,
}

/// A file in the other language.
#[derive(Debug, Clone)]
pub struct OutputFile {
    /// Its bare name: that of the source file with the other language's ending.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// What became of one rule.
#[derive(Debug, Clone)]
pub struct Converted {
    /// Its id in the source language.
    pub id: String,
    /// Its description or title.
    pub title: String,
    /// Where it stands.
    pub place: Place,
    /// Ids of what was written for it, those that alert first; empty where nothing was.
    pub made: Vec<String>,
    /// How faithful that is.
    pub outcome: Outcome,
}

/// How faithful a conversion is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It matches the same events.
    Converted,
    /// It was written, but does not mean the same in every case: each sentence names one difference.
    Differs(Vec<String>),
    /// Nothing was written: each sentence names one reason.
    Impossible(Vec<String>),
}

/// How remarks end that say no more than that another rule takes an event: by itself the rule matches it all the same.
const REPORTED_INSTEAD: &str = "the reference reports that one";
const REPORTED_ALONE: &str = "is reported as that alone";
const NOT_LOOKED_AT: &str = "leaves out is not looked at";

impl Outcome {
    /// Whether the rule by itself, with no other one beside it, should match the same events.
    #[must_use]
    pub fn is_exact_alone(&self) -> bool {
        let taken = |remark: &String| {
            [REPORTED_INSTEAD, REPORTED_ALONE, NOT_LOOKED_AT].iter().any(|words| remark.contains(words))
        };
        match self {
            Self::Converted => true,
            Self::Differs(remarks) => remarks.iter().all(taken),
            Self::Impossible(_) => false,
        }
    }

    /// The word that reports use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Converted => "converted",
            Self::Differs(_) => "differs",
            Self::Impossible(_) => "impossible",
        }
    }

    /// The differences or the reasons.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        match self {
            Self::Converted => &[],
            Self::Differs(remarks) | Self::Impossible(remarks) => remarks,
        }
    }
}
