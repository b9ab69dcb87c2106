//! The Sigma rules that match, as a verdict shows them.

use super::Event;
use crate::decode::lists::Value;
use crate::ir::sigma::SigmaRuleIndex;
use crate::matcher::Verdict;
use crate::matcher::facts::TextRoom;
use crate::program::SigmaRule;

impl<'v> Verdict<'v> {
    /// The Sigma rules that match and alert, in load order, with their positions among all Sigma rules.
    pub fn sigma(&self) -> impl Iterator<Item = (SigmaRuleIndex, &'v SigmaRule)> {
        self.sigma_matches().filter(|(_, rule)| rule.head.alerts)
    }

    /// All Sigma rules that match, also those that only feed correlations.
    pub fn sigma_matches(&self) -> impl Iterator<Item = (SigmaRuleIndex, &'v SigmaRule)> {
        let rules = self.facts.program.sigma().rules();
        self.matches.iter().filter_map(|rule| Some((*rule, rules.get(*rule as usize)?)))
    }

    /// Shows every text that the event has in a Sigma field, by the name that rules use; fields that no rule or correlation
    /// for this source names have none. Null is no text.
    pub fn for_each_sigma_value(&self, field: &str, mut visit: impl FnMut(&str)) {
        let Some(subject) = self.facts.program.sigma().subject(field) else { return };
        let event = Event { facts: self.facts, binding: self.binding };
        event.visit(subject, &mut TextRoom::default(), &mut |value| {
            if let Value::Text(text) = value {
                visit(&String::from_utf8_lossy(text));
            }
        });
    }

    /// The first text of a Sigma field.
    #[must_use]
    pub fn sigma_value(&self, field: &str) -> Option<String> {
        let mut first = None;
        self.for_each_sigma_value(field, |value| {
            first.get_or_insert_with(|| value.to_owned());
        });
        first
    }
}
