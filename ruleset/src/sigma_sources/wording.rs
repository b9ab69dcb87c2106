//! Values that a source says in other words than rules, and records of other kinds than rules are about.
//!
//! Enters: the rules and the mappings. Leaves: the rules with, beside each test that a source's wording passes, one for what
//! its records say: where `success` is written `Succeeded`, a rule that asks for the one takes the other as well. Of a source
//! that holds records of several kinds, rules get a test for theirs. It is
//! done on the intermediate form, once per load, so that events pay for nothing but tests; and only for rules that look at the
//! source, so that nobody else's `Succeeded` is meant.

use super::kind;
use crate::decode::mapping::{Mapping, Wording};
use crate::ir::sigma::{Expr, FieldTest, Pattern, PatternPart, SigmaRule, SigmaSet};

/// The rules in the words of the sources that they look at.
#[must_use]
pub fn in_words_of(set: &SigmaSet, mappings: &[Mapping]) -> SigmaSet {
    let rule = |rule: &SigmaRule| {
        let sources = mappings.iter().filter(|mapping| mapping.sigma.fits(&rule.logsource));
        let wordings: Vec<&Wording> = sources.flat_map(|mapping| &mapping.sigma.values).collect();
        let expr = if wordings.is_empty() { rule.expr.clone() } else { reworded(&rule.expr, &wordings) };
        let expr = match kind::test(&rule.logsource, mappings) {
            None => expr,
            Some(kind) => Expr::All(vec![kind, expr]),
        };
        SigmaRule { expr, ..rule.clone() }
    };
    SigmaSet { rules: set.rules.iter().map(rule).collect(), correlations: set.correlations.clone() }
}

/// What a rule tests on one source alone, in its words.
pub(super) fn in_words_of_source(expr: &Expr, mapping: &Mapping) -> Expr {
    reworded(expr, &mapping.sigma.values.iter().collect::<Vec<_>>())
}

fn reworded(expr: &Expr, wordings: &[&Wording]) -> Expr {
    let all = |parts: &[Expr]| parts.iter().map(|part| reworded(part, wordings)).collect();
    match expr {
        Expr::All(parts) => Expr::All(all(parts)),
        Expr::Any(parts) => Expr::Any(all(parts)),
        Expr::Not(part) => Expr::Not(Box::new(reworded(part, wordings))),
        Expr::Keyword(_) => expr.clone(),
        Expr::Field { name, test } => {
            let mut tests = Vec::new();
            for wording in wordings.iter().filter(|wording| wording.field.eq_ignore_ascii_case(name)) {
                let own = record_test(wording);
                if passes(test, &wording.rule) && own != *test && !tests.contains(&own) {
                    tests.push(own);
                }
            }
            match tests.is_empty() {
                true => expr.clone(),
                false => {
                    let field = |test| Expr::Field { name: name.clone(), test };
                    Expr::Any(std::iter::once(expr.clone()).chain(tests.into_iter().map(field)).collect())
                }
            }
        }
    }
}

/// The test of what the record says.
fn record_test(wording: &Wording) -> FieldTest {
    wording.record.as_deref().map_or(FieldTest::Null, record_pattern)
}

/// The test for a text with `*` for anything.
pub(super) fn record_pattern(text: &str) -> FieldTest {
    let mut parts = Vec::new();
    for (place, literal) in text.split('*').enumerate() {
        if place > 0 {
            parts.push(PatternPart::AnyRun);
        }
        if !literal.is_empty() {
            parts.push(PatternPart::Bytes(literal.as_bytes().to_vec()));
        }
    }
    FieldTest::Pattern(Pattern { parts, cased: false })
}

/// Whether a test that compares texts takes this one. What asks for something to be there without saying what, such as a
/// lone `*`, means the record's own value and not another word for it.
fn passes(test: &FieldTest, text: &str) -> bool {
    match test {
        FieldTest::Pattern(pattern) => {
            pattern.parts.iter().any(|part| matches!(part, PatternPart::Bytes(_))) && matches(pattern, text)
        }
        _ => false,
    }
}

