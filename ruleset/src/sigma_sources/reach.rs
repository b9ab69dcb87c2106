//! Which sources a rule reaches, and on which of them it can never fire.
//!
//! Enters: the rules and the mappings. Leaves: a [`Reach`]. A rule is said never to fire on a source only where that is
//! proven from the source's known paths and its own words for values (on one source success is a word, on another the absence of an error); sources whose records are open are never said to lack anything.

use std::sync::Arc;

use super::truth::{Truth, reasons, truth};
use super::wording::in_words_of_source;
use crate::decode::mapping::Mapping;
use crate::diagnostic::Diagnostic;
use crate::ir::sigma::{Logsource, SigmaRule, SigmaRuleIndex, SigmaSet};

/// Rules and sources that do not come together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Rules that can never fire on a source that they are about, by rule and then by source.
    pub silent: Vec<Silent>,
    /// Rules whose log source no source is.
    pub homeless: Vec<SigmaRuleIndex>,
}

/// A rule that can never fire on a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// The rule.
    pub rule: SigmaRuleIndex,
    /// The source.
    pub source: Arc<str>,
    /// The fields that it lacks, as the rule names them; none where the rule contradicts itself.
    pub missing: Vec<String>,
    /// Whether the rule can fire on another source.
    pub elsewhere: bool,
}

/// Holds each rule against each source that its log source fits.
#[must_use]
pub fn check(set: &SigmaSet, mappings: &[Mapping]) -> Reach {
    let mut reach = Reach::default();
    for (index, rule) in (0..).zip(&set.rules) {
        let sources = mappings.iter().filter(|mapping| mapping.sigma.fits(&rule.logsource));
        let found: Vec<(&Mapping, Option<Vec<String>>)> =
            sources.map(|mapping| (mapping, why_never(rule, mapping))).collect();
        if found.is_empty() {
            reach.homeless.push(index);
        }
        let elsewhere = found.iter().any(|(_, why)| why.is_none());
        reach.silent.extend(found.into_iter().filter_map(|(mapping, why)| {
            Some(Silent { rule: index, source: Arc::clone(&mapping.source), missing: why?, elsewhere })
        }));
    }
    reach
}

/// The fields without which the rule cannot fire; `None` when it can.
fn why_never(rule: &SigmaRule, mapping: &Mapping) -> Option<Vec<String>> {
    let has = |name: &str| mapping.sigma.may_have(name);
    // The words of other sources say nothing about this one.
    let expr = in_words_of_source(&rule.expr, mapping);
    if truth(&expr, &has) != Truth::False {
        return None;
    }
    let mut missing = Vec::new();
    reasons(&expr, &has, &mut missing);
    Some(missing.into_iter().map(str::to_owned).collect())
}

impl Reach {
    /// As warnings, in the order of the rules.
    #[must_use]
    pub fn diagnostics(&self, set: &SigmaSet) -> Vec<Diagnostic> {
        let rule = |index: SigmaRuleIndex| set.rules.get(index as usize);
        let silent = self.silent.iter().filter_map(|silent| Some(silent.diagnostic(rule(silent.rule)?)));
        let homeless = self.homeless.iter().filter_map(|index| Some(homeless(rule(*index)?)));
        silent.chain(homeless).collect()
    }
}

impl Silent {
    fn diagnostic(&self, rule: &SigmaRule) -> Diagnostic {
        let why = match self.missing.as_slice() {
            [] => "its condition holds for no event".to_owned(),
            [field] => format!("no field {field}"),
            fields => format!("no fields {}", fields.join(", ")),
        };
        let help = match (self.missing.is_empty(), self.elsewhere) {
            (true, _) => "correct the condition, or leave the rule out",
            (_, true) => {
                "other sources have it; name the field as records of this one do, or leave it at that"
            }
            (_, false) => "name the field as the provider's records do, or leave the rule out",
        };
        let message = format!("can never fire on {}: {why}", self.source);
        Diagnostic::warning(rule.head.place.clone(), title(rule), message, help)
    }
}

fn homeless(rule: &SigmaRule) -> Diagnostic {
    let message = format!("can never fire: no source has the log source {}", in_words(&rule.logsource));
    let help = "docs/mappings.md lists the log sources that there are";
    Diagnostic::warning(rule.head.place.clone(), title(rule), message, help)
}

fn title(rule: &SigmaRule) -> String {
    format!("title: {}", rule.head.title)
}

