//! What the encoding modifiers make of a value, and the dashes of Windows command lines.
//!
//! Enters: the parts of a pattern. Leaves: one pattern, or several of which any may match.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ir::sigma::PatternPart;

use super::modifier::Transform;
use super::pattern::MAX_PATTERNS;

/// Hyphen, slash, en dash, em dash, horizontal bar.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Applies one transform. The error says what is wrong, then what to do.
pub(super) fn apply(
    transform: Transform,
    parts: &[PatternPart],
) -> Result<Vec<Vec<PatternPart>>, (&'static str, &'static str)> {
    match transform {
        Transform::WinDash => win_dash(parts),
        Transform::Utf16Le => Ok(vec![wide(parts, u16::to_le_bytes)]),
        Transform::Utf16Be => Ok(vec![wide(parts, u16::to_be_bytes)]),
        Transform::Utf16 => {
            let mut encoded = vec![PatternPart::Bytes(vec![0xff, 0xfe])];
            wide(parts, u16::to_le_bytes)
                .into_iter()
                .for_each(|part| super::pattern::push(&mut encoded, part));
            Ok(vec![encoded])
        }
        Transform::Base64 => {
            let bytes = plain(parts)?;
            Ok(vec![vec![PatternPart::Bytes(STANDARD.encode(bytes).into_bytes())]])
        }
        Transform::Base64Offset => base64_offsets(plain(parts)?),
    }
}

/// The bytes of a value without wildcards.
fn plain(parts: &[PatternPart]) -> Result<&[u8], (&'static str, &'static str)> {
    match parts {
        [] => Ok(&[]),
        [PatternPart::Bytes(bytes)] => Ok(bytes),
        _ => Err(("a value with wildcards has no Base64 form", r"write \* and \? for plain characters")),
    }
}

fn wide(parts: &[PatternPart], unit: fn(u16) -> [u8; 2]) -> Vec<PatternPart> {
    let part = |part: &PatternPart| match part {
        PatternPart::Bytes(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            PatternPart::Bytes(text.encode_utf16().flat_map(unit).collect())
        }
        wildcard => wildcard.clone(),
    };
    parts.iter().map(part).collect()
}

/// What every Base64 text has that was made of a text with these bytes in it, for each place of them in a group of three.
fn base64_offsets(bytes: &[u8]) -> Result<Vec<Vec<PatternPart>>, (&'static str, &'static str)> {
    let variant = |offset: usize| {
        let padded = [&[b' '; 2][..offset], bytes].concat();
        let encoded = STANDARD.encode(&padded).into_bytes();
        // Characters that also hold bits of what stands before or behind, and padding.
        let before = [0, 2, 3][offset];
        let behind = [0, 3, 2][padded.len() % 3];
        encoded.get(before..encoded.len().saturating_sub(behind)).map(<[u8]>::to_vec).unwrap_or_default()
    };
    let variants: Vec<Vec<u8>> = (0..3).map(variant).collect();
    if variants.iter().any(Vec::is_empty) {
        return Err((
            "a value that short has no part of its own in every Base64 text",
            "write a longer value",
        ));
    }
    Ok(variants.into_iter().map(|bytes| vec![PatternPart::Bytes(bytes)]).collect())
}

