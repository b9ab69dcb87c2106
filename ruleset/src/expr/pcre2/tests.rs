//! What PCRE2 means, and that the automata give the library's answers.

use super::library::LONGEST_TEXT;
use super::*;

fn is_match(pattern: &str, text: &[u8]) -> bool {
    Pcre2::new(pattern).unwrap().is_match(text)
}

fn captures(pattern: &str, text: &str) -> Option<(Vec<(usize, usize)>, usize)> {
    let mut groups = vec![(9, 9)];
    let rest = Pcre2::new(pattern).unwrap().captures(text.as_bytes(), &mut groups);
    assert_eq!(rest, Pcre2::new(pattern).unwrap().rest(text.as_bytes()));
    rest.map(|rest| (groups, rest))
}

#[test]
fn the_library_runs_without_options() {
    assert!(!is_match("abc", b"ABC") && is_match("(?i)abc", b"xABCx"));
    assert!(!is_match("a.b", b"a\nb") && is_match("(?s)a.b", b"a\nb"));
    assert!(is_match("a$", b"a\n") && !is_match("a$", b"a\nb") && is_match("(?m)a$", b"a\nb"));
    assert!(is_match("^..$", "ä".as_bytes()) && is_match("(*UTF)^.$", "ä".as_bytes()));
    assert!(is_match(r"(*UTF)\N{U+202E}", "a\u{202e}b".as_bytes()));
    assert!(is_match(r"a(?=b)(?!bc)", b"abd") && is_match(r"(\w)\1", b"xaab") && is_match(r"(?<!x)y", b"ay"));
    assert!(is_match("", b""));
}

#[test]
fn bytes_that_are_not_utf8_match_as_bytes_and_fail_with_utf() {
    assert!(is_match(r"a\xff", b"a\xff"));
    assert!(!is_match(r"(*UTF)a", b"a\xff"));
}

#[test]
fn an_unset_group_is_empty_in_the_middle_and_absent_at_the_end() {
    assert_eq!(captures("(a)(x)?(b)", "zab!"), Some((vec![(1, 2), (0, 0), (2, 3)], 3)));
    assert_eq!(captures("(a)(x)?", "zab!"), Some((vec![(1, 2)], 2)));
    assert_eq!(captures("(x)|(b)", "zab!"), Some((vec![(0, 0), (2, 3)], 3)));
    assert_eq!(captures("ab", "zab!"), Some((vec![], 3)));
    assert_eq!(captures("(?:)", "zab"), Some((vec![], 0)));
    assert_eq!(captures("(c)", "zab"), None);
}

#[test]
fn a_failed_match_leaves_no_groups() {
    let mut groups = vec![(1, 2)];
    assert_eq!(Pcre2::new("(c)").unwrap().captures(b"ab", &mut groups), None);
    assert!(groups.is_empty());
}

#[test]
fn runaway_patterns_end_without_a_match() {
    let text = [vec![b'a'; LONGEST_TEXT - 1], b"!".to_vec()].concat();
    for pattern in
        [r"^(a+)+$", r"^(?:a|aa)+$", r"^(a|a)*b", r"(*LIMIT_MATCH=4000000000)^(a+)+$", r"(*NO_JIT)^(a+)+$"]
    {
        assert!(!is_match(pattern, &text), "{pattern}");
    }
}

#[test]
fn a_text_without_end_is_searched_in_part_by_the_library() {
    let mut text = vec![b'x'; LONGEST_TEXT - 3];
    text.extend(b"abcabc");
    assert!(is_match("(?!x)abc", &text) && !is_match("(?!x)bca", &text));
    assert!(is_match("bca", &text), "an automaton knows no bound");
    // Minutes without the bound.
    assert!(!is_match("(?i)(?!b)a.*b.*c", &[b'a'; 1 << 20]));
}

#[test]
fn faults_are_placed_in_the_pattern_as_written() {
    let error = Pcre2::new("ab(c").unwrap_err();
    assert_eq!(error.offset, 4);
    assert!(error.message.contains("parenthesis"), "{error}");
    assert!(!error.message.contains("LIMIT"), "{error}");
    assert_eq!(Pcre2::new("*a").unwrap_err().offset, 0);
}

#[test]
fn a_long_text_is_searched_for_what_the_pattern_needs_first() {
    let looked_for = |pattern: &str| Pcre2::new(pattern).unwrap().ahead.map_or(0, |ahead| ahead.len());
    let effect = r#""(?:Effect|Action)"\s*:\s*"Allow""#;
    for (pattern, text, found) in [
        (effect, r#""Action" : "Allow""#, true),
        (effect, r#""Action" : "allow""#, false),
        (effect, r#""Effects" : "Allow""#, false),
        (r"(?i)needle\d", "NeEDle7", true),
        (r"(?i)needle\d", "NeEDleX", false),
        (r"needle\d", "Needle7", false),
        (r"(?!a)[^b]hay(?:st|sl)ack", "-haystack", true),
        (r"(?!a)[^b]hay(?:st|sl)ack", "ahaystack", false),
        (r"(?!a)[^b]hay(?:st|sl)ack", "-haytack", false),
    ] {
        assert!(looked_for(pattern) > 0, "{pattern}");
        for gap in [0, LONG - 20, LONG, 5 * LONG] {
            let text = format!("{}{text}{}", "x ".repeat(gap / 2), " x".repeat(gap / 2));
            assert_eq!(is_match(pattern, text.as_bytes()), found, "{pattern} {text}");
        }
    }
    assert_eq!(looked_for("needle|haystack|golden|thread"), 0, "too many");
    assert_eq!(looked_for("^needle"), 0, "the beginning tells");
    assert_eq!(looked_for("abc"), 0, "too short");
}

#[test]
fn many_beginnings_are_followed() {
    let names: Vec<String> = (0..100).map(|number| format!("Name{number:03}")).collect();
    let pattern = Pcre2::new(&format!("^(?:{})[A-Z]", names.join("|"))).unwrap();
    let required = pattern.necessary().required.clone().unwrap();
    assert_eq!((required.literals.len(), required.prefix), (100, true));
    assert!(required.literals.contains(&b"name042".to_vec()));
    let unbound = Pcre2::new(&format!("(?:{})[A-Z]", names.join("|"))).unwrap();
    assert_eq!(unbound.necessary().required, None);
}
