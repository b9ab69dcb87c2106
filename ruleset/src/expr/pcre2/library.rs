//! PCRE2 through the original library.
//!
//! Enters: a pattern. Leaves: yes or no for a text, and the captured ranges. Only this library knows look-around and
//! back-references, and they cost time without bound; so every pattern gets limits, by verbs before it. It cannot raise
//! them: of several settings the lowest counts. A match that runs into them, like any other error, is no match.

use std::sync::Mutex;

use pcre2::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::super::ExprError;

/// Match attempts per starting place, depth of backtracking, and KiB of memory for it.
const LIMITS: &str = "(*LIMIT_MATCH=1000000)(*LIMIT_DEPTH=250000)(*LIMIT_HEAP=65536)";

/// Longer texts are looked at up to here. The limits above count no steps within a single repeat such as `.*`, so a
/// pattern with two of them costs the square of the text. The reference takes no longer events at all.
pub(super) const LONGEST_TEXT: usize = 65_536;

/// The stack of compiled code grows up to this.
const STACK: usize = 1 << 20;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Library {
    regex: Regex,
    /// Bytes of the pattern.
    length: usize,
    /// Space for captures, kept for the next text; as many as threads that captured at one time.
    spare: Mutex<Vec<CaptureLocations>>,
}

impl Library {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The library does not take it.
    pub(super) fn new(pattern: &str) -> Result<Self, ExprError> {
        let regex = RegexBuilder::new()
            .jit_if_available(true)
            .max_jit_stack_size(Some(STACK))
            .build(&format!("{LIMITS}{pattern}"))
            .map_err(|error| refused(&error))?;
        Ok(Self { regex, length: pattern.len(), spare: Mutex::default() })
    }

    /// Bytes of memory, roughly: machine code, which the library does not tell the size of, is some times the pattern.
    pub(super) fn memory_usage(&self) -> usize {
        (4 << 10) + 64 * self.length
    }

    /// Whether the library takes the pattern, without the cost of making it quick.
    pub(super) fn check(pattern: &str) -> Result<(), ExprError> {
        RegexBuilder::new().build(&format!("{LIMITS}{pattern}")).map(drop).map_err(|error| refused(&error))
    }

    /// Whether the text has a match.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(cut(text)).unwrap_or(false)
    }

    /// Matches without captures and tells where the text after the match begins.
    pub(super) fn rest(&self, text: &[u8]) -> Option<usize> {
        self.regex.find_at(cut(text), 0).ok().flatten().map(|found| found.end())
    }

    /// Matches, stores the captured ranges in `groups` (group 1 first) and tells where the text after the match begins.
    ///
    /// A group that took no part is an empty range if a later one did; otherwise it is not in the list.
    pub(super) fn captures(&self, text: &[u8], groups: &mut Vec<(usize, usize)>) -> Option<usize> {
        groups.clear();
        let mut locations = self.spare().pop().unwrap_or_else(|| self.regex.capture_locations());
        let found = self.regex.captures_read_at(&mut locations, cut(text), 0).ok().flatten();
        if found.is_some() {
            let last = (1..locations.len()).rev().find(|&group| locations.get(group).is_some()).unwrap_or(0);
            groups.extend((1..=last).map(|group| locations.get(group).unwrap_or((0, 0))));
        }
        self.spare().push(locations);
        found.map(|found| found.end())
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<CaptureLocations>> {
        // Nothing can be half done in the list when a holder panics.
        self.spare.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn cut(text: &[u8]) -> &[u8] {
    &text[..text.len().min(LONGEST_TEXT)]
}

fn refused(error: &pcre2::Error) -> ExprError {
    let offset = error.offset().unwrap_or(0).saturating_sub(LIMITS.len());
    let text = error.to_string();
    // The library's message begins with where it happened, counted with the limits.
    let message = text.rsplit(": ").next().unwrap_or(&text).to_owned();
    ExprError::new(offset, message, "correct the pattern; the syntax is that of PCRE2 10 in byte mode")
}
