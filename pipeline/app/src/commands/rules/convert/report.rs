//! What became of each rule, for people and for programs.
//!
//! Enters: a conversion, faults in it, and what a comparison has shown. Leaves: a line a rule (with a second one where it was
//! compared) and one for all; or the same as JSON lines.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};
use threatlockdown_ruleset::convert::prove::{Equality, Spot, Which};
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
            _ if [Which::Source, Which::Made].iter().any(|only| is_unexcused(outcome, equality, *only)) => {
                Self::Unequal
            }
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

/// Whether there are events that this side alone matches, and the conversion did not say so.
fn is_unexcused(outcome: &Outcome, equality: &Equality, only: Which) -> bool {
    equality.only(only) > 0 && !outcome.excuses(only)
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
        if equality.only_source > 0 && equality.only_made > 0 {
            let (source, made) = (equality.only_source, equality.only_made);
            let _ = write!(
                text,
                " ({source} that the source alone matches, {made} that what was made of it does)"
            );
        }
        if let Some((spot, which)) = self.first(rule, equality) {
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

    /// The first event that shows what is told: a difference that was not reported, where there is one.
    fn first(&self, rule: &Converted, equality: &Equality) -> Option<(Spot, Which)> {
        let unexcused = |only: &Which| is_unexcused(&rule.outcome, equality, *only);
        let untold = [Which::Source, Which::Made].into_iter().filter(unexcused);
        untold
            .filter_map(|only| equality.first_of(only))
            .min_by_key(|(spot, _)| *spot)
            .or_else(|| equality.first())
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
        let first = self.first(rule, equality);
        let place = first.and_then(|(spot, _)| self.proven?.places.get(&spot));
        let first = first.map(|(_, which)| match which {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_excuses_the_side_that_it_names() {
        let spot = Spot { stream: 0, sequence: 0, index: 0, place: 0 };
        let equality = |only_source: u64, only_made: u64| Equality {
            only_source,
            only_made,
            first_source: (only_source > 0).then_some(spot),
            first_made: (only_made > 0).then_some(spot),
            ..Equality::default()
        };
        let more = "What the location is, is not demanded; Sigma does not see the location.".to_owned();
        let other = "the text `null` in a is taken for a null".to_owned();
        for (outcome, [source, made]) in [
            (Outcome::Converted, [Finding::Unequal, Finding::Unequal]),
            (Outcome::Differs(vec![more.clone()]), [Finding::Unequal, Finding::AsReported]),
            (Outcome::Differs(vec![more, other]), [Finding::AsReported, Finding::AsReported]),
        ] {
            assert_eq!(Finding::of(&outcome, &equality(1, 0)), source, "{outcome:?}");
            assert_eq!(Finding::of(&outcome, &equality(0, 1)), made, "{outcome:?}");
            let worse = if source == Finding::Unequal { source } else { made };
            assert_eq!(Finding::of(&outcome, &equality(1, 1)), worse, "{outcome:?}");
            assert_eq!(Finding::of(&outcome, &equality(0, 0)), Finding::NotShown);
        }
    }
}
