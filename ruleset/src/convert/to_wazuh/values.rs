//! Tests of values as PCRE2 patterns.
//!
//! Enters: a test of the intermediate form. Leaves: a [`Pattern`] that takes the same texts, as the reference runs it: byte by
//! byte, without Unicode. No pattern has a `<`, which would open a tag in the reference's dialect, where nothing is
//! escaped.

use crate::expr::Pcre2;
use crate::ir::sigma::{FieldTest, Pattern as SigmaPattern, PatternPart};

use super::{networks, numbers};

/// A pattern, as far as it can be joined with others by "or".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Texts with wildcards, one of which fits.
    Texts { cased: bool, texts: Vec<Wild> },
    /// Regular expressions over characters, one of which is found.
    Characters(Vec<String>),
    /// Any other.
    Bytes(String),
}

/// A text with wildcards as a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wild {
    from_start: bool,
    core: String,
    to_end: bool,
    /// The text in lower case, where it has no wildcards.
    literal: Option<Vec<u8>>,
}

/// Holds for every value, the empty one too.
pub(super) const ANY: &str = "^";

/// The pattern for a test of a field; else why there is none.
pub(super) fn pattern(test: &FieldTest) -> Result<Pattern, String> {
    match test {
        FieldTest::Pattern(pattern) => {
            let mut texts = vec![wild(pattern, escape)];
            texts.extend(as_number(pattern).map(|number| wild(&number, escape)));
            Ok(Pattern::Texts { cased: pattern.cased, texts })
        }
        FieldTest::Regex(regex) => Ok(Pattern::Characters(vec![without_tags(regex)?])),
        FieldTest::Networks(list) => networks::pattern(list).map(Pattern::Bytes),
        FieldTest::Compare(comparison, number) => numbers::pattern(*comparison, *number).map(Pattern::Bytes),
        FieldTest::Null | FieldTest::Exists(_) => Ok(Pattern::Bytes(ANY.to_owned())),
        FieldTest::Same { field, .. } => {
            Err(format!("a Wazuh rule cannot compare a field with another one ({field})"))
        }
        FieldTest::TimePart(..) => Err("a Wazuh rule cannot take parts of a time".to_owned()),
    }
}

/// The pattern for a keyword, which is looked for anywhere in the log; `json`: in the text of JSON.
pub(super) fn keyword(test: &FieldTest, json: bool) -> Result<Pattern, String> {
    match test {
        FieldTest::Pattern(pattern) => {
            let mut parts = pattern.parts.clone();
            parts.insert(0, PatternPart::AnyRun);
            parts.push(PatternPart::AnyRun);
            let open = SigmaPattern { parts, cased: pattern.cased };
            let text = wild(&open, if json { escape_json } else { escape });
            Ok(Pattern::Texts { cased: pattern.cased, texts: vec![text] })
        }
        FieldTest::Regex(regex) => Ok(Pattern::Characters(vec![without_tags(regex)?])),
        _ => Err("a Wazuh rule looks for keywords as texts and regular expressions only".to_owned()),
    }
}

