//! OSRegex: the language by tables, and the scan with its shortcuts against a second, plain formulation of the
//! algorithm (one token at a time, no shortcut, no bound).

use proptest::prelude::*;

use super::*;
use crate::expr::OsMatchKind;

fn is_match(pattern: &str, text: &str) -> bool {
    OsRegex::new(pattern).unwrap().is_match(text.as_bytes())
}

/// The captured texts and what is left after the match.
fn captures<'t>(pattern: &str, text: &'t str) -> Option<(Vec<&'t str>, &'t str)> {
    let mut groups = Vec::new();
    let rest = OsRegex::new(pattern).unwrap().captures(text.as_bytes(), &mut groups)?;
    Some((groups.iter().map(|&(open, close)| &text[open..close]).collect(), &text[rest..]))
}

#[test]
fn the_language() {
    for (pattern, yes, no) in [
        ("abc", &["xABCx", "aabc"][..], &["ab", ""][..]),
        (r"^abc", &["abcd"], &["xabc"]),
        (r"abc$", &["xabc", "abcabc"], &["abcx"]),
        (r"^abc$", &["ABC"], &["abcd", "xabc"]),
        (r"a.b", &["a.b"], &["axb"]),
        (r"a\.b", &["axb", "a.b", "a\tb"], &["ab"]),
        (r"a+b*", &["a+b*"], &["aab", "a"]),
        (r"\d\d", &["x12"], &["1x2"]),
        (r"^\d+$", &["123"], &["12a", "a12", ""]),
        (r"a\sb", &["a b"], &["a\tb", "a\nb"]),
        (r"a\Sb", &["a\tb", "axb"], &["a b"]),
        (r"a\tb", &["a\tb"], &["a b"]),
        (r"a\wb", &["a-b", "a@b", "a_b", "a9b"], &["a.b", "a b"]),
        (r"a\pb", &["a,b", "a{b"], &["a/b", "a@b", "a^b", "a_b", "a~b", "a`b", r"a\b"]),
        (r"a\(b\)\\\$\|\<", &[r"A(B)\$|<"], &["a(b)"]),
        (r"a\$", &["a$b", "xa$"], &["a"]),
        ("a$b", &["a$b"], &["a"]),
        ("a^b", &["a^b"], &["ab"]),
        (r"user=(\w+)", &["user=root"], &["user="]),
        (r"^\s*x", &["x", "  x"], &["ax"]),
        (r"cat|^dog|\d+$", &["a cat", "dogs", "x12"], &["a dog", "12x!"]),
    ] {
        yes.iter().for_each(|text| assert!(is_match(pattern, text), "{pattern:?} must match {text:?}"));
        no.iter().for_each(|text| assert!(!is_match(pattern, text), "{pattern:?} must not match {text:?}"));
    }
}

#[test]
fn an_empty_alternative_always_matches() {
    for pattern in ["", "abc|", "|abc", "^", r"\d|^|x"] {
        assert!(is_match(pattern, ""), "{pattern:?}");
        assert!(is_match(pattern, "x"), "{pattern:?}");
    }
    assert!(is_match("^$", "") && is_match("$", ""));
    assert!(!is_match("^$", "x") && !is_match("$", "x"));
}

#[test]
fn one_or_more_of_anything_needs_a_byte() {
    for pattern in [r"\.+", r"^\.+", r"\.+$", r"^\.+$"] {
        assert!(!is_match(pattern, ""), "{pattern}");
        assert!(is_match(pattern, "x") && is_match(pattern, "x y\n"), "{pattern}");
    }
    assert!(is_match(r"\.*", ""));
}

#[test]
fn a_star_that_takes_nothing_at_the_beginning_is_no_match_on_its_own() {
    assert!(!is_match(r"\d*", "abc"));
    assert!(is_match(r"\d*", "1bc"));
    assert!(is_match(r"\d*abc", "abc"));
}

#[test]
fn this_is_not_a_regular_expression_engine() {
    // The class gives way at the first `a` after its own byte and is not asked again.
    assert!(is_match(r"\w+ab", "aab") && !is_match(r"\w+ab", "aaab"));
    // A refused class at the very end of a pattern that looped ends it as matched.
    assert!(is_match(r"\w+\d\d", "a1b"));
    // Two edges in a row: the second one wants a parenthesis.
    assert!(!is_match("(a)(b)", "ab") && is_match("(a)(b)", "a(b"));
}

#[test]
fn captures_are_numbered_within_the_alternative_that_matched() {
    let pattern = r"x=(\w+)|y=(\w+)";
    assert_eq!(captures(pattern, "x=one;").unwrap().0, ["one"]);
    assert_eq!(captures(pattern, "y=two;").unwrap().0, ["two"]);
    assert_eq!(captures(pattern, "z=two;"), None);
}

