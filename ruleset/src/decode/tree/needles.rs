//! Literals that tests need in the log, looked for together.
//!
//! Enters: literals, each once, then a log. Leaves: whether a literal occurs, and where first. The first few questions
//! about a log are answered by a search each, because often the first test that is tried passes; then one pass of an
//! automaton answers all others. Single bytes are never in the automaton: a common one would stop it all the time.

use rustc_hash::FxHashMap;

use crate::expr::{Finder, MultiFinder, Site};

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
        // Refused only for sizes beyond memory; then each is looked for alone, which is slower and still right.
        let many = together.len() > ALONE as usize;
        let automaton = many.then(|| MultiFinder::new(&together, Site::Anywhere)).flatten();
        Needles {
            finders: self.literals.iter().map(|literal| Finder::new(literal)).collect(),
            bytes: self.literals.iter().map(|literal| literal.len() == 1).collect(),
            automaton,
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
    automaton: Option<MultiFinder>,
    /// For each pattern of the automaton its literal.
    owners: Box<[Needle]>,
}

/// What is known of the current log.
#[derive(Debug, Default)]
pub(super) struct Found {
    asked: u32,
    /// The last literal that was looked for alone: alternatives of one pattern often have it in common.
    last: Option<(Needle, bool)>,
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
        self.last = None;
        self.complete = false;
    }
}

impl Needles {
    /// Whether the literal occurs in the log.
    #[inline]
    pub(super) fn occurs(&self, needle: Needle, log: &[u8], found: &mut Found) -> bool {
        let index = needle as usize;
        if found.complete && !self.bytes[index] {
            return found.first[index] != NOWHERE;
        }
        if let Some((_, answer)) = found.last.filter(|(last, _)| *last == needle) {
            return answer;
        }
        if !self.bytes[index] && self.automaton.is_some() {
            found.asked += 1;
            if found.asked > ALONE {
                self.find_all(log, found);
                return found.first[index] != NOWHERE;
            }
        }
        let answer = self.finders[index].is_in(log);
        found.last = Some((needle, answer));
        answer
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
        automaton.find_each(log, |literal, start, _| {
            let first = &mut found.first[self.owners[literal] as usize];
            // Hits of one literal come in order.
            *first = (*first).min(start);
        });
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
