//! What a single YAML value means: nothing, a truth value, a number, or a text (YAML 1.2, core schema).
//!
//! Enters: the value as written. Leaves: its meaning; numbers as JSON writes them, because events are JSON.

use crate::yaml::{Scalar, Style};

/// A single value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Single<'t> {
    Null,
    Bool(bool),
    /// The number, and how JSON writes it.
    Number(f64, String),
    Text(&'t str),
}

impl<'t> Single<'t> {
    pub(super) fn of(scalar: &'t Scalar) -> Self {
        if scalar.is_null() {
            return Self::Null;
        }
        let text = scalar.text.as_str();
        if scalar.style != Style::Plain {
            return Self::Text(text);
        }
        match text {
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            _ => number(text).unwrap_or(Self::Text(text)),
        }
    }

    /// As a text: truth values and numbers as JSON writes them; `None` for nothing.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Null => None,
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Number(_, text) => Some(text),
            Self::Text(text) => Some(text),
        }
    }
}

fn number(text: &str) -> Option<Single<'static>> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return based(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return based(octal, 8);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = digits.trim_start_matches('0');
        let canonical = if digits.is_empty() { "0".to_owned() } else { format!("{sign}{digits}") };
        return Some(Single::Number(canonical.parse().ok()?, canonical));
    }
    if !is_float(digits) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let canonical = serde_json::Number::from_f64(value)?.to_string();
    Some(Single::Number(value, canonical))
}

#[allow(clippy::cast_precision_loss)]
fn based(digits: &str, base: u32) -> Option<Single<'static>> {
    let value = u64::from_str_radix(digits, base).ok()?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| Single::Number(value as f64, value.to_string()))
}

/// `[0-9]+(\.[0-9]*)?` or `\.[0-9]+`, then perhaps an exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_have_the_types_of_the_core_schema() {
        let plain = |text: &str| Scalar { text: text.into(), style: Style::Plain };
        let shown = |text: &str| match Single::of(&plain(text)) {
            Single::Null => "null".to_owned(),
            Single::Bool(value) => format!("bool {value}"),
            Single::Number(value, text) => format!("{value} as {text}"),
            Single::Text(text) => format!("text {text}"),
        };
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("Null", "null"),
            ("nULL", "text nULL"),
            ("True", "bool true"),
            ("FALSE", "bool false"),
            ("yes", "text yes"),
            ("0", "0 as 0"),
            ("-0", "0 as 0"),
            ("+12", "12 as 12"),
            ("0517", "517 as 517"),
            ("-3", "-3 as -3"),
            ("123456789012345678901", "123456789012345680000 as 123456789012345678901"),
            ("0x1F", "31 as 31"),
            ("0o17", "15 as 15"),
            ("0xg", "text 0xg"),
            ("1.50", "1.5 as 1.5"),
            ("1.", "1 as 1.0"),
            (".5", "0.5 as 0.5"),
            ("-1.5e3", "-1500 as -1500.0"),
            ("1e", "text 1e"),
            ("1e999", "text 1e999"),
            (".", "text ."),
            ("-", "text -"),
            ("1.2.3.4", "text 1.2.3.4"),
            ("2024-01-02", "text 2024-01-02"),
            ("1_000", "text 1_000"),
            ("4é", "text 4é"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let quoted = Scalar { text: "12".into(), style: Style::Quoted };
        assert_eq!(Single::of(&quoted), Single::Text("12"));
        let quoted = Scalar { text: "null".into(), style: Style::Block };
        assert_eq!(Single::of(&quoted), Single::Text("null"));
    }
}
