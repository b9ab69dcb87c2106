//! Selections and conditions.

use super::*;

/// A rule with the selections `s1`, `s2`, `filter_a`, `filter_b` and `_hidden`.
fn with_condition(condition: &str) -> String {
    let selections = "  s1: {a: 1}\n  s2: {b: 2}\n  filter_a: {c: 3}\n  filter_b: {d: 4}\n  _hidden: {e: 5}";
    around(&format!("{selections}\n  condition: {condition}"))
}

#[test]
fn conditions_join_selections() {
    for (condition, expected) in [
        ("s1", "a=1"),
        ("s1 and s2", "(a=1 & b=2)"),
        ("s1 or s2 and not filter_a", "(a=1 | (b=2 & !c=3))"),
        ("(s1 or s2) and not filter_a", "((a=1 | b=2) & !c=3)"),
        ("not not s1", "a=1"),
        ("s1 and (s2 and filter_a)", "(a=1 & b=2 & c=3)"),
        ("1 of them", "(a=1 | b=2 | c=3 | d=4)"),
        ("all of them", "(a=1 & b=2 & c=3 & d=4)"),
        ("any of s*", "(a=1 | b=2)"),
        ("all of s* and not 1 of filter_*", "(a=1 & b=2 & !(c=3 | d=4))"),
        ("1 of s1", "a=1"),
        ("1 of *_b", "d=4"),
        ("1 of _h*", "e=5"),
        ("_hidden", "e=5"),
        ("[s1, s2 and filter_a]", "(a=1 | (b=2 & c=3))"),
        ("s1 AND NOT s2", "(a=1 & !b=2)"),
    ] {
        let loaded = load_text(&with_condition(condition));
        assert_eq!(shown(&loaded.set.rules[0].expr), expected, "{condition}");
        let only_unused = faults(&loaded).iter().all(|fault| fault.contains("does not use the selection"));
        assert!(only_unused, "{condition}");
    }
}

#[test]
fn selections_are_maps_lists_and_keywords() {
    for (selection, expected) in [
        ("{a: 1, b: 2}", "(a=1 & b=2)"),
        ("[{a: 1, b: 2}, {c: 3}]", "((a=1 & b=2) | c=3)"),
        ("[{a: 1}, word]", "(a=1 | #=word)"),
        ("[[{a: 1}, {b: 2}], {c: 3}]", "(a=1 | b=2 | c=3)"),
        ("{a: [1, 2], b|all: [x, y]}", "((a=1 | a=2) & b=x & b=y)"),
        ("{a: '', b: null}", "(a= & b null)"),
    ] {
        let text = around(&format!("  s: {selection}\n  condition: s"));
        assert_eq!(shown(&rules(&text)[0].expr), expected, "{selection}");
    }
}

#[test]
fn anchors_are_written_out() {
    let text = around("  s: {a: &v [1, 2], b: *v}\n  condition: s");
    assert_eq!(shown(&rules(&text)[0].expr), "((a=1 | a=2) & (b=1 | b=2))");
}

#[test]
fn faults_of_conditions_have_their_place() {
    for (condition, expected) in [
        ("s1 and s3", "9:21: error: there is no selection s3"),
        ("1 of x*", "9:14: error: no selection fits x*"),
        ("s1 and", "9:20: error: the condition ends where a selection should stand"),
        ("s1 s2", "9:17: error: `and` or `or` is missing before s2"),
        ("(s1", "9:14: error: the bracket is not closed"),
        ("2 of s*", "9:14: error: 2 of … is not part of Sigma"),
        ("s1 | count() by a > 5", "9:17: error: conditions with `| count() …`"),
        ("'s1 or or s2'", "9:21: error: a selection is missing before or"),
        ("[]", "9:14: error: `condition` must be a text or a list of texts"),
        ("{a: b}", "9:14: error: a condition must be a text"),
        ("[s1, s3]", "9:19: error: there is no selection s3"),
        ("s1", "5:3: warning: the condition does not use the selection s2"),
    ] {
        let found = faults(&load_text(&with_condition(condition)));
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{condition}: {found:#?}");
    }
    let near = load_text(&with_condition("filter_c"));
    assert!(near.diagnostics[0].help.contains("did you mean filter_"), "{}", near.diagnostics[0]);
}

#[test]
fn faults_of_sections_have_their_place() {
    for (detection, expected) in [
        ("  s: {a: 1}", "4:3: error: `detection` has no condition"),
        ("  - s", "4:3: error: `detection` must be a mapping"),
        ("  s: {}\n  condition: s", "4:6: error: there is nothing in it to look for"),
        ("  s: []\n  condition: s", "4:6: error: there is nothing in it to look for"),
        ("  s: {a: 1}\n  s: {b: 1}\n  condition: s", "5:3: error: the selection s stands here twice"),
        ("  s: {a: 1}\n  condition: s\n  condition: s", "6:3: error: `condition` stands here twice"),
        ("  s: {a: 1}\n  condition: s\n  timeframe: 5m", "6:3: warning: `timeframe` belongs to"),
        ("  s: {a: !!str 1}\n  condition: s", "4:10: error: a tag"),
        ("  s: {a: *x}\n  condition: s", "4:10: error: this is not YAML"),
    ] {
        let found = faults(&load_text(&around(detection)));
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{detection}: {found:#?}");
    }
}

#[test]
fn nothing_grows_without_end() {
    // A condition that names a large selection thousands of times.
    let values: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    let condition = vec!["s"; 5000].join(" and ");
    let text = around(&format!("  s: {{a: [{}]}}\n  condition: {condition}", values.join(", ")));
    assert!(faults(&load_text(&text))[0].contains("makes the rule too large"));
    // Aliases of aliases.
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", ")));
    }
    let found = faults(&load_text(&text));
    assert!(found[0].contains("is not accepted here"), "{found:?}");
    let deep = |levels: usize| format!("title: {}x{}", "[".repeat(levels), "]".repeat(levels));
    assert!(faults(&load_text(&deep(70)))[0].contains("such deep nesting"));
    assert!(faults(&load_text(&deep(100_000)))[0].contains("error"));
    // Values that modifiers make thousands of times as large.
    let value = format!("'-a -a -a -a -a {}'", "x".repeat(1000));
    let values: Vec<&str> = vec![value.as_str(); 100];
    let text = with_item(&format!("f|windash: [{}]", values.join(", ")));
    assert!(faults(&load_text(&text))[0].contains("modifiers make too much"));
    let condition = format!("s {}", "or s ".repeat(20_000));
    let text = around(&format!("  s: {{a: 1}}\n  condition: {condition}"));
    assert!(faults(&load_text(&text))[0].contains("more than 100000 bytes"));
    let many: String = (0..1001).map(|number| format!("  s{number}: {{a: 1}}\n")).collect();
    let found = faults(&load_text(&around(&format!("{many}  condition: s1"))));
    assert!(found[0].contains("more than 1000 selections"), "{found:?}");
}
