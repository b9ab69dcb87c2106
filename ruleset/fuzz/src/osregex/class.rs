//! What the escapes of OSRegex accept, written a second time.

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Class(u8);

impl Class {
    pub(super) fn of_escape(letter: u8) -> Option<Self> {
        b"dDwWsSp.t()\\$|<".contains(&letter).then_some(Self(letter))
    }

    pub(super) fn accepts(self, byte: u8) -> bool {
        let is_word = byte.is_ascii_alphanumeric() || b"-@_".contains(&byte);
        match self.0 {
            b'd' => byte.is_ascii_digit(),
            b'D' => !byte.is_ascii_digit(),
            b'w' => is_word,
            b'W' => !is_word,
            b's' => byte == b' ',
            b'S' => byte != b' ',
            b'p' => byte.is_ascii_punctuation() && !b"/\\@^_~`".contains(&byte),
            b'.' => true,
            b't' => byte == b'\t',
            letter => byte == letter,
        }
    }
}
