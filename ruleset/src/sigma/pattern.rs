//! Texts of rules: wildcards, their escapes, and placeholders.
//!
//! Enters: a text as it stands in a rule. Leaves: the parts of a pattern; with placeholders filled in, several patterns.
//! `*` and `?` are wildcards. A backslash before one of them, or before a backslash, makes it a plain character; before
//! anything else it is a backslash.

use super::placeholders::{Placeholders, is_name};
use crate::ir::sigma::PatternPart;

/// Patterns that one value may become.
pub(super) const MAX_PATTERNS: usize = 10_000;
/// Bytes that they may have together.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// The parts of a text.
pub(super) fn parse(text: &str) -> Vec<PatternPart> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let wildcard = match byte {
            b'*' => PatternPart::AnyRun,
            b'?' => PatternPart::AnyOne,
            b'\\' => {
                literal.push(bytes.next_if(|next| matches!(next, b'*' | b'?' | b'\\')).unwrap_or(b'\\'));
                continue;
            }
            byte => {
                literal.push(byte);
                continue;
            }
        };
        push_bytes(&mut parts, std::mem::take(&mut literal));
        push(&mut parts, wildcard);
    }
    push_bytes(&mut parts, literal);
    parts
}

/// Appends a part; runs of anything and neighbouring texts become one.
pub(super) fn push(parts: &mut Vec<PatternPart>, part: PatternPart) {
    match (parts.last_mut(), part) {
        (Some(PatternPart::AnyRun), PatternPart::AnyRun) => {}
        (Some(PatternPart::Bytes(bytes)), PatternPart::Bytes(more)) => bytes.extend(more),
        (_, part) => parts.push(part),
    }
}

fn push_bytes(parts: &mut Vec<PatternPart>, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        push(parts, PatternPart::Bytes(bytes));
    }
}

/// Whether there is a wildcard among the parts.
pub(super) fn has_wildcard(parts: &[PatternPart]) -> bool {
    parts.iter().any(|part| !matches!(part, PatternPart::Bytes(_)))
}

/// A part of a text with placeholders.
enum Piece {
    Part(PatternPart),
    Placeholder(String),
}

/// Why placeholders cannot be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfilled {
    /// These names have no values.
    Unknown(Vec<String>),
    /// There would be too many patterns.
    TooMany,
    /// There is no placeholder.
    Nothing,
}

/// A pattern with its placeholders filled in, in every combination of their values.
pub(super) fn expand(
    parts: &[PatternPart],
    placeholders: &Placeholders,
) -> Result<Vec<Vec<PatternPart>>, Unfilled> {
    let mut pieces = Vec::new();
    for part in parts {
        match part {
            PatternPart::Bytes(bytes) => cut(&String::from_utf8_lossy(bytes), &mut pieces),
            wildcard => pieces.push(Piece::Part(wildcard.clone())),
        }
    }
    fill(&pieces, |name| {
        let values = placeholders.get(name)?;
        Some(values.iter().map(|value| parse(value)).collect())
    })
}

/// A regular expression with its placeholders filled in: plain text stands for itself, wildcards for `.*` and `.`.
pub(super) fn expand_regex(text: &str, placeholders: &Placeholders) -> Result<Vec<String>, Unfilled> {
    let mut pieces = Vec::new();
    cut(text, &mut pieces);
    let filled = fill(&pieces, |name| {
        let values = placeholders.get(name)?;
        Some(values.iter().map(|value| vec![PatternPart::Bytes(as_regex(value).into_bytes())]).collect())
    })?;
    let text = |parts: Vec<PatternPart>| {
        let bytes = parts.into_iter().flat_map(|part| match part {
            PatternPart::Bytes(bytes) => bytes,
            PatternPart::AnyRun | PatternPart::AnyOne => Vec::new(),
        });
        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
    };
    Ok(filled.into_iter().map(text).collect())
}

fn as_regex(value: &str) -> String {
    let mut regex = String::new();
    for part in parse(value) {
        match part {
            PatternPart::AnyRun => regex.push_str(".*"),
            PatternPart::AnyOne => regex.push('.'),
            PatternPart::Bytes(bytes) => {
                for char in String::from_utf8_lossy(&bytes).chars() {
                    if char.is_ascii_punctuation() {
                        regex.push('\\');
                    }
                    regex.push(char);
                }
            }
        }
    }
    regex
}

/// Every combination of the values.
fn fill(
    pieces: &[Piece],
    values_of: impl Fn(&str) -> Option<Vec<Vec<PatternPart>>>,
) -> Result<Vec<Vec<PatternPart>>, Unfilled> {
    let names: Vec<&str> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Part(_) => None,
        })
        .collect();
    if names.is_empty() {
        return Err(Unfilled::Nothing);
    }
    let unknown: Vec<String> =
        names.iter().filter(|name| values_of(name).is_none()).map(|name| (*name).to_owned()).collect();
    if !unknown.is_empty() {
        return Err(Unfilled::Unknown(unknown));
    }
    let mut filled: Vec<Vec<PatternPart>> = vec![Vec::new()];
    for piece in pieces {
        match piece {
            Piece::Part(part) => filled.iter_mut().for_each(|parts| push(parts, part.clone())),
            Piece::Placeholder(name) => {
                let values = values_of(name).unwrap_or_default();
                if filled.len().saturating_mul(values.len()) > MAX_PATTERNS {
                    return Err(Unfilled::TooMany);
                }
                let with = |parts: &Vec<PatternPart>, value: &Vec<PatternPart>| {
                    let mut parts = parts.clone();
                    value.iter().for_each(|part| push(&mut parts, part.clone()));
                    parts
                };
                filled =
                    filled.iter().flat_map(|parts| values.iter().map(|value| with(parts, value))).collect();
                if filled.iter().map(|parts| weight(parts)).sum::<usize>() > MAX_BYTES {
                    return Err(Unfilled::TooMany);
                }
            }
        }
    }
    Ok(filled)
}

