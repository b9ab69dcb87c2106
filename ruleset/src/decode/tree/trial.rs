//! One test of a decoder with what refutes it cheaply.
//!
//! Enters: a test; later a place in a log. Leaves: where the text after the match begins, and groups. A decoder set has
//! hundreds of tests for every log and all but a few fail, so before a pattern is run, its first bytes are compared and
//! a literal that it needs is looked for (once for all tests of the scope, see [`Needles`]).

use super::needles::{Collector, Found, Needle, Needles};
use super::required;
use crate::expr::{ExprError, Matcher, OsRegex, Start, start_of};
use crate::ir::Test;

/// A common prefix of that length is as good as any longer literal, and gives the place, too.
const GOOD_PREFIX: usize = 3;

/// A log and what was made of it.
#[derive(Clone, Copy)]
pub(super) struct Log<'l> {
    pub(super) text: &'l [u8],
    /// Its first bytes.
    start: u64,
}

impl<'l> Log<'l> {
    pub(super) fn new(text: &'l [u8]) -> Self {
        Self { text, start: start_of(text) }
    }
}

/// A compiled test.
#[derive(Debug)]
pub(super) struct Trial {
    matcher: Matcher,
    /// When the pattern is bound to the beginning of the text: one of these must admit it.
    starts: Option<Box<[Start]>>,
    /// One of these must occur in the log; empty: none is known.
    needles: Box<[Needle]>,
    /// The only needle is what every match begins with: begin there.
    jumps: bool,
}

impl Trial {
    pub(super) fn new(test: &Test, scope: &mut Collector) -> Result<Self, ExprError> {
        let matcher = Matcher::new(test)?;
        let plain = |matcher| Self { matcher, starts: None, needles: Box::default(), jumps: false };
        Ok(match (&matcher, test) {
            (Matcher::OsRegex(regex), _) => {
                let starts = regex.starts();
                let (literals, jumps) = literals(regex, starts.as_deref());
                Self { starts, needles: add(literals, scope), jumps, ..plain(matcher) }
            }
            (Matcher::Pcre2(_), Test::Pcre2(pattern)) => {
                let literals = required::required(pattern).unwrap_or_default();
                Self { needles: add(literals, scope), ..plain(matcher) }
            }
            _ => plain(matcher),
        })
    }

    /// Matches the log from `from` on and tells where the text after the match begins.
    #[inline]
    pub(super) fn rest(
        &self,
        log: Log<'_>,
        from: usize,
        scope: &Needles,
        found: &mut Found,
    ) -> Option<usize> {
        let from = self.enter(log, from, scope, found)?;
        self.matcher.rest(&log.text[from..]).map(|rest| from + rest)
    }

    /// As above, and stores the ranges of the groups.
    #[inline]
    pub(super) fn captures(
        &self,
        log: Log<'_>,
        from: usize,
        scope: &Needles,
        found: &mut Found,
        groups: &mut Vec<(usize, usize)>,
    ) -> Option<usize> {
        let from = self.enter(log, from, scope, found)?;
        let rest = self.matcher.captures(&log.text[from..], groups)?;
        for (start, end) in groups {
            *start += from;
            *end += from;
        }
        Some(from + rest)
    }

    /// Where to begin; `None`: there is no match.
    #[inline(always)]
    fn enter(&self, log: Log<'_>, from: usize, scope: &Needles, found: &mut Found) -> Option<usize> {
        if let Some(starts) = &self.starts {
            let start = if from == 0 { log.start } else { start_of(&log.text[from..]) };
            if !starts.iter().any(|expected| expected.admits(start)) {
                return None;
            }
        }
        // What is not in the log is not in the rest of it.
        if !self.needles.is_empty()
            && !self.needles.iter().any(|&needle| scope.occurs(needle, log.text, found))
        {
            return None;
        }
        if self.jumps
            && let [needle] = *self.needles
        {
            // A first occurrence before `from` says nothing about the next one.
            return Some(scope.first(needle, found).map_or(from, |first| first.max(from)));
        }
        Some(from)
    }
}

/// The literals of a pattern that are worth looking for, and whether the only one is its beginning.
fn literals(regex: &OsRegex, starts: Option<&[Start]>) -> (Vec<Vec<u8>>, bool) {
    // Two bytes in fixed places refuse as much as any literal, and the scan of a bound pattern ends soon.
    if starts.is_some_and(|starts| starts.iter().all(|start| start.fixed_bytes() >= 2)) {
        return (Vec::new(), false);
    }
    let required = regex.required_literals().unwrap_or_default();
    let longest = required.iter().map(Vec::len).max().unwrap_or(0);
    match regex.common_prefix() {
        Some(prefix) if prefix.len() >= GOOD_PREFIX.min(longest) => (vec![prefix], true),
        _ => (required, false),
    }
}

fn add(literals: Vec<Vec<u8>>, scope: &mut Collector) -> Box<[Needle]> {
    let mut needles: Vec<Needle> = literals.into_iter().map(|literal| scope.add(literal)).collect();
    needles.sort_unstable();
    needles.dedup();
    needles.into()
}
