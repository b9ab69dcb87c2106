//! Literals that tests need in the log, looked for together.
//!
//! Enters: literals, each once, then a log. Leaves: whether a literal occurs, and where first. The first few questions
//! about a log are answered by a search each, because often the first test that is tried passes; then one pass of an
//! automaton answers all others. Single bytes are never in the automaton: a common one would stop it all the time.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use rustc_hash::FxHashMap;

use crate::expr::Finder;

/// So many literals are looked for alone before all are looked for together.
const ALONE: u32 = 4;

/// Index of a literal.
pub(super) type Needle = u32;

/// Collects literals.
#[derive(Debug, Default)]
pub(super) struct Collector {
    known: FxHashMap<Vec<u8>, Needle>,
    literals: Vec<Vec<u8>>,
}

impl Collector {
    /// The number of a literal; `literal` is in lower case and not empty.
    pub(super) fn add(&mut self, literal: Vec<u8>) -> Needle {
        // A rule set of 4 billion literals does not fit into memory.
        let next = u32::try_from(self.literals.len()).unwrap_or(u32::MAX);
        *self.known.entry(literal).or_insert_with_key(|literal| {
            self.literals.push(literal.clone());
            next
        })
    }

    pub(super) fn build(self) -> Needles {
        let (mut together, mut owners) = (Vec::new(), Vec::new());
        for (needle, literal) in (0..).zip(&self.literals) {
            if literal.len() > 1 {
                together.push(literal);
                owners.push(needle);
            }
        }
        let total: usize = together.iter().map(|literal| literal.len()).sum();
        let kind = if total <= 20_000 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        // Refused only for sizes beyond memory; then each is looked for alone, which is slower and still right.
        let automaton = (together.len() as u32 > ALONE).then(|| {
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .kind(Some(kind))
                .build(&together)
        });
        Needles {
            finders: self.literals.iter().map(|literal| Finder::new(literal)).collect(),
            bytes: self.literals.iter().map(|literal| literal.len() == 1).collect(),
            automaton: automaton.and_then(Result::ok),
            owners: owners.into(),
        }
    }
}

/// The compiled literals.
#[derive(Debug)]
pub(super) struct Needles {
    finders: Box<[Finder]>,
    /// Which literals are single bytes.
    bytes: Box<[bool]>,
    automaton: Option<AhoCorasick>,
    /// For each pattern of the automaton its literal.
    owners: Box<[Needle]>,
}

/// What is known of the current log.
#[derive(Debug, Default)]
pub(super) struct Found {
    asked: u32,
    /// The pass has been made.
    complete: bool,
    /// For each literal where it begins first.
    first: Vec<usize>,
}

const NOWHERE: usize = usize::MAX;

impl Found {
    /// For the next log.
    pub(super) fn forget(&mut self) {
        self.asked = 0;
        self.complete = false;
    }
}

impl Needles {
    /// Whether the literal occurs in the log.
    #[inline]
    pub(super) fn occurs(&self, needle: Needle, log: &[u8], found: &mut Found) -> bool {
        let index = needle as usize;
        if self.bytes[index] || self.automaton.is_none() {
            return self.finders[index].is_in(log);
        }
        if !found.complete {
            found.asked += 1;
            if found.asked <= ALONE {
                return self.finders[index].is_in(log);
            }
            self.find_all(log, found);
        }
        found.first[index] != NOWHERE
    }

    /// Where the literal begins first, if that is known already.
    #[inline]
    pub(super) fn first(&self, needle: Needle, found: &Found) -> Option<usize> {
        let index = needle as usize;
        if !found.complete || self.bytes[index] {
            return None;
        }
        Some(found.first[index]).filter(|&first| first != NOWHERE)
    }

    /// Makes the pass over the log now: for callers who know that many questions follow.
    pub(super) fn find_all(&self, log: &[u8], found: &mut Found) {
        let Some(automaton) = self.automaton.as_ref().filter(|_| !found.complete) else { return };
        found.complete = true;
        found.first.clear();
        found.first.resize(self.finders.len(), NOWHERE);
        for hit in automaton.find_overlapping_iter(log) {
            let first = &mut found.first[self.owners[hit.pattern().as_usize()] as usize];
            // Hits of one literal come in order.
            *first = (*first).min(hit.start());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_and_together_give_the_same() {
        let literals = ["ab", "b", "bc", "abc", "xyz", "q", "ca", "c"];
        let mut collector = Collector::default();
        let needles: Vec<Needle> =
            literals.iter().map(|literal| collector.add(literal.as_bytes().to_vec())).collect();
        assert_eq!(collector.add(b"bc".to_vec()), needles[2]);
        let compiled = collector.build();
        for log in ["", "ABCAB", "xyxyz", "cab", "Q"] {
            let mut found = Found::default();
            for (literal, &needle) in literals.iter().zip(&needles) {
                let expected = log.to_ascii_lowercase().find(literal);
                assert_eq!(
                    compiled.occurs(needle, log.as_bytes(), &mut found),
                    expected.is_some(),
                    "{literal} {log}"
                );
                if let Some(first) = compiled.first(needle, &found) {
                    assert_eq!(Some(first), expected);
                }
            }
            assert!(found.complete, "six questions are enough for a pass");
            assert_eq!(compiled.first(needles[3], &found), log.to_ascii_lowercase().find("abc"));
        }
    }

    #[test]
    fn a_forgotten_log_has_no_part_in_the_next() {
        let mut collector = Collector::default();
        let needles: Vec<Needle> =
            ["ab", "cd", "ef", "gh", "ij"].map(|literal| collector.add(literal.into())).into();
        let compiled = collector.build();
        let mut found = Found::default();
        compiled.find_all(b"abcd", &mut found);
        assert!(compiled.occurs(needles[1], b"abcd", &mut found));
        found.forget();
        compiled.find_all(b"efgh", &mut found);
        assert!(!compiled.occurs(needles[1], b"efgh", &mut found));
        assert_eq!(compiled.first(needles[3], &found), Some(2));
    }
}