/// The pattern for a test of the elements of a list, or of a member of its elements, in the list's JSON text.
pub(super) fn in_list(test: &FieldTest, member: Option<&str>) -> Result<Pattern, String> {
    let FieldTest::Pattern(pattern) = test else {
        return Err(
            "in a list a Wazuh rule can look for texts only, since it sees the list as JSON text".to_owned()
        );
    };
    let mut core = String::new();
    for part in &pattern.parts {
        match part {
            PatternPart::Bytes(bytes) => core.push_str(&escape_json(bytes)),
            PatternPart::AnyRun => core.push_str(r#"(?:[^"\\]|\\.)*"#),
            PatternPart::AnyOne => core.push_str(r#"(?:[^"\\\x80-\xBF][\x80-\xBF]*|\\.)"#),
        }
    }
    let flags = if pattern.cased { "" } else { "(?i)" };
    let literal = pattern.parts.iter().all(|part| matches!(part, PatternPart::Bytes(_)));
    let bare = literal && core.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.\\".contains(&byte));
    let value = if bare { format!(r#""?{core}"?"#) } else { format!(r#""{core}""#) };
    let end = r"(?:[,}\]\s]|\z)";
    Ok(Pattern::Bytes(match member {
        Some(member) => {
            format!(r#"{flags}"{}":\s*(?:\[(?:.*, )?)?{value}{end}"#, escape_json(member.as_bytes()))
        }
        None => format!(r"{flags}(?:^|\[|, ){value}{end}"),
    }))
}

impl Pattern {
    /// As a rule writes it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Bytes(text) => text.clone(),
            Self::Characters(list) => match list.as_slice() {
                [one] => format!("(*UTF){one}"),
                many => {
                    let groups: Vec<String> = many.iter().map(|one| format!("(?:{one})")).collect();
                    format!("(*UTF){}", groups.join("|"))
                }
            },
            Self::Texts { cased, texts } => {
                let folds = !cased
                    && texts.iter().any(|text| text.core.bytes().any(|byte| byte.is_ascii_alphabetic()));
                let runs = texts.iter().any(|text| text.core.contains(".*"));
                let flags = match (folds, runs) {
                    (true, true) => "(?is)",
                    (true, false) => "(?i)",
                    (false, true) => "(?s)",
                    (false, false) => "",
                };
                format!("{flags}{}", alternation(texts))
            }
        }
    }

    /// One pattern for both, where that can be written.
    pub(super) fn or(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Texts { cased, texts }, Self::Texts { cased: also, texts: more }) if cased == also => {
                let mut texts = texts.clone();
                texts.extend(more.iter().filter(|text| !texts.contains(text)).cloned().collect::<Vec<_>>());
                Some(Self::Texts { cased: *cased, texts })
            }
            (Self::Characters(list), Self::Characters(more))
                if list.iter().chain(more).all(|regex| is_self_contained(regex)) =>
            {
                Some(Self::Characters(list.iter().chain(more).cloned().collect()))
            }
            _ => None,
        }
    }

    /// The only texts that it takes, in lower case; `None`: others too.
    pub(super) fn literals(&self) -> Option<Vec<&[u8]>> {
        match self {
            Self::Texts { texts, .. } => texts.iter().map(|text| text.literal.as_deref()).collect(),
            _ => None,
        }
    }

    /// Whether it takes this text.
    pub(super) fn takes(&self, text: &[u8]) -> bool {
        Pcre2::new(&self.text()).is_ok_and(|pattern| pattern.is_match(text))
    }
}

fn alternation(texts: &[Wild]) -> String {
    let whole = |text: &&Wild| text.from_start && text.to_end;
    let open = |text: &&Wild| !text.from_start && !text.to_end;
    let cores = || texts.iter().map(|text| text.core.as_str()).collect::<Vec<_>>().join("|");
    match texts {
        many if many.len() > 1 && many.iter().all(|text| whole(&text)) => format!(r"^(?:{})\z", cores()),
        many if many.iter().all(|text| open(&text)) => cores(),
        many => {
            let each = |text: &Wild| {
                let (start, end) =
                    (if text.from_start { "^" } else { "" }, if text.to_end { r"\z" } else { "" });
                format!("{start}{}{end}", text.core)
            };
            many.iter().map(each).collect::<Vec<_>>().join("|")
        }
    }
}

fn wild(pattern: &SigmaPattern, escape: fn(&[u8]) -> String) -> Wild {
    let is_run = |part: &&PatternPart| matches!(part, PatternPart::AnyRun);
    let from_start = !pattern.parts.first().as_ref().is_some_and(is_run);
    let to_end = !pattern.parts.last().as_ref().is_some_and(is_run);
    let mut parts = pattern.parts.as_slice();
    while let [PatternPart::AnyRun, rest @ ..] = parts {
        parts = rest;
    }
    while let [rest @ .., PatternPart::AnyRun] = parts {
        parts = rest;
    }
    let mut core = String::new();
    for part in parts {
        match part {
            PatternPart::Bytes(bytes) => core.push_str(&escape(bytes)),
            PatternPart::AnyRun => core.push_str(".*"),
            // One character, whose first byte does not go on with another.
            PatternPart::AnyOne => core.push_str(r"[^\x80-\xBF][\x80-\xBF]*"),
        }
    }
    let literal = match pattern.parts.as_slice() {
        [] => Some(Vec::new()),
        [PatternPart::Bytes(bytes)] => Some(bytes.to_ascii_lowercase()),
        _ => None,
    };
    if core.is_empty() && !(from_start && to_end) {
        core.push_str(ANY);
        return Wild { from_start: false, core, to_end: false, literal };
    }
    Wild { from_start, core, to_end, literal }
}

/// A number as the reference's decoder writes it, where that is not what JSON has: six decimals, unless it is a whole
/// number of 32 bits.
fn as_number(pattern: &SigmaPattern) -> Option<SigmaPattern> {
    let [PatternPart::Bytes(bytes)] = pattern.parts.as_slice() else { return None };
    let text = std::str::from_utf8(bytes).ok()?;
    let value: serde_json::Number = serde_json::from_str(text).ok()?;
    if value.to_string() != text {
        return None;
    }
    let number = value.as_f64()?;
    let fits = value.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok());
    let decimals = format!("{number:.6}");
    (!fits).then(|| SigmaPattern {
        parts: vec![PatternPart::Bytes(decimals.into_bytes())],
        cased: pattern.cased,
    })
}

