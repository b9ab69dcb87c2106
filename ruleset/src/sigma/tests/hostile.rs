//! Files that nobody would write by hand: every fault has a place in the file, is short, and says what to do.

use super::*;

/// Loads a file; every fault is one that a person can use.
#[track_caller]
fn told(text: &[u8]) -> Vec<String> {
    let file = SigmaText { path: "r.yml".into(), text: text.to_vec(), origin: Origin::User };
    let loaded = load(&[file], &Placeholders::default());
    let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
    for fault in &loaded.diagnostics {
        assert!(!fault.help.is_empty() && !fault.message.is_empty(), "{fault}");
        assert!(fault.to_string().chars().count() < 1_500, "{fault}");
        assert!((1..=lines).contains(&(fault.place.line as usize)) && fault.place.column >= 1, "{fault}");
    }
    faults(&loaded)
}

/// Each file has a fault that begins like this.
#[track_caller]
fn check(cases: &[(impl AsRef<[u8]>, &str)]) {
    let mut missing = String::new();
    for (text, expected) in cases {
        let found = told(text.as_ref());
        if !found.iter().any(|fault| fault.starts_with(expected)) {
            let shown = String::from_utf8_lossy(text.as_ref()).chars().take(120).collect::<String>();
            missing.push_str(&format!("{shown:?}\nhas no {expected:?} but {found:#?}\n"));
        }
    }
    assert!(missing.is_empty(), "{missing}");
}

fn helps(text: &str) -> Vec<String> {
    load_text(text).diagnostics.into_iter().map(|fault| fault.help).collect()
}

#[test]
fn wrong_types_everywhere() {
    let cases = [
        ("  [a]", "4:3: error: "),
        (
            "  s: {a: {b: c}}\n  condition: s",
            "4:10: error: a value must be a single value, this is a mapping",
        ),
        ("  s: {a: [[b]]}\n  condition: s", "4:11: error: a value must be a single value, this is a list"),
        ("  s: {[a]: b}\n  condition: s", "4:7: error: the name of a field must be a text"),
        ("  s: {a: b}\n  condition: {s: t}", "5:14: error: a condition must be a text"),
        ("  s: {a: b}\n  condition: []", "5:14: error: `condition` must be a text"),
        ("  s: {a: b}\n  condition: [s, [s]]", "5:18: error: a condition must be a text"),
        ("  s: {a: b}\n  condition: ''", "5:15: error: the condition is empty"),
        ("  s: {}\n  condition: s", "4:6: error: there is nothing in it"),
        ("  s: []\n  condition: s", "4:6: error: there is nothing in it"),
        ("  s: {a: []}\n  condition: s", "4:10: error: there is nothing in it"),
        ("  s: {a|gt: x}\n  condition: s", "4:13: error: a value to compare with must be a number"),
        ("  s: {a|gt: .nan}\n  condition: s", "4:13: error: a value to compare with must be a number"),
        ("  s: {a|exists: maybe}\n  condition: s", "4:17: error: `exists` needs a truth value"),
        ("  s: {a|cidr: 10.0.0.0/33}\n  condition: s", "4:15: error: 10.0.0.0/33 is neither"),
        ("  s: {a|re: '('}\n  condition: s", "4:15: error: this is no regular expression"),
        ("  s: {a|nope: b}\n  condition: s", "4:9: error: there is no modifier nope"),
        ("  s: {a|: b}\n  condition: s", "4:9: error: there is no modifier"),
        ("  s: {'|': b}\n  condition: s", "4:"),
        ("  s: {'': b}\n  condition: s", "4:7: error: the name of the field is missing"),
        ("  s: {a|contains|startswith: b}\n  condition: s", "4:18: error: startswith says again"),
        (
            "  s: {a|expand|expand: '%b%'}\n  condition: s",
            "4:16: error: the modifier expand stands here twice",
        ),
        ("  s: {a: b}\n  s: {a: c}\n  condition: s", "5:3: error: the selection s stands here twice"),
        ("  s: {a: b}\n  condition: s and", "5:"),
        ("  s: {a: b}\n  condition: s s", "5:16: error: `and` or `or` is missing"),
        ("  s: {a: b}\n  condition: 1 of nothing*", "5:14: error: no selection fits nothing*"),
        ("  s: {a: b}\n  condition: s | count() > 5", "5:16: error: conditions with"),
        (
            "  s: {a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: r}\n  condition: s",
            "4:7: error: the field has more than 16",
        ),
    ];
    check(&cases.map(|(detection, expected)| (around(detection), expected)));
}

