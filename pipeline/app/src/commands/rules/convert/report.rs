//! What became of each rule, for people and for programs.
//!
//! Enters: a conversion, faults in it, and what a comparison has shown. Leaves: a line a rule (with a second one where it was
//! compared) and one for all; or the same as JSON lines.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};
use threatlockdown_ruleset::convert::prove::{Equality, Which};
use threatlockdown_ruleset::convert::{Conversion, Converted, Outcome};

use super::again::Bug;
use super::prove::Proven;
use crate::cli::{ConvertArgs, ReportFormat};
use crate::commands::print;
use crate::telemetry::plain;

/// What is told.
pub(super) struct Shown<'a> {
    pub(super) conversion: &'a Conversion,
    pub(super) bugs: &'a [Bug],
    pub(super) proven: Option<&'a Proven>,
}

/// What a comparison says of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// They match the same events, and there are some.
    Equal,
    /// They differ, as the conversion said.
    AsReported,
    /// They differ, although the conversion said otherwise.
    Unequal,
    /// Neither has matched anything.
    NotShown,
}

impl Finding {
    fn of(outcome: &Outcome, equality: &Equality) -> Self {
        match (equality.differences(), outcome) {
            (0, _) if equality.is_exercised() => Self::Equal,
            (0, _) => Self::NotShown,
            _ if outcome.is_exact_alone() => Self::Unequal,
            _ => Self::AsReported,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::AsReported => "differs as reported",
            Self::Unequal => "unequal",
            Self::NotShown => "not exercised",
        }
    }
}