#[test]
fn captured_texts_and_what_is_left() {
    for (pattern, text, groups, rest) in [
        (r"from (\d+.\d+) port (\d+) ", "from 10.1 port 22 x", &["10.1", "22"][..], "x"),
        // The end is where a last repeated class began, not where the group ends.
        (r"port (\d+)", "port 22 x", &["22"], "2 x"),
        (r"user (\S+)$", "user root", &["root"], "oot"),
        (r"^(\w+): ", "sshd: hello", &["sshd"], "hello"),
        (r"a(\.+)c", "abbcd", &["bb"], "d"),
        ("abc", "xabcdef", &[], "def"),
        (r"a (\d*)\s*b", "a  bx", &[""], "x"),
    ] {
        let (found, left) = captures(pattern, text).unwrap_or_default();
        assert_eq!((found.as_slice(), left), (groups, rest), "{pattern:?} on {text:?}");
    }
}

#[test]
fn a_failed_match_leaves_no_groups() {
    let mut groups = vec![(1, 2)];
    assert_eq!(OsRegex::new(r"(\d+)x|(a)b").unwrap().captures(b"12 34", &mut groups), None);
    assert!(groups.is_empty());
}

#[test]
fn faults_name_their_place() {
    for (pattern, offset) in [
        (r"ab\[", 2),
        (r"a\n", 1),
        (r"a\-", 1),
        (r"a\", 1),
        (r"a\ä", 1),
        ("a(b", 1),
        ("ab)", 2),
        ("(a(b))", 2),
        ("(a|b)", 2),
        ("(a)+", 3),
        (r"(\d)*", 4),
        ("ok|(a", 3),
    ] {
        let error = OsRegex::new(pattern).unwrap_err();
        assert_eq!(error.offset, offset, "{pattern:?}: {error}");
    }
}

#[test]
fn literal_patterns_are_shown_as_parts() {
    let parts = OsRegex::new(r"^Ab\.c|x\(\sy$|^z$").unwrap().as_literals();
    assert_eq!(parts, None, "the dot is a wildcard");
    let parts = OsRegex::new(r"^Ab.C|x\(\sy$|^z$|^$|foo|").unwrap().as_literals().unwrap();
    let parts: Vec<_> = parts.iter().map(|part| (part.kind, part.literal.as_slice())).collect();
    assert_eq!(
        parts,
        [
            (OsMatchKind::Prefix, &b"ab.c"[..]),
            (OsMatchKind::Suffix, b"x( y"),
            (OsMatchKind::Equals, b"z"),
            (OsMatchKind::Equals, b""),
            (OsMatchKind::Substring, b"foo"),
            (OsMatchKind::Always, b""),
        ]
    );
    for pattern in [r"\d", "(a)", r"\s+", r"a|b\w"] {
        assert_eq!(OsRegex::new(pattern).unwrap().as_literals(), None, "{pattern}");
    }
}

#[test]
fn required_literals_are_the_longest_certain_runs() {
    let required = |pattern: &str| OsRegex::new(pattern).unwrap().required_literals();
    assert_eq!(required(r"User\.+Failed\sLogin\d"), Some(vec![b"failed login".to_vec()]));
    assert_eq!(required(r"foo|\d+bar"), Some(vec![b"foo".to_vec(), b"bar".to_vec()]));
    assert_eq!(required(r"foo|\d+"), None);
    assert_eq!(required(r"\w+.\w+@\w+.\w+"), Some(vec![b"@".to_vec()]), "the rarest of several short ones");
    // The scan ends with a match at `!` without having seen an x.
    assert_eq!(required(r"\.+\S\dx"), None);
    assert!(is_match(r"\.+\S\dx", "ab!"));
}

#[test]
fn hostile_texts_end_in_time() {
    // The head has the literals, so that the scan is reached.
    let run = [b"!x b ! ".to_vec(), vec![b'a'; 1 << 18]].concat();
    let ended = [&run[..], b" "].concat();
    for pattern in [r"\w+a\w+a\w+a\w+a\w+!x", r"a\w+b", r"^\.+\w+a\w+a\w+b", r"\w+\d+!", r"(a\w+)\s(\d+)"] {
        let regex = OsRegex::new(pattern).unwrap();
        assert!(!regex.is_match(&run), "{pattern}");
        assert!(!regex.is_match(&ended), "{pattern}");
        assert_eq!(regex.captures(&ended, &mut Vec::new()), None, "{pattern}");
    }
}

#[test]
fn the_bound_is_out_of_reach_of_ordinary_texts() {
    // Starting over at each of 2,500 bytes.
    let text = format!("{} {}b", "a".repeat(2_500), "a".repeat(2_500));
    assert!(is_match(r"a\w+b$", &text));
}

/// Patterns that compile, dense in the shapes that matter: few different bytes, many classes, loops, groups.
fn pattern() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "a", "b", "A", "1", " ", "-", "+", "^", "$", r"\d", r"\d+", r"\d*", r"\w", r"\w+", r"\w*", r"\s",
        r"\s+", r"\s*", r"\.", r"\.+", r"\.*", r"\S+", r"\D+", r"\p", r"\(", r"\t*",
    ]);
    let atoms = prop::collection::vec(atom, 0..4).prop_map(|atoms| atoms.concat());
    let group = (atoms.clone(), any::<bool>())
        .prop_map(|(atoms, grouped)| if grouped { format!("({atoms})") } else { atoms });
    let body = prop::collection::vec(group, 0..4).prop_map(|groups| groups.concat());
    let alternative = (prop::sample::select(vec!["", "^"]), body, prop::sample::select(vec!["", "$"]));
    let alternative = alternative.prop_map(|(start, body, end)| format!("{start}{body}{end}"));
    prop::collection::vec(alternative, 1..3)
        .prop_map(|alternatives| alternatives.join("|"))
        .prop_filter("a quantifier after a group", |pattern| !pattern.contains(")+"))
}

