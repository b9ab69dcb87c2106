//! Texts with `*` and `?`: a run of anything, and one character.
//!
//! Enters: the parts of a pattern, then texts. Leaves: whether the whole text fits. Lists of such values are long, so a
//! pattern costs little more than its bytes to keep and no automaton to build. What stands between two `*` is looked for
//! from the left, each where the one before ended: the earliest place leaves most room for the rest. The first and the last
//! are bound to the ends of the text and are compared first. Most texts fail there.

use memchr::memmem;

use super::finder::Finder;
use super::required::{Necessary, Required};

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WildcardPart {
    /// These bytes.
    Bytes(Vec<u8>),
    /// One character of UTF-8.
    One,
    /// Anything.
    Run,
}

/// Between two runs, with a `?` in it, bytes and characters are compared at every place; longer ones cost too much there.
const MAX_MIXED: usize = 256;

/// A compiled pattern.
#[derive(Debug)]
pub struct Wildcard {
    cased: bool,
    /// What the text begins with, and what it ends with; without a run the first is all of it.
    first: Segment,
    last: Option<Segment>,
    between: Box<[Between]>,
    necessary: Necessary,
}

/// What stands between two runs.
type Segment = Box<[Unit]>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Unit {
    Bytes(Box<[u8]>),
    One,
}

/// A segment that may lie anywhere.
#[derive(Debug)]
enum Between {
    Folded(Finder),
    Cased(Box<[u8]>),
    Mixed(Segment),
}

impl Wildcard {
    /// `None` for a pattern that an automaton decides in less time.
    pub(crate) fn new(parts: &[WildcardPart], cased: bool) -> Option<Self> {
        let fold = |bytes: &[u8]| if cased { bytes.to_vec() } else { bytes.to_ascii_lowercase() };
        let mut segments: Vec<Vec<Unit>> = vec![Vec::new()];
        for part in parts {
            match (part, segments.last_mut()) {
                (WildcardPart::Bytes(bytes), Some(segment)) => segment.push(Unit::Bytes(fold(bytes).into())),
                (WildcardPart::One, Some(segment)) => segment.push(Unit::One),
                (WildcardPart::Run, _) | (_, None) => segments.push(Vec::new()),
            }
        }
        let necessary = Necessary { required: required(&segments), first: None };
        let mut segments = segments.into_iter();
        let first: Segment = segments.next()?.into();
        let mut rest: Vec<Vec<Unit>> = segments.collect();
        let last: Option<Segment> = rest.pop().map(Into::into);
        let between = rest.into_iter().filter(|segment| !segment.is_empty());
        let between = between.map(|segment| between_runs(segment, cased)).collect::<Option<_>>()?;
        Some(Self { cased, first, last, between, necessary })
    }

    /// Whether the whole text fits.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        let Some(start) = self.at_start(&self.first, text) else { return false };
        let Some(last) = &self.last else { return start == text.len() };
        let Some(mut rest) = self.before_end(last, text).and_then(|end| text.get(start..end)) else {
            return false;
        };
        for segment in &self.between {
            let end = match segment {
                Between::Folded(finder) => finder.find(rest).map(|at| at + finder.len()),
                Between::Cased(bytes) => memmem::find(rest, bytes).map(|at| at + bytes.len()),
                Between::Mixed(units) => {
                    (0..=rest.len()).find_map(|at| Some(at + self.at_start(units, rest.get(at..)?)?))
                }
            };
            let Some(after) = end.and_then(|end| rest.get(end..)) else { return false };
            rest = after;
        }
        true
    }

    /// Where the segment ends that the text begins with.
    fn at_start(&self, segment: &[Unit], text: &[u8]) -> Option<usize> {
        let mut at = 0;
        for unit in segment {
            at += match unit {
                Unit::Bytes(bytes) => {
                    self.same(text.get(at..at + bytes.len())?, bytes).then_some(bytes.len())?
                }
                Unit::One => character(text.get(at..)?)?,
            };
        }
        Some(at)
    }

    /// Where the segment begins that the text ends with.
    fn before_end(&self, segment: &[Unit], text: &[u8]) -> Option<usize> {
        let mut end = text.len();
        for unit in segment.iter().rev() {
            end = match unit {
                Unit::Bytes(bytes) => {
                    let start = end.checked_sub(bytes.len())?;
                    self.same(text.get(start..end)?, bytes).then_some(start)?
                }
                Unit::One => (1..=end.min(4))
                    .map(|length| end - length)
                    .find(|start| text.get(*start..end).and_then(character) == Some(end - start))?,
            };
        }
        Some(end)
    }

    fn same(&self, text: &[u8], bytes: &[u8]) -> bool {
        if self.cased { text == bytes } else { text.eq_ignore_ascii_case(bytes) }
    }

    pub(crate) fn necessary(&self) -> &Necessary {
        &self.necessary
    }
}

