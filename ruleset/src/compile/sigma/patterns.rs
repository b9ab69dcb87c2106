//! Sigma patterns as literals where they are nothing else, as texts with wildcards where they are more.

use std::fmt::Write as _;

use crate::expr::{OsMatchKind, Wildcard, WildcardPart};
use crate::ir::sigma::{Pattern, PatternPart};
use crate::program::Part;

/// What a pattern comes to.
pub(super) enum Shape {
    /// One literal, free or bound to an end of the value.
    Literal(Part),
    /// A text with wildcards.
    Wildcard(Wildcard),
    /// PCRE2, for the few that are quicker so.
    Regex(String),
}

/// One character of UTF-8.
const ANY_ONE: &str = r"(?:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf][\x80-\xbf][\x80-\xbf])";

/// The pattern, which must fit the whole value, or `anywhere` in it.
pub(super) fn shape(pattern: &Pattern, anywhere: bool) -> Shape {
    let parts = simplified(pattern, anywhere);
    let literal = literal_of(&parts, pattern.cased).map(Shape::Literal);
    literal
        .or_else(|| wildcard(&parts, pattern.cased).map(Shape::Wildcard))
        .unwrap_or_else(|| Shape::Regex(regex(&parts, pattern.cased)))
}

/// The literal that a pattern is, if it is nothing else.
pub(super) fn literal(pattern: &Pattern, anywhere: bool) -> Option<Part> {
    literal_of(&simplified(pattern, anywhere), pattern.cased)
}

fn literal_of(parts: &[PatternPart], cased: bool) -> Option<Part> {
    let (kind, bytes): (OsMatchKind, &[u8]) = match parts {
        [] => (OsMatchKind::Equals, b""),
        [PatternPart::AnyRun] => (OsMatchKind::Always, b""),
        [PatternPart::Bytes(bytes)] => (OsMatchKind::Equals, bytes),
        [PatternPart::Bytes(bytes), PatternPart::AnyRun] => (OsMatchKind::Prefix, bytes),
        [PatternPart::AnyRun, PatternPart::Bytes(bytes)] => (OsMatchKind::Suffix, bytes),
        [PatternPart::AnyRun, PatternPart::Bytes(bytes), PatternPart::AnyRun] => {
            (OsMatchKind::Substring, bytes)
        }
        _ => return None,
    };
    Some(Part::sigma(kind, bytes, cased))
}

fn wildcard(parts: &[PatternPart], cased: bool) -> Option<Wildcard> {
    let part = |part: &PatternPart| match part {
        PatternPart::Bytes(bytes) => WildcardPart::Bytes(bytes.clone()),
        PatternPart::AnyOne => WildcardPart::One,
        PatternPart::AnyRun => WildcardPart::Run,
    };
    Wildcard::new(&parts.iter().map(part).collect::<Vec<_>>(), cased)
}

/// The same as a regular expression always.
pub(crate) fn as_regex(pattern: &Pattern, anywhere: bool) -> String {
    regex(&simplified(pattern, anywhere), pattern.cased)
}

/// Without empty bytes, with neighbours joined.
fn simplified(pattern: &Pattern, anywhere: bool) -> Vec<PatternPart> {
    let edge = || anywhere.then_some(PatternPart::AnyRun);
    let mut parts: Vec<PatternPart> = Vec::new();
    for part in edge().into_iter().chain(pattern.parts.iter().cloned()).chain(edge()) {
        match (parts.last_mut(), part) {
            (_, PatternPart::Bytes(bytes)) if bytes.is_empty() => {}
            (Some(PatternPart::Bytes(before)), PatternPart::Bytes(bytes)) => before.extend(bytes),
            (Some(PatternPart::AnyRun), PatternPart::AnyRun) => {}
            (_, part) => parts.push(part),
        }
    }
    parts
}

fn regex(parts: &[PatternPart], cased: bool) -> String {
    let mut text = String::from(if cased { "(?s)" } else { "(?is)" });
    if parts.first() != Some(&PatternPart::AnyRun) {
        text.push_str(r"\A");
    }
    for (index, part) in parts.iter().enumerate() {
        match part {
            PatternPart::AnyRun if index == 0 || index + 1 == parts.len() => {}
            PatternPart::AnyRun => text.push_str(".*"),
            PatternPart::AnyOne => text.push_str(ANY_ONE),
            PatternPart::Bytes(bytes) => {
                for byte in bytes {
                    match byte {
                        byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
                        byte => drop(write!(text, r"\x{byte:02x}")),
                    }
                }
            }
        }
    }
    if parts.last() != Some(&PatternPart::AnyRun) {
        text.push_str(r"\z");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Matcher, Pcre2};

    fn pattern(text: &str) -> Pattern {
        let part = |char: char| match char {
            '*' => PatternPart::AnyRun,
            '?' => PatternPart::AnyOne,
            char => PatternPart::Bytes(char.to_string().into_bytes()),
        };
        Pattern { parts: text.chars().map(part).collect(), cased: false }
    }

    /// The pattern both ways.
    fn both(text: &str) -> Option<[Matcher; 2]> {
        match shape(&pattern(text), false) {
            Shape::Wildcard(wildcard) => {
                let regex = Pcre2::new(&as_regex(&pattern(text), false)).unwrap();
                assert!(regex.is_regular());
                Some([Matcher::Wildcard(wildcard), Matcher::Pcre2(regex)])
            }
            Shape::Regex(_) | Shape::Literal(_) => None,
        }
    }

    fn check(pattern: &str, cases: &[(&[u8], bool)]) {
        for matcher in both(pattern).unwrap() {
            for (text, expected) in cases {
                assert_eq!(matcher.is_match(text), *expected, "{pattern} {text:?}");
            }
        }
    }

    #[test]
    fn what_is_one_literal_needs_no_expression() {
        for text in ["", "a", "abc", "abc*", "*abc", "*abc*", "**abc**", "*"] {
            assert!(both(text).is_none() && literal(&pattern(text), false).is_some(), "{text}");
        }
        assert!(matches!(shape(&pattern("a"), true), Shape::Literal(_)));
        for text in ["a*b", "*a*b", "a?", "?", "*?*", "a*b*"] {
            assert!(both(text).is_some() && literal(&pattern(text), false).is_none(), "{text}");
        }
        let long = format!("*{}?b*", "a".repeat(1_000));
        assert!(matches!(shape(&pattern(&long), false), Shape::Regex(_)));
    }

    #[test]
    fn a_question_mark_is_one_character() {
        check(
            "a?b",
            &[
                (b"axb", true),
                ("AéB".as_bytes(), true),
                ("a😀b".as_bytes(), true),
                (b"ab", false),
                (b"axxb", false),
                (b"a\nb", true),
                (b"a\xffb", false),
            ],
        );
        check("?*?", &[(b"ab", true), ("é".as_bytes(), false), ("éa".as_bytes(), true)]);
    }

    #[test]
    fn the_whole_value_must_fit() {
        check(
            "a*b*c",
            &[(b"abc", true), (b"a.b\n.C", true), (b"abcd", false), (b"abc\n", false), (b"xabc", false)],
        );
        check("*a*b*", &[(b"xaxbx", true), (b"xbxax", false)]);
        check("*.*(*", &[(b".(", true), (b"(.", false)]);
    }
}
