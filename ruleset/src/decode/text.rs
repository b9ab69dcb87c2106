//! The text of a JSON value as rules see it.
//!
//! Enters: a node of a parsed record. Leaves: the text that the reference's JSON decoder stores for it: numbers as a
//! 32-bit integer or with six decimals, arrays pretty-printed the way its JSON library prints them. Rules match
//! against these texts, so the odd forms are part of the contract.

use std::fmt::Write as _;

use simd_json::{Node, StaticNode};

/// Number of tape nodes that the value at `at` takes.
#[inline]
pub(crate) fn span(tape: &[Node<'_>], at: usize) -> usize {
    match tape.get(at) {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        _ => 1,
    }
}

/// Appends the text of the value at `at`; objects have none.
pub(crate) fn write_value(tape: &[Node<'_>], at: usize, out: &mut String) {
    match tape.get(at) {
        Some(Node::String(text)) => out.push_str(text),
        Some(Node::Static(value)) => write_scalar(*value, out),
        Some(Node::Array { .. }) => {
            Printer { tape, out }.value(at, 0);
        }
        Some(Node::Object { .. }) | None => {}
    }
}

/// Appends a scalar as JSON writes it: what Sigma rules see.
pub(crate) fn write_json(value: StaticNode, out: &mut String) {
    match value {
        StaticNode::Null => out.push_str("null"),
        StaticNode::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        StaticNode::I64(value) => drop(write!(out, "{value}")),
        StaticNode::U64(value) => drop(write!(out, "{value}")),
        StaticNode::F64(value) => match serde_json::Number::from_f64(value) {
            Some(number) => drop(write!(out, "{number}")),
            None => drop(write!(out, "{value}")),
        },
    }
}

/// Appends the value at `at` as JSON without blanks: what Sigma rules see of an object, and lists in alerts. The two languages
/// write numbers differently, so the caller says how. The depth of a record is bounded when it is parsed.
pub(crate) fn write_compact(
    tape: &[Node<'_>],
    at: usize,
    scalar: fn(StaticNode, &mut String),
    out: &mut String,
) {
    match tape.get(at) {
        Some(Node::String(text)) => write_json_string(text, out),
        Some(Node::Static(value)) => scalar(*value, out),
        Some(Node::Array { len, .. }) => {
            out.push('[');
            let mut next = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(',');
                }
                write_compact(tape, next, scalar, out);
                next += span(tape, next);
            }
            out.push(']');
        }
        Some(Node::Object { len, .. }) => {
            out.push('{');
            let mut key = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(',');
                }
                write_compact(tape, key, scalar, out);
                out.push(':');
                write_compact(tape, key + 1, scalar, out);
                key += 1 + span(tape, key + 1);
            }
            out.push('}');
        }
        None => {}
    }
}

/// Appends the scalars of an array with commas between; containers are left out.
pub(crate) fn write_csv(tape: &[Node<'_>], at: usize, out: &mut String) {
    let Some(Node::Array { len, .. }) = tape.get(at) else { return write_value(tape, at, out) };
    let mut next = at + 1;
    let mut is_first = true;
    for _ in 0..*len {
        if !matches!(tape.get(next), Some(Node::Array { .. } | Node::Object { .. })) {
            if !std::mem::take(&mut is_first) {
                out.push(',');
            }
            write_value(tape, next, out);
        }
        next += span(tape, next);
    }
}

fn write_scalar(value: StaticNode, out: &mut String) {
    match value {
        StaticNode::Null => out.push_str("null"),
        StaticNode::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        #[allow(clippy::cast_precision_loss)] // the reference holds every number as a double
        StaticNode::I64(value) => match i32::try_from(value) {
            Ok(small) => drop(write!(out, "{small}")),
            Err(_) => drop(write!(out, "{:.6}", value as f64)),
        },
        #[allow(clippy::cast_precision_loss)]
        StaticNode::U64(value) => match i32::try_from(value) {
            Ok(small) => drop(write!(out, "{small}")),
            Err(_) => drop(write!(out, "{:.6}", value as f64)),
        },
        StaticNode::F64(value) => match as_i32(value) {
            Some(small) => drop(write!(out, "{small}")),
            None => drop(write!(out, "{value:.6}")),
        },
    }
}

#[allow(clippy::cast_possible_truncation)] // saturating, and compared with the original
fn as_i32(value: f64) -> Option<i32> {
    let small = value as i32;
    (f64::from(small) == value).then_some(small)
}

/// Prints arrays as the reference's JSON library does: `, ` between elements, objects over several lines with tabs.
struct Printer<'a, 'o> {
    tape: &'a [Node<'a>],
    out: &'o mut String,
}

