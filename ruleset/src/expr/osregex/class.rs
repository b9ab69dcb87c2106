//! The byte classes of OSRegex.
//!
//! Enters: the letter of an escape. Leaves: which bytes it accepts, as a lookup in a table that is made at compile time.

/// What an escape accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `\d`, `\D`: digits.
    Digit,
    NotDigit,
    /// `\w`, `\W`: letters, digits, `-`, `@`, `_`.
    Word,
    NotWord,
    /// `\s`, `\S`: the blank; no other white space.
    Blank,
    NotBlank,
    /// `\p`: most punctuation, see [`PUNCTUATION`].
    Punctuation,
    /// `\.`: every byte.
    Any,
    /// `\t`.
    Tab,
    /// `\(`, `\)`, `\\`, `\$`, `\|`, `\<`.
    OpenGroup,
    CloseGroup,
    Backslash,
    Dollar,
    Bar,
    Less,
}

/// Without `/`, `\`, `@`, `^`, `_`, `~` and the backquote.
const PUNCTUATION: &[u8] = b"!\"#$%&'()*+,-.:;<=>?[]{|}";

/// The classes in the order of the enum, which indexes the table.
const ALL: [Class; 15] = [
    Class::Digit,
    Class::NotDigit,
    Class::Word,
    Class::NotWord,
    Class::Blank,
    Class::NotBlank,
    Class::Punctuation,
    Class::Any,
    Class::Tab,
    Class::OpenGroup,
    Class::CloseGroup,
    Class::Backslash,
    Class::Dollar,
    Class::Bar,
    Class::Less,
];

static ACCEPTS: [[bool; 256]; ALL.len()] = table();

impl Class {
    /// The class of `\letter`.
    pub(super) fn of_escape(letter: u8) -> Option<Self> {
        Some(match letter {
            b'd' => Self::Digit,
            b'D' => Self::NotDigit,
            b'w' => Self::Word,
            b'W' => Self::NotWord,
            b's' => Self::Blank,
            b'S' => Self::NotBlank,
            b'p' => Self::Punctuation,
            b'.' => Self::Any,
            b't' => Self::Tab,
            b'(' => Self::OpenGroup,
            b')' => Self::CloseGroup,
            b'\\' => Self::Backslash,
            b'$' => Self::Dollar,
            b'|' => Self::Bar,
            b'<' => Self::Less,
            _ => return None,
        })
    }

    #[inline(always)]
    pub(super) fn accepts(self, byte: u8) -> bool {
        ACCEPTS[self as usize][byte as usize]
    }

    /// The byte, if the class accepts no other.
    pub(super) const fn only(self) -> Option<u8> {
        Some(match self {
            Self::Blank => b' ',
            Self::Tab => b'\t',
            Self::OpenGroup => b'(',
            Self::CloseGroup => b')',
            Self::Backslash => b'\\',
            Self::Dollar => b'$',
            Self::Bar => b'|',
            Self::Less => b'<',
            _ => return None,
        })
    }

    const fn decide(self, byte: u8) -> bool {
        match self {
            Self::Digit => byte.is_ascii_digit(),
            Self::NotDigit => !byte.is_ascii_digit(),
            Self::Word => is_word(byte),
            Self::NotWord => !is_word(byte),
            Self::NotBlank => byte != b' ',
            Self::Punctuation => is_punctuation(byte),
            Self::Any => true,
            _ => matches!(self.only(), Some(only) if only == byte),
        }
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'@' | b'_')
}

const fn is_punctuation(byte: u8) -> bool {
    let mut at = 0;
    while at < PUNCTUATION.len() {
        if PUNCTUATION[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

const fn table() -> [[bool; 256]; ALL.len()] {
    let mut table = [[false; 256]; ALL.len()];
    let mut class = 0;
    while class < ALL.len() {
        let mut byte = 0;
        while byte < 256 {
            table[ALL[class] as usize][byte] = ALL[class].decide(byte as u8);
            byte += 1;
        }
        class += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(letter: u8) -> Vec<u8> {
        let class = Class::of_escape(letter).unwrap();
        (0..=255).filter(|&byte| class.accepts(byte)).collect()
    }

    #[test]
    fn each_escape_accepts_its_bytes() {
        assert_eq!(accepted(b'd'), b"0123456789");
        assert_eq!(accepted(b'w'), b"-0123456789@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
        assert_eq!(accepted(b's'), b" ");
        assert_eq!(accepted(b't'), b"\t");
        assert_eq!(accepted(b'p'), PUNCTUATION);
        assert_eq!(accepted(b'.').len(), 256);
        for letter in *b"()\\$|<" {
            assert_eq!(accepted(letter), [letter]);
        }
    }

    #[test]
    fn a_negated_class_accepts_the_rest() {
        for letter in *b"dws" {
            let (class, negated) = (accepted(letter), accepted(letter.to_ascii_uppercase()));
            assert_eq!(class.len() + negated.len(), 256);
            assert!(class.iter().all(|byte| !negated.contains(byte)));
        }
        assert!(accepted(b'S').contains(&b'\t'), "only the blank is a blank");
        assert!(accepted(b'W').contains(&0xc3));
    }

    #[test]
    fn the_only_byte_is_the_only_one_accepted() {
        for class in ALL {
            let bytes: Vec<u8> = (0..=255).filter(|&byte| class.accepts(byte)).collect();
            assert_eq!(class.only(), (bytes.len() == 1).then(|| bytes[0]), "{class:?}");
        }
    }
}
