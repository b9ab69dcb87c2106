//! The three matching languages: OSMatch, OSRegex, PCRE2.
//!
//! Enters: the text of a pattern and, later, bytes. Leaves: yes or no, and for the two regular languages the captured
//! ranges. All work on bytes and fold only ASCII letters. The patterns are compiled once, when rules are loaded, and are
//! shared by all workers: matching takes `&self`, does not allocate and, whatever the text, ends in bounded time.

mod bytes;
mod finder;
mod literals;
mod multi;
mod networks;
mod osmatch;
mod osregex;
mod pcre2;
mod required;
mod wildcard;

pub use bytes::ByteSet;
pub(crate) use finder::Finder;
pub use literals::{OsMatchKind, OsMatchPart};
pub(crate) use multi::{MultiFinder, Site};
pub use networks::Networks;
pub use osmatch::OsMatch;
pub use osregex::OsRegex;
pub(crate) use osregex::{Start, escaped, start_of, translate};
pub use pcre2::Pcre2;
pub(crate) use pcre2::literals as pcre2_literals;
pub use pcre2::literals::Pcre2Literal;
pub use required::{Necessary, Required};
pub use wildcard::Wildcard;
pub(crate) use wildcard::WildcardPart;

use crate::ir::Test;

/// A compiled test of any of the languages.
#[derive(Debug)]
pub enum Matcher {
    /// Substring language.
    OsMatch(OsMatch),
    /// The reference's own regular expressions.
    OsRegex(OsRegex),
    /// Perl-compatible regular expressions.
    Pcre2(Pcre2),
    /// The same bytes.
    Equals(Box<[u8]>),
    /// An address in one of some networks.
    Networks(Networks),
    /// A text with `*` and `?`.
    Wildcard(Wildcard),
}

impl Matcher {
    /// Compiles a test.
    ///
    /// # Errors
    /// The pattern is not of the test's language.
    pub fn new(test: &Test) -> Result<Self, ExprError> {
        Ok(match test {
            Test::OsMatch(pattern) => Self::OsMatch(OsMatch::new(pattern)?),
            Test::OsRegex(pattern) => Self::OsRegex(OsRegex::new(pattern)?),
            Test::Pcre2(pattern) => Self::Pcre2(Pcre2::new(pattern)?),
            Test::Equals(text) => Self::Equals(text.as_bytes().into()),
            Test::Networks(networks) => Self::Networks(Networks::new(networks)),
            Test::List(_) => {
                return Err(ExprError::new(0, "a look-up is no pattern", "compile it with its list"));
            }
        })
    }

    /// Whether [`Matcher::new`] takes a test, without the cost of it.
    ///
    /// # Errors
    /// As there.
    pub fn check(test: &Test) -> Result<(), ExprError> {
        match test {
            Test::OsMatch(pattern) => OsMatch::check(pattern),
            Test::OsRegex(pattern) => OsRegex::check(pattern),
            Test::Pcre2(pattern) => Pcre2::check(pattern),
            Test::Equals(_) | Test::Networks(_) => Ok(()),
            Test::List(_) => Self::new(test).map(|_| ()),
        }
    }

    /// Whether the text satisfies the test.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        match self {
            Self::OsMatch(matcher) => matcher.is_match(text),
            Self::OsRegex(matcher) => matcher.is_match(text),
            Self::Pcre2(matcher) => matcher.is_match(text),
            Self::Equals(bytes) => **bytes == *text,
            Self::Networks(networks) => networks.contains(text),
            Self::Wildcard(wildcard) => wildcard.is_match(text),
        }
    }

    /// What every text that satisfies the test has: literals in any case, and bytes to begin with.
    #[must_use]
    pub fn necessary(&self) -> Necessary {
        match self {
            Self::OsMatch(matcher) => Necessary { required: matcher.required(), first: None },
            Self::OsRegex(matcher) => matcher.necessary(),
            Self::Pcre2(matcher) => matcher.necessary().clone(),
            Self::Equals(bytes) => {
                Necessary { required: Required::new(vec![bytes.to_vec()], true), first: None }
            }
            Self::Networks(_) => Necessary { required: None, first: Some(Networks::first_bytes()) },
            Self::Wildcard(wildcard) => wildcard.necessary().clone(),
        }
    }

    /// Literals of which every text that satisfies the test contains at least one.
    #[must_use]
    pub fn required(&self) -> Option<Required> {
        self.necessary().required
    }

    /// The bytes that a text which satisfies the test can begin with; `None`: any, or none at all.
    #[must_use]
    pub fn first_bytes(&self) -> Option<ByteSet> {
        self.necessary().first
    }

    /// Matches and tells where the text after the match begins; OSMatch has no such place, it gives the beginning.
    #[must_use]
    pub fn rest(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::OsRegex(matcher) => matcher.rest(text),
            Self::Pcre2(matcher) => matcher.rest(text),
            Self::OsMatch(_) | Self::Equals(_) | Self::Networks(_) | Self::Wildcard(_) => {
                self.is_match(text).then_some(0)
            }
        }
    }

    /// Matches, stores the ranges of the groups in `groups` and tells where the text after the match begins.
    pub fn captures(&self, text: &[u8], groups: &mut Vec<(usize, usize)>) -> Option<usize> {
        match self {
            Self::OsRegex(matcher) => matcher.captures(text, groups),
            Self::Pcre2(matcher) => matcher.captures(text, groups),
            Self::OsMatch(_) | Self::Equals(_) | Self::Networks(_) | Self::Wildcard(_) => {
                groups.clear();
                self.rest(text)
            }
        }
    }
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at byte {offset} of the pattern): {help}")]
pub struct ExprError {
    /// Byte in the pattern where the fault is.
    pub offset: usize,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to do; lower case, no full stop.
    pub help: String,
}

impl ExprError {
    fn new(offset: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { offset, message: message.into(), help: help.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_is_compiled_by_its_own_language() {
        // A bare dot is a literal dot in the first two and a wildcard in PCRE2, which alone minds case.
        let verdicts = |test: Test| {
            let matcher = Matcher::new(&test).unwrap();
            [matcher.is_match(b"xA.Bx"), matcher.is_match(b"xa_bx")]
        };
        assert_eq!(verdicts(Test::OsMatch("a.b".into())), [true, false]);
        assert_eq!(verdicts(Test::OsRegex("a.b".into())), [true, false]);
        assert_eq!(verdicts(Test::Pcre2("a.b".into())), [false, true]);
    }

    #[test]
    fn errors_say_where_and_what_to_do() {
        let error = Matcher::new(&Test::OsRegex(r"abc\[".into())).unwrap_err();
        assert_eq!(error.offset, 3);
        assert!(error.to_string().contains("byte 3"), "{error}");
        assert!(!error.help.is_empty());
    }
}