/// Every dash that begins a word, as each of the dashes.
fn win_dash(parts: &[PatternPart]) -> Result<Vec<Vec<PatternPart>>, (&'static str, &'static str)> {
    let mut all: Vec<Vec<PatternPart>> = vec![Vec::new()];
    let extend = |all: &mut Vec<Vec<PatternPart>>, text: &str| {
        if !text.is_empty() {
            let part = PatternPart::Bytes(text.as_bytes().to_vec());
            all.iter_mut().for_each(|parts| super::pattern::push(parts, part.clone()));
        }
    };
    for part in parts {
        let PatternPart::Bytes(bytes) = part else {
            all.iter_mut().for_each(|parts| super::pattern::push(parts, part.clone()));
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        let mut from = 0;
        for at in flags(&text) {
            extend(&mut all, text.get(from..at).unwrap_or_default());
            if all.len() * DASHES.len() > MAX_PATTERNS {
                return Err((
                    "so many dashes make too many combinations",
                    "split the value, with contains|all",
                ));
            }
            let mut next = Vec::with_capacity(all.len() * DASHES.len());
            for parts in &all {
                for dash in DASHES {
                    let mut parts = parts.clone();
                    super::pattern::push(&mut parts, PatternPart::Bytes(dash.to_string().into_bytes()));
                    next.push(parts);
                }
            }
            all = next;
            from = at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        }
        extend(&mut all, text.get(from..).unwrap_or_default());
    }
    Ok(all)
}

/// Where dashes stand that begin a word: after none and before one of its characters.
fn flags(text: &str) -> Vec<usize> {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let mut before = None;
    let mut found = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let begins = !before.is_some_and(is_word) && chars.peek().is_some_and(|(_, next)| is_word(*next));
        if DASHES.contains(&char) && begins {
            found.push(at);
        }
        before = Some(char);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::pattern::parse;
    use super::*;

    fn texts(transform: Transform, value: &str) -> Vec<Vec<u8>> {
        let patterns = apply(transform, &parse(value)).unwrap();
        patterns
            .into_iter()
            .map(|parts| match parts.as_slice() {
                [PatternPart::Bytes(bytes)] => bytes.clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn encodings() {
        assert_eq!(texts(Transform::Utf16Le, "cmd"), [b"c\0m\0d\0"]);
        assert_eq!(texts(Transform::Utf16Be, "cmd"), [b"\0c\0m\0d"]);
        assert_eq!(texts(Transform::Utf16, "cmd"), [b"\xff\xfec\0m\0d\0"]);
        assert_eq!(texts(Transform::Utf16Le, "é"), [[0xe9, 0]]);
        assert_eq!(texts(Transform::Base64, "cmd /c"), [b"Y21kIC9j"]);
        assert!(apply(Transform::Base64, &parse("a*")).is_err());
        assert_eq!(texts(Transform::Base64, r"a\*"), [b"YSo="]);
        let wide = apply(Transform::Utf16Le, &parse("a*b")).unwrap();
        let expected =
            [PatternPart::Bytes(b"a\0".into()), PatternPart::AnyRun, PatternPart::Bytes(b"b\0".into())];
        assert_eq!(wide, [expected]);
    }

    /// Whatever stands around a value, the text's Base64 form has one of its three.
    #[test]
    fn offsets_are_found_in_every_base64_text() {
        assert_eq!(
            texts(Transform::Base64Offset, "http://"),
            ["aHR0cDovL", "h0dHA6Ly", "odHRwOi8v"].map(str::as_bytes)
        );
        for value in ["foobar", "foobarb", "foobarba", "xyz1"] {
            let variants = texts(Transform::Base64Offset, value);
            for (before, behind) in (0..4).flat_map(|before| (0..5).map(move |behind| (before, behind))) {
                let text = format!("{}{value}{}", &"zyx"[..before], &"QQQQ"[..behind]);
                let encoded = STANDARD.encode(&text);
                let found = variants
                    .iter()
                    .any(|variant| memchr::memmem::find(encoded.as_bytes(), variant).is_some());
                assert!(found, "{text} {encoded}");
            }
        }
        assert!(apply(Transform::Base64Offset, &parse("a")).is_err());
        assert!(apply(Transform::Base64Offset, &parse("")).is_err());
    }

    #[test]
    fn dashes_that_begin_a_word_are_each_of_the_dashes() {
        let shown = |value: &str| -> Vec<String> {
            texts(Transform::WinDash, value)
                .into_iter()
                .map(|text| String::from_utf8(text).unwrap())
                .collect()
        };
        assert_eq!(shown("-f"), ["-f", "/f", "–f", "—f", "―f"]);
        assert_eq!(shown("–f"), shown("-f"));
        assert_eq!(shown("a-b c/d - /"), ["a-b c/d - /"]);
        assert_eq!(shown(" /x-y").len(), 5);
        let two = shown("-a -b");
        assert_eq!(two.len(), 25);
        assert!(two.contains(&"/a —b".to_owned()));
        assert!(apply(Transform::WinDash, &parse(&"-a ".repeat(6))).is_err());
        assert_eq!(apply(Transform::WinDash, &parse("*-f*")).unwrap().len(), 5);
    }
}
