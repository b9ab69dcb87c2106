//! The service that a wrapper names, as a field of Sigma rules: only where the source has wrappers that name one.

use super::tests::Bench;
use crate::sigma::SigmaText;
use crate::{Origin, Texts, load};

/// A rule for each test of the field, called by it.
const TESTS: [(&str, &str); 5] = [
    ("missing", "aws.source|exists: false"),
    ("null", "aws.source: null"),
    ("kms", "AWS.Source: kms"),
    ("some", "aws.source: '?*'"),
    ("regex", "aws.source|re: '^my\\.'"),
];

fn bench() -> Bench {
    let rule = |(at, (name, test)): (usize, &(&str, &str))| {
        format!(
            "title: test {name}\nid: 00000000-0000-4000-8000-00000000000{at}\nlogsource: {{product: aws, service: cloudtrail}}\n\
             detection:\n  selection: {{eventName: Encrypt, {test}}}\n  condition: selection\n"
        )
    };
    let text = TESTS.iter().enumerate().map(rule).collect::<Vec<_>>().join("---\n").into_bytes();
    let file = SigmaText { path: "own.yml".into(), text, origin: Origin::User };
    let loaded = load(Texts { sigma: vec![file], ..Texts::builtin() });
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    Bench::of(loaded.program.unwrap())
}

#[test]
fn rules_see_the_service_that_a_wrapper_names() {
    let mut bench = bench();
    let mut check = |source: &str, record: &str, expected: &[&str]| {
        let ids = bench.ids(source, record.as_bytes());
        let name = |id: &String| TESTS[id[id.len() - 1..].parse::<usize>().unwrap()].0;
        assert_eq!(ids.iter().map(name).collect::<Vec<_>>(), expected, "{source}: {record}");
    };
    let bus = "aws.eventbridge";
    check(bus, r#"{"source":"aws.kms","detail":{"eventName":"Encrypt"}}"#, &["kms", "some"]);
    check(bus, r#"{"detail":{"eventName":"Encrypt","source":"x"},"source":"my.app"}"#, &["some", "regex"]);
    // It is there on a bus even where nobody is named: null.
    check(bus, r#"{"detail":{"eventName":"Encrypt"}}"#, &["null"]);
    check(bus, r#"{"source":7,"detail":{"eventName":"Encrypt"}}"#, &["null"]);
    check(bus, r#"{"source":"","detail":{"eventName":"Encrypt"}}"#, &[]);
    // As for the other rules, a member of the record stands in for it.
    check(bus, r#"{"detail":{"eventName":"Encrypt","source":"kms"}}"#, &["kms", "some"]);
    check(bus, r#"{"eventName":"Encrypt","source":"kms"}"#, &["kms", "some"]);
    check(bus, r#"{"eventName":"Encrypt","detail":"text"}"#, &["null"]);
    // No event's service is that of the event before.
    check(bus, r#"{"source":"aws.kms","detail":{"eventName":"Decrypt"}}"#, &[]);
    // Whole, whatever stands behind a NUL.
    check(bus, r#"{"source":"my.\u0000app","detail":{"eventName":"Encrypt"}}"#, &["some", "regex"]);
    // Trails have no such field, and in the envelope it is not asked for.
    check("aws.cloudtrail", r#"{"eventName":"Encrypt","source":"kms"}"#, &["missing", "null"]);
    let enveloped = r#"{"integration":"aws","aws":{"eventName":"Encrypt","source":"kms"}}"#;
    check("aws.cloudtrail", enveloped, &["missing", "null"]);
}
