//! Texts with U+0000: Sigma rules, correlations and alerts see them whole, the other rules up to it.

use std::sync::Arc;

use super::tests::{Bench, pattern, rule};
use crate::Origin;
use crate::ir::sigma::{Expr, FieldTest, SigmaSet};
use crate::matcher::Verdict;
use crate::sigma::{Placeholders, SigmaText};

const SOURCE: &str = "test.trail";
/// For the rule of failed logins; `%` is where a NUL stands or nothing.
const LOGIN: &str = r#"{"eventSource":"signin.amazonaws.com%","eventName":"ConsoleLogin%","eventID":"e%","responseElements":{"ConsoleLogin":"Failure%"},"userIdentity":{"userName":"u%"}}"#;

fn login(hidden: &str) -> String {
    LOGIN.replace('%', hidden)
}

fn bench(expr: Expr) -> Bench {
    Bench::new(vec![rule("one", "aws", expr)])
}

fn is(name: &str, text: &str) -> Expr {
    Expr::Field { name: name.to_owned(), test: FieldTest::Pattern(pattern(text)) }
}

fn enveloped(record: &str) -> String {
    format!(r#"{{"integration":"aws","aws":{record}}}"#)
}

#[test]
fn sigma_rules_see_what_stands_behind_it() {
    let keyword = |text: &str| Expr::Keyword(FieldTest::Pattern(pattern(text)));
    for (expr, record, expected) in [
        (is("a", "*evil*"), r#"{"a":"good\u0000evil"}"#, true),
        (is("a", "good"), r#"{"a":"good\u0000evil"}"#, false),
        (is("a", "good?*"), r#"{"a":"good\u0000"}"#, true),
        (is("a.b", "*evil"), r#"{"a":[{"b":1},{"b":["x","\u0000evil"]}]}"#, true),
        (is("a", "x"), r#"{"a\u0000":"x"}"#, false),
        (is("a", "x"), r#"{"a\u0000":"y","a":"x"}"#, true),
        (is("a", "x"), r#"{"b":"\u0000","a":"x"}"#, true),
        (Expr::Field { name: "a".into(), test: FieldTest::Regex("d.e".into()) }, r#"{"a":"d\u0000e"}"#, true),
        (keyword("evil"), r#"{"a":["good\u0000evil"]}"#, true),
    ] {
        let mut bench = bench(expr);
        for record in [record.to_owned(), enveloped(record)] {
            assert_eq!(!bench.ids(SOURCE, record.as_bytes()).is_empty(), expected, "{record}");
        }
    }
    let mut lines = Bench::new(vec![rule("line", "linux", is("a", "*evil"))]);
    assert_eq!(lines.ids("test.lines", br#"{"a":"good\u0000evil"}"#), ["line"]);
}

#[test]
fn the_verdicts_of_the_other_rules_are_as_without_it() {
    let mut bench = bench(is("eventName", "*hidden"));
    let seen = |verdict: &Verdict<'_>| {
        let mut fields = Vec::new();
        verdict.for_each_field(|name, value| fields.push((name.to_owned(), value.to_owned())));
        let rule = verdict.rule().map(|rule| rule.id.clone());
        // A verdict that is no alert shows its rule alone.
        (rule, if verdict.counts() { fields } else { Vec::new() }, verdict.describe().0)
    };
    let in_envelope = |record: &str| {
        enveloped(record).replace("\"aws\":{", "\"aws\":{\"source\":\"cloudtrail\",\"aws_account_id\":\"1\",")
    };
    let wrapped = |hidden: &str| in_envelope(&login(hidden));
    for record in [&login as &dyn Fn(&str) -> String, &wrapped] {
        let plain = bench.on(SOURCE, record("").as_bytes(), seen);
        assert!(plain[0].0.is_some());
        assert_eq!(bench.on(SOURCE, record(r"\u0000hidden").as_bytes(), seen), plain);
        assert_eq!(bench.ids(SOURCE, record(r"\u0000hidden").as_bytes()), ["one"]);
    }
    let raw = bench.on(SOURCE, login(r"\u0000hidden").as_bytes(), seen);
    assert_eq!((raw[0].0.as_deref(), raw[0].1.len() > 4), (Some("80254"), true));
}

#[test]
fn alerts_show_texts_whole_and_events_are_told_apart_by_them() {
    let mut bench = bench(is("eventName", "x"));
    let shown = |verdict: &Verdict<'_>| {
        let mut data = String::new();
        verdict.write_data(&mut data);
        let mut names = Vec::new();
        verdict.for_each_shown_field(|_, value| names.extend(value.strip_suffix("\0h").map(str::to_owned)));
        (data, names.len(), verdict.describe().1.key)
    };
    let [quick, whole] = bench.on(SOURCE, login(r"\u0000h").as_bytes(), shown);
    assert_eq!(quick, whole);
    let (data, names, key) = quick;
    assert!(data.contains(r#""eventName":"ConsoleLogin\u0000h""#), "{data}");
    assert!(serde_json::from_str::<serde_json::Value>(&data).is_ok());
    assert_eq!((names, key.as_deref()), (5, Some("e\0h")));
}

#[test]
fn values_that_correlations_count_are_told_apart_by_what_follows_it() {
    let text = "title: r
name: r
logsource: {product: aws}
detection: {s: {eventName: 'ConsoleLogin*'}, condition: s}
---
title: c
correlation: {type: event_count, rules: [r], group-by: [userIdentity.userName], timespan: 1h, condition: {gte: 2}}
";
    let file = SigmaText { path: "c.yml".into(), text: text.as_bytes().to_vec(), origin: Origin::User };
    let sigma: SigmaSet = crate::sigma::load(&[file], &Placeholders::default()).set;
    assert_eq!((sigma.rules.len(), sigma.correlations.len()), (1, 1));
    let mut bench = Bench::of(Arc::new(super::tests::program(sigma)));
    let counted = |verdict: &Verdict<'_>| verdict.correlated();
    let mut of = |hidden: &str| bench.on(SOURCE, login(hidden).as_bytes(), counted);
    let (one, other) = (of(r"\u0000a"), of(r"\u0000b"));
    assert!(one[0].is_some() && one[0] == one[1]);
    assert_ne!(one, other);
    assert_eq!(one, of(r"\u0000a"));
}
