//! The fields of an alert, by the names that rules use.
//!
//! Enters: a verdict, or the match of a correlation. Leaves: values by name. Names that begin no field of a rule, `agent`, `source` and `location`, are what
//! the alert shows under them, and so are `decoder`, `program_name` and `hostname`. A Sigma alert knows the names of the
//! Sigma rules first, then those of the other rules. The record is walked once, when the first field of it is asked for,
//! and only what any suppression looks at is kept. The alert of a correlation is of no one event: it has the values of its group.

use std::cell::OnceCell;

use super::{Fields, Suppressions};
use crate::correlate::sigma::CorrelationMatch;
use crate::matcher::Verdict;
use crate::program::SigmaCorrelation;

/// Whose names come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Those of numbered rules, and no others.
    Rules,
    /// Those of Sigma rules.
    Sigma,
}

/// See the module.
pub struct AlertFields<'a, 'v> {
    suppressions: &'a Suppressions,
    verdict: &'a Verdict<'v>,
    agent: &'a str,
    language: Language,
    /// Name in lower case, value.
    known: OnceCell<Vec<(&'a str, String)>>,
}

impl<'a, 'v> AlertFields<'a, 'v> {
    /// Those of an alert; `agent` is the name of this host.
    #[must_use]
    pub fn new(
        suppressions: &'a Suppressions,
        verdict: &'a Verdict<'v>,
        agent: &'a str,
        language: Language,
    ) -> Self {
        Self { suppressions, verdict, agent, language, known: OnceCell::new() }
    }

    fn gathered(&self) -> Vec<(&'a str, String)> {
        let mut known = Vec::new();
        self.verdict.for_each_shown_field(|name, value| {
            if let Some(name) = self.suppressions.looks_at(name) {
                known.push((name, value.to_owned()));
            }
        });
        known
    }
}

impl Fields for AlertFields<'_, '_> {
    fn visit(&self, name: &str, visit: &mut dyn FnMut(&str)) {
        let [_, hostname, program_name] = self.verdict.header();
        let from_header = |found: Option<&[u8]>| found.map(|text| String::from_utf8_lossy(text).into_owned());
        let given = match name {
            "agent" => Some(self.agent.to_owned()),
            "source" => Some(self.verdict.source().to_owned()),
            "location" => Some(self.verdict.location().to_owned()),
            "decoder" => self.verdict.decoder().map(str::to_owned),
            "hostname" => from_header(hostname),
            "program_name" => from_header(program_name),
            _ => None,
        };
        if let Some(given) = given {
            return visit(&given);
        }
        if self.language == Language::Sigma {
            let mut found = false;
            self.verdict.for_each_sigma_value(name, |value| {
                found = true;
                visit(value);
            });
            if found {
                return;
            }
        }
        let known = self.known.get_or_init(|| self.gathered());
        known.iter().filter(|(known, _)| *known == name).for_each(|(_, value)| visit(value));
    }
}

/// The fields of a correlation's alert: those of `group-by`, by the names that the correlation has for them, and `agent`.
pub struct CorrelationFields<'a> {
    correlation: &'a SigmaCorrelation,
    found: &'a CorrelationMatch,
    agent: &'a str,
}

impl<'a> CorrelationFields<'a> {
    /// Those of a match; `agent` is the name of this host.
    #[must_use]
    pub fn new(correlation: &'a SigmaCorrelation, found: &'a CorrelationMatch, agent: &'a str) -> Self {
        Self { correlation, found, agent }
    }
}

impl Fields for CorrelationFields<'_> {
    fn visit(&self, name: &str, visit: &mut dyn FnMut(&str)) {
        if name == "agent" {
            return visit(self.agent);
        }
        let group = self.correlation.group_by.iter().zip(&self.found.group);
        group
            .filter(|(field, _)| field.to_lowercase() == name)
            .for_each(|(_, value)| visit(&String::from_utf8_lossy(value)));
    }
}