impl Shown<'_> {
    /// Writes the report to stdout, or to stderr where the rules go to stdout.
    pub(super) fn write(&self, args: &ConvertArgs) -> anyhow::Result<()> {
        let text = match args.report {
            ReportFormat::Text => self.text(),
            ReportFormat::Json => self.json(),
        };
        if args.output.is_some() {
            return print(&text);
        }
        std::io::stderr().lock().write_all(text.as_bytes()).context("cannot write the report to stderr")
    }

    /// How many rules were reported as converted and are not equal.
    pub(super) fn unequal(&self) -> usize {
        self.findings().filter(|(.., finding)| *finding == Finding::Unequal).count()
    }

    fn findings(&self) -> impl Iterator<Item = (usize, &Equality, Finding)> {
        let rules = self.conversion.rules.iter().enumerate();
        rules.filter_map(|(at, rule)| {
            let equality = self.equality(at)?;
            Some((at, equality, Finding::of(&rule.outcome, equality)))
        })
    }

    fn equality(&self, rule: usize) -> Option<&Equality> {
        self.proven?.proof.rules.get(rule)?.as_ref()
    }

    /// Rules that were converted, with a difference, not.
    fn counts(&self) -> [usize; 3] {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.conversion.rules.iter().filter(|rule| wanted(&rule.outcome)).count()
        };
        [
            count(|outcome| matches!(outcome, Outcome::Converted)),
            count(|outcome| matches!(outcome, Outcome::Differs(_))),
            count(|outcome| matches!(outcome, Outcome::Impossible(_))),
        ]
    }

    fn finding_count(&self, wanted: Finding) -> usize {
        self.findings().filter(|(.., finding)| *finding == wanted).count()
    }

    fn is_faulty(&self, rule: usize) -> bool {
        self.bugs.iter().any(|bug| bug.rule == Some(rule))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (at, rule) in self.conversion.rules.iter().enumerate() {
            let title = rule.title.split_whitespace().collect::<Vec<_>>().join(" ");
            let (file, line) = (&rule.place.file, rule.place.line);
            let outcome = match self.is_faulty(at) {
                true => "not given out: what was written for it does not load".to_owned(),
                false => in_words(&rule.outcome),
            };
            let _ = writeln!(text, "{}", plain(&format!("{}  {title}  ({file}:{line})  {outcome}", rule.id)));
            if let Some(equality) = self.equality(at) {
                let _ = writeln!(text, "    {}", self.finding(rule, equality));
            }
        }
        let [converted, differing, impossible] = self.counts();
        let rules = self.conversion.rules.len();
        let _ = writeln!(
            text,
            "{rules} rules: {converted} converted, {differing} with a difference, {impossible} not convertible"
        );
        if let Some(proven) = self.proven {
            let proof = &proven.proof;
            let count = |finding| self.finding_count(finding);
            let _ = writeln!(
                text,
                "{} events{}: {} rules equal, {} not exercised, {} differ as reported, {} not equal",
                proof.events,
                match proof.unreadable {
                    0 => String::new(),
                    unreadable => format!(" ({unreadable} records could not be read)"),
                },
                count(Finding::Equal),
                count(Finding::NotShown),
                count(Finding::AsReported),
                count(Finding::Unequal)
            );
            let whole = proof.whole;
            let _ = writeln!(
                text,
                "the sets as a whole: {} events alert in both, {} in the source alone, {} in what was made of it alone",
                whole.both, whole.only_source, whole.only_made
            );
        }
        text
    }

    /// What the comparison says of a rule.
    fn finding(&self, rule: &Converted, equality: &Equality) -> String {
        let events = self.proven.map_or(0, |proven| proven.proof.events);
        let finding = Finding::of(&rule.outcome, equality);
        let mark = match finding {
            Finding::Equal => {
                let reading = if equality.is_in_set { ", as its set has it" } else { "" };
                return format!("equal on {events} events ({} matches){reading}", equality.both);
            }
            Finding::NotShown => return "no event matched: nothing shown".to_owned(),
            Finding::AsReported => "differs, as reported,",
            Finding::Unequal => "NOT EQUAL: differs",
        };
        let mut text = format!("{mark} on {} of {events} events", equality.differences());
        if let Some((spot, which)) = equality.first() {
            let place = self.proven.and_then(|proven| proven.places.get(&spot));
            let (did, did_not) = match which {
                Which::Source => ("the source matches", "what was made of it does not"),
                Which::Made => ("what was made of it matches", "the source does not"),
            };
            let place = place.map_or("an event", String::as_str);
            let _ = write!(text, ": first {place}, {did}, {did_not}");
        }
        let _ = write!(text, " ({} matches of both)", equality.both);
        text
    }

    fn json(&self) -> String {
        let mut text = String::new();
        for (at, rule) in self.conversion.rules.iter().enumerate() {
            let mut object = json!({
                "id": rule.id,
                "title": rule.title,
                "file": &*rule.place.file,
                "line": rule.place.line,
                "outcome": rule.outcome.name(),
                "remarks": rule.outcome.remarks(),
                "made": rule.made,
            });
            if self.is_faulty(at) {
                object["faulty"] = true.into();
            }
            if let Some(equality) = self.equality(at) {
                object["proof"] = self.proof_object(rule, equality);
            }
            let _ = writeln!(text, "{object}");
        }
        let [converted, differing, impossible] = self.counts();
        let files: Vec<&str> = self.conversion.files.iter().map(|file| file.name.as_str()).collect();
        let mut summary = json!({
            "rules": self.conversion.rules.len(),
            "converted": converted,
            "differs": differing,
            "impossible": impossible,
            "files": files,
        });
        if let Some(proven) = self.proven {
            let proof = &proven.proof;
            let whole = proof.whole;
            summary["proof"] = json!({
                "events": proof.events,
                "unreadable": proof.unreadable,
                "equal": self.finding_count(Finding::Equal),
                "not_exercised": self.finding_count(Finding::NotShown),
                "differs_as_reported": self.finding_count(Finding::AsReported),
                "unequal": self.finding_count(Finding::Unequal),
                "whole_sets": {
                    "both": whole.both,
                    "source_alone": whole.only_source,
                    "made_alone": whole.only_made,
                },
            });
        }
        let _ = writeln!(text, "{}", json!({ "summary": summary }));
        text
    }

    fn proof_object(&self, rule: &Converted, equality: &Equality) -> Value {
        let place = equality.first().and_then(|(spot, _)| self.proven?.places.get(&spot));
        let first = equality.first().map(|(_, which)| match which {
            Which::Source => json!({"event": place, "matched": "source"}),
            Which::Made => json!({"event": place, "matched": "made"}),
        });
        json!({
            "finding": Finding::of(&rule.outcome, equality).name(),
            "in_its_set": equality.is_in_set,
            "both": equality.both,
            "source_alone": equality.only_source,
            "made_alone": equality.only_made,
            "first_difference": first,
        })
    }
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Converted => "converted".to_owned(),
        Outcome::Differs(remarks) => format!("converted with a difference: {}", remarks.join("; ")),
        Outcome::Impossible(remarks) => format!("not convertible: {}", remarks.join("; ")),
    }
}
