//! The bytes at which a string may end or break: quotes, backslashes and control characters.
//!
//! Enters: a record. Leaves: one bit per byte of it, and whether all bytes are ASCII. Between two marks there is nothing
//! that has to be looked at byte by byte, so the walk goes from string to string without scanning any. Which quotes open
//! and which are escaped is not told here: the walk knows it for nothing.

use wide::u8x16;

const BLOCK: usize = 64;
const LANE: usize = 16;

/// The marks of one record; the room is reused.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Bit n of byte m is that of byte 8m + n of the record. Two more blocks follow, so that a look ahead stays inside.
    bits: Vec<u8>,
    ascii: bool,
}

/// What is common to all bytes that a pass has seen.
struct Seen {
    any: u8x16,
    lowest: u8x16,
}

impl Marks {
    /// Marks `record`. Records of one line have no control characters, so these are looked for only if there are any.
    pub(super) fn find(&mut self, record: &[u8]) {
        let needed = (record.len() / BLOCK + 3) * (BLOCK / 8);
        if self.bits.len() < needed {
            self.bits.resize(needed.next_power_of_two(), 0);
        }
        let seen = self.pass::<false>(record);
        self.ascii = seen.any.to_bitmask() == 0;
        if is_control(seen.lowest).to_bitmask() != 0 {
            self.pass::<true>(record);
        }
    }

    fn pass<const CONTROL: bool>(&mut self, record: &[u8]) -> Seen {
        let mut seen = Seen { any: u8x16::splat(0), lowest: u8x16::splat(u8::MAX) };
        let (blocks, rest) = record.as_chunks::<BLOCK>();
        let (words, _) = self.bits.as_chunks_mut::<{ BLOCK / 8 }>();
        let mut words = words.iter_mut();
        for (block, word) in blocks.iter().zip(&mut words) {
            *word = marked::<CONTROL>(block, &mut seen).to_le_bytes();
        }
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let mut tail = [marked::<CONTROL>(&last, &mut seen), 0].into_iter();
        for word in words.take(2) {
            *word = tail.next().unwrap_or(0).to_le_bytes();
        }
        seen
    }

    /// Whether the record has ASCII bytes only.
    pub(super) fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// The marks, to be asked for.
    pub(super) fn bits(&self) -> Bits<'_> {
        Bits(&self.bits)
    }
}

/// One bit per byte of a record.
#[derive(Clone, Copy)]
pub(super) struct Bits<'m>(&'m [u8]);

impl Bits<'_> {
    /// The marks from `at` on, that of `at` lowest; more than 56 bytes are looked ahead.
    #[inline(always)]
    pub(super) fn window(self, at: usize) -> Option<u64> {
        let word = self.0.get(at / 8..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*word) >> (at % 8))
    }

    /// The first mark at or behind `at`, if the record has one.
    #[inline(always)]
    pub(super) fn next(self, at: usize) -> Option<usize> {
        let window = self.window(at)?;
        if window != 0 { Some(at + window.trailing_zeros() as usize) } else { self.far(at) }
    }

    #[inline(never)]
    fn far(self, at: usize) -> Option<usize> {
        // What was looked at ends here.
        let mut rest = self.0.get(at / 8 + 8..)?;
        while let Some((word, more)) = rest.split_first_chunk::<8>() {
            let ahead = u64::from_le_bytes(*word);
            if ahead != 0 {
                return Some((self.0.len() - rest.len()) * 8 + ahead.trailing_zeros() as usize);
            }
            rest = more;
        }
        None
    }
}

#[inline(always)]
fn is_control(bytes: u8x16) -> u8x16 {
    bytes.simd_eq(bytes.min(u8x16::splat(0x1f)))
}

/// One bit per byte of the block.
#[inline(always)]
fn marked<const CONTROL: bool>(block: &[u8; BLOCK], seen: &mut Seen) -> u64 {
    let (lanes, _) = block.as_chunks::<LANE>();
    let mut mask = 0;
    for (index, lane) in lanes.iter().enumerate() {
        let bytes = u8x16::new(*lane);
        seen.any |= bytes;
        seen.lowest = seen.lowest.min(bytes);
        let mut marks = bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
        if CONTROL {
            marks |= is_control(bytes);
        }
        mask |= u64::from(marks.to_bitmask()) << (index * LANE);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(marks: &Marks, len: usize) -> Vec<usize> {
        let next = |at: &usize| marks.bits().next(at + 1).filter(|at| *at < len);
        std::iter::successors(marks.bits().next(0).filter(|at| *at < len), next).collect()
    }

    #[test]
    fn every_mark_is_found_once_and_in_order() {
        let mut marks = Marks::default();
        for gap in [0, 1, 7, 8, 55, 56, 57, 63, 64, 65, 127, 128, 300] {
            let mut text: Vec<u8> = (0..=255).collect();
            text.extend([b'"'; 130]);
            text.extend(b"abc\\def\x7f");
            for byte in [b'"', b'\\', 0x1f] {
                text.extend(std::iter::repeat_n(b'.', gap));
                text.push(byte);
            }
            let expected: Vec<usize> =
                (0..text.len()).filter(|&at| text[at] < 0x20 || matches!(text[at], b'"' | b'\\')).collect();
            marks.find(&text);
            assert_eq!(all(&marks, text.len()), expected);
            assert!(!marks.is_ascii());
        }
    }

    #[test]
    fn nothing_is_left_of_the_record_before() {
        let mut marks = Marks::default();
        for (long, short) in [(64, 0), (64, 63), (1000, 64), (1000, 65), (129, 128)] {
            marks.find(&vec![b'"'; long]);
            marks.find(&vec![b'a'; short]);
            assert!(!(0..short + 60).any(|at| marks.bits().next(at).is_some_and(|found| found < short + 64)));
            assert!(marks.is_ascii());
        }
    }

    #[test]
    fn ascii_is_told_from_the_rest_in_every_place() {
        let mut marks = Marks::default();
        for len in [0, 1, 15, 16, 63, 64, 65, 200] {
            let mut text = vec![b'a'; len];
            for at in 0..len {
                text[at] = 0x80;
                marks.find(&text);
                assert!(!marks.is_ascii(), "{at} of {len}");
                text[at] = b'a';
            }
            marks.find(&text);
            assert!(marks.is_ascii());
        }
    }
}