fn between_runs(segment: Vec<Unit>, cased: bool) -> Option<Between> {
    match segment.as_slice() {
        [Unit::Bytes(bytes)] if cased => Some(Between::Cased(bytes.clone())),
        [Unit::Bytes(bytes)] => Some(Between::Folded(Finder::new(bytes))),
        units => {
            let length = |unit: &Unit| if let Unit::Bytes(bytes) = unit { bytes.len() } else { 1 };
            let is_short = units.iter().map(length).sum::<usize>() <= MAX_MIXED;
            is_short.then(|| Between::Mixed(segment.into()))
        }
    }
}

/// The best literal: every one of them must be there.
fn required(segments: &[Vec<Unit>]) -> Option<Required> {
    let mut best = None;
    for (number, segment) in segments.iter().enumerate() {
        for (at, unit) in segment.iter().enumerate() {
            if let Unit::Bytes(bytes) = unit {
                let is_first = number == 0 && at == 0;
                best = Required::better(best, Required::new(vec![bytes.to_vec()], is_first));
            }
        }
    }
    best
}

/// Length of the character that a text begins with; the shape of UTF-8 is looked at, as an automaton for it does.
fn character(text: &[u8]) -> Option<usize> {
    let length = match text.first()? {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let rest = text.get(1..length)?;
    rest.iter().all(|byte| (0x80..=0xbf).contains(byte)).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(pattern: &str) -> Vec<WildcardPart> {
        let mut parts: Vec<WildcardPart> = Vec::new();
        for char in pattern.chars() {
            match (char, parts.last_mut()) {
                ('*', _) => parts.push(WildcardPart::Run),
                ('?', _) => parts.push(WildcardPart::One),
                (char, Some(WildcardPart::Bytes(bytes))) => bytes.extend(char.to_string().as_bytes()),
                (char, _) => parts.push(WildcardPart::Bytes(char.to_string().into_bytes())),
            }
        }
        parts
    }

    fn fits(pattern: &str, text: &str) -> bool {
        Wildcard::new(&parts(pattern), false).unwrap().is_match(text.as_bytes())
    }

    /// By definition, in exponential time.
    fn plain(pattern: &[char], text: &[char], cased: bool) -> bool {
        let same = |one: char, other: char| one == other || (!cased && one.eq_ignore_ascii_case(&other));
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                plain(rest, text, cased)
                    || text.split_first().is_some_and(|(_, after)| plain(pattern, after, cased))
            }
            (Some(('?', rest)), Some((_, after))) => plain(rest, after, cased),
            (Some((wanted, rest)), Some((found, after))) => {
                same(*wanted, *found) && plain(rest, after, cased)
            }
            _ => false,
        }
    }

    #[test]
    fn both_ends_and_what_lies_between() {
        for (pattern, text, expected) in [
            ("a*b", "AxxB", true),
            ("a*b", "ab", true),
            ("a*a", "a", false),
            ("a*bc*c", "abc", false),
            ("a*bc*c", "abcc", true),
            ("*é?*", "xéy", true),
            ("*é?*", "xé", false),
            ("?*?", "é", false),
            ("?*?", "éé", true),
            ("*?a", "éa", true),
            ("", "", true),
            ("*ab*ab*", "xabab", true),
            ("*ab*ab*", "xabb", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!Wildcard::new(&parts("a?b"), false).unwrap().is_match(b"a\xffb"), "no character");
        assert!(Wildcard::new(&parts("A*b"), true).unwrap().is_match(b"Axb"));
        assert!(!Wildcard::new(&parts("A*b"), true).unwrap().is_match(b"axb"));
    }

    #[test]
    fn long_mixtures_are_left_to_an_automaton() {
        assert!(Wildcard::new(&parts(&format!("*{}?*", "a".repeat(300))), false).is_none());
        assert!(Wildcard::new(&parts(&format!("*{}*?b", "a".repeat(300_000))), false).is_some());
    }

    #[test]
    fn the_literal_that_tells_most_is_demanded() {
        let required =
            |pattern: &str| Wildcard::new(&parts(pattern), false).unwrap().necessary().required.clone();
        assert_eq!(required("*ab?Sekurlsa*").unwrap().literals, [b"sekurlsa".to_vec()]);
        assert!(required("Abcdef*x*").unwrap().prefix);
        assert_eq!(required("?*?"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn equals_the_definition(pattern in "[abAé*?]{0,9}", text in "[abBé€]{0,10}", cased in any::<bool>()) {
            let wildcard = Wildcard::new(&parts(&pattern), cased).unwrap();
            let (pattern_chars, chars): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            let found = wildcard.is_match(text.as_bytes());
            prop_assert_eq!(found, plain(&pattern_chars, &chars, cased), "{} {}", pattern, text);
            if let Some(required) = wildcard.necessary().required.as_ref().filter(|_| found) {
                let lower = text.to_ascii_lowercase();
                let has = |literal: &Vec<u8>| memmem::find(lower.as_bytes(), literal) .is_some_and(|at| at == 0 || !required.prefix);
                prop_assert!(required.literals.iter().any(has), "{:?} {}", required, text);
            }
        }
    }
}
