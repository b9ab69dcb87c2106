//! What is wrong with a text that a user wrote: file, line, column, the offending text, and what to do about it.

use std::fmt;
use std::sync::Arc;

use crate::ir::Place;

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
        Self {
            severity: Severity::Error,
            place,
            text: text.into(),
            message: message.into(),
            help: help.into(),
        }
    }

    /// A warning.
    pub fn warning(
        place: Place,
        text: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            place,
            text: text.into(),
            message: message.into(),
            help: help.into(),
        }
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
