//! One test of a decoder with what refutes it cheaply.
//!
//! Enters: a test; later a place in a log. Leaves: where the text after the match begins, and groups. A decoder set has
//! hundreds of tests for every log and all but a few fail, so before a pattern is run, its first bytes are compared and
//! a literal that it needs is looked for (once for all tests of the scope, see [`Needles`]).

use std::cmp::Reverse;

use super::needles::{Collector, Found, Needle, Needles};
use super::required;
use crate::expr::{ExprError, Matcher, OsRegex, Start, start_of};
use crate::ir::Test;

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

/// A compiled test: its alternatives, tried in order.
#[derive(Debug)]
pub(super) struct Trial {
    branches: Box<[Branch]>,
}

/// One alternative, or a whole pattern of another language.
#[derive(Debug)]
struct Branch {
    matcher: Matcher,
    /// When it is bound to the beginning of the text.
    start: Option<Start>,
    /// All must occur in the log.
    needles: Box<[Needle]>,
    /// Every match begins so many bytes before the first needle.
    lead: Option<usize>,
}

impl Trial {
    pub(super) fn new(test: &Test, scope: &mut Collector) -> Result<Self, ExprError> {
        let matcher = Matcher::new(test)?;
        let (needles, start, lead) = match test {
            Test::OsRegex(pattern) => {
                let parts = OsRegex::split(pattern).into_iter().map(|part| Branch::os_regex(part, scope));
                return Ok(Self { branches: parts.collect::<Result<_, _>>()? });
            }
            Test::Pcre2(pattern) => (pcre2_needles(pattern, scope), None, None),
            _ => (Box::default(), None, None),
        };
        Ok(Self { branches: Box::new([Branch { matcher, start, needles, lead }]) })
    }

    /// Which first bytes (lower case) a text can have that matches; `None`: any.
    pub(super) fn admits_first(&self, byte: u8) -> bool {
        let admits = |branch: &Branch| branch.start.is_none_or(|start| start.admits_first(byte));
        self.branches.iter().any(admits)
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
        self.branches.iter().find_map(|branch| {
            let from = branch.enter(log, from, scope, found)?;
            branch.matcher.rest(&log.text[from..]).map(|rest| from + rest)
        })
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
        let (from, rest) = self.branches.iter().find_map(|branch| {
            let from = branch.enter(log, from, scope, found)?;
            Some((from, branch.matcher.captures(&log.text[from..], groups)?))
        })?;
        for (start, end) in groups {
            *start += from;
            *end += from;
        }
        Some(from + rest)
    }
}

impl Branch {
    fn os_regex(pattern: &str, scope: &mut Collector) -> Result<Self, ExprError> {
        let regex = OsRegex::new(pattern)?;
        let (start, mut runs) = (regex.start(), regex.runs());
        // Two bytes in fixed places refuse as much as any literal, and the scan of a bound pattern ends soon.
        if start.is_some_and(|start| start.fixed_bytes() >= 2) {
            runs.clear();
        }
        runs.sort_by_key(|run| (Reverse(run.len()), run.clone()));
        runs.dedup();
        // Of a single byte there is little to be learned beside anything longer.
        let enough = usize::from(runs.first().is_some_and(|run| run.len() > 1)) + 1;
        runs.truncate(enough);
        runs.retain({
            let longest = runs.first().map_or(0, Vec::len);
            move |run| run.len() > 1 || longest == 1
        });
        let lead =
            regex.lead().filter(|(_, literal)| literal.len() > 1 || runs.iter().all(|run| run.len() == 1));
        let lead = lead.map(|(before, literal)| {
            runs.retain(|run| *run != literal);
            runs.truncate(1);
            runs.insert(0, literal);
            before
        });
        let needles = runs.into_iter().map(|run| scope.add(run)).collect();
        Ok(Self { matcher: Matcher::OsRegex(regex), start, needles, lead })
    }

    /// Where to begin; `None`: there is no match.
    #[inline(always)]
    fn enter(&self, log: Log<'_>, from: usize, scope: &Needles, found: &mut Found) -> Option<usize> {
        if let Some(expected) = self.start {
            let start = if from == 0 { log.start } else { start_of(&log.text[from..]) };
            if !expected.admits(start) {
                return None;
            }
        }
        // What is not in the log is not in the rest of it.
        for &needle in &self.needles {
            if !scope.occurs(needle, log.text, found) {
                return None;
            }
        }
        let Some(before) = self.lead else { return Some(from) };
        // A first occurrence before `from` says nothing about the next one.
        let first = self.needles.first().and_then(|&needle| scope.first(needle, found)).unwrap_or(0);
        Some(first.saturating_sub(before).max(from))
    }
}

/// What the literals of all alternatives begin with, if they have something in common.
fn pcre2_needles(pattern: &str, scope: &mut Collector) -> Box<[Needle]> {
    let common = required::required(pattern).and_then(|literals| {
        literals.into_iter().reduce(|common, literal| {
            let length = common.iter().zip(&literal).take_while(|(left, right)| left == right).count();
            common[..length].to_vec()
        })
    });
    common.filter(|literal| !literal.is_empty()).map(|literal| scope.add(literal)).into_iter().collect()
}
