//! Which roots take a program name.
//!
//! Enters: the roots' tests of the program name, later a name. Leaves: the roots that pass, in load order. Nearly all
//! tests are literals; one automaton decides those, and the few others are run.

use crate::expr::Matcher;
use crate::expr::pcre2_literals;
use crate::ir::Test;
use crate::program::{LiteralPart, LiteralSet, Literals};

/// The compiled tests; a root is known by its position.
#[derive(Debug, Default)]
pub(super) struct Programs {
    literals: Option<LiteralSet>,
    /// Tests that are more than literals.
    others: Vec<(u32, Matcher)>,
    words: usize,
}

impl Programs {
    pub(super) fn new(tests: Vec<(&Test, Matcher)>) -> Self {
        let words = tests.len().div_ceil(64);
        let (mut sets, mut others) = (Vec::new(), Vec::new());
        for (position, (test, matcher)) in (0..).zip(tests) {
            match parts(test, &matcher) {
                Some(parts) => sets.push((Literals { predicate: position, parts }, matcher)),
                None => others.push((position, matcher)),
            }
        }
        let (sets, matchers): (Vec<_>, Vec<_>) = sets.into_iter().unzip();
        let literals = LiteralSet::new(&sets);
        if literals.is_none() {
            others.extend(sets.iter().map(|set| set.predicate).zip(matchers));
        }
        Self { literals, others, words }
    }

    /// Sets the bits of the roots that pass.
    #[inline]
    pub(super) fn run(&self, program_name: &[u8], passed: &mut Vec<u64>) {
        passed.clear();
        passed.resize(self.words, 0);
        let mut pass = |position: u32| passed[position as usize / 64] |= 1 << (position % 64);
        if let Some(literals) = &self.literals {
            literals.run(program_name, &mut pass);
        }
        for (position, matcher) in &self.others {
            if matcher.is_match(program_name) {
                pass(*position);
            }
        }
    }
}

/// The literals that are all of a test, one of which must hold.
fn parts(test: &Test, matcher: &Matcher) -> Option<Vec<LiteralPart>> {
    match (matcher, test) {
        (Matcher::OsMatch(matcher), _) if !matcher.inverted() => {
            Some(matcher.parts().iter().cloned().map(LiteralPart::from).collect())
        }
        (Matcher::OsRegex(regex), _) => {
            Some(regex.as_literals()?.into_iter().map(LiteralPart::from).collect())
        }
        (Matcher::Pcre2(_), Test::Pcre2(pattern)) => {
            let (parts, ignore_case) = pcre2_literals::literals(pattern)?;
            Some(parts.into_iter().map(|part| LiteralPart::pcre2(part, ignore_case)).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_decides_as_by_itself() {
        let os_match = |pattern: &str| Test::OsMatch(pattern.into());
        let tests = [
            os_match("^sshd"),
            os_match("!sshd"),
            os_match(""),
            os_match("^su$|cron"),
            Test::OsRegex("sshd|^kern".into()),
            Test::OsRegex(r"^\w+d$".into()),
            Test::Pcre2("^(?i)SSHD$".into()),
            Test::Pcre2("^sshd$".into()),
        ];
        let compiled = |test| Matcher::new(test).unwrap();
        let programs = Programs::new(tests.iter().map(|test| (test, compiled(test))).collect());
        let mut passed = Vec::new();
        for name in ["sshd", "SSHD", "su", "sudo", "kernel", "", "xsshd", "crond"] {
            programs.run(name.as_bytes(), &mut passed);
            for (position, test) in tests.iter().enumerate() {
                let expected = compiled(test).is_match(name.as_bytes());
                assert_eq!(passed[0] >> position & 1 == 1, expected, "{name:?} {test:?}");
            }
        }
    }
}