/// Bytes as a pattern for themselves.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' => {
                    out.push('\\');
                    out.push(char);
                }
                '<' => out.push_str(r"\x3C"),
                control if control.is_ascii_control() => {
                    out.push_str(&format!(r"\x{:02X}", u32::from(control)));
                }
                char => out.push(char),
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!(r"\x{byte:02X}")));
    }
    out
}

/// Bytes as a pattern for the way they stand in a JSON text.
fn escape_json(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte_or_text in bytes.split_inclusive(|byte| b"\"\\\n\r\t".contains(byte)) {
        let (plain, last) = match byte_or_text.split_last() {
            Some((last, plain)) if b"\"\\\n\r\t".contains(last) => (plain, Some(*last)),
            _ => (byte_or_text, None),
        };
        out.push_str(&escape(plain));
        out.push_str(match last {
            Some(b'"') => r#"\\""#,
            Some(b'\\') => r"\\\\",
            Some(b'\n') => r"\\n",
            Some(b'\r') => r"\\r",
            Some(b'\t') => r"\\t",
            _ => "",
        });
    }
    out
}

/// The expression without any `<`.
fn without_tags(regex: &str) -> Result<String, String> {
    let mut out = String::with_capacity(regex.len());
    let mut chars = regex.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('<') => out.push_str(r"\x3C"),
                Some(next) => {
                    out.push('\\');
                    out.push(next);
                }
                None => out.push('\\'),
            },
            '<' if out.ends_with("(?") => {
                // The same assertions have names of letters.
                let kind = match chars.next() {
                    Some('=') => "(*plb:",
                    Some('!') => "(*nlb:",
                    _ => return Err("its regular expression names a group with `<`, which a Wazuh rule cannot hold; name none".to_owned()),
                };
                out.truncate(out.len() - 2);
                out.push_str(kind);
            }
            '<' => out.push_str(r"\x3C"),
            '\n' => out.push_str(r"\x0A"),
            char => out.push(char),
        }
    }
    match Pcre2::check(&format!("(*UTF){out}")) {
        Ok(()) => Ok(out),
        Err(_) => {
            Err("its regular expression cannot be written without `<`, which opens a tag in a Wazuh rule"
                .to_owned())
        }
    }
}

/// Whether an expression means the same beside others: it refers to no group and has no verb in front.
fn is_self_contained(regex: &str) -> bool {
    let refers = regex.as_bytes().windows(2).any(|pair| {
        matches!(
            pair,
            [b'\\', b'1'..=b'9' | b'g' | b'k']
                | [b'?', b'(' | b'R' | b'P' | b'&' | b'0'..=b'9' | b'\'' | b'|']
        )
    });
    !refers && !regex.contains("(*") && !regex.contains("(?x") && !regex.contains(r"\Q")
}
