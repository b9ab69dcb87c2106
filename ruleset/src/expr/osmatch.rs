//! OSMatch, the substring language: literals in a choice.
//!
//! Enters: a pattern. Leaves: yes or no for a text. `|` separates, `^` and `$` at the ends of a part bind it, a `!`
//! before the whole inverts it; there is no escape character at all. A part without text (`abc|`, `^`, `$`) holds for
//! every text, except `^$`, which holds for the empty one: odd, but what existing rules were written for.

use super::ExprError;
use super::literals::{Literals, OsMatchKind, OsMatchPart};

/// The longest pattern that the reference takes.
const LONGEST: usize = 20_480;

/// A compiled pattern.
#[derive(Debug)]
pub struct OsMatch {
    inverted: bool,
    literals: Literals,
}

impl OsMatch {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The pattern is longer than 20480 bytes; every other text is one.
    pub fn new(pattern: &str) -> Result<Self, ExprError> {
        Self::check(pattern)?;
        let (inverted, choice) = pattern.strip_prefix('!').map_or((false, pattern), |rest| (true, rest));
        Ok(Self { inverted, literals: Literals::new(choice.split('|').map(part).collect()) })
    }

    /// Whether [`OsMatch::new`] takes a pattern.
    ///
    /// # Errors
    /// As there.
    pub fn check(pattern: &str) -> Result<(), ExprError> {
        if pattern.len() > LONGEST {
            return Err(ExprError::new(
                LONGEST,
                format!("the pattern has {} bytes, at most {LONGEST} are allowed", pattern.len()),
                "put some of the alternatives into another rule, or use a list",
            ));
        }
        Ok(())
    }

    /// Whether the text satisfies the pattern, the leading `!` included.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.literals.is_match(text) != self.inverted
    }

    /// Whether the pattern starts with `!`: the text must satisfy none of the parts.
    #[must_use]
    pub fn inverted(&self) -> bool {
        self.inverted
    }

    /// The parts, of which one must hold.
    #[must_use]
    pub fn parts(&self) -> &[OsMatchPart] {
        self.literals.parts()
    }
}

fn part(text: &str) -> OsMatchPart {
    let (start, text) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
    let (end, text) = text.strip_suffix('$').map_or((false, text), |rest| (true, rest));
    let kind = match (start, end) {
        (false, false) => OsMatchKind::Substring,
        (true, false) => OsMatchKind::Prefix,
        (false, true) => OsMatchKind::Suffix,
        (true, true) => OsMatchKind::Equals,
    };
    OsMatchPart::new(kind, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_match(pattern: &str, text: &str) -> bool {
        OsMatch::new(pattern).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn each_form_of_a_part() {
        for (pattern, yes, no) in [
            ("abc", &["abc", "xABCx", "aabc"][..], &["", "ab", "a bc"][..]),
            ("^abc", &["abc", "ABCdef"], &["xabc", "ab", ""]),
            ("abc$", &["abc", "xaBc"], &["abcx", "bc", ""]),
            ("^abc$", &["abc", "ABC"], &["abcx", "xabc", ""]),
            ("abc|^de|fg$", &["xabc", "def", "xfg"], &["xde", "fgx"]),
            ("!abc", &["", "xyz"], &["abc", "ABCD"]),
            ("!^abc|xyz", &["dabc"], &["abcd", "wxyz"]),
            ("^$", &[""], &["x", " "]),
            (" x", &["a x"], &["x", "ax"]),
            ("a$b", &["xa$bx"], &["ab", "a"]),
            ("a^b", &["xa^bx"], &["ab"]),
            ("^^a", &["^ab"], &["a"]),
            ("Größe", &["GRöße", "die größe"], &["grÖße"]),
        ] {
            yes.iter().for_each(|text| assert!(is_match(pattern, text), "{pattern:?} must match {text:?}"));
            no.iter()
                .for_each(|text| assert!(!is_match(pattern, text), "{pattern:?} must not match {text:?}"));
        }
    }

    #[test]
    fn an_empty_part_matches_everything() {
        for pattern in ["", "abc|", "|abc", "a||b", "^", "$", "abc|^", "abc|$"] {
            for text in ["", "x"] {
                assert!(is_match(pattern, text), "{pattern:?} must match {text:?}");
                assert!(!is_match(&format!("!{pattern}"), text), "!{pattern:?} must not match {text:?}");
            }
        }
    }

    #[test]
    fn there_is_no_escape_character() {
        assert!(is_match(r"a\|b", r"xa\"));
        assert!(is_match(r"a\|b", "b"));
        assert!(!is_match(r"a\.b", "a.b"));
        assert!(is_match(r"\^a", r"\^a"));
        assert!(is_match(r"a\$", r"xa\"));
    }

    #[test]
    fn only_the_first_exclamation_mark_inverts() {
        assert!(!is_match("!!a", "x!a"));
        assert!(is_match("!!a", "a"));
        assert!(is_match("a|!b", "!b"));
    }

    #[test]
    fn parts_are_shown_lower_cased() {
        let matcher = OsMatch::new("!^AbC|d$|").unwrap();
        assert!(matcher.inverted());
        let parts: Vec<_> = matcher.parts().iter().map(|part| (part.kind, part.literal.as_slice())).collect();
        assert_eq!(
            parts,
            [(OsMatchKind::Prefix, &b"abc"[..]), (OsMatchKind::Suffix, b"d"), (OsMatchKind::Always, b"")]
        );
    }

    #[test]
    fn a_pattern_that_is_too_long_is_refused() {
        assert!(OsMatch::new(&"a".repeat(20_480)).is_ok());
        assert_eq!(OsMatch::new(&"a".repeat(20_481)).unwrap_err().offset, 20_480);
    }

    proptest! {
        #[test]
        fn equals_its_definition(pattern in "!?[abAB^$|]{0,24}", text in "[abAB^$]{0,12}") {
            let folded = text.to_lowercase();
            let holds = |part: &str| {
                let lower = part.to_lowercase();
                let inner = lower.strip_prefix('^').unwrap_or(&lower);
                let inner = inner.strip_suffix('$').unwrap_or(inner);
                match (lower.starts_with('^'), lower.len() > usize::from(lower.starts_with('^')) && lower.ends_with('$')) {
                    (false, false) => folded.contains(inner),
                    (true, false) => folded.starts_with(inner),
                    (false, true) => folded.ends_with(inner),
                    (true, true) => folded == inner,
                }
            };
            let expected = pattern.strip_prefix('!').map_or_else(
                || pattern.split('|').any(holds),
                |rest| !rest.split('|').any(holds),
            );
            prop_assert_eq!(is_match(&pattern, &text), expected);
        }
    }
}
