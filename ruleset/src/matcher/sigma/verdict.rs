//! The Sigma rules that match, as a verdict shows them.

use super::{Correlated, Event};
use crate::decode::lists::Value;
use crate::ir::sigma::SigmaRuleIndex;
use crate::matcher::Verdict;
use crate::matcher::facts::TextRoom;
use crate::program::{SigmaRule, SigmaSubjectIndex};

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
        if let Some(subject) = self.facts.program.sigma().subject(field) {
            self.for_each_value_of(subject, &mut visit);
        }
    }

    /// Whether a correlation counts the event.
    #[must_use]
    pub fn is_correlated(&self) -> bool {
        let plans = self.facts.program.sigma().plans();
        !plans.is_empty() && self.matches.iter().any(|rule| plans.fields_of(*rule).is_some())
    }

    /// What correlations count of the event; `None` where none does. Of a field with several values the first counts.
    #[must_use]
    pub fn correlated(&self) -> Option<Correlated> {
        let sigma = self.facts.program.sigma();
        let mut correlated = Correlated::default();
        for rule in self.matches {
            let Some(fields) = sigma.plans().fields_of(*rule) else { continue };
            correlated.rules.push(*rule);
            for field in fields {
                correlated
                    .add(*field, || sigma.asked(*field).and_then(|subject| self.first_value_of(subject)));
            }
        }
        (!correlated.rules.is_empty()).then_some(correlated)
    }

    fn first_value_of(&self, subject: SigmaSubjectIndex) -> Option<String> {
        let mut first = None;
        self.for_each_value_of(subject, &mut |value| {
            first.get_or_insert_with(|| value.to_owned());
        });
        first
    }

    fn for_each_value_of(&self, subject: SigmaSubjectIndex, visit: &mut dyn FnMut(&str)) {
        let event = Event::new(self.facts, self.binding);
        event.visit(subject, &mut TextRoom::default(), &mut |value| {
            if let Value::Text(text) = value {
                visit(&String::from_utf8_lossy(text));
            }
        });
    }

    /// The first text of a Sigma field.
    #[must_use]
    pub fn sigma_value(&self, field: &str) -> Option<String> {
        self.first_value_of(self.facts.program.sigma().subject(field)?)
    }
}
