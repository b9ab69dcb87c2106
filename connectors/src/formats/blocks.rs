//! Finds the structure of JSON text at memory speed: strings, brackets and line ends, 64 bytes at a time.
//!
//! Enters: the next bytes of a stream, cut anywhere. Leaves: the place where something of interest to the splitter
//! happens. Each block becomes one bitmask per character class (first stage of the simdjson method); a prefix xor over
//! the unescaped quotes tells which bytes lie in strings, and a block in which the depth cannot come down to the level
//! of interest is passed with two population counts. Only brackets are counted, so 100,000 nested ones cost nothing.

use wide::u8x16;

const BLOCK: usize = 64;

/// Where a scan stopped. The index is that of the byte in question; the scan goes on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Stop {
    /// All bytes are used up.
    End,
    /// `[` directly in the outermost object.
    Array(usize),
    /// The bracket that closes the outermost value.
    Close(usize),
    /// A line end between tokens.
    LineEnd(usize),
    /// A line end in a string: not JSON.
    BrokenString(usize),
}

/// What a scan stops for, beside the end of the value and broken strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Interest {
    /// Nothing else.
    End,
    /// Arrays that are members of the outermost object.
    Arrays,
    /// Those, and line ends between tokens.
    ArraysAndLines,
}

/// The state between two bytes of one JSON value.
#[derive(Debug, Clone, Default)]
pub(in crate::formats) struct Scanner {
    depth: u64,
    /// All ones within a string, else zero.
    in_string: u64,
    /// Whether the next byte is escaped.
    escaped: bool,
    /// Whether a line end was passed since [`Scanner::start`].
    pub(in crate::formats) line_end_seen: bool,
}

impl Scanner {
    /// Begins a value whose opening bracket was just consumed.
    pub(in crate::formats) fn start(&mut self) {
        *self = Self { depth: 1, ..Self::default() };
    }

    /// Scans `bytes` until something of interest.
    pub(in crate::formats) fn scan(&mut self, bytes: &[u8], interest: Interest) -> Stop {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for (index, block) in blocks.iter().enumerate() {
            if let Some(stop) = self.block(block, BLOCK, interest) {
                return stop.moved(index * BLOCK);
            }
        }
        if rest.is_empty() {
            return Stop::End;
        }
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        match self.block(&last, rest.len(), interest) {
            Some(stop) => stop.moved(blocks.len() * BLOCK),
            None => Stop::End,
        }
    }

    /// One block, of which the first `len` bytes count.
    #[inline]
    fn block(&mut self, block: &[u8; BLOCK], len: usize, interest: Interest) -> Option<Stop> {
        let masks = Masks::of(block);
        let escaped = self.escapes(masks.backslash, len);
        let in_string = prefix_xor(masks.quote & !escaped) ^ self.in_string;
        let open = masks.open & !in_string;
        let close = masks.close & !in_string;
        let broken = masks.line_end & in_string;
        let between = masks.line_end & !in_string;

        let watched = u64::from(interest != Interest::End);
        let wanted_lines = if interest == Interest::ArraysAndLines { between } else { 0 };
        let opened = u64::from(open.count_ones());
        let closed = u64::from(close.count_ones());
        if self.depth > closed + watched && (broken | wanted_lines) == 0 {
            self.depth = self.depth + opened - closed;
        } else if let Some(stop) = self.walk(block, open, close, broken, wanted_lines, interest) {
            let bit = stop.index();
            self.line_end_seen |= between & ((1 << bit) - 1) != 0;
            // Brackets and line ends are no backslashes, and the splitter goes on outside a string.
            self.escaped = false;
            self.in_string = 0;
            return Some(stop);
        }
        self.line_end_seen |= between != 0;
        self.in_string = if in_string >> (len - 1) & 1 == 1 { u64::MAX } else { 0 };
        None
    }

    /// The brackets and line ends of one block, one by one.
    fn walk(
        &mut self,
        block: &[u8; BLOCK],
        open: u64,
        close: u64,
        broken: u64,
        lines: u64,
        interest: Interest,
    ) -> Option<Stop> {
        let mut events = open | close | broken | lines;
        while events != 0 {
            let bit = events.trailing_zeros() as usize;
            let mask = 1u64 << bit;
            events &= events - 1;
            if open & mask != 0 {
                self.depth += 1;
                if self.depth == 2 && interest != Interest::End && block[bit] == b'[' {
                    return Some(Stop::Array(bit));
                }
            } else if close & mask != 0 {
                self.depth -= 1;
                if self.depth == 0 {
                    return Some(Stop::Close(bit));
                }
            } else if broken & mask != 0 {
                return Some(Stop::BrokenString(bit));
            } else {
                return Some(Stop::LineEnd(bit));
            }
        }
        None
    }

