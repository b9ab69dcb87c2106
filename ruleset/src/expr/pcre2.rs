//! PCRE2: Perl-compatible regular expressions, through the original library.
//!
//! Enters: a pattern. Leaves: yes or no for a text, and the captured ranges. Bytes, not characters, and no options: a
//! pattern asks for more itself (`(?i)`, `(*UTF)`). Only this library knows look-around and back-references, and they
//! cost time without bound; so every pattern gets limits, by verbs before it. It cannot raise them: of several
//! settings the lowest counts. A match that runs into them, like any other error, is no match.

use std::sync::Mutex;

use pcre2::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::ExprError;

/// Match attempts per starting place, depth of backtracking, and KiB of memory for it.
const LIMITS: &str = "(*LIMIT_MATCH=1000000)(*LIMIT_DEPTH=250000)(*LIMIT_HEAP=65536)";

/// Longer texts are looked at up to here. The limits above count no steps within a single repeat such as `.*`, so a
/// pattern with two of them costs the square of the text. The reference takes no longer events at all.
const LONGEST_TEXT: usize = 65_536;

/// The stack of compiled code grows up to this.
const STACK: usize = 1 << 20;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pcre2 {
    regex: Regex,
    /// Space for captures, kept for the next text; as many as threads that captured at one time.
    spare: Mutex<Vec<CaptureLocations>>,
}

impl Pcre2 {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The library does not take it.
    pub fn new(pattern: &str) -> Result<Self, ExprError> {
        let regex = RegexBuilder::new()
            .jit_if_available(true)
            .max_jit_stack_size(Some(STACK))
            .build(&format!("{LIMITS}{pattern}"))
            .map_err(|error| refused(&error))?;
        Ok(Self { regex, spare: Mutex::default() })
    }

    /// Whether [`Pcre2::new`] takes a pattern; only its syntax is looked at, no machine code is made.
    ///
    /// # Errors
    /// As there.
    pub fn check(pattern: &str) -> Result<(), ExprError> {
        let built = RegexBuilder::new().build(&format!("{LIMITS}{pattern}"));
        built.map(|_| ()).map_err(|error| refused(&error))
    }

    /// Whether the text has a match.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(cut(text)).unwrap_or(false)
    }

    /// Matches without captures and tells where the text after the match begins.
    #[must_use]
    pub fn rest(&self, text: &[u8]) -> Option<usize> {
        self.regex.find_at(cut(text), 0).ok().flatten().map(|found| found.end())
    }

    /// Matches, stores the captured ranges in `groups` (group 1 first) and tells where the text after the match begins.
    ///
    /// A group that took no part is an empty range if a later one did; otherwise it is not in the list.
    pub fn captures(&self, text: &[u8], groups: &mut Vec<(usize, usize)>) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, text: &[u8]) -> bool {
        Pcre2::new(pattern).unwrap().is_match(text)
    }

    fn captures(pattern: &str, text: &str) -> Option<(Vec<(usize, usize)>, usize)> {
        let mut groups = vec![(9, 9)];
        let rest = Pcre2::new(pattern).unwrap().captures(text.as_bytes(), &mut groups);
        assert_eq!(rest, Pcre2::new(pattern).unwrap().rest(text.as_bytes()));
        rest.map(|rest| (groups, rest))
    }

    #[test]
    fn the_library_runs_without_options() {
        assert!(!is_match("abc", b"ABC") && is_match("(?i)abc", b"xABCx"));
        assert!(!is_match("a.b", b"a\nb") && is_match("(?s)a.b", b"a\nb"));
        assert!(is_match("a$", b"a\n") && !is_match("a$", b"a\nb") && is_match("(?m)a$", b"a\nb"));
        assert!(is_match("^..$", "ä".as_bytes()) && is_match("(*UTF)^.$", "ä".as_bytes()));
        assert!(is_match(r"(*UTF)\N{U+202E}", "a\u{202e}b".as_bytes()));
        assert!(
            is_match(r"a(?=b)(?!bc)", b"abd") && is_match(r"(\w)\1", b"xaab") && is_match(r"(?<!x)y", b"ay")
        );
        assert!(is_match("", b""));
    }

    #[test]
    fn bytes_that_are_not_utf8_match_as_bytes_and_fail_with_utf() {
        assert!(is_match(r"a\xff", b"a\xff"));
        assert!(!is_match(r"(*UTF)a", b"a\xff"));
    }

    #[test]
    fn an_unset_group_is_empty_in_the_middle_and_absent_at_the_end() {
        assert_eq!(captures("(a)(x)?(b)", "zab!"), Some((vec![(1, 2), (0, 0), (2, 3)], 3)));
        assert_eq!(captures("(a)(x)?", "zab!"), Some((vec![(1, 2)], 2)));
        assert_eq!(captures("(x)|(b)", "zab!"), Some((vec![(0, 0), (2, 3)], 3)));
        assert_eq!(captures("ab", "zab!"), Some((vec![], 3)));
        assert_eq!(captures("(?:)", "zab"), Some((vec![], 0)));
        assert_eq!(captures("(c)", "zab"), None);
    }

    #[test]
    fn a_failed_match_leaves_no_groups() {
        let mut groups = vec![(1, 2)];
        assert_eq!(Pcre2::new("(c)").unwrap().captures(b"ab", &mut groups), None);
        assert!(groups.is_empty());
    }

    #[test]
    fn runaway_patterns_end_without_a_match() {
        let text = [vec![b'a'; LONGEST_TEXT - 1], b"!".to_vec()].concat();
        for pattern in [
            r"^(a+)+$",
            r"^(?:a|aa)+$",
            r"^(a|a)*b",
            r"(*LIMIT_MATCH=4000000000)^(a+)+$",
            r"(*NO_JIT)^(a+)+$",
        ] {
            assert!(!is_match(pattern, &text), "{pattern}");
        }
    }

    #[test]
    fn a_text_without_end_is_searched_in_part() {
        let mut text = vec![b'x'; LONGEST_TEXT - 3];
        text.extend(b"abcabc");
        assert!(is_match("abc", &text) && !is_match("bca", &text));
        // Minutes without the bound.
        assert!(!is_match("(?i)(?!b)a.*b.*c", &[b'a'; 1 << 20]));
    }

    #[test]
    fn faults_are_placed_in_the_pattern_as_written() {
        let error = Pcre2::new("ab(c").unwrap_err();
        assert_eq!(error.offset, 4);
        assert!(error.message.contains("parenthesis"), "{error}");
        assert!(!error.message.contains("LIMIT"), "{error}");
        assert_eq!(Pcre2::new("*a").unwrap_err().offset, 0);
    }
}