impl Printer<'_, '_> {
    /// Prints the value at `at` that stands inside `depth` containers; returns where the next value starts. The depth
    /// of a record is bounded when it is parsed.
    fn value(&mut self, at: usize, depth: usize) -> usize {
        match self.tape.get(at) {
            Some(Node::String(text)) => write_json_string(text, self.out),
            Some(Node::Static(value)) => write_json_scalar(*value, self.out),
            Some(Node::Array { len, .. }) => self.array(at, *len, depth + 1),
            Some(Node::Object { len, .. }) => self.object(at, *len, depth + 1),
            None => {}
        }
        at + span(self.tape, at)
    }

    fn array(&mut self, at: usize, len: usize, depth: usize) {
        self.out.push('[');
        let mut next = at + 1;
        for index in 0..len {
            if index > 0 {
                self.out.push_str(", ");
            }
            next = self.value(next, depth);
        }
        self.out.push(']');
    }

    fn object(&mut self, at: usize, len: usize, depth: usize) {
        self.out.push_str("{\n");
        let mut next = at + 1;
        for index in 0..len {
            self.tabs(depth);
            if let Some(Node::String(key)) = self.tape.get(next) {
                write_json_string(key, self.out);
            }
            self.out.push_str(":\t");
            next = self.value(next + 1, depth);
            self.out.push_str(if index + 1 < len { ",\n" } else { "\n" });
        }
        self.tabs(depth - 1);
        self.out.push('}');
    }

    fn tabs(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n('\t', count));
    }
}

/// A scalar within printed JSON.
pub(crate) fn write_json_scalar(value: StaticNode, out: &mut String) {
    #[allow(clippy::cast_precision_loss)]
    let number = match value {
        StaticNode::I64(value) => value as f64,
        StaticNode::U64(value) => value as f64,
        StaticNode::F64(value) => value,
        StaticNode::Null | StaticNode::Bool(_) => return write_scalar(value, out),
    };
    write_json_number(number, out);
}

/// A number within printed JSON: the fewer of 15 or 17 significant digits that read back as the same number. One that
/// is too large for any is `null`.
fn write_json_number(value: f64, out: &mut String) {
    if !value.is_finite() {
        out.push_str("null");
        return;
    }
    // What 15 digits give too, but quicker; they keep the sign of a zero.
    if let Some(small) = as_i32(value).filter(|small| *small != 0 || value.is_sign_positive()) {
        let _ = write!(out, "{small}");
        return;
    }
    let short = significant(value, 15);
    if short.parse::<f64>() == Ok(value) {
        out.push_str(&short);
    } else {
        out.push_str(&significant(value, 17));
    }
}

/// C's `%.{digits}g`.
fn significant(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

/// A JSON string with the escapes that JSON demands and no others.
pub(crate) fn write_json_string(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(at) = first_to_escape(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            byte => drop(write!(out, "\\u{byte:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Nearly all texts need no escape, so sixteen bytes are looked at in one step.
fn first_to_escape(text: &[u8]) -> Option<usize> {
    let escapes = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let clean = text
        .chunks_exact(16)
        .take_while(|chunk| !chunk.iter().fold(false, |any, byte| any | escapes(byte)))
        .count()
        * 16;
    let rest = &text[clean..];
    if rest.len() < 16 && ends(rest).is_some_and(|words| !words.into_iter().any(has_escape)) {
        return None;
    }
    rest.iter().position(escapes).map(|at| clean + at)
}

/// Words that have all bytes of a text of 4 to 16 bytes, some of them perhaps twice.
fn ends(text: &[u8]) -> Option<[u64; 2]> {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return Some([u64::from_le_bytes(*first), u64::from_le_bytes(*last)]);
    }
    let (first, last) = (u32::from_le_bytes(*text.first_chunk()?), u32::from_le_bytes(*text.last_chunk()?));
    Some([u64::from(first) | u64::from(last) << 32; 2])
}

/// Whether one of eight bytes must be escaped.
fn has_escape(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x80 * ONES;
    let below = |word: u64, bound: u64| word.wrapping_sub(bound * ONES) & !word & HIGHS;
    let same = |byte: u8| below(word ^ (u64::from(byte) * ONES), 1);
    below(word, 0x20) | same(b'"') | same(b'\\') != 0
}

/// The text that Python's `str` gives for a value that is not an object: what the reference stores for CloudTrail's
/// free-form members when they are a list or a scalar.
pub(crate) fn write_python(tape: &[Node<'_>], at: usize, out: &mut String) {
    if let Some(Node::String(text)) = tape.get(at) {
        out.push_str(text);
    } else {
        write_python_repr(tape, at, out);
    }
}

fn write_python_repr(tape: &[Node<'_>], at: usize, out: &mut String) {
    match tape.get(at) {
        Some(Node::String(text)) => write_python_string(text, out),
        Some(Node::Static(StaticNode::Null)) => out.push_str("None"),
        Some(Node::Static(StaticNode::Bool(value))) => out.push_str(if *value { "True" } else { "False" }),
        Some(Node::Static(StaticNode::I64(value))) => drop(write!(out, "{value}")),
        Some(Node::Static(StaticNode::U64(value))) => drop(write!(out, "{value}")),
        Some(Node::Static(StaticNode::F64(value))) => write_python_float(*value, out),
        Some(Node::Array { len, .. }) => {
            out.push('[');
            let mut next = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push_str(", ");
                }
                write_python_repr(tape, next, out);
                next += span(tape, next);
            }
            out.push(']');
        }
        Some(Node::Object { len, .. }) => {
            out.push('{');
            let mut next = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push_str(", ");
                }
                write_python_repr(tape, next, out);
                out.push_str(": ");
                write_python_repr(tape, next + 1, out);
                next += 1 + span(tape, next + 1);
            }
            out.push('}');
        }
        None => {}
    }
}

/// Python's shortest form: that of Rust but for the exponent, which has a sign and two digits.
fn write_python_float(value: f64, out: &mut String) {
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => out.push_str(&text),
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            let _ = write!(out, "{mantissa}e{sign}{digits:0>2}");
        }
    }
}

