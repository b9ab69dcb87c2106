//! What is wrong with a text that a user wrote: file, line, column, the offending text, and what to do about it.
//!
//! Enters: words, with parts of the user's text among them, of any length. Leaves: faults that a person can read: of what is
//! long beginning and end are shown.

use std::fmt;
use std::sync::Arc;

use crate::ir::Place;

/// Characters of an offending text, and of a message or help, that are shown from the beginning; behind them some from the end.
const SHOWN: usize = 120;
const SAID: usize = 400;
const END: usize = 80;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The text works, but probably not as meant.
    Warning,
    /// The text cannot be used.
    Error,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// The offending text, as written; may be empty.
    pub text: String,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to do; lower case, no full stop.
    pub help: String,
}

impl Diagnostic {
    /// An error.
    pub fn error(
        place: Place,
        text: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Error, place, text.into(), message.into(), help.into())
    }

    /// A warning.
    pub fn warning(
        place: Place,
        text: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, place, text.into(), message.into(), help.into())
    }

    fn new(severity: Severity, place: Place, text: String, message: String, help: String) -> Self {
        Self {
            severity,
            place,
            text: excerpt(first_line(text), SHOWN),
            message: excerpt(message, SAID),
            help: excerpt(help, SAID),
        }
    }
}

fn first_line(text: String) -> String {
    match text.lines().next() {
        Some(line) if line.len() < text.len() => line.to_owned(),
        _ => text,
    }
}

/// A text that is longer than that without its middle.
fn excerpt(text: String, most: usize) -> String {
    let beginning = text.char_indices().nth(most).map(|(at, _)| at);
    let end = text.char_indices().rev().nth(END - 1).map(|(at, _)| at);
    match (beginning, end) {
        (Some(beginning), Some(end)) if end > beginning => {
            format!("{}…{}", &text[..beginning], &text[end..])
        }
        _ => text,
    }
}

impl Place {
    /// The place at `line` and `column`, both from 1.
    #[must_use]
    pub fn new(file: &Arc<str>, line: u32, column: u32) -> Self {
        Self { file: Arc::clone(file), line, column }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let Place { file, line, column } = &self.place;
        write!(f, "{file}:{line}:{column}: {severity}: {}", self.message)?;
        if !self.text.is_empty() {
            write!(f, "\n    {}", self.text.lines().next().unwrap_or_default())?;
        }
        if !self.help.is_empty() {
            write!(f, "\n    help: {}", self.help)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_texts_beginning_and_end_are_shown() {
        let place = Place::new(&Arc::from("f"), 1, 2);
        let name = "é".repeat(1_000_000);
        let fault =
            Diagnostic::error(place.clone(), &name, format!("no rule {name} here"), format!("write {name}"));
        assert!(fault.to_string().len() < 3_000, "{fault}");
        assert!(fault.message.starts_with("no rule é") && fault.message.ends_with("é here"));
        assert_eq!(fault.text.chars().count(), SHOWN + 1 + END);
        let short = Diagnostic::warning(place, "one\ntwo", "message", "help");
        assert_eq!(short.to_string(), "f:1:2: warning: message\n    one\n    help: help");
    }
}
