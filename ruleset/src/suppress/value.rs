//! A value that a suppression demands, ready to be compared.
//!
//! Enters: [`ValueTest`]. Leaves: whether a text fits. Wildcards are compared in time that grows with both lengths and
//! without recursion: the texts are those of events.

use crate::expr::Networks;
use crate::ir::suppression::ValueTest;

/// See the module.
#[derive(Debug)]
pub(super) enum Value {
    Text(Box<str>),
    Wildcard(Box<[Part]>),
    Network(Networks),
}

/// A part of a wildcard text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    One(char),
    AnyOne,
    Any,
}

impl Value {
    pub(super) fn new(test: &ValueTest) -> Self {
        match test {
            ValueTest::Text(text) => Self::Text(text.as_str().into()),
            ValueTest::Wildcard(text) => Self::Wildcard(parts(text).into()),
            ValueTest::Network(network) => Self::Network(Networks::new(std::slice::from_ref(network))),
        }
    }

    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Text(wanted) => **wanted == *text,
            Self::Wildcard(parts) => fits(parts, text),
            Self::Network(network) => network.contains(text.as_bytes()),
        }
    }
}

/// A backslash takes the meaning from a following `*`, `?` or backslash.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(one) = rest.next() {
        parts.push(match one {
            '*' => Part::Any,
            '?' => Part::AnyOne,
            '\\' => match rest.next_if(|next| matches!(next, '*' | '?' | '\\')) {
                Some(escaped) => Part::One(escaped),
                None => Part::One('\\'),
            },
            one => Part::One(one),
        });
    }
    parts.dedup_by(|one, before| *one == Part::Any && *before == Part::Any);
    parts
}

/// The text behind a wildcard text without wildcards, if it is one.
pub(super) fn literal(text: &str) -> Option<String> {
    let one = |part: Part| if let Part::One(one) = part { Some(one) } else { None };
    parts(text).into_iter().map(one).collect()
}

/// On a mismatch the last `*` takes one character more.
fn fits(parts: &[Part], text: &str) -> bool {
    let (mut part, mut rest) = (0, text);
    let mut back: Option<(usize, &str)> = None;
    loop {
        let next = rest.chars().next();
        let takes = match (parts.get(part), next) {
            (Some(Part::Any), _) => {
                part += 1;
                back = Some((part, rest));
                continue;
            }
            (None, None) => return true,
            (Some(Part::AnyOne), Some(_)) => true,
            (Some(Part::One(wanted)), Some(found)) => *wanted == found,
            _ => false,
        };
        if takes {
            part += 1;
            rest = rest.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
            continue;
        }
        let Some((after, from)) = back else { return false };
        let Some(skipped) = from.chars().next() else { return false };
        let from = from.get(skipped.len_utf8()..).unwrap_or_default();
        (part, rest, back) = (after, from, Some((after, from)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By definition, in exponential time.
    fn plain(parts: &[Part], text: &[char]) -> bool {
        match (parts.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((Part::Any, rest)), None) => plain(rest, text),
            (Some((Part::Any, rest)), Some((_, after))) => plain(rest, text) || plain(parts, after),
            (Some((Part::AnyOne, rest)), Some((_, after))) => plain(rest, after),
            (Some((Part::One(wanted), rest)), Some((found, after))) => wanted == found && plain(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_are_what_they_say(pattern in "[ab*?é]{0,8}", text in "[abé]{0,8}") {
            let parts = parts(&pattern);
            let chars: Vec<char> = text.chars().collect();
            prop_assert_eq!(fits(&parts, &text), plain(&parts, &chars), "{} {}", pattern, text);
        }
    }

    #[test]
    fn a_backslash_takes_the_meaning() {
        assert_eq!(literal(r"C:\Temp\a\*b"), Some(r"C:\Temp\a*b".to_owned()));
        assert_eq!(literal(r"a\\*"), None);
        assert!(fits(&parts(r"C:\Temp\*"), r"C:\Temp*") && !fits(&parts(r"C:\Temp\*"), r"C:\Temp\x"));
        assert!(fits(&parts(r"C:\Temp\\*"), r"C:\Temp\x"));
    }

    #[test]
    fn many_stars_on_a_long_text_end_soon() {
        let pattern = parts(&"*a".repeat(50));
        assert!(!fits(&pattern, &"a".repeat(20_000).replace('a', "b")));
        assert!(fits(&pattern, &"ba".repeat(20_000)));
    }
}
