//! The JSON grammar over marked bytes: checks values and steps over them.
//!
//! Enters: a record with its marks and the place where a value begins. Leaves: the place behind it, or nothing when the
//! value is malformed or not certain to mean to the parser what it means here. Nesting is counted, not recursed into.

use super::marks::Bits;
use crate::matcher::MAX_DEPTH;

/// A record and its marks (see [`super::marks`]).
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    marks: Bits<'a>,
}

/// A string that was stepped over.
pub(super) struct Str {
    /// Its closing quote.
    pub(super) end: usize,
    /// Whether it stands for itself, without escapes.
    pub(super) plain: bool,
}

/// A key that was stepped over.
pub(super) struct Key {
    /// Its closing quote.
    pub(super) end: usize,
    /// Whether it stands for itself, without escapes.
    pub(super) plain: bool,
    /// Where the value begins.
    pub(super) value: usize,
}

/// A member `"key":"text"` that was stepped over.
#[derive(Clone, Copy)]
pub(super) struct TextMember {
    /// The closing quote of the key; that which opens the value is the second byte behind it.
    pub(super) key_end: usize,
    /// The closing quote of the value.
    pub(super) end: usize,
}

/// What follows a member of an object.
pub(super) enum After {
    /// Another one, whose key's quote is there.
    Key(usize),
    /// The end of the object, behind its bracket.
    End(usize),
}

/// A value that is neither string nor container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    Bool,
    /// An integer that the reference writes as it stands in the record.
    Integer,
    /// Any other number.
    Number,
}

