//! OSRegex as a regular expression.
//!
//! Enters: a pattern. Leaves: a regular expression for texts, letter case aside, and whether it is known to match the same
//! texts. The scan of OSRegex is no regular expression engine; where a repeated class could also take what comes after it,
//! the two may differ.

use std::fmt::Write;

use super::class::Class;
use super::parse::{Alternative, Op, Repeat, parse};
use crate::expr::ExprError;

/// A pattern in the other language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Translated {
    /// One for each alternative, without its anchors.
    pub(crate) parts: Vec<TranslatedPart>,
    /// Whether the scan of OSRegex is known to match the same texts.
    pub(crate) exact: bool,
}

/// An alternative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TranslatedPart {
    pub(crate) from_start: bool,
    pub(crate) regex: String,
    pub(crate) to_end: bool,
}

/// Translates a pattern.
///
/// # Errors
/// When it is none.
pub(crate) fn translate(pattern: &str) -> Result<Translated, ExprError> {
    let alternatives = parse(pattern)?;
    let exact = alternatives.iter().all(is_exact);
    let part = |alternative: &Alternative| TranslatedPart {
        from_start: alternative.from_start,
        regex: regex(&alternative.ops),
        to_end: alternative.to_end,
    };
    Ok(Translated { parts: alternatives.iter().map(part).collect(), exact })
}

/// Whether the scan takes each byte in one way only. Without a repeated class it is the plain search of a sequence. One
/// that takes at least one byte ends where a byte comes that it does not accept; when nothing follows, or a byte that it does
/// not accept must follow, no other way to take the bytes could succeed, and the place to which the scan comes back is
/// that of a plain search.
fn is_exact(alternative: &Alternative) -> bool {
    let ops: Vec<Op> = alternative.ops.iter().copied().filter(|op| !matches!(op, Op::Mark(_))).collect();
    let has_marks = ops.len() < alternative.ops.len();
    (0..ops.len()).all(|at| match ops[at] {
        Op::Mark(_) | Op::Literal(_) | Op::Class(_, Repeat::Once) => true,
        Op::Class(_, Repeat::Any) => false,
        Op::Class(class, Repeat::OneOrMore) => match ops.get(at + 1) {
            None => !alternative.to_end,
            Some(next) => !has_marks && next.fixed().is_some_and(|byte| !accepts(class, byte)),
        },
    })
}

fn accepts(class: Class, byte: u8) -> bool {
    class.accepts(byte) || class.accepts(byte.to_ascii_uppercase())
}

fn regex(ops: &[Op]) -> String {
    let mut regex = String::new();
    let mut literal = Vec::new();
    for op in ops {
        if let Op::Literal(byte) = op {
            literal.push(*byte);
            continue;
        }
        escape(&mut literal, &mut regex);
        if let Op::Class(class, repeat) = op {
            regex.push_str(set(*class));
            match repeat {
                Repeat::Once => {}
                Repeat::OneOrMore => regex.push('+'),
                Repeat::Any => regex.push('*'),
            }
        }
    }
    escape(&mut literal, &mut regex);
    regex
}

/// Appends what was gathered, so that it stands for itself.
fn escape(literal: &mut Vec<u8>, out: &mut String) {
    out.push_str(&escaped(&String::from_utf8_lossy(&std::mem::take(literal))));
}

/// A text as a regular expression that stands for itself.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        if matches!(char, '\\' | '^' | '$' | '.' | '[' | ']' | '|' | '(' | ')' | '*' | '+' | '?' | '{' | '}')
        {
            out.push('\\');
        }
        if char.is_control() {
            let _ = write!(out, "\\x{{{:x}}}", u32::from(char));
        } else {
            out.push(char);
        }
    }
    out
}

fn set(class: Class) -> &'static str {
    match class {
        Class::Digit => "[0-9]",
        Class::NotDigit => "[^0-9]",
        Class::Word => "[A-Za-z0-9_@-]",
        Class::NotWord => "[^A-Za-z0-9_@-]",
        Class::Blank => " ",
        Class::NotBlank => "[^ ]",
        Class::Punctuation => r##"[!"#$%&'()*+,.:;<=>?\[\]{|}-]"##,
        Class::Any => r"[\s\S]",
        Class::Tab => r"\t",
        Class::OpenGroup => r"\(",
        Class::CloseGroup => r"\)",
        Class::Backslash => r"\\",
        Class::Dollar => r"\$",
        Class::Bar => r"\|",
        Class::Less => "<",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::expr::{OsRegex, Pcre2};

    fn whole(translated: &Translated) -> String {
        let part = |part: &TranslatedPart| {
            let (start, end) = (if part.from_start { "^" } else { "" }, if part.to_end { r"\z" } else { "" });
            format!("{start}{}{end}", part.regex)
        };
        format!("(?i){}", translated.parts.iter().map(part).collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn classes_and_literals() {
        let translated = translate(r"^user (\S+) from \d+.\d+$|a\.b").unwrap();
        assert!(!translated.exact);
        assert_eq!(whole(&translated), r"(?i)^user [^ ]+ from [0-9]+\.[0-9]+\z|a[\s\S]b");
        assert!(translate(r"\d+: x|\w+ ").unwrap().exact);
        assert!(translate(r"a\d+").unwrap().exact);
        assert!(!translate(r"\S+a").unwrap().exact && !translate(r"\d*x").unwrap().exact);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn what_is_exact_matches_the_same(
            pattern in r"\^?(a|b|1|:| |\\d|\\w|\\d\+|\\w\+|\\S\+|\\s\+|\\D\+|\\\.){1,6}\$?(\|\^?(a|\\d\+|:){1,3})?",
            text in "[ab1: A]{0,10}",
        ) {
            let translated = translate(&pattern).unwrap();
            if translated.exact {
                let own = Pcre2::new(&whole(&translated)).unwrap().is_match(text.as_bytes());
                prop_assert_eq!(OsRegex::new(&pattern).unwrap().is_match(text.as_bytes()), own, "{} {:?}", pattern, text);
            }
        }
    }
}
