//! Why a Sigma rule matched an event, or did not.
//!
//! Enters: a rule as it was written (the intermediate form) and verdicts. Leaves: a [`SigmaExplanation`]: its condition as
//! a list of indented tests, each with the values that it saw and whether it holds. Every test is made by itself, by the
//! engine's way to values and by nothing else of it.

use crate::compile::sigma::patterns::as_regex;
use crate::decode::lists::Value;
use crate::decode::mapping::Mapping;
use crate::expr::{Networks, Pcre2};
use crate::ir::RuleSet;
use crate::ir::sigma::{
    Comparison, Expr, FieldTest, Logsource, Pattern, PatternPart, ReferenceSite, SigmaRule, SigmaRuleIndex,
};
use crate::matcher::Verdict;
use crate::matcher::facts::TextRoom;
use crate::matcher::sigma::{Event, compares, read_number, stands, time_part};
use crate::program::KEYWORDS;
use crate::sigma_sources::in_words_of;

/// Why a rule matched one event, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigmaExplanation {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its alert level.
    pub level: u8,
    /// Whether it matched.
    pub fired: bool,
    /// Its condition, part by part.
    pub checks: Vec<SigmaCheck>,
    /// One sentence.
    pub reason: String,
}

/// One part of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigmaCheck {
    /// How deep it stands in the condition.
    pub depth: usize,
    /// What it demands.
    pub what: String,
    /// The values that it saw; a part that is made of others sees none.
    pub saw: Option<String>,
    /// Whether it holds.
    pub holds: bool,
}

/// Explains one Sigma rule.
pub struct SigmaExplainer {
    rule: SigmaRule,
    index: SigmaRuleIndex,
}

/// So many bytes of the values of a field are shown.
const SHOWN: usize = 512;

impl SigmaExplainer {
    /// For the rule with this id; `None` when the set has none.
    #[must_use]
    pub fn new(set: &RuleSet, mappings: &[Mapping], id: &str) -> Option<Self> {
        let index = set.sigma.rules.iter().position(|rule| rule.head.id.eq_ignore_ascii_case(id))?;
        let rule = in_words_of(&set.sigma, mappings).rules.into_iter().nth(index)?;
        Some(Self { rule, index: u32::try_from(index).ok()? })
    }

    /// Explains a verdict.
    #[must_use]
    pub fn explain(&self, verdict: &Verdict<'_>) -> SigmaExplanation {
        let SigmaRule { head, logsource, expr } = &self.rule;
        let fired = verdict.sigma_matches().any(|(index, _)| index == self.index);
        let mapping = &verdict.binding.mapping;
        let looks = mapping.sigma.fits(logsource);
        let mut checks = Vec::new();
        if looks {
            Judge { verdict, checks: &mut checks }.expr(expr, 0);
        }
        let reason = match (looks, fired) {
            (false, _) => {
                format!("it looks at {}, which {} is not", in_words(logsource), mapping.source)
            }
            (true, true) if head.alerts => "its condition holds".to_owned(),
            (true, true) => {
                "its condition holds; it makes no alert, it only counts for correlations".to_owned()
            }
            (true, false) => why_not(&checks, 0),
        };
        let (id, title, level) = (head.id.clone(), head.title.clone(), head.level.number());
        SigmaExplanation { id, title, level, fired, checks, reason }
    }
}

/// Parts of a group that are named.
const NAMED: usize = 4;

/// Why the part at `at`, which does not hold, does not: the recursion follows the first failed part of each conjunction.
fn why_not(checks: &[SigmaCheck], at: usize) -> String {
    let Some(check) = checks.get(at) else { return "its condition does not hold".to_owned() };
    let parts = parts(checks, at);
    match check.what.as_str() {
        "all of" => match parts.iter().find(|part| checks.get(**part).is_some_and(|part| !part.holds)) {
            Some(part) => why_not(checks, *part),
            None => "its condition does not hold".to_owned(),
        },
        "any of" => format!("none of these holds: {}", labels(checks, &parts)),
        "not" => format!("this must not hold and does: {}", labels(checks, &parts)),
        what => format!("this does not hold: {what}"),
    }
}