fn write_python_string(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            character if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            character if character.is_ascii_control() => drop(write!(out, "\\x{:02x}", character as u32)),
            character => out.push(character),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        let mut bytes = json.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let mut out = String::new();
        write_value(&tape.0, 0, &mut out);
        out
    }

    #[test]
    fn numbers_have_the_reference_forms() {
        for (json, expected) in [
            ("1", "1"),
            ("-7", "-7"),
            ("1e3", "1000"),
            ("1.5", "1.500000"),
            ("2147483647", "2147483647"),
            ("2147483648", "2147483648.000000"),
            ("12345678901", "12345678901.000000"),
            ("true", "true"),
            ("null", "null"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("-2147483649", "-2147483649.000000"),
            ("18446744073709551615", "18446744073709551616.000000"),
            ("1e22", "10000000000000000000000.000000"),
            ("1e-9", "0.000000"),
        ] {
            assert_eq!(text(json), expected, "{json}");
        }
    }

    #[test]
    fn arrays_are_pretty_printed() {
        assert_eq!(
            text(r#"["a","b",1,2.5,null,{"k":"v"},[1]]"#),
            "[\"a\", \"b\", 1, 2.5, null, {\n\t\t\"k\":\t\"v\"\n\t}, [1]]"
        );
        assert_eq!(text("[]"), "[]");
        assert_eq!(
            text(r#"[12345678901, 0.1, 1e300, "q\"\u0001"]"#),
            "[12345678901, 0.1, 1e+300, \"q\\\"\\u0001\"]"
        );
        assert_eq!(text("[-0.0, 0.0, 1e20]"), "[-0, 0, 1e+20]");
    }

    #[test]
    fn lists_become_python_text() {
        let mut bytes = br#"["a",true,null,{"k":"it's"},1.5,1e16,1e-7]"#.to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let mut out = String::new();
        write_python(&tape.0, 0, &mut out);
        assert_eq!(out, "['a', True, None, {'k': \"it's\"}, 1.5, 1e+16, 1e-07]");
    }

    proptest::proptest! {
        #[test]
        fn strings_are_written_as_by_the_library(text in "[ -~é\"\\\\\\x00-\\x1f]{0,3}[ a-zé!#\\[\\]\u{7f}]{0,40}[\"\\\\\\x1f\\x00]?[ !#a-z]{0,20}") {
            let mut out = String::from("before");
            write_json_string(&text, &mut out);
            proptest::prop_assert_eq!(&out[6..], serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn a_word_has_an_escape_where_one_of_its_bytes_is_one() {
        for byte in 0..=255_u8 {
            let expected = byte < 0x20 || byte == b'"' || byte == b'\\';
            for (place, around) in
                (0..8).flat_map(|place| [b' ', b'!', b'#', b'[', b']', 0xff, 0x80].map(|one| (place, one)))
            {
                let mut word = [around; 8];
                word[place] = byte;
                assert_eq!(has_escape(u64::from_le_bytes(word)), expected, "{byte} {place} {around}");
            }
        }
    }
}
