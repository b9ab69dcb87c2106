//! Tests of values as PCRE2 patterns.
//!
//! Enters: a test of the intermediate form. Leaves: a [`Pattern`] that takes the same texts, as the reference runs it: byte by
//! byte, without Unicode. No pattern has a `<`, which would open a tag in the reference's dialect, where nothing is
//! escaped.

use std::fmt::Write as _;

use rustc_hash::FxHashSet;

use crate::expr::Pcre2;
use crate::ir::sigma::{FieldTest, Pattern as SigmaPattern, PatternPart};

use super::{networks, numbers, xml};

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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

/// Whether a test can hold for the compact JSON text of an object; null and existence are not asked.
pub(super) fn may_take_object(test: &FieldTest) -> bool {
    match test {
        FieldTest::Pattern(pattern) => {
            let fits = |part: Option<&PatternPart>, bytes: fn(&[u8]) -> bool| match part {
                Some(PatternPart::Bytes(text)) => bytes(text),
                Some(_) => true,
                None => false,
            };
            fits(pattern.parts.first(), |text| text.first().is_none_or(|byte| *byte == b'{'))
                && fits(pattern.parts.last(), |text| text.last().is_none_or(|byte| *byte == b'}'))
        }
        FieldTest::Regex(regex) => {
            let begins = regex.strip_prefix('^').and_then(|rest| rest.chars().next());
            regex.contains('|') || !begins.is_some_and(char::is_alphanumeric)
        }
        FieldTest::Same { .. } => true,
        FieldTest::Null
        | FieldTest::Exists(_)
        | FieldTest::Networks(_)
        | FieldTest::Compare(..)
        | FieldTest::TimePart(..) => false,
    }
}

/// Whether a test asks for digits in a text and for nothing else, so that it may be meant for numbers.
pub(super) fn is_about_digits(test: &FieldTest) -> bool {
    match test {
        FieldTest::Pattern(pattern) => {
            let digits = |part: &PatternPart| match part {
                PatternPart::Bytes(text) => text.iter().all(u8::is_ascii_digit),
                PatternPart::AnyRun | PatternPart::AnyOne => true,
            };
            let is_text = |part: &PatternPart| matches!(part, PatternPart::Bytes(_));
            pattern.parts.iter().all(digits)
                && pattern.parts.iter().any(is_text)
                && !pattern.parts.iter().all(is_text)
        }
        FieldTest::Regex(regex) => {
            let rest = regex.replace(r"\d", "0").replace("0-9", "0").replace(r"\z", "").replace(r"\A", "");
            rest.bytes().any(|byte| byte.is_ascii_digit())
                && rest.bytes().all(|byte| byte.is_ascii_digit() || b"^$[](){}|?:+*,-.\\".contains(&byte))
        }
        _ => false,
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

    /// Takes what another one takes as well, where one pattern can be written for both; texts may be in it twice then.
    pub(super) fn absorb(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Texts { cased, texts }, Self::Texts { cased: also, texts: more }) if cased == also => {
                texts.extend_from_slice(more);
                true
            }
            (Self::Characters(list), Self::Characters(more))
                if list.first().into_iter().chain(more).all(|regex| is_self_contained(regex)) =>
            {
                list.extend_from_slice(more);
                true
            }
            _ => false,
        }
    }

    /// Leaves each text in it once.
    pub(super) fn drop_repeated(&mut self) {
        if let Self::Texts { texts, .. } = self {
            let mut seen = FxHashSet::default();
            texts.retain(|text| seen.insert(text.clone()));
        }
    }

    /// Patterns of `most` bytes at most, one of which takes what this one does; `None`: it cannot be parted like that.
    pub(super) fn parts(&self, most: usize) -> Option<Vec<Self>> {
        if self.text().len() <= most {
            return Some(vec![self.clone()]);
        }
        // What stands around all, and around each.
        let (around, each) = (16, 5);
        let most = most.checked_sub(around)?;
        match self {
            Self::Texts { cased, texts } => {
                let part = |texts: &[Wild]| Self::Texts { cased: *cased, texts: texts.to_vec() };
                runs(texts, most, |text| text.core.len() + each, part)
            }
            Self::Characters(list) => {
                runs(list, most, |regex| regex.len() + each, |list| Self::Characters(list.to_vec()))
            }
            Self::Bytes(_) => None,
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

/// Cuts a list into runs whose sizes sum up to `most` at most.
fn runs<T>(
    list: &[T],
    most: usize,
    size: impl Fn(&T) -> usize,
    part: impl Fn(&[T]) -> Pattern,
) -> Option<Vec<Pattern>> {
    let (mut out, mut start, mut sum) = (Vec::new(), 0, 0);
    for (at, item) in list.iter().enumerate() {
        let own = size(item);
        if own > most {
            return None;
        }
        if sum + own > most {
            out.push(part(list.get(start..at)?));
            (start, sum) = (at, 0);
        }
        sum += own;
    }
    out.push(part(list.get(start..)?));
    Some(out)
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
                char if xml::is_allowed(char) => out.push(char),
                // Byte by byte, as patterns run.
                char => char.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                    let _ = write!(out, r"\x{byte:02X}");
                }),
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

/// The expression without any `<`, and without characters that XML cannot have.
fn without_tags(regex: &str) -> Result<String, String> {
    if regex.chars().any(|char| !xml::is_allowed(char)) && (regex.contains(r"\Q") || is_extended(regex)) {
        return Err(
            "its regular expression has control characters beside `\\Q` or `(?x)`, where they cannot be escaped; write them as `\\x{…}`"
                .to_owned(),
        );
    }
    let mut out = String::with_capacity(regex.len());
    let mut chars = regex.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('<') => out.push_str(r"\x3C"),
                Some(next) if !xml::is_allowed(next) => escaped(next, &mut out),
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
            char if xml::is_allowed(char) => out.push(char),
            char => escaped(char, &mut out),
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

fn escaped(char: char, out: &mut String) {
    let _ = write!(out, r"\x{{{:X}}}", u32::from(char));
}

/// Whether an expression turns on the flag `x`, by which white space says nothing.
fn is_extended(regex: &str) -> bool {
    regex.split("(?").skip(1).any(|group| {
        group
            .chars()
            .take_while(|char| char.is_ascii_alphabetic() || "^-".contains(*char))
            .any(|flag| flag == 'x')
    })
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
