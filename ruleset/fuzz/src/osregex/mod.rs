//! OSRegex patterns: the scan and its shortcuts against the plain formulation of the algorithm.

mod class;
#[path = "../../../src/expr/osregex/plain.rs"]
mod plain;

use threatlockdown_ruleset::expr::OsRegex;

/// Longer texts reach the bound on the steps, which the plain formulation has not.
const LONGEST: usize = 64;

/// The pattern, a line feed, the text.
pub fn run(bytes: &[u8]) {
    let (pattern, text) = super::cut(bytes, b'\n');
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    let regex = OsRegex::new(pattern);
    assert_eq!(regex.is_ok(), OsRegex::check(pattern).is_ok(), "{pattern:?}");
    let Ok(regex) = regex else { return };
    if pattern.len() > LONGEST || text.len() > LONGEST {
        let _ = regex.is_match(text);
        return;
    }
    let shown = format!("{pattern:?} on {:?}", String::from_utf8_lossy(text));
    let plain = plain::run(pattern, text, false);
    assert_eq!(regex.is_match(text), plain.is_some(), "{shown}");
    assert_eq!(regex.rest(text), plain.as_ref().map(|outcome| outcome.rest), "{shown}");
    let mut groups = vec![(7, 7)];
    let rest = regex.captures(text, &mut groups);
    let recorded = plain::run(pattern, text, true);
    assert_eq!(rest, recorded.as_ref().map(|outcome| outcome.rest), "{shown}");
    let matches = plain.is_some() || recorded.is_some();
    assert_eq!(groups, recorded.map(|outcome| outcome.groups).unwrap_or_default(), "{shown}");
    if let Some(literals) = regex.required_literals().filter(|_| matches) {
        let folded = text.to_ascii_lowercase();
        let is_in = |literal: &Vec<u8>| {
            literal.is_empty() || folded.windows(literal.len()).any(|part| part == literal.as_slice())
        };
        assert!(literals.iter().any(is_in), "{shown}: {literals:?}");
    }
}
