//! Wazuh rules as Sigma rules.
//!
//! Enters: a loaded set and which of its rules are wanted; the others are context. Leaves: Sigma files and, for each wanted
//! rule, what became of it.

use super::{Conversion, Converted, Outcome};
use crate::ir::{Rule, RuleSet};

/// Writes the wanted rules of a set as Sigma rules.
#[must_use]
pub fn to_sigma(set: &RuleSet, wanted: &dyn Fn(&Rule) -> bool) -> Conversion {
    let rules = set.tree.rules.iter().filter(|rule| wanted(rule)).map(|rule| Converted {
        id: rule.id.to_string(),
        title: rule.description.source.clone(),
        place: rule.place.clone(),
        made: Vec::new(),
        outcome: Outcome::Impossible(vec!["not written yet".to_owned()]),
    });
    Conversion { rules: rules.collect(), files: Vec::new() }
}
