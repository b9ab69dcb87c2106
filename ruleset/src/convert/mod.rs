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

use self::prove::Which;
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

/// Words of remarks that say no more than that another rule takes an event: by itself the rule matches it all the same.
const REPORTED_INSTEAD: &str = "the reference reports that one";
const REPORTED_ALONE: &str = "is reported as that alone";
const NOT_LOOKED_AT: &str = "leaves out is not looked at";

/// Words of remarks that say that what was made of a rule matches more events than the rule, and none less.
const ALSO_LOOKED_AT: &str = "also look at records of";
const NOT_DEMANDED: &str = "is not demanded";
const NOT_IGNORED: &str = "a suppression can do that here";
const NOT_LEFT_OUT: &str = "Events are not left out by";

/// The same of one that says that it matches less.
const LEFT_OUT: &str = "and left out";

impl Outcome {
    /// Whether it says of events that only this side matches that there may be some. Events that another rule takes are none:
    /// by itself, with no other one beside it, the rule matches them.
    #[must_use]
    pub fn excuses(&self, only: Which) -> bool {
        let has = |remark: &String, words: &[&str]| words.iter().any(|words| remark.contains(words));
        let excuses = |remark: &String| {
            let taken = has(remark, &[REPORTED_INSTEAD, REPORTED_ALONE, NOT_LOOKED_AT]);
            let more = has(remark, &[ALSO_LOOKED_AT, NOT_DEMANDED, NOT_IGNORED, NOT_LEFT_OUT]);
            let less = has(remark, &[LEFT_OUT]);
            !taken
                && match only {
                    Which::Source => !more,
                    Which::Made => !less,
                }
        };
        match self {
            Self::Converted => false,
            Self::Differs(remarks) => remarks.iter().any(excuses),
            Self::Impossible(_) => true,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn excuses(remarks: &[&str]) -> [bool; 2] {
        let remarks: Vec<String> = remarks.iter().map(|remark| (*remark).to_owned()).collect();
        [Which::Source, Which::Made].map(|only| Outcome::Differs(remarks.clone()).excuses(only))
    }

    #[test]
    fn remarks_excuse_what_they_name() {
        let taken = format!("Where a rule below it matches (5), {REPORTED_INSTEAD} in its place.");
        let more = "What the location is, is not demanded; Sigma does not see the location.";
        let less = "events that an event bus carries for the service guardduty are not told from those of another log source, and left out";
        let other = "the text `null` in a is taken for a null";
        assert_eq!(excuses(&[&taken]), [false, false]);
        assert_eq!(excuses(&[more]), [false, true]);
        assert_eq!(excuses(&[less]), [true, false]);
        assert_eq!(excuses(&[&taken, less, more]), [true, true]);
        assert_eq!(excuses(&[&taken, other]), [true, true]);
        for only in [Which::Source, Which::Made] {
            assert!(!Outcome::Converted.excuses(only));
        }
    }
}
