//! All literal tests of one subject, decided in one pass over its text.
//!
//! Enters: the parts of patterns that are nothing but literals (substring, prefix, suffix, whole), ASCII case ignored.
//! Leaves: the predicates that hold. One Aho-Corasick automaton finds every literal; anchors are compared with the
//! place of the hit. The cost of a text does not grow with the number of patterns.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use rustc_hash::FxHashMap;

use super::PredicateIndex;
use crate::expr::{OsMatchKind, OsMatchPart, Pcre2Literal};

/// One pattern: it holds when any of its parts does.
#[derive(Debug, Clone)]
pub(crate) struct Literals {
    pub(crate) predicate: PredicateIndex,
    pub(crate) parts: Vec<Part>,
}

/// One literal of a pattern.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    kind: OsMatchKind,
    /// In lower case: what the automaton looks for.
    folded: Vec<u8>,
    /// The bytes as they must stand, where case counts.
    exact: Option<Box<[u8]>>,
    /// The end anchor also holds before a final line feed.
    line_feed: bool,
}

impl From<OsMatchPart> for Part {
    fn from(part: OsMatchPart) -> Self {
        Self { kind: part.kind, folded: part.literal, exact: None, line_feed: false }
    }
}

impl Part {
    pub(crate) fn pcre2(part: Pcre2Literal, ignore_case: bool) -> Self {
        Self {
            kind: part.kind,
            folded: part.literal.to_ascii_lowercase(),
            exact: (!ignore_case).then(|| part.literal.into_boxed_slice()),
            line_feed: true,
        }
    }
}

/// Which pattern a literal belongs to, and what else must hold.
#[derive(Debug)]
struct Owner {
    predicate: PredicateIndex,
    kind: OsMatchKind,
    exact: Option<Box<[u8]>>,
    line_feed: bool,
}

/// The automaton over all patterns of a subject.
#[derive(Debug)]
pub(crate) struct LiteralSet {
    automaton: Option<AhoCorasick>,
    /// Per literal of the automaton: the patterns it belongs to, with the anchors.
    owners: Vec<Vec<Owner>>,
    /// Patterns that hold for every text, and those that hold for the empty text.
    always: Vec<PredicateIndex>,
    when_empty: Vec<PredicateIndex>,
    /// Every pattern of the set.
    pub(crate) predicates: Vec<PredicateIndex>,
}

impl LiteralSet {
    /// `None` when the automaton cannot be built, which only a size beyond memory causes.
    pub(crate) fn new(patterns: &[Literals]) -> Option<Self> {
        let mut literals: Vec<Vec<u8>> = Vec::new();
        let mut known: FxHashMap<&[u8], usize> = FxHashMap::default();
        let mut owners: Vec<Vec<Owner>> = Vec::new();
        let mut always = Vec::new();
        let mut when_empty = Vec::new();
        for Literals { predicate, parts } in patterns {
            for part in parts {
                match part.kind {
                    OsMatchKind::Always => always.push(*predicate),
                    OsMatchKind::Equals if part.folded.is_empty() => when_empty.push(*predicate),
                    _ if part.folded.is_empty() => always.push(*predicate),
                    kind => {
                        let index = *known.entry(&part.folded).or_insert_with(|| {
                            literals.push(part.folded.clone());
                            owners.push(Vec::new());
                            literals.len() - 1
                        });
                        let (exact, line_feed) = (part.exact.clone(), part.line_feed);
                        owners[index].push(Owner { predicate: *predicate, kind, exact, line_feed });
                    }
                }
            }
        }
        let automaton = if literals.is_empty() { None } else { Some(build(&literals)?) };
        let predicates = patterns.iter().map(|pattern| pattern.predicate).collect();
        Some(Self { automaton, owners, always, when_empty, predicates })
    }

    /// Calls `holds` for every predicate that holds, perhaps more than once.
    #[inline]
    pub(crate) fn run(&self, text: &[u8], mut holds: impl FnMut(PredicateIndex)) {
        self.always.iter().for_each(|predicate| holds(*predicate));
        if text.is_empty() {
            self.when_empty.iter().for_each(|predicate| holds(*predicate));
        }
        let Some(automaton) = &self.automaton else { return };
        for hit in automaton.find_overlapping_iter(text) {
            for owner in &self.owners[hit.pattern().as_usize()] {
                if owner.accepts(text, hit.start(), hit.end()) {
                    holds(owner.predicate);
                }
            }
        }
    }
}

impl Owner {
    #[inline]
    fn accepts(&self, text: &[u8], start: usize, end: usize) -> bool {
        let at_end = || end == text.len() || (self.line_feed && text[end..] == *b"\n");
        let anchored = match self.kind {
            OsMatchKind::Always | OsMatchKind::Substring => true,
            OsMatchKind::Prefix => start == 0,
            OsMatchKind::Suffix => at_end(),
            OsMatchKind::Equals => start == 0 && at_end(),
        };
        anchored && self.exact.as_ref().is_none_or(|exact| text[start..end] == **exact)
    }
}

/// A full table is the fastest; it is taken while it stays small.
fn build(literals: &[Vec<u8>]) -> Option<AhoCorasick> {
    let total: usize = literals.iter().map(Vec::len).sum();
    let kind = if total <= 20_000 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(kind))
        .build(literals)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: OsMatchKind, literal: &str) -> Part {
        OsMatchPart { kind, literal: literal.as_bytes().to_vec() }.into()
    }

    fn exact(kind: OsMatchKind, literal: &str) -> Part {
        Part::pcre2(Pcre2Literal { kind, literal: literal.as_bytes().to_vec() }, false)
    }

    fn run(set: &LiteralSet, text: &str) -> Vec<PredicateIndex> {
        let mut held = Vec::new();
        set.run(text.as_bytes(), |predicate| held.push(predicate));
        held.sort_unstable();
        held.dedup();
        held
    }

    #[test]
    fn anchors_and_overlaps() {
        let set = LiteralSet::new(&[
            Literals { predicate: 0, parts: vec![part(OsMatchKind::Substring, "bcd")] },
            Literals {
                predicate: 1,
                parts: vec![part(OsMatchKind::Prefix, "ab"), part(OsMatchKind::Suffix, "zz")],
            },
            Literals { predicate: 2, parts: vec![part(OsMatchKind::Equals, "abcd")] },
            Literals { predicate: 3, parts: vec![part(OsMatchKind::Always, "")] },
            Literals { predicate: 4, parts: vec![part(OsMatchKind::Equals, "")] },
        ])
        .unwrap();
        assert_eq!(run(&set, "ABCD"), [0, 1, 2, 3]);
        assert_eq!(run(&set, "xabcd"), [0, 3]);
        assert_eq!(run(&set, "xzz"), [1, 3]);
        assert_eq!(run(&set, ""), [3, 4]);
    }

    #[test]
    fn case_counts_where_the_pattern_says_so() {
        let set = LiteralSet::new(&[
            Literals { predicate: 0, parts: vec![part(OsMatchKind::Equals, "stoplogging")] },
            Literals { predicate: 1, parts: vec![exact(OsMatchKind::Equals, "StopLogging")] },
            Literals { predicate: 2, parts: vec![exact(OsMatchKind::Suffix, "Logging")] },
        ])
        .unwrap();
        assert_eq!(run(&set, "StopLogging"), [0, 1, 2]);
        assert_eq!(run(&set, "stopLogging"), [0, 2]);
        assert_eq!(run(&set, "StopLogging\n"), [1, 2]);
    }
}
