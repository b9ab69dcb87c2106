//! Sigma patterns as literals where they are nothing else, as regular expressions where they are more.

use std::fmt::Write as _;

use crate::expr::OsMatchKind;
use crate::ir::sigma::{Pattern, PatternPart};
use crate::program::Part;

/// What a pattern comes to.
pub(super) enum Shape {
    /// One literal, free or bound to an end of the value.
    Literal(Part),
    /// PCRE2.
    Regex(String),
}

/// One character of UTF-8.
const ANY_ONE: &str = r"(?:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf][\x80-\xbf][\x80-\xbf])";

/// The pattern, which must fit the whole value, or `anywhere` in it.
pub(super) fn shape(pattern: &Pattern, anywhere: bool) -> Shape {
    let parts = simplified(pattern, anywhere);
    let literal = |kind, bytes: &[u8]| Shape::Literal(Part::sigma(kind, bytes, pattern.cased));
    match parts.as_slice() {
        [] => literal(OsMatchKind::Equals, b""),
        [PatternPart::AnyRun] => literal(OsMatchKind::Always, b""),
        [PatternPart::Bytes(bytes)] => literal(OsMatchKind::Equals, bytes),
        [PatternPart::Bytes(bytes), PatternPart::AnyRun] => literal(OsMatchKind::Prefix, bytes),
        [PatternPart::AnyRun, PatternPart::Bytes(bytes)] => literal(OsMatchKind::Suffix, bytes),
        [PatternPart::AnyRun, PatternPart::Bytes(bytes), PatternPart::AnyRun] => {
            literal(OsMatchKind::Substring, bytes)
        }
        parts => Shape::Regex(regex(parts, pattern.cased)),
    }
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
    use crate::expr::Pcre2;

    fn pattern(text: &str) -> Pattern {
        let part = |char: char| match char {
            '*' => PatternPart::AnyRun,
            '?' => PatternPart::AnyOne,
            char => PatternPart::Bytes(char.to_string().into_bytes()),
        };
        Pattern { parts: text.chars().map(part).collect(), cased: false }
    }

    fn regex_of(text: &str) -> Option<Pcre2> {
        match shape(&pattern(text), false) {
            Shape::Regex(regex) => Some(Pcre2::new(&regex).unwrap()),
            Shape::Literal(_) => None,
        }
    }

    #[test]
    fn what_is_one_literal_needs_no_expression() {
        for text in ["", "a", "abc", "abc*", "*abc", "*abc*", "**abc**", "*"] {
            assert!(regex_of(text).is_none(), "{text}");
        }
        assert!(matches!(shape(&pattern("a"), true), Shape::Literal(_)));
    }

    #[test]
    fn a_question_mark_is_one_character() {
        let one = regex_of("a?b").unwrap();
        for (text, expected) in
            [("axb", true), ("AéB", true), ("a😀b", true), ("ab", false), ("axxb", false), ("a\nb", true)]
        {
            assert_eq!(one.is_match(text.as_bytes()), expected, "{text}");
        }
        assert!(one.is_regular() && regex_of("?*?").unwrap().is_regular());
        assert!(!one.is_match(b"a\xffb"), "no character");
    }

    #[test]
    fn the_whole_value_must_fit() {
        let two = regex_of("a*b*c").unwrap();
        for (text, expected) in
            [("abc", true), ("a.b\n.C", true), ("abcd", false), ("abc\n", false), ("xabc", false)]
        {
            assert_eq!(two.is_match(text.as_bytes()), expected, "{text}");
        }
        assert!(regex_of("*a*b*").unwrap().is_match(b"xaxbx"));
        assert!(regex_of("*.*(*").unwrap().is_match(b".("));
    }
}