/// `product: aws, service: cloudtrail`.
fn in_words(logsource: &Logsource) -> String {
    let parts =
        [("category", &logsource.category), ("product", &logsource.product), ("service", &logsource.service)];
    let stated: Vec<String> =
        parts.iter().filter_map(|(name, part)| Some(format!("{name}: {}", part.as_ref()?))).collect();
    stated.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Place;
    use crate::ir::sigma::{Expr, FieldTest, Pattern, PatternPart, SigmaHead, SigmaLevel};

    fn rule(product: &str, expr: Expr) -> SigmaRule {
        let head = SigmaHead {
            title: "T".to_owned(),
            level: SigmaLevel::Low,
            ..SigmaHead::new("i", Place::new(&Arc::from("r.yml"), 7, 1))
        };
        let logsource = Logsource { product: Some(product.to_owned()), ..Logsource::default() };
        SigmaRule { head, logsource, expr }
    }

    fn has(name: &str) -> Expr {
        let test = FieldTest::Pattern(Pattern { parts: Vec::new(), cased: false });
        Expr::Field { name: name.to_owned(), test }
    }

    fn mapping(source: &str, sigma: &str) -> Mapping {
        Mapping::parse("m.yaml", &format!("source: {source}\nformat: json\nsigma:\n{sigma}")).unwrap()
    }

    #[test]
    fn each_source_has_its_own_words() {
        let is = |name: &str, value: &str| {
            let parts = vec![PatternPart::Bytes(value.as_bytes().to_vec())];
            Expr::Field { name: name.to_owned(), test: FieldTest::Pattern(Pattern { parts, cased: false }) }
        };
        let logsource = "  logsources: [{product: p}]\n";
        let mappings = [
            // Success is the absence of an error, …
            mapping(
                "one",
                &format!("{logsource}  values: {{status: {{null: success}}}}\n  paths: [error]\n"),
            ),
            // … a word, which this one has nowhere, …
            mapping(
                "two",
                &format!("{logsource}  values: {{status: {{Done: success}}}}\n  paths: [error]\n"),
            ),
            // … or nothing that is known.
            mapping("three", &format!("{logsource}  paths: [error]\n")),
        ];
        let rules = vec![rule("p", is("status", "success")), rule("p", is("status", "failure"))];
        let reach = check(&SigmaSet { rules, correlations: Vec::new() }, &mappings);
        let silent: Vec<(u32, &str, bool)> =
            reach.silent.iter().map(|silent| (silent.rule, &*silent.source, silent.elsewhere)).collect();
        assert_eq!(
            silent,
            [(0, "two", true), (0, "three", true), (1, "one", false), (1, "two", false), (1, "three", false)]
        );
        assert_eq!(reach.silent[0].missing, ["status"]);
    }

    #[test]
    fn a_rule_is_silent_where_a_field_is_missing_and_homeless_where_no_source_fits() {
        let mappings = [
            mapping("one", "  logsources: [{product: p}]\n  fields: {Who: user}\n  paths: [user]\n"),
            mapping("two", "  logsources: [{product: p}]\n  paths: [who, what]\n"),
            mapping("open", "  logsources: [{product: q}]\n"),
        ];
        let both = |other: &str| Expr::All(vec![has("who"), has(other)]);
        let rules = vec![
            rule("p", has("who")),
            rule("p", both("what")),
            rule("p", both("where")),
            rule("q", both("where")),
            rule("z", has("who")),
            rule("q", Expr::Any(Vec::new())),
        ];
        let set = SigmaSet { rules, correlations: Vec::new() };
        let silent = |rule, source: &str, missing: &[&str], elsewhere| Silent {
            rule,
            source: source.into(),
            missing: missing.iter().map(|name| (*name).to_owned()).collect(),
            elsewhere,
        };
        let reach = check(&set, &mappings);
        assert_eq!(
            reach.silent,
            [
                silent(1, "one", &["what"], true),
                silent(2, "one", &["where"], false),
                silent(2, "two", &["where"], false),
                silent(5, "open", &[], false),
            ]
        );
        assert_eq!(reach.homeless, [4]);
        let texts: Vec<String> = reach.diagnostics(&set).iter().map(ToString::to_string).collect();
        assert!(
            texts[1].starts_with("r.yml:7:1: warning: can never fire on one: no field where\n    title: T\n")
        );
        assert!(
            texts[3].contains("can never fire on open: its condition holds for no event"),
            "{}",
            texts[3]
        );
        assert!(texts[4].contains("can never fire: no source has the log source product: z"), "{}", texts[4]);
    }
}
