//! What is wrong with suppressions beside the rules that they are about.
//!
//! Enters: the suppressions of a set, with its rules; and for what has expired, the time. Leaves: warnings. A suppression
//! that holds back nothing weakens nothing, so none of this keeps a set from being used.

use rustc_hash::FxHashSet;
use threatlockdown_event::Millis;

use super::RuleTraits;
use crate::diagnostic::Diagnostic;
use crate::ir::RuleSet;
use crate::ir::suppression::{RuleName, Suppression};
use crate::program::Program;

/// What expires within this time is named when the program starts: seven days, in milliseconds.
pub const SOON: i64 = 7 * 24 * 60 * 60 * 1000;

/// Rules and groups that are not there.
pub(crate) fn unknown_names(suppressions: &[Suppression], program: &Program) -> Vec<Diagnostic> {
    if suppressions.is_empty() {
        return Vec::new();
    }
    let (mut numbers, mut ids, mut groups) = (Vec::new(), FxHashSet::default(), FxHashSet::default());
    let rules = program.rules.iter().map(RuleTraits::from);
    let sigma = program.sigma.rules().iter().map(RuleTraits::from);
    let correlations = program.sigma.correlations().iter().map(RuleTraits::from);
    for rule in rules.chain(sigma).chain(correlations) {
        ids.extend(rule.name.map(str::to_lowercase));
        match rule.id.parse::<u32>() {
            Ok(number) => numbers.push(number),
            Err(_) => drop(ids.insert(rule.id.to_lowercase())),
        }
        groups.extend(rule.groups.iter().map(String::as_str));
    }
    numbers.sort_unstable();
    let mut faults = Vec::new();
    for suppression in suppressions {
        for rule in &suppression.rules {
            let (is_known, written) = match &rule.which {
                RuleName::Any => continue,
                RuleName::Id(id) => (ids.contains(id), id.clone()),
                RuleName::Numbers(first, last) => {
                    let next = numbers.get(numbers.partition_point(|number| number < first));
                    let written = if first == last { first.to_string() } else { format!("{first}-{last}") };
                    (next.is_some_and(|number| number <= last), written)
                }
            };
            if !is_known {
                let message =
                    format!("no rule {written} is loaded, so `{}` holds nothing of it back", suppression.id);
                let help =
                    "load the rule as well, correct the id, or take it out; `rules list` shows all ids";
                faults.push(Diagnostic::warning(rule.place.clone(), written, message, help));
            }
        }
        for group in suppression.groups.iter().filter(|group| !groups.contains(group.name.as_str())) {
            let message = format!("no rule that is loaded is in the group {}", group.name);
            let help = "correct the name or take it out; `rules list --json` shows the groups of rules";
            faults.push(Diagnostic::warning(group.place.clone(), group.name.as_str(), message, help));
        }
    }
    faults
}

/// Suppressions that hold back nothing of `now` any more.
#[must_use]
pub fn expiry(set: &RuleSet, now: Millis) -> Vec<Diagnostic> {
    let is_over = |suppression: &&Suppression| suppression.until.is_some_and(|until| until <= now.0);
    let fault = |suppression: &Suppression| {
        let when = Millis(suppression.until.unwrap_or_default()).rfc3339();
        let message =
            format!("the suppression `{}` expired at {when}; its alerts are written again", suppression.id);
        let help = "take it out, or give it a later `until` if the reason still holds";
        Diagnostic::warning(suppression.place.clone(), "", message, help)
    };
    set.suppressions.iter().filter(is_over).map(fault).collect()
}