/// Whether the whole text fits the pattern: each piece between wildcards at its first place behind the one before, and
/// back to the last `*` when what follows does not fit.
fn matches(pattern: &Pattern, text: &str) -> bool {
    let fold = |bytes: &[u8]| if pattern.cased { bytes.to_vec() } else { bytes.to_ascii_lowercase() };
    let text = fold(text.as_bytes());
    let parts: Vec<PatternPart> = pattern
        .parts
        .iter()
        .map(|part| match part {
            PatternPart::Bytes(bytes) => PatternPart::Bytes(fold(bytes)),
            other => other.clone(),
        })
        .collect();
    let (mut part, mut at, mut retry) = (0, 0, None);
    loop {
        let next = match parts.get(part) {
            None if at == text.len() => return true,
            None => None,
            Some(PatternPart::AnyRun) => {
                retry = Some((part, at));
                Some(at)
            }
            Some(PatternPart::AnyOne) => character_end(&text, at),
            Some(PatternPart::Bytes(bytes)) => {
                text.get(at..).and_then(|rest| rest.starts_with(bytes).then(|| at + bytes.len()))
            }
        };
        match (next, retry) {
            (Some(end), _) => (part, at) = (part + 1, end),
            (None, Some((run, begun))) if begun < text.len() => {
                retry = Some((run, begun + 1));
                (part, at) = (run + 1, begun + 1);
            }
            (None, _) => return false,
        }
    }
}

/// Behind the character at `at`.
fn character_end(text: &[u8], at: usize) -> Option<usize> {
    let is_continued = |byte: &u8| byte & 0xC0 == 0x80;
    text.get(at)?;
    Some(at + 1 + text.get(at + 1..)?.iter().take_while(|byte| is_continued(byte)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `*` and `?` as in rules.
    fn pattern(text: &str, cased: bool) -> Pattern {
        let mut parts = Vec::new();
        for char in text.chars() {
            match (char, parts.last_mut()) {
                ('*', _) => parts.push(PatternPart::AnyRun),
                ('?', _) => parts.push(PatternPart::AnyOne),
                (_, Some(PatternPart::Bytes(bytes))) => {
                    bytes.extend_from_slice(char.to_string().as_bytes());
                }
                _ => parts.push(PatternPart::Bytes(char.to_string().into_bytes())),
            }
        }
        Pattern { parts, cased }
    }

    fn is(name: &str, text: &str) -> Expr {
        Expr::Field { name: name.to_owned(), test: FieldTest::Pattern(pattern(text, false)) }
    }

    #[test]
    fn patterns_fit_whole_texts() {
        for (written, text, expected) in [
            ("abc", "ABC", true),
            ("abc", "abcd", false),
            ("abc", "xabc", false),
            ("*bc", "aabcbc", true),
            ("ab*", "ab", true),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*c*b*", "xxaxxbxxcxx", false),
            ("*ab", "aab", true),
            ("a?c", "aäc", true),
            ("a?c", "ac", false),
            ("*?c", "c", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(&pattern(written, false), text), expected, "{written} {text}");
        }
        assert!(!matches(&pattern("abc", true), "ABC") && matches(&pattern("ABC", true), "ABC"));
    }

    #[test]
    fn a_test_takes_the_words_of_the_record_beside_its_own() {
        let wording = |field: &str, record: Option<&str>, rule: &str| Wording {
            field: field.to_owned(),
            record: record.map(str::to_owned),
            rule: rule.to_owned(),
        };
        let wordings = [
            wording("status", Some("Succeeded"), "success"),
            wording("status", None, "success"),
            wording("status", Some("*/ok"), "success"),
            wording("other", Some("x"), "success"),
        ];
        let wordings: Vec<&Wording> = wordings.iter().collect();
        let null = Expr::Field { name: "Status".to_owned(), test: FieldTest::Null };
        let many = |expr: &Expr| {
            Expr::Any(vec![expr.clone(), is("Status", "Succeeded"), null.clone(), is("Status", "*/ok")])
        };
        for text in ["success", "SUCC*", "*ess"] {
            assert_eq!(reworded(&is("Status", text), &wordings), many(&is("Status", text)));
        }
        let not = |expr| Expr::Not(Box::new(Expr::All(vec![expr])));
        assert_eq!(reworded(&not(is("Status", "success")), &wordings), not(many(&is("Status", "success"))));
        for expr in [is("Status", "failure"), is("Status", "*"), is("State", "success"), null.clone()] {
            assert_eq!(reworded(&expr, &wordings), expr);
        }
    }
}
