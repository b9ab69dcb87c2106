//! What a text must have for a pattern to match at all.
//!
//! Enters: literals that some pattern demands. Leaves: a choice of literals of which every matching text contains at
//! least one, ASCII letters without case; so that one pass for all patterns of a subject tells which of them are worth
//! a look. Long and rare literals tell most.

use super::bytes::ByteSet;
use super::finder::commonness;

/// Longer literals tell no more.
const LONGEST: usize = 24;
/// With more alternatives than this, a literal of the choice is too likely to be there.
pub(super) const MAX_CHOICES: usize = 64;
/// Of literals that begin the text there may be more: only the few that fit are followed.
pub(super) const MAX_PREFIXES: usize = 256;

/// A choice of literals, one of which is in every text that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// In lower case, none empty.
    pub literals: Vec<Vec<u8>>,
    /// The text begins with one of them.
    pub prefix: bool,
}

/// What is known of the texts that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Necessary {
    /// Literals.
    pub required: Option<Required>,
    /// The bytes that a text can begin with; `None`: any, or none at all.
    pub first: Option<ByteSet>,
}

impl Required {
    /// `None` where a literal is empty or there are too many.
    pub(super) fn new(mut literals: Vec<Vec<u8>>, prefix: bool) -> Option<Self> {
        for literal in &mut literals {
            if literal.len() > LONGEST {
                literal.truncate(LONGEST);
            }
            literal.make_ascii_lowercase();
        }
        literals.sort_unstable();
        literals.dedup();
        let usable = !literals.is_empty()
            && literals.len() <= if prefix { MAX_PREFIXES } else { MAX_CHOICES }
            && literals.iter().all(|one| !one.is_empty());
        usable.then_some(Self { literals, prefix })
    }

    /// The better of two choices that are both necessary.
    pub(super) fn better(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.weight() > one.weight() { other } else { one }),
            (one, other) => one.or(other),
        }
    }

    /// How much it tells: the likelihood that a text has none of them, on no particular scale.
    pub(super) fn weight(&self) -> usize {
        let one = |literal: &[u8]| literal.iter().map(|&byte| 80 - commonness(byte)).sum::<usize>();
        let least = self.literals.iter().map(|literal| one(literal)).min().unwrap_or(0);
        let anchored = if self.prefix { least + least / 2 } else { least };
        anchored.saturating_sub(16 * self.literals.len().ilog2() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(literals: &[&str], prefix: bool) -> Option<Required> {
        Required::new(literals.iter().map(|literal| literal.as_bytes().to_vec()).collect(), prefix)
    }

    #[test]
    fn an_empty_literal_demands_nothing() {
        assert_eq!(required(&["a", ""], false), None);
        assert_eq!(required(&[], false), None);
        assert_eq!(required(&["Ab", "aB"], true).unwrap().literals, [b"ab".to_vec()]);
    }

    #[test]
    fn long_rare_and_few_is_better() {
        let better = |one, other| Required::better(one, other).unwrap().literals.concat();
        assert_eq!(better(required(&["sshd"], false), required(&["e"], false)), b"sshd");
        assert_eq!(better(required(&["ee"], false), required(&["~~"], false)), b"~~");
        assert_eq!(better(required(&["abcd", "efgh"], false), required(&["ijkl"], false)), b"ijkl");
        assert_eq!(better(required(&["abc"], false), required(&["abc"], true)), b"abc");
        assert!(Required::better(required(&["abc"], false), required(&["abc"], true)).unwrap().prefix);
    }
}
