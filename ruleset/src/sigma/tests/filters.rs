//! Filters, and the rules that they are for.

use super::*;

const RULES: &str = "title: a
id: id-a
name: rule_a
logsource: {product: p, service: s}
detection: {s: {a: 1}, condition: s}
---
title: b
id: id-b
logsource: {product: p}
detection: {s: {b: 2}, t: {c: 3}, condition: s or t}
";

fn filtered(filter: &str) -> (Vec<String>, Vec<String>) {
    let text = format!("title: f\n{filter}\n");
    let loaded = load(&[file("a.yml", RULES), file("r.yml", &text)], &Placeholders::default());
    (loaded.set.rules.iter().map(|rule| shown(&rule.expr)).collect(), faults(&loaded))
}

#[test]
fn filters_are_added_to_their_rules() {
    let whole = |logsource: &str, rules: &str| {
        let filter =
            format!("logsource: {{{logsource}}}\nfilter: {{rules: {rules}, s: {{u: x}}, condition: not s}}");
        let (exprs, faults) = filtered(&filter);
        assert_eq!(faults, Vec::<String>::new(), "{filter}");
        exprs
    };
    let (a, b) = ("(a=1 & !u=x)", "((b=2 | c=3) & !u=x)");
    assert_eq!(whole("product: p", "any"), [a, b]);
    assert_eq!(whole("product: P", "All"), [a, b]);
    assert_eq!(whole("product: p", "[ID-A, id-b]"), [a, b]);
    assert_eq!(whole("product: p", "[rule_a, id-a]"), [a, "(b=2 | c=3)"]);
    assert_eq!(whole("product: p", "id-b"), ["a=1", b]);
    assert_eq!(whole("product: p, service: s", "any"), [a, "(b=2 | c=3)"]);
}

#[test]
fn several_filters_are_added_in_order() {
    let filters = "logsource: {product: p}
filter: {rules: [id-a], s: {u: x}, condition: not s}
---
title: g
logsource: {product: p}
filter: {rules: [id-a], s: {v: y}, t: [w], condition: not (s or t)}";
    assert_eq!(filtered(filters).0[0], "(a=1 & !u=x & !(v=y | #=w))");
}

#[test]
fn faults_of_filters_have_their_place() {
    for (filter, expected) in [
        ("filter: {rules: any, s: {u: x}, condition: not s}", "1:1: error: `logsource` is missing"),
        (
            "logsource: {product: p}\nfilter: {s: {u: x}, condition: not s}",
            "3:9: error: the filter does not say",
        ),
        (
            "logsource: {product: p}\nfilter: {rules: [], s: {u: x}, condition: not s}",
            "3:17: error: the filter is",
        ),
        (
            "logsource: {product: p}\nfilter: {rules: {a: b}, s: {u: x}, condition: not s}",
            "3:17: error: a rule must",
        ),
        ("logsource: {product: p}\nfilter: {rules: any, s: {u: x}}", "3:9: error: `filter` has no condition"),
        (
            "logsource: {product: p}\nfilter: {rules: any, s: {u: x}, condition: not t}",
            "3:48: error: there is no",
        ),
        ("logsource: {product: p}\nfilter: [x]", "3:9: error: `filter` must be a mapping"),
        (
            "logsource: {product: p}\nfilter: {rules: any, s: {u: x}, condition: s}",
            "1:1: warning: the filter keeps",
        ),
        (
            "logsource: {product: q}\nfilter: {rules: any, s: {u: x}, condition: not s}",
            "1:1: warning: no rule that",
        ),
        (
            "logsource: {product: q}\nfilter: {rules: [id-a], s: {u: x}, condition: not s}",
            "3:18: warning: the rule id-a has another log source than the filter: not filtered",
        ),
        (
            "logsource: {product: p}\nfilter: {rules: [id-c], s: {u: x}, condition: not s}",
            "3:18: warning: there is no rule id-c: not filtered",
        ),
        (
            "logsource: {product: p}\nfilter: {rules: any, s: {u|expand: '%x%'}, condition: not s}",
            "1:1: warning: the filter is left out because a placeholder of it has no values",
        ),
    ] {
        let (_, found) = filtered(filter);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{filter}: {found:#?}");
    }
}

#[test]
fn a_filter_with_a_hole_leaves_rules_as_they_are() {
    let (exprs, _) =
        filtered("logsource: {product: p}\nfilter: {rules: any, s: {u|expand: '%x%'}, condition: not s}");
    assert_eq!(exprs, ["a=1", "(b=2 | c=3)"]);
}
