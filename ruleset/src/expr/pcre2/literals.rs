//! PCRE2 patterns that are nothing but literals.
//!
//! Enters: a pattern such as `^(?:StopLogging|DeleteTrail)$`. Leaves: its literals with their anchors, so that it can be
//! decided together with all other literals of the field instead of by a search of its own. Only patterns whose every
//! character is understood here are taken: letters, digits, a few signs that mean themselves, escaped punctuation, one
//! level of group, `^` first and `$` last. Everything else stays with the library.

use super::super::OsMatchKind;

/// Most literals that one pattern may have.
const MAX_LITERALS: usize = 1_000;

/// One literal, in the case in which it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcre2Literal {
    /// Where it must stand. An end anchor also holds before a final line feed, as PCRE2's `$` does.
    pub kind: OsMatchKind,
    /// The bytes.
    pub literal: Vec<u8>,
}

/// The literals of `pattern`, and whether case is ignored; `None` where it is more than literals.
#[must_use]
pub(crate) fn literals(pattern: &str) -> Option<(Vec<Pcre2Literal>, bool)> {
    let (pattern, ignore_case) = match pattern.strip_prefix("(?i)") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let mut found = Vec::new();
    for term in split(pattern)? {
        let (term, at_start) = strip(term, |term| term.strip_prefix('^'));
        let (term, at_end) = strip(term, |term| term.strip_suffix('$').filter(|rest| !ends_escaped(rest)));
        let kind = match (at_start, at_end) {
            (true, true) => OsMatchKind::Equals,
            (true, false) => OsMatchKind::Prefix,
            (false, true) => OsMatchKind::Suffix,
            (false, false) => OsMatchKind::Substring,
        };
        let inner =
            term.strip_prefix("(?:").or_else(|| term.strip_prefix('(').filter(|rest| !rest.starts_with('?')));
        let alternatives = match inner {
            Some(group) => split(group.strip_suffix(')').filter(|rest| !ends_escaped(rest))?)?,
            None => vec![term],
        };
        for alternative in alternatives {
            found.push(Pcre2Literal { kind, literal: literal(alternative)? });
        }
    }
    (found.len() <= MAX_LITERALS).then_some((found, ignore_case))
}

fn strip<'p>(term: &'p str, cut: impl Fn(&'p str) -> Option<&'p str>) -> (&'p str, bool) {
    cut(term).map_or((term, false), |rest| (rest, true))
}

/// An odd number of backslashes at the end: what follows is escaped.
fn ends_escaped(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits at `|` outside groups; `None` where parentheses do not match.
fn split(pattern: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth, mut escaped) = (Vec::new(), 0, 0_usize, false);
    for (at, byte) in pattern.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            b'|' if depth == 0 => {
                parts.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&pattern[start..]);
    (depth == 0).then_some(parts)
}

/// The bytes of an alternative that means itself; empty ones are left to the library.
fn literal(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => bytes.push(rest.next().filter(|byte| b"./-:_@*+?$^|()[]{}\\".contains(byte))?),
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'_'
            | b'-'
            | b':'
            | b'/'
            | b'@'
            | b' '
            | b','
            | b'"'
            | b'=' => bytes.push(byte),
            _ => return None,
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Pcre2;

    fn taken(pattern: &str) -> Option<Vec<(OsMatchKind, String)>> {
        let (found, _) = literals(pattern)?;
        Some(found.into_iter().map(|part| (part.kind, String::from_utf8(part.literal).unwrap())).collect())
    }

    #[test]
    fn literal_patterns_are_taken() {
        let equals = |text: &str| (OsMatchKind::Equals, text.to_owned());
        assert_eq!(taken("^StopLogging$"), Some(vec![equals("StopLogging")]));
        assert_eq!(taken("^(?:A|B\\.c)$"), Some(vec![equals("A"), equals("B.c")]));
        assert_eq!(
            taken("^Get|Put$|x-y"),
            Some(vec![
                (OsMatchKind::Prefix, "Get".into()),
                (OsMatchKind::Suffix, "Put".into()),
                (OsMatchKind::Substring, "x-y".into())
            ])
        );
        assert_eq!(literals("(?i)^root$").map(|(_, ignore)| ignore), Some(true));
    }

    #[test]
    fn everything_else_stays_with_the_library() {
        for pattern in [
            "a.b",
            "a+",
            "^(?:A|B)[0-9]$",
            "(a)(b)",
            "(?=a)",
            "a\\d",
            "",
            "^$",
            "a|",
            "(?:a",
            "^a\\$",
            "(?:a|(?:b))",
            "x{2}",
            "(?<n>a)",
            "é",
        ] {
            let expected =
                if pattern == "^a\\$" { Some(vec![(OsMatchKind::Prefix, "a$".to_owned())]) } else { None };
            assert_eq!(taken(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn the_anchors_agree_with_the_library_before_a_line_feed() {
        assert!(Pcre2::new("^a$").unwrap().is_match(b"a\n"));
        assert!(!Pcre2::new("^a$").unwrap().is_match(b"a\n\n"));
    }
}