/// The parts that the part at `at` is made of.
fn parts(checks: &[SigmaCheck], at: usize) -> Vec<usize> {
    let Some(depth) = checks.get(at).map(|check| check.depth) else { return Vec::new() };
    let below = checks.iter().enumerate().skip(at + 1).take_while(|(_, check)| check.depth > depth);
    below.filter(|(_, check)| check.depth == depth + 1).map(|(index, _)| index).collect()
}

fn labels(checks: &[SigmaCheck], parts: &[usize]) -> String {
    let label = |part: &usize| checks.get(*part).map(|check| check.what.as_str());
    let mut named: Vec<&str> = parts.iter().take(NAMED).filter_map(label).collect();
    if parts.len() > NAMED {
        named.push("…");
    }
    named.join("; ")
}

/// `product aws, service cloudtrail`.
fn in_words(logsource: &Logsource) -> String {
    let parts =
        [("product", &logsource.product), ("service", &logsource.service), ("category", &logsource.category)];
    let stated = parts.iter().filter_map(|(name, part)| Some(format!("{name} {}", part.as_ref()?)));
    stated.collect::<Vec<_>>().join(", ")
}

struct Judge<'j, 'v> {
    verdict: &'j Verdict<'v>,
    checks: &'j mut Vec<SigmaCheck>,
}

impl Judge<'_, '_> {
    /// Adds the part and those that it is made of; whether it holds. The compiler bounds the depth.
    fn expr(&mut self, expr: &Expr, depth: usize) -> bool {
        let (word, parts) = match expr {
            Expr::All(parts) => ("all of", parts.as_slice()),
            Expr::Any(parts) => ("any of", parts.as_slice()),
            Expr::Not(part) => {
                let at = self.open(depth, "not");
                let holds = !self.expr(part, depth + 1);
                return self.close(at, holds);
            }
            Expr::Field { name, test } => return self.test(name, test, depth),
            Expr::Keyword(test) => return self.test("", test, depth),
        };
        if let [only] = parts {
            return self.expr(only, depth);
        }
        let at = self.open(depth, word);
        let mut held = 0;
        for part in parts {
            held += usize::from(self.expr(part, depth + 1));
        }
        let holds = if word == "all of" { held == parts.len() } else { held > 0 };
        self.close(at, holds)
    }

    fn open(&mut self, depth: usize, what: &str) -> usize {
        self.checks.push(SigmaCheck { depth, what: what.to_owned(), saw: None, holds: false });
        self.checks.len() - 1
    }

    fn close(&mut self, at: usize, holds: bool) -> bool {
        if let Some(check) = self.checks.get_mut(at) {
            check.holds = holds;
        }
        holds
    }

    fn test(&mut self, name: &str, test: &FieldTest, depth: usize) -> bool {
        let values = self.values(name);
        let texts: Vec<&str> = values.iter().filter_map(|value| value.as_deref()).collect();
        let holds = match test {
            FieldTest::Null => values.iter().all(Option::is_none),
            FieldTest::Exists(wanted) => self.exists(name) == *wanted,
            FieldTest::Same { field, site, cased, negated } => {
                let fold = |text: &str| if *cased { text.to_owned() } else { text.to_ascii_lowercase() };
                let others = self.values(field);
                let others: Vec<String> = others.iter().flatten().map(|other| fold(other)).collect();
                let same = |text: &&str| {
                    let text = fold(text);
                    others.iter().any(|other| stands(text.as_bytes(), other.as_bytes(), *site)) != *negated
                };
                !others.is_empty() && texts.iter().any(same)
            }
            test => texts.iter().any(|text| passes(test, text, name.is_empty())),
        };
        let saw = match (name.is_empty(), self.exists(name)) {
            (true, _) => None,
            (false, false) => Some("no such field".to_owned()),
            (false, true) => Some(shown(&values)),
        };
        let subject = if name.is_empty() { "some value" } else { name };
        self.checks.push(SigmaCheck { depth, what: format!("{subject} {}", in_text(test)), saw, holds });
        holds
    }

