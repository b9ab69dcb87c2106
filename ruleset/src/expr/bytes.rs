//! Sets of bytes.
//!
//! Enters: single bytes and ranges. Leaves: membership by one look-up. What classes of regular expressions are, and the
//! bytes that a text can begin with.

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// Every byte.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// The bytes for which `accepts` holds.
    pub(super) fn of(accepts: impl Fn(u8) -> bool) -> Self {
        let mut set = Self::default();
        (0..=255).filter(|&byte| accepts(byte)).for_each(|byte| set.insert(byte));
        set
    }

    /// Adds a byte.
    pub fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Adds all bytes of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    /// Whether it has the byte.
    #[must_use]
    #[inline]
    pub fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// All other bytes.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// Its bytes and, for every letter among them, that letter in the other case (ASCII).
    #[must_use]
    pub fn folded(self) -> Self {
        Self::of(|byte| {
            self.contains(byte)
                || self.contains(byte.to_ascii_lowercase())
                || self.contains(byte.to_ascii_uppercase())
        })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// Its bytes in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=255).filter(|&byte| self.contains(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let mut set = ByteSet::of(|byte| byte.is_ascii_digit());
        set.insert(b'k');
        set.insert(0xff);
        assert_eq!(set.iter().collect::<Vec<u8>>(), b"0123456789k\xff");
        assert_eq!((set.len(), set.complement().len(), set.is_empty()), (12, 244, false));
        assert!(set.folded().contains(b'K') && !set.complement().contains(b'k'));
        let mut other = ByteSet::default();
        assert!(other.is_empty());
        other.extend(set);
        assert_eq!(other, set);
        assert_eq!(ByteSet::ALL.len(), 256);
    }
}
