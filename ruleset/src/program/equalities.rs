//! Literals that must be the whole text, looked up by hash.
//!
//! Enters: literals in lower case, then texts. Leaves: the one literal that equals the text without regard to case. Most
//! tests of fields are of this kind; neither their number nor, beyond the longest literal, the length of the text costs
//! anything. Nothing is copied: words of eight bytes are lowered as they are read.

use rustc_hash::FxHashMap;

/// Index of a literal, in the order in which they were added.
pub(super) type LiteralIndex = u32;

/// The literals with their hashes.
#[derive(Debug, Default)]
pub(super) struct Equalities {
    /// Each with the one before it that has the same hash.
    literals: Vec<(Box<[u8]>, Option<LiteralIndex>)>,
    /// The last literal of each hash.
    by_hash: FxHashMap<u64, LiteralIndex>,
    /// Bit n: there is a literal of n bytes; the last bit stands for all longer ones, up to `longest`.
    lengths: u64,
    longest: usize,
}

impl Equalities {
    /// Adds a literal in lower case that is not empty; the same one gets the same index.
    pub(super) fn insert(&mut self, literal: &[u8]) -> LiteralIndex {
        if let Some(known) = self.find(literal) {
            return known;
        }
        let index = u32::try_from(self.literals.len()).unwrap_or(u32::MAX);
        let before = self.by_hash.insert(hash(literal), index);
        self.literals.push((literal.into(), before));
        self.lengths |= 1 << literal.len().min(63);
        self.longest = self.longest.max(literal.len());
        index
    }

    /// The literal that the text equals.
    #[inline]
    pub(super) fn find(&self, text: &[u8]) -> Option<LiteralIndex> {
        if text.len() > self.longest || self.lengths >> text.len().min(63) & 1 == 0 {
            return None;
        }
        let mut index = *self.by_hash.get(&hash(text))?;
        loop {
            let (literal, before) = &self.literals[index as usize];
            if equals(literal, text) {
                return Some(index);
            }
            index = (*before)?;
        }
    }
}

/// Multiplies and rotates, word by word; equal for texts that differ in case only.
fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = text.len() as u64;
    let mut mix = |word: u64| state = (state.rotate_left(23) ^ lower(word)).wrapping_mul(FACTOR);
    let (words, rest) = text.as_chunks::<8>();
    words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
    if !rest.is_empty() {
        mix(last_word(text));
    }
    state ^ state >> 29
}

/// Whether the text is the literal, which is in lower case.
fn equals(literal: &[u8], text: &[u8]) -> bool {
    let (own, _) = literal.as_chunks::<8>();
    let (other, rest) = text.as_chunks::<8>();
    let is_same =
        |(own, other): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*own) == lower(u64::from_le_bytes(*other));
    literal.len() == text.len()
        && own.iter().zip(other).all(is_same)
        && (rest.is_empty() || last_word(literal) == lower(last_word(text)))
}

/// The last eight bytes; those of a shorter text in some order, some of them perhaps twice.
fn last_word(text: &[u8]) -> u64 {
    if let Some(last) = text.last_chunk() {
        return u64::from_le_bytes(*last);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    let byte = |at: usize| text.get(at).map_or(0, |byte| u64::from(*byte));
    byte(0) | byte(1) << 8 | byte(2) << 16
}

/// Eight bytes at once: bit 5 is set in those between `A` and `Z`. No sum of seven-bit values carries into the next byte.
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * ONES);
    let from_a = low + (0x80 - b'A' as u64) * ONES;
    let beyond_z = low + (0x7f - b'Z' as u64) * ONES;
    let letters = (from_a & !beyond_z & !word) & (0x80 * ONES);
    word | letters >> 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_lowered_in_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..8 {
                let mut word = [b'Z', b'@', b'[', 0xff, 0x80, b'a', 0xc1, b'A'];
                word[place] = byte;
                assert_eq!(
                    lower(u64::from_le_bytes(word)).to_le_bytes(),
                    word.map(|byte| byte.to_ascii_lowercase())
                );
            }
        }
    }

    #[test]
    fn long_and_short_literals() {
        let mut set = Equalities::default();
        let long = "x".repeat(100);
        assert_eq!((set.insert(b"ab"), set.insert(long.as_bytes()), set.insert(b"ab")), (0, 1, 0));
        assert_eq!(set.find(b"AB"), Some(0));
        assert_eq!(set.find(long.to_uppercase().as_bytes()), Some(1));
        assert_eq!(set.find(&long.as_bytes()[1..]), None);
        assert_eq!((set.find(b"abc"), set.find(b""), set.find(&[b'x'; 1000])), (None, None, None));
    }

    proptest! {
        #[test]
        fn equals_comparing_with_each(literals in proptest::collection::vec("[abAB]{1,10}", 0..40), text in "[abAB]{0,10}") {
            let mut set = Equalities::default();
            let indices: Vec<u32> = literals.iter().map(|one| set.insert(one.to_lowercase().as_bytes())).collect();
            let expected = literals.iter().position(|one| one.eq_ignore_ascii_case(&text)).map(|at| indices[at]);
            prop_assert_eq!(set.find(text.as_bytes()), expected);
        }
    }
}