    /// Texts, and nothing for each null.
    fn values(&self, name: &str) -> Vec<Option<String>> {
        let mut values = Vec::new();
        self.each(name, &mut |value| match value {
            Value::Text(text) => values.push(Some(String::from_utf8_lossy(text).into_owned())),
            Value::Null => values.push(None),
            Value::Object | Value::List => {}
        });
        values
    }

    fn exists(&self, name: &str) -> bool {
        let mut exists = false;
        self.each(name, &mut |_| exists = true);
        exists
    }

    fn each(&self, name: &str, visit: &mut dyn FnMut(Value<'_>)) {
        let sigma = self.verdict.facts.program.sigma();
        let subject = if name.is_empty() { Some(KEYWORDS) } else { sigma.subject(name) };
        let event = Event::new(self.verdict.facts, self.verdict.binding);
        if let Some(subject) = subject {
            event.visit(subject, &mut TextRoom::default(), visit);
        }
    }
}

/// Whether one text passes a test that looks at one.
fn passes(test: &FieldTest, text: &str, anywhere: bool) -> bool {
    let regex = |regex: &str| Pcre2::new(regex).is_ok_and(|regex| regex.is_match(text.as_bytes()));
    match test {
        FieldTest::Pattern(pattern) => regex(&as_regex(pattern, anywhere)),
        FieldTest::Regex(pattern) => regex(&format!("(*UTF){pattern}")),
        FieldTest::Networks(networks) => Networks::new(networks).contains(text.as_bytes()),
        FieldTest::Compare(comparison, number) => {
            read_number(text.as_bytes()).is_some_and(|value| compares(value, *comparison, *number))
        }
        FieldTest::TimePart(part, number) => time_part(text.as_bytes(), *part) == Some(i64::from(*number)),
        FieldTest::Null | FieldTest::Exists(_) | FieldTest::Same { .. } => false,
    }
}

/// The values in one line, cut where they are long.
fn shown(values: &[Option<String>]) -> String {
    let one = |value: &Option<String>| match value {
        Some(text) => format!("'{text}'"),
        None => "null".to_owned(),
    };
    let mut text = values.iter().map(one).collect::<Vec<_>>().join(", ");
    if values.is_empty() {
        text.push_str("no text");
    }
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The test as words.
fn in_text(test: &FieldTest) -> String {
    match test {
        FieldTest::Pattern(pattern) => {
            format!("is '{}'{}", written(pattern), if pattern.cased { ", cased" } else { "" })
        }
        FieldTest::Regex(regex) => format!("matches the expression '{regex}'"),
        FieldTest::Networks(networks) => format!("is in one of {} networks", networks.len()),
        FieldTest::Compare(comparison, number) => {
            let sign = match comparison {
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
                Comparison::Equal => "=",
                Comparison::NotEqual => "!=",
            };
            format!("{sign} {number}")
        }
        FieldTest::Null => "is missing or null".to_owned(),
        FieldTest::Exists(true) => "is there".to_owned(),
        FieldTest::Exists(false) => "is not there".to_owned(),
        FieldTest::Same { field, site, negated, .. } => {
            let how = match site {
                ReferenceSite::Whole => "equals",
                ReferenceSite::Start => "starts with",
                ReferenceSite::End => "ends with",
                ReferenceSite::Anywhere => "contains",
            };
            format!("{}{how} the field {field}", if *negated { "not " } else { "" })
        }
        FieldTest::TimePart(part, number) => {
            format!("has the {} {number}", format!("{part:?}").to_lowercase())
        }
    }
}

/// The pattern as a rule writes it.
fn written(pattern: &Pattern) -> String {
    let part = |part: &PatternPart| match part {
        PatternPart::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        PatternPart::AnyRun => "*".to_owned(),
        PatternPart::AnyOne => "?".to_owned(),
    };
    pattern.parts.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use threatlockdown_event::{Context, Millis};

    use super::*;
    use crate::matcher::{Input, Scratch};
    use crate::{Origin, RuleText, Texts, load};

    const RULE: &str = "
title: Somebody else logs in
id: 5e2f2c1a-7d3b-4c6e-9a52-0f1e2d3c4b5a
logsource: {product: aws, service: cloudtrail}
detection:
  selection:
    eventName: [ConsoleLogin, SwitchRole]
    sourceIPAddress|cidr: 10.0.0.0/8
  known: {userIdentity.arn|endswith: ':user/admin'}
  condition: selection and not known
";

    fn explain(source: &str, record: &str) -> SigmaExplanation {
        let mut texts = Texts::builtin();
        texts.add(RuleText { path: "r.yml".into(), text: RULE.into(), origin: Origin::User });
        let loaded = load(texts);
        let program = loaded.program.unwrap();
        let mappings = crate::decode::mapping::builtin().unwrap();
        let id = "5E2F2C1A-7D3B-4C6E-9A52-0F1E2D3C4B5A";
        let explainer = SigmaExplainer::new(&loaded.set, &mappings, id).unwrap();
        assert!(SigmaExplainer::new(&loaded.set, &mappings, "other").is_none());
        let context = Context {
            source: source.into(),
            connector: "x".into(),
            location: "x".into(),
            account: None,
            envelope: Vec::new(),
            origin: "x".into(),
            origin_id: [0; 16],
        };
        let input = Input {
            binding: program.binding(source),
            record: record.as_bytes(),
            context: &context,
            received: Millis(0),
        };
        program.examine(&mut Scratch::new(&program), &input, |verdict| explainer.explain(verdict)).unwrap()
    }

    fn failed(explanation: &SigmaExplanation) -> Vec<(&str, Option<&str>)> {
        let failed = explanation.checks.iter().filter(|check| !check.holds);
        failed.map(|check| (check.what.as_str(), check.saw.as_deref())).collect()
    }

    #[test]
    fn a_match_is_explained() {
        let record =
            r#"{"eventName":"SwitchRole","sourceIPAddress":"10.1.1.1","userIdentity":{"arn":"a:user/x"}}"#;
        let explanation = explain("aws.cloudtrail", record);
        assert!(explanation.fired && explanation.reason == "its condition holds", "{explanation:?}");
        let expected = [
            ("eventName is 'ConsoleLogin'", Some("'SwitchRole'")),
            ("userIdentity.arn is '*:user/admin'", Some("'a:user/x'")),
        ];
        assert_eq!(failed(&explanation), expected);
    }

    #[test]
    fn what_failed_is_named_with_what_was_seen() {
        let record = r#"{"eventName":"ConsoleLogin","sourceIPAddress":["1.1.1.1",null]}"#;
        let explanation = explain("aws.cloudtrail", record);
        assert!(!explanation.fired);
        assert!(
            failed(&explanation)
                .contains(&("sourceIPAddress is in one of 1 networks", Some("'1.1.1.1', null"))),
            "{explanation:?}"
        );
        assert_eq!(explanation.reason, "this does not hold: sourceIPAddress is in one of 1 networks");
        let record = r#"{"eventName":"ConsoleLogin","sourceIPAddress":"10.0.0.1","userIdentity":{"arn":"a:user/admin"}}"#;
        assert_eq!(
            explain("aws.cloudtrail", record).reason,
            "this must not hold and does: userIdentity.arn is '*:user/admin'"
        );
        let elsewhere = explain("docker", "{}");
        assert_eq!(elsewhere.reason, "it looks at product aws, service cloudtrail, which docker is not");
        assert!(elsewhere.checks.is_empty());
    }
}