#[test]
fn texts_that_are_no_yaml() {
    let rule = around("  s: {a: b}\n  condition: s");
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(rule.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    check(&[(utf16, "1:1: error: the file is UTF-16 text")]);
    check(&[
        ("title: t\n\tdetection: x\n", "1:8: error: this is not YAML"),
        ("title: 't\n", "1:8: error: this is not YAML"),
        ("title: t\ntags: [a, b\ndetection: x\n", "3:"),
        ("{a: b}}", "1:7: error: this is not YAML"),
        ("title: !!binary aGk=\n", "1:8: error: a tag (`!name`) is not accepted here"),
        ("# nothing", "1:1: warning: there is no rule in this file"),
        ("title: *unknown\n", "1:8: error: this is not YAML"),
    ]);
    for text in
        ["title: \u{1}\0\n", "---\n---\n...\n", "null", "title: t\n%TAG ! x\n---\n", "\0", "&a", "? ? ?"]
    {
        told(text.as_bytes());
    }
    for same in [rule.replace('\n', "\r\n"), format!("\u{feff}{rule}")] {
        assert_eq!(rules(&same).len(), 1);
    }
}

#[test]
fn aliases_do_not_expand_without_end() {
    let mut bomb = "title: t\na: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("b{level}: &a{level} [{aliases}]\n"));
    }
    assert!(told(bomb.as_bytes()).iter().any(|fault| fault.contains("is not accepted here")));
    check(&[("title: &t [*t]\n", "1:12: error: ")]);
}

#[test]
fn huge_and_deep_texts_are_told_in_few_words() {
    let huge = "x".repeat(300_000);
    let with = |item: &str| around(&format!("  s: {{{item}}}\n  condition: s"));
    check(&[
        (
            format!("title: {huge}\nlevel: {huge}\nlogsource: {{product: p}}\ndetection: {{}}\n"),
            "2:8: error: there is no level xxx",
        ),
        (format!("{huge}\n"), "1:1: error: this is no Sigma rule"),
        (format!("title: t\n'{huge}: [\n"), "2:1: error: this is not YAML"),
        (with(&format!("a|{huge}: b")), "4:"),
        (with(&format!("a|cidr: {huge}")), "4:"),
        (with(&format!("a|re: '{huge}('")), "4:"),
        (with(&format!("a|re: '({{0}}{huge}'")), "4:"),
        (with(&format!("a|expand: '%{huge}%'")), "4:"),
        (with(&format!("a|gt: {huge}")), "4:"),
        (around(&format!("  s: {{a: b}}\n  condition: {huge}")), "5:"),
        (around(&format!("  {huge}: {{a: b}}\n  condition: y")), "4:300003: error: this is not YAML"),
        (around(&format!("  s: {}x{}\n  condition: s", "[".repeat(100), "]".repeat(100))), "4:"),
        (around(&format!("  s: {}x{}\n  condition: s", "{a: ".repeat(100), "}".repeat(100))), "4:"),
        (around(&format!("  s: {{a: b}}\n  condition: {}s", "not ".repeat(1_000))), "5:"),
        (around(&format!("  s: {{a: b}}\n  condition: {}s", "(".repeat(1_000))), "5:"),
        (with(&format!("{}: b", vec!["a"; 5_000].join("."))), "4:"),
        (
            format!("title: t\nid: {huge}\ncorrelation: {{type: temporal, rules: [{huge}], timespan: 1m}}\n"),
            "3:",
        ),
        (format!("title: t\ncorrelation: {{type: {huge}, rules: [x], timespan: 1m}}\n"), "2:"),
        (format!("title: t\naction: {huge}\n"), "2:"),
        (around("  s: {a: b}\n  condition: s").replace("product: p", &format!("product: [{huge}]")), "2:"),
    ]);
    let wild = format!("*{}*{}*", "a".repeat(500_000), "?b".repeat(10_000));
    assert_eq!(told(with(&format!("a: '{wild}'")).as_bytes()), Vec::<String>::new());
}

#[test]
fn remedies_fit_their_faults() {
    let help = |text: &str| helps(text).join("; ");
    let rule = |detection: &str| around(detection);
    assert_eq!(help(&rule("  condition: s")), "write a selection of that name before the condition");
    assert!(help("title: t\nlogsource: {product: p}\ndetection:\n").contains("nothing in `detection`"));
    assert!(help(&rule("  s: {a|x: b}\n  condition: s")).starts_with("possible here: contains, "));
    assert!(help("suppressions:\n  - id: a\n").contains("NAME.suppressions.yaml"));
    assert!(help("title: t\nfliter: {}\n").contains("fliter should probably be filter"));
    let text = "title: t\nid: a\nlogsource: {product: p}\ndetection: {s: {a: b}, condition: s}\n";
    assert!(help(&format!("{text}---\n{text}")).contains("an id of its own"));
}
