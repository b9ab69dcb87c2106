//! The classes of PCRE2 without Unicode properties: escapes, brackets, POSIX names.
//!
//! Enters: the letter of an escape, or the text of a bracket. Leaves: the set of bytes. `\s` has the vertical tab, and
//! `\h` the no-break space of Latin-1, as in the library's default tables.

use super::super::bytes::ByteSet;

/// What `.` takes.
pub(super) fn not_line_feed() -> ByteSet {
    ByteSet::of(|byte| byte != b'\n')
}

/// The set that `\letter` means.
pub(super) fn of_escape(letter: u8) -> Option<ByteSet> {
    let set = match letter.to_ascii_lowercase() {
        b'd' => ByteSet::of(|byte| byte.is_ascii_digit()),
        b'w' => ByteSet::of(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        b's' => ByteSet::of(|byte| matches!(byte, b' ' | b'\t'..=b'\r')),
        b'h' => ByteSet::of(|byte| matches!(byte, b' ' | b'\t' | 0xa0)),
        b'v' => ByteSet::of(|byte| matches!(byte, b'\n'..=b'\r' | 0x85)),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() { set.complement() } else { set })
}

/// The control character that `\letter` means.
pub(super) fn byte_of_escape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'f' => 0x0c,
        b'e' => 0x1b,
        b'a' => 0x07,
        _ => return None,
    })
}

/// One element of a bracket.
enum Item {
    Byte(u8),
    Set(ByteSet),
}

/// Reads a bracket after its `[`; the set, and how many bytes were read, the `]` included.
pub(super) fn parse(text: &[u8], fold: bool, utf: bool) -> Option<(ByteSet, usize)> {
    let mut at = 0;
    let negated = text.first() == Some(&b'^');
    at += usize::from(negated);
    let mut set = ByteSet::default();
    let first = at;
    loop {
        let byte = *text.get(at)?;
        if byte == b']' && at > first {
            break;
        }
        // With `(*UTF)` a byte beyond ASCII is part of a character.
        if utf && byte >= 0x80 {
            return None;
        }
        let (item, length) = item(&text[at..], fold)?;
        at += length;
        match item {
            Item::Set(items) => {
                set.extend(items);
                // `[\d-z]`: the hyphen would be literal, in most versions.
                if text.get(at) == Some(&b'-') && text.get(at + 1) != Some(&b']') {
                    return None;
                }
            }
            Item::Byte(low) if text.get(at) == Some(&b'-') && text.get(at + 1) != Some(&b']') => {
                let (Item::Byte(high), length) = self::item(&text[at + 1..], fold)? else { return None };
                if high < low || (utf && high >= 0x80) {
                    return None;
                }
                set.extend(ByteSet::of(|byte| (low..=high).contains(&byte)));
                at += 1 + length;
                if text.get(at) == Some(&b'-') && text.get(at + 1) != Some(&b']') {
                    return None;
                }
            }
            Item::Byte(byte) => set.insert(byte),
        }
    }
    if fold {
        set = set.folded();
    }
    // With `(*UTF)` the complement has characters beyond ASCII; the caller sees that.
    Some((if negated { set.complement() } else { set }, at + 1))
}

fn item(text: &[u8], fold: bool) -> Option<(Item, usize)> {
    let byte = *text.first()?;
    match byte {
        b'[' if text.get(1) == Some(&b':') => posix(text, fold),
        b'[' if matches!(text.get(1), Some(b'.' | b'=')) => None,
        b'\\' => escape(text),
        _ => Some((Item::Byte(byte), 1)),
    }
}

fn escape(text: &[u8]) -> Option<(Item, usize)> {
    let letter = *text.get(1)?;
    if let Some(set) = of_escape(letter) {
        return Some((Item::Set(set), 2));
    }
    if let Some(byte) = byte_of_escape(letter) {
        return Some((Item::Byte(byte), 2));
    }
    match letter {
        b'x' => {
            let digits = text.get(2..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            Some((Item::Byte(byte), 4))
        }
        b'b' => Some((Item::Byte(0x08), 2)),
        _ if letter < 0x80 && !letter.is_ascii_alphanumeric() => Some((Item::Byte(letter), 2)),
        _ => None,
    }
}

/// `[:alpha:]`, `[:^alpha:]`.
fn posix(text: &[u8], fold: bool) -> Option<(Item, usize)> {
    let end = text.windows(2).skip(2).position(|pair| pair == b":]")? + 2;
    let (negated, name) = match text[2..end].strip_prefix(b"^") {
        Some(name) => (true, name),
        None => (false, &text[2..end]),
    };
    let accepts: fn(u8) -> bool = match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"ascii" => |byte| byte < 0x80,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        // Without case these are all letters, also before the negation.
        b"lower" | b"upper" if fold => return None,
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"word" => |byte| byte.is_ascii_alphanumeric() || byte == b'_',
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    };
    let set = ByteSet::of(accepts);
    Some((Item::Set(if negated { set.complement() } else { set }), end + 2))
}