/// Bytes of a pattern.
pub(super) fn weight(parts: &[PatternPart]) -> usize {
    let bytes = |part: &PatternPart| match part {
        PatternPart::Bytes(bytes) => bytes.len(),
        PatternPart::AnyRun | PatternPart::AnyOne => 1,
    };
    parts.iter().map(bytes).sum()
}

/// Finds `%name%`; `\%` is a percent sign.
fn cut(text: &str, pieces: &mut Vec<Piece>) {
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['%', '\\']) {
        let (before, found) = rest.split_at(at);
        literal.push_str(before);
        if let Some(after) = found.strip_prefix("\\%") {
            literal.push('%');
            rest = after;
            continue;
        }
        match name(found) {
            Some((name, after)) => {
                if !literal.is_empty() {
                    pieces.push(Piece::Part(PatternPart::Bytes(std::mem::take(&mut literal).into_bytes())));
                }
                pieces.push(Piece::Placeholder(name.to_owned()));
                rest = after;
            }
            None => {
                literal.push_str(&found[..1]);
                rest = &found[1..];
            }
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Part(PatternPart::Bytes(literal.into_bytes())));
    }
}

/// The name at the beginning of `%name%…`, and what follows.
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('%')?.split_once('%')?;
    is_name(name).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text as it is, wildcards in angle brackets.
    pub(super) fn shown(parts: &[PatternPart]) -> String {
        let part = |part: &PatternPart| match part {
            PatternPart::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            PatternPart::AnyRun => "<*>".to_owned(),
            PatternPart::AnyOne => "<?>".to_owned(),
        };
        parts.iter().map(part).collect()
    }

    #[test]
    fn escapes_are_those_of_the_specification() {
        for (text, expected) in [
            ("", ""),
            ("abc", "abc"),
            ("prog?.exe", "prog<?>.exe"),
            ("a*", "a<*>"),
            ("**", "<*>"),
            ("*?*", "<*><?><*>"),
            (r"C:\Windows\cmd.exe", r"C:\Windows\cmd.exe"),
            (r"C:\\Windows", r"C:\Windows"),
            (r"\*", "*"),
            (r"\?", "?"),
            (r"\\*", r"\<*>"),
            (r"\\\*", r"\*"),
            (r"\\\x", r"\\x"),
            (r"\\\\x", r"\\x"),
            (r"\\\\", r"\\"),
            (r"\\\", r"\\"),
            (r"a\", r"a\"),
            (r"\\?", r"\<?>"),
            (r"\%", r"\%"),
            (r"é\é*", r"é\é<*>"),
        ] {
            assert_eq!(shown(&parse(text)), expected, "{text}");
        }
        assert_eq!(parse("ab"), [PatternPart::Bytes(b"ab".to_vec())]);
    }

    #[test]
    fn placeholders_take_every_value() {
        let mut placeholders = Placeholders::default();
        placeholders.set("a", vec!["1".into(), "2*".into()]);
        placeholders.set("b", vec!["x".into()]);
        placeholders.set("empty", vec![]);
        let filled = |text: &str| {
            let filled = expand(&parse(text), &placeholders)?;
            Ok(filled.iter().map(|parts| shown(parts)).collect::<Vec<_>>())
        };
        assert_eq!(filled("%a%").unwrap(), ["1", "2<*>"]);
        assert_eq!(filled("*-%a%-%b%").unwrap(), ["<*>-1-x", "<*>-2<*>-x"]);
        assert_eq!(filled(r"\%plain%a%").unwrap(), ["%plain1", "%plain2<*>"]);
        assert_eq!(filled("100% %b%").unwrap(), ["100% x"]);
        assert_eq!(filled("%a%a%").unwrap(), ["1a%", "2<*>a%"]);
        assert_eq!(filled("50%"), Err(Unfilled::Nothing));
        assert_eq!(filled("%a b%"), Err(Unfilled::Nothing));
        assert_eq!(filled("%nobody%%empty%"), Err(Unfilled::Unknown(vec!["nobody".into(), "empty".into()])));
        placeholders.set("many", (0..1000).map(|number| number.to_string()).collect());
        assert_eq!(expand(&parse("%many%%many%"), &placeholders), Err(Unfilled::TooMany));
        let regexes = expand_regex(r"^(%a%|%b%)\%$", &placeholders).unwrap();
        assert_eq!(regexes, ["^(1|x)%$", "^(2.*|x)%$"]);
        placeholders.set("dots", vec!["a.b".into()]);
        assert_eq!(expand_regex("%dots%", &placeholders).unwrap(), [r"a\.b"]);
    }
}