/// Numbers of more characters are left to the parser.
const MAX_NUMBER: usize = 32;

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8], marks: Bits<'a>) -> Self {
        Self { bytes, marks }
    }

    /// The byte at `at`; behind the end there are NULs, which no JSON has outside of strings.
    #[inline(always)]
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    pub(super) fn is_end(&self, at: usize) -> bool {
        at >= self.bytes.len()
    }

    /// Four bytes from `at` on, the first one lowest.
    #[inline(always)]
    fn four(&self, at: usize) -> u32 {
        match self.bytes.get(at..at + 4).and_then(<[u8]>::first_chunk) {
            Some(four) => u32::from_le_bytes(*four),
            None => self.last_four(at),
        }
    }

    #[cold]
    #[inline(never)]
    fn last_four(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.byte(at), self.byte(at + 1), self.byte(at + 2), self.byte(at + 3)])
    }

    /// Over white space.
    #[inline(always)]
    pub(super) fn blanks(&self, at: usize) -> usize {
        if self.byte(at) > b' ' { at } else { self.some_blanks(at) }
    }

    #[inline(never)]
    fn some_blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at
    }

    /// Behind the bracket, comma or colon at `at`, and the white space that follows it.
    #[inline(always)]
    pub(super) fn after(&self, at: usize) -> usize {
        self.blanks(at + 1)
    }

    /// The string whose opening quote is at `at`.
    #[inline(always)]
    pub(super) fn string(&self, at: usize) -> Option<Str> {
        let end = self.marks.next(at + 1)?;
        if self.byte(end) == b'"' { Some(Str { end, plain: true }) } else { self.escaped_string(end) }
    }

    /// The string whose first mark behind the opening quote, which is no quote, is at `at`.
    #[inline(never)]
    fn escaped_string(&self, mut at: usize) -> Option<Str> {
        loop {
            let skipped = match (self.byte(at), self.byte(at + 1)) {
                (b'"', _) => return Some(Str { end: at, plain: false }),
                (b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                (b'\\', b'u') => match self.hex(at + 2)? {
                    // NUL ends a text early; half a pair is no character.
                    0 | 0xdc00..=0xdfff => return None,
                    0xd800..=0xdbff => {
                        let is_escape = self.byte(at + 6) == b'\\' && self.byte(at + 7) == b'u';
                        if !is_escape || !(0xdc00..=0xdfff).contains(&self.hex(at + 8)?) {
                            return None;
                        }
                        12
                    }
                    _ => 6,
                },
                // A control character.
                _ => return None,
            };
            at = self.marks.next(at + skipped)?;
        }
    }

    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
    }

    /// The literal or number at `place`.
    #[inline(always)]
    pub(super) fn scalar(&self, at: usize) -> Option<(Scalar, usize)> {
        match self.byte(at) {
            b't' => (self.four(at) == TRUE).then_some((Scalar::Bool, at + 4)),
            b'f' => (self.four(at + 1) == ALSE).then_some((Scalar::Bool, at + 5)),
            b'n' => (self.four(at) == NULL).then_some((Scalar::Null, at + 4)),
            _ => self.number(at),
        }
    }

    fn digits(&self, mut at: usize) -> usize {
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    }

    #[inline(never)]
    fn number(&self, start: usize) -> Option<(Scalar, usize)> {
        let negative = self.byte(start) == b'-';
        let first = start + usize::from(negative);
        let whole = self.digits(first);
        if whole == first || (self.byte(first) == b'0' && whole > first + 1) {
            return None;
        }
        let mut end = whole;
        if self.byte(end) == b'.' {
            end = self.digits(whole + 1);
            if end == whole + 1 {
                return None;
            }
        }
        if matches!(self.byte(end), b'e' | b'E') {
            let exponent = end + 1 + usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            end = self.digits(exponent);
            // With three digits it may be too large for any type.
            if !(1..=2).contains(&(end - exponent)) {
                return None;
            }
        }
        if end - start > MAX_NUMBER {
            return None;
        }
        let stands = end == whole && !(negative && self.byte(first) == b'0') && self.is_i32(start, end);
        Some((if stands { Scalar::Integer } else { Scalar::Number }, end))
    }

    fn is_i32(&self, start: usize, end: usize) -> bool {
        // Nine digits always fit.
        end - start <= 9
            || std::str::from_utf8(self.slice(start, end)).is_ok_and(|text| text.parse::<i32>().is_ok())
    }

    /// Over the value at `at`, which stands within `depth` containers.
    #[inline(always)]
    pub(super) fn skip(&self, at: usize, depth: usize) -> Option<usize> {
        match self.byte(at) {
            b'"' => Some(self.string(at)?.end + 1),
            b'{' | b'[' => Some(self.container(at, depth)?.0),
            _ => Some(self.scalar(at)?.1),
        }
    }

    /// Over the object or array at `at`, which stands within `depth` containers; also how many members or elements it
    /// has.
    #[inline(never)]
    pub(super) fn container(&self, mut at: usize, depth: usize) -> Option<(usize, usize)> {
        let mut open = Open { kinds: 0, count: 0, room: MAX_DEPTH.checked_sub(depth)? };
        let mut commas = 0;
        loop {
            // A value begins.
            let byte = self.byte(at);
            at = match byte {
                b'"' => self.string(at)?.end + 1,
                b'{' | b'[' => {
                    open.push(byte == b'{')?;
                    at = self.after(at);
                    match self.byte(at) {
                        b'}' if open.is_object() => {}
                        b']' if !open.is_object() => {}
                        _ if open.is_object() => {
                            at = self.key(at)?.value;
                            continue;
                        }
                        _ => continue,
                    }
                    open.pop();
                    if open.count == 0 {
                        return Some((at + 1, 0));
                    }
                    at + 1
                }
                _ => self.scalar(at)?.1,
            };
            // A value has ended, and maybe the containers that it is the last of.
            loop {
                let end = if open.is_object() {
                    match self.after_member(at)? {
                        After::Key(key) => {
                            commas += usize::from(open.count == 1);
                            if let Some(member) = self.text_member(key) {
                                at = member.end + 1;
                                continue;
                            }
                            at = self.quoted_key(key)?.value;
                            break;
                        }
                        After::End(end) => end,
                    }
                } else {
                    at = self.blanks(at);
                    match self.byte(at) {
                        b',' => {
                            commas += usize::from(open.count == 1);
                            at = self.after(at);
                            break;
                        }
                        b']' => at + 1,
                        _ => return None,
                    }
                };
                open.pop();
                at = end;
                if open.count == 0 {
                    return Some((at, commas + 1));
                }
            }
        }
    }

    /// The member whose key's opening quote is at `at`, where its value is a string and it has neither white space nor
    /// escapes: what nearly all members are.
    #[inline(always)]
    pub(super) fn text_member(&self, at: usize) -> Option<TextMember> {
        let window = self.marks.window(at + 1)?;
        let key_end = at + 1 + window.trailing_zeros() as usize;
        if window == 0 || self.four(key_end) & 0xff_ffff != QUOTE_COLON_QUOTE {
            return None;
        }
        // The next mark is the value's opening quote.
        let behind_key = window & (window - 1);
        let behind = behind_key & behind_key.wrapping_sub(1);
        let end = match behind {
            0 => self.marks.next(key_end + 3)?,
            _ => at + 1 + behind.trailing_zeros() as usize,
        };
        (self.byte(end) == b'"').then_some(TextMember { key_end, end })
    }

    /// The key at `at`.
    #[inline(always)]
    pub(super) fn key(&self, at: usize) -> Option<Key> {
        if self.byte(at) == b'"' { self.quoted_key(at) } else { None }
    }

    /// The key whose opening quote is at `at`.
    #[inline(always)]
    pub(super) fn quoted_key(&self, at: usize) -> Option<Key> {
        let end = self.marks.next(at + 1)?;
        let four = self.four(end);
        if four & 0xffff == QUOTE_COLON && four >> 16 & 0xff > 0x20 {
            return Some(Key { end, plain: true, value: end + 2 });
        }
        self.loose_key(at)
    }

    #[inline(never)]
    fn loose_key(&self, at: usize) -> Option<Key> {
        let Str { end, plain } = self.string(at)?;
        let colon = self.blanks(end + 1);
        (self.byte(colon) == b':').then(|| Key { end, plain, value: self.after(colon) })
    }

    /// What follows a member of an object, whose value ends at `at`.
    #[inline(always)]
    pub(super) fn after_member(&self, at: usize) -> Option<After> {
        let four = self.four(at);
        if four & 0xffff == COMMA_QUOTE { Some(After::Key(at + 1)) } else { self.after_loose_member(at) }
    }

    #[inline(always)]
    fn after_loose_member(&self, at: usize) -> Option<After> {
        let at = self.blanks(at);
        match self.byte(at) {
            b'}' => Some(After::End(at + 1)),
            b',' => {
                let key = self.after(at);
                (self.byte(key) == b'"').then_some(After::Key(key))
            }
            _ => None,
        }
    }
}

const TRUE: u32 = u32::from_le_bytes(*b"true");
const ALSE: u32 = u32::from_le_bytes(*b"alse");
const NULL: u32 = u32::from_le_bytes(*b"null");
const QUOTE_COLON: u32 = u32::from_le_bytes([b'"', b':', 0, 0]);
const QUOTE_COLON_QUOTE: u32 = u32::from_le_bytes([b'"', b':', b'"', 0]);
const COMMA_QUOTE: u32 = u32::from_le_bytes([b',', b'"', 0, 0]);

/// The containers that are open, one bit each: set for an object.
struct Open {
    kinds: u128,
    count: usize,
    room: usize,
}

const _: () = assert!(MAX_DEPTH <= u128::BITS as usize);

impl Open {
    #[inline(always)]
    fn push(&mut self, object: bool) -> Option<()> {
        if self.count >= self.room {
            return None;
        }
        self.kinds = self.kinds << 1 | u128::from(object);
        self.count += 1;
        Some(())
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.kinds >>= 1;
        self.count -= 1;
    }

    #[inline(always)]
    fn is_object(&self) -> bool {
        self.kinds & 1 == 1
    }
}