/// Literal alternatives only.
fn literal_pattern() -> impl Strategy<Value = String> {
    let alternative = r"\^?([abA1. $^]|\\[s(t|]){0,5}\$?";
    prop::collection::vec(alternative, 1..4).prop_map(|alternatives| alternatives.join("|"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4_000), ..Default::default() })]

    #[test]
    fn what_is_necessary_is_in_every_match(pattern in pattern(), bound in any::<bool>(), text in "[abA12 (+^$.-]{0,14}") {
        let pattern = if bound && !pattern.starts_with('^') { format!("^{pattern}") } else { pattern };
        let regex = OsRegex::new(&pattern).unwrap();
        let text = text.to_lowercase();
        let captured = regex.captures(text.as_bytes(), &mut Vec::new()).is_some();
        if regex.is_match(text.as_bytes()) || captured {
            let Necessary { required, first } = regex.necessary();
            if let Some(required) = required {
                let holds = |literal: &Vec<u8>| {
                    let literal = std::str::from_utf8(literal).unwrap();
                    if required.prefix { text.starts_with(literal) } else { text.contains(literal) }
                };
                prop_assert!(required.literals.iter().any(holds), "{pattern} on {text:?}: {required:?}");
            }
            if let Some(first) = first {
                prop_assert!(text.as_bytes().first().is_some_and(|&byte| first.contains(byte)), "{pattern} on {text:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4_000), ..Default::default() })]

    #[test]
    fn equals_the_plain_formulation(pattern in pattern(), text in "[abA12 (+^$.-]{0,14}") {
        let regex = OsRegex::new(&pattern).unwrap();
        let text = text.as_bytes();
        let plain = plain::run(&pattern, text, false);
        prop_assert_eq!(regex.is_match(text), plain.is_some(), "{}", pattern);
        prop_assert_eq!(regex.rest(text), plain.map(|outcome| outcome.rest), "{}", pattern);
        let mut groups = vec![(7, 7)];
        let rest = regex.captures(text, &mut groups);
        let plain = plain::run(&pattern, text, true);
        prop_assert_eq!(rest, plain.as_ref().map(|outcome| outcome.rest), "{}", pattern);
        prop_assert_eq!(groups, plain.map(|outcome| outcome.groups).unwrap_or_default(), "{}", pattern);
    }

    #[test]
    fn required_literals_are_in_every_match(pattern in pattern(), text in "[abA12 (+^$.-]{0,14}") {
        let Some(required) = OsRegex::new(&pattern).unwrap().required_literals() else { return Ok(()) };
        for recording in [false, true] {
            if plain::run(&pattern, text.as_bytes(), recording).is_some() {
                let folded = text.to_ascii_lowercase().into_bytes();
                let contained = |literal: &Vec<u8>| folded.windows(literal.len()).any(|part| part == literal);
                prop_assert!(required.iter().any(contained), "{pattern}");
            }
        }
    }

    #[test]
    fn literal_patterns_equal_the_plain_formulation(pattern in literal_pattern(), text in "[abA1. $^(|\t]{0,10}") {
        let regex = OsRegex::new(&pattern).unwrap();
        prop_assert!(regex.as_literals().is_some(), "{pattern}");
        prop_assert_eq!(regex.is_match(text.as_bytes()), plain::run(&pattern, text.as_bytes(), false).is_some(), "{}", pattern);
    }
}
