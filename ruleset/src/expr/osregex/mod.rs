//! OSRegex, the reference's own regular expressions.
//!
//! Enters: a pattern. Leaves: yes or no for a text, and the captured ranges. The language is small (only classes can be
//! repeated, groups do not nest, a bare dot is a dot) and its matcher is not a regular expression engine: it scans once
//! with at most four places to come back to, misses some matches and is greedy in a way of its own. Existing rules
//! depend on that, so `scan.rs` is that algorithm as it stands, and shortcuts are taken only where they are provably
//! equal to it:
//!
//! * an alternative of nothing but fixed bytes is a literal search (`Alternative::literal` says why);
//! * `\.+` asks whether the text is empty;
//! * an alternative cannot match where a literal that it must consume is missing (`Alternative::required` says why).

mod class;
mod parse;
#[cfg(test)]
mod plain;
mod scan;
mod start;
#[cfg(test)]
mod tests;
mod translate;

use self::class::Class;
use self::parse::{Alternative, Op, Repeat};
use self::scan::{Groups, NoMarks, scan};
pub(crate) use self::start::{Start, start_of};
pub(crate) use self::translate::{escaped, translate};
use super::ExprError;
use super::bytes::ByteSet;
use super::finder::Finder;
use super::literals::{Literals, OsMatchPart};
use super::required::{Necessary, Required};

/// A compiled pattern.
#[derive(Debug)]
pub struct OsRegex {
    /// In the order of trial: the first that matches gives the captures.
    alternatives: Box<[Branch]>,
    /// When every alternative is a literal.
    literals: Option<Literals>,
}

/// An alternative and the quickest equal way to decide it.
#[derive(Debug)]
struct Branch {
    alternative: Alternative,
    shortcut: Shortcut,
}

#[derive(Debug)]
enum Shortcut {
    /// It is a literal.
    Literal(Literals),
    /// It matches every text that is not empty.
    NotEmpty,
    /// Only a text with this literal can match; then the scan decides.
    Required(Finder),
    /// The scan decides.
    None,
}

impl OsRegex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// An unknown escape, or a group that is nested, repeated, split by `|` or not closed.
    pub fn new(pattern: &str) -> Result<Self, ExprError> {
        let alternatives: Box<[Branch]> = parse::parse(pattern)?.into_iter().map(Branch::new).collect();
        let literals = literal_parts(&alternatives).map(Literals::new);
        Ok(Self { alternatives, literals })
    }

    /// Whether [`OsRegex::new`] takes a pattern.
    ///
    /// # Errors
    /// As there.
    pub fn check(pattern: &str) -> Result<(), ExprError> {
        parse::parse(pattern).map(|_| ())
    }

    /// Whether the text matches.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.literals {
            Some(literals) => literals.is_match(text),
            None => self.alternatives.iter().any(|branch| branch.is_match(text)),
        }
    }

    /// Matches without captures and tells where the text after the match begins (one past the last byte that was
    /// consumed; an empty match consumes the first byte, as in the reference).
    #[must_use]
    pub fn rest(&self, text: &[u8]) -> Option<usize> {
        let last =
            self.alternatives.iter().find_map(|branch| scan(&branch.alternative, text, &mut NoMarks))?;
        Some((last + 1).min(text.len()))
    }

    /// Matches, stores the captured ranges in `groups` (numbered within the alternative that matched, from 0) and tells
    /// where the text after the match begins, as [`OsRegex::rest`] does.
    ///
    /// A group that the scan left open ends the list, whatever follows it. At the end of a text the reference decides
    /// slightly differently with captures than without, so this is not quite `is_match` with more output.
    pub fn captures(&self, text: &[u8], groups: &mut Vec<(usize, usize)>) -> Option<usize> {
        for Branch { alternative, .. } in &self.alternatives {
            let last = if alternative.groups == 0 {
                groups.clear();
                scan(alternative, text, &mut NoMarks)
            } else {
                let mut marks = Groups::new(groups, alternative.groups);
                let last = scan(alternative, text, &mut marks);
                marks.drop_incomplete();
                last
            };
            if let Some(last) = last {
                return Some((last + 1).min(text.len()));
            }
        }
        groups.clear();
        None
    }

    /// The alternatives as OSMatch parts, if that is all they are: the pattern then holds exactly when one part does.
    #[must_use]
    pub fn as_literals(&self) -> Option<Vec<OsMatchPart>> {
        literal_parts(&self.alternatives)
    }

    /// What every matching text has.
    pub(super) fn necessary(&self) -> Necessary {
        let all = |part: fn(&Alternative) -> Option<Vec<u8>>, prefix| {
            let literals =
                self.alternatives.iter().map(|branch| part(&branch.alternative)).collect::<Option<_>>()?;
            Required::new(literals, prefix)
        };
        let first = self.alternatives.iter().try_fold(ByteSet::default(), |mut all, branch| {
            all.extend(branch.alternative.first_bytes()?);
            Some(all)
        });
        let required = Required::better(all(Alternative::required, false), all(Alternative::start, true));
        Necessary { required, first }
    }

    /// For each alternative a literal (lower case) that any text matching it must contain in some case; `None` when an
    /// alternative has none.
    #[must_use]
    pub fn required_literals(&self) -> Option<Vec<Vec<u8>>> {
        self.alternatives.iter().map(|branch| branch.alternative.required()).collect()
    }
}

fn literal_parts(alternatives: &[Branch]) -> Option<Vec<OsMatchPart>> {
    alternatives.iter().map(|branch| branch.alternative.literal()).collect()
}

impl Branch {
    fn new(alternative: Alternative) -> Self {
        let shortcut = if let Some(part) = alternative.literal() {
            Shortcut::Literal(Literals::new(vec![part]))
        } else if matches!(*alternative.ops, [Op::Class(Class::Any, Repeat::OneOrMore)]) {
            // Anchored or not: the first byte is accepted and the last one, too.
            Shortcut::NotEmpty
        } else if let Some(literal) = alternative.required() {
            Shortcut::Required(Finder::new(&literal))
        } else {
            Shortcut::None
        };
        Self { alternative, shortcut }
    }

    fn is_match(&self, text: &[u8]) -> bool {
        match &self.shortcut {
            Shortcut::Literal(literal) => literal.is_match(text),
            Shortcut::NotEmpty => !text.is_empty(),
            Shortcut::Required(finder) => finder.is_in(text) && self.scans(text),
            Shortcut::None => self.scans(text),
        }
    }

    fn scans(&self, text: &[u8]) -> bool {
        scan(&self.alternative, text, &mut NoMarks).is_some()
    }
}