    /// The bytes that a backslash takes the meaning from.
    #[inline]
    fn escapes(&mut self, backslash: u64, len: usize) -> u64 {
        let mut escaped = u64::from(self.escaped);
        self.escaped = false;
        let mut left = backslash & !escaped;
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            if bit + 1 == len {
                self.escaped = true;
                break;
            }
            escaped |= 2 << bit;
            left &= !(3 << bit);
        }
        escaped
    }

    /// Brackets that are open.
    pub(in crate::formats) fn depth(&self) -> u64 {
        self.depth
    }
}

impl Stop {
    fn moved(self, by: usize) -> Self {
        match self {
            Stop::End => Stop::End,
            Stop::Array(at) => Stop::Array(at + by),
            Stop::Close(at) => Stop::Close(at + by),
            Stop::LineEnd(at) => Stop::LineEnd(at + by),
            Stop::BrokenString(at) => Stop::BrokenString(at + by),
        }
    }

    fn index(self) -> usize {
        match self {
            Stop::End => 0,
            Stop::Array(at) | Stop::Close(at) | Stop::LineEnd(at) | Stop::BrokenString(at) => at,
        }
    }
}

struct Masks {
    quote: u64,
    backslash: u64,
    open: u64,
    close: u64,
    line_end: u64,
}

impl Masks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let (lanes, _) = block.as_chunks::<16>();
        let mut masks = Self { quote: 0, backslash: 0, open: 0, close: 0, line_end: 0 };
        for (index, lane) in lanes.iter().enumerate() {
            let bytes = u8x16::new(*lane);
            // `[` and `{`, and `]` and `}`, differ in this one bit; nothing else falls on them.
            let brackets = bytes | u8x16::splat(0x20);
            let shift = index * 16;
            let bits = |lane: u8x16| u64::from(lane.to_bitmask()) << shift;
            masks.quote |= bits(bytes.simd_eq(u8x16::splat(b'"')));
            masks.backslash |= bits(bytes.simd_eq(u8x16::splat(b'\\')));
            masks.open |= bits(brackets.simd_eq(u8x16::splat(b'{')));
            masks.close |= bits(brackets.simd_eq(u8x16::splat(b'}')));
            masks.line_end |= bits(bytes.simd_eq(u8x16::splat(b'\n')));
        }
        masks
    }
}

/// Bit n of the result is the parity of bits 0..=n: ones from each opening quote up to its closing one.
#[inline]
fn prefix_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close_of(text: &[u8], cut: usize) -> Option<usize> {
        let mut scanner = Scanner::default();
        scanner.start();
        let mut at = 1;
        while at < text.len() {
            let end = (at + cut).min(text.len());
            match scanner.scan(&text[at..end], Interest::End) {
                Stop::End => at = end,
                Stop::Close(index) => return Some(at + index),
                other => panic!("{other:?}"),
            }
        }
        None
    }

    #[test]
    fn finds_the_end_of_a_value_however_it_is_cut() {
        let text = br#"{"a":"}\\\"}]","b":[{"c":"\\"},{}],"d":"0123456789012345678901234567890123456789\\\\\"}"} tail}"#;
        let expected = text.iter().rposition(|&byte| byte == b' ').unwrap() - 1;
        for cut in 1..=text.len() {
            assert_eq!(close_of(text, cut), Some(expected), "cut {cut}");
        }
    }

    #[test]
    fn backslash_runs_over_block_borders() {
        for run in 0..140 {
            let text = format!("{{\"a\":\"{}\"}}", "\\\\".repeat(run));
            for cut in [1, 7, 63, 64, 65, 1000] {
                assert_eq!(close_of(text.as_bytes(), cut), Some(text.len() - 1), "run {run} cut {cut}");
            }
        }
    }

    #[test]
    fn depth_is_a_count() {
        let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(close_of(text.as_bytes(), 4096), Some(199_999));
        assert_eq!(close_of(&text.as_bytes()[..150_000], 4096), None);
    }
}
