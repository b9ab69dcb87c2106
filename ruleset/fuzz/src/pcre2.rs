//! PCRE2 patterns: where an automaton takes a pattern, its answers are the original library's.

use pcre2::bytes::{Regex, RegexBuilder};
use threatlockdown_ruleset::expr::{Pcre2, Required};

/// Longer ones take the library too long.
const LONGEST: usize = 64;

/// The pattern, a line feed, the text.
pub fn run(bytes: &[u8]) {
    let (pattern, text) = super::cut(bytes, b'\n');
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    if pattern.len() > LONGEST || text.len() > LONGEST {
        return;
    }
    let own = Pcre2::new(pattern);
    assert_eq!(own.is_ok(), Pcre2::check(pattern).is_ok(), "{pattern}");
    // Verbs at its start would come after those that limit it.
    let Ok(library) = RegexBuilder::new().build(&format!("(*LIMIT_MATCH=100000){pattern}")) else {
        return;
    };
    let Ok(own) = own else { return };
    let Some(expected) = by_library(&library, text) else { return };
    let shown = String::from_utf8_lossy(text);
    if expected.is_some() {
        if let Some(required) = own.necessary().required.as_ref() {
            assert!(has(required, text), "{pattern:?} on {shown:?}: {required:?}");
        }
        if let Some(first) = own.necessary().first.as_ref() {
            assert!(text.first().is_some_and(|byte| first.contains(*byte)), "{pattern:?} on {shown:?}");
        }
    }
    assert_eq!(own.is_match(text), expected.is_some(), "{pattern:?} on {shown:?}");
    let rest = expected.as_ref().map(|(rest, _)| *rest);
    assert_eq!(own.rest(text), rest, "{pattern:?} on {shown:?}");
    let mut groups = vec![(7, 7)];
    assert_eq!(own.captures(text, &mut groups), rest, "{pattern:?} on {shown:?}");
    assert_eq!(groups, expected.map(|(_, groups)| groups).unwrap_or_default(), "{pattern:?} on {shown:?}");
}

fn has(required: &Required, text: &[u8]) -> bool {
    let folded = text.to_ascii_lowercase();
    required.literals.iter().any(|literal| match required.prefix {
        true => folded.starts_with(literal),
        false => folded.windows(literal.len()).any(|part| part == literal.as_slice()),
    })
}

type Found = Option<(usize, Vec<(usize, usize)>)>;

/// What the library says; `None` when it gives up.
fn by_library(regex: &Regex, text: &[u8]) -> Option<Found> {
    let mut locations = regex.capture_locations();
    let Some(found) = regex.captures_read_at(&mut locations, text, 0).ok()? else { return Some(None) };
    let last = (1..locations.len()).rev().find(|group| locations.get(*group).is_some()).unwrap_or(0);
    let groups = (1..=last).map(|group| locations.get(group).unwrap_or((0, 0))).collect();
    Some(Some((found.end(), groups)))
}
