//! How the texts begin that a pattern can match: what lets a caller who has many patterns pass most of them over.
//!
//! Enters: a compiled pattern. Leaves: conditions that hold for every text (or for every match) of it. They are
//! necessary, never sufficient; whoever gets through is scanned.

use super::OsRegex;
use super::class::Class;
use super::parse::{Alternative, Op, Repeat};

/// Some bits of the first eight bytes of a text, letters in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    mask: u64,
    value: u64,
}

impl Start {
    /// Whether a text whose first bytes are these (see [`start_of`]) can match.
    #[inline(always)]
    pub(crate) fn admits(self, start: u64) -> bool {
        start & self.mask == self.value
    }

    /// How many of the eight bytes are known entirely.
    pub(crate) fn fixed_bytes(self) -> usize {
        self.mask.to_le_bytes().iter().filter(|&&bits| bits == 0xff).count()
    }
}

/// The first eight bytes of a text, letters in lower case, filled up with zeros.
#[inline]
pub(crate) fn start_of(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    match text.first_chunk::<8>() {
        Some(first) => bytes = *first,
        None => bytes[..text.len()].copy_from_slice(text),
    }
    bytes.make_ascii_lowercase();
    u64::from_le_bytes(bytes)
}

impl OsRegex {
    /// For each alternative how texts begin that match it; `None` when an alternative is not bound to the beginning.
    pub(crate) fn starts(&self) -> Option<Box<[Start]>> {
        let alternatives = self.alternatives.iter().map(|branch| &branch.alternative);
        alternatives.map(|alternative| alternative.from_start.then(|| alternative.start())).collect()
    }

    /// The fixed bytes (lower case) with which every match begins, if no alternative is bound to the beginning.
    ///
    /// A text can be matched from their first occurrence on: without a class before them, every attempt at an earlier
    /// place fails within them and leaves nothing behind.
    pub(crate) fn common_prefix(&self) -> Option<Vec<u8>> {
        let mut prefixes = self.alternatives.iter().map(|branch| branch.alternative.prefix());
        let first = prefixes.next()??;
        let common = prefixes.try_fold(first, |common, prefix| {
            let prefix = prefix?;
            let length = common.iter().zip(&prefix).take_while(|(left, right)| left == right).count();
            Some(common[..length].to_vec())
        })?;
        (!common.is_empty()).then_some(common)
    }
}

impl Alternative {
    /// Sound because before the first repeated class the scan takes byte after byte, and with `^` the first refusal is
    /// final. A starred class can take nothing; two group edges in a row are compared as a byte.
    fn start(&self) -> Start {
        let (mut mask, mut value, mut at) = ([0; 8], [0; 8], 0);
        for (index, op) in self.ops.iter().enumerate() {
            let next_is_mark = matches!(self.ops.get(index + 1), Some(Op::Mark(_)));
            if at == mask.len() || matches!(op, Op::Mark(_)) && next_is_mark {
                break;
            }
            (mask[at], value[at]) = match *op {
                Op::Mark(_) => continue,
                Op::Literal(byte) => (0xff, byte),
                Op::Class(_, Repeat::Any) => break,
                // The digits, and six signs.
                Op::Class(Class::Digit, _) => (0xf0, 0x30),
                Op::Class(class, _) => class.only().map_or((0, 0), |byte| (0xff, byte)),
            };
            at += 1;
            if matches!(op, Op::Class(_, Repeat::OneOrMore)) {
                break;
            }
        }
        Start { mask: u64::from_le_bytes(mask), value: u64::from_le_bytes(value) }
    }

    /// The fixed bytes at the beginning of a free alternative.
    fn prefix(&self) -> Option<Vec<u8>> {
        let fixed = |op: &Op| match *op {
            Op::Literal(byte) => Some(byte),
            Op::Class(class, Repeat::Once) => class.only(),
            Op::Mark(_) | Op::Class(..) => None,
        };
        (!self.from_start).then(|| self.ops.iter().map_while(fixed).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admits(pattern: &str, text: &str) -> bool {
        let starts = OsRegex::new(pattern).unwrap().starts().unwrap();
        starts.iter().any(|start| start.admits(start_of(text.as_bytes())))
    }

    #[test]
    fn known_bytes_must_be_there() {
        assert!(admits("^Failed|^Accepted", "accepted x") && !admits("^Failed|^Accepted", "accept"));
        assert!(admits(r"^\d\d\d\d-\d\d", "2020-1") && !admits(r"^\d\d\d\d-\d\d", "20201-"));
        assert!(admits(r"^\w+ x", "a") && admits(r"^a\d*b", "ab") && !admits(r"^a\d+b", "ab"));
        assert!(admits("^", "") && !admits("^a", ""));
        assert_eq!(OsRegex::new("^a|b").unwrap().starts(), None);
    }

    #[test]
    fn the_common_prefix_of_free_alternatives() {
        let prefix = |pattern: &str| OsRegex::new(pattern).unwrap().common_prefix();
        assert_eq!(prefix(r#"Key="(\w+)"|key=(\w+)"#), Some(b"key=".to_vec()));
        assert_eq!(prefix(r"a\(b\s(c)"), Some(b"a(b ".to_vec()));
        assert_eq!(prefix(r"a\w+"), Some(b"a".to_vec()));
        for none in [r"^ab", "ab|^ab", r"\d+ab", "(ab)", "ab|cd"] {
            assert_eq!(prefix(none), None, "{none}");
        }
    }

    fn patterns() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "a", "b", "B", "1", " ", r"\d", r"\d+", r"\w", r"\w*", r"\s", r"\.", r"\.+", "(a)", r"(\d*)",
            "()",
        ]);
        let alternative = (any::<bool>(), prop::collection::vec(token, 0..6), any::<bool>()).prop_map(
            |(from_start, tokens, to_end)| {
                format!(
                    "{}{}{}",
                    if from_start { "^" } else { "" },
                    tokens.concat(),
                    if to_end { "$" } else { "" }
                )
            },
        );
        prop::collection::vec(alternative, 1..3).prop_map(|alternatives| alternatives.join("|"))
    }

    proptest! {
        #[test]
        fn what_is_not_admitted_does_not_match(pattern in patterns(), text in "[abAB1 (]{0,10}") {
            let regex = OsRegex::new(&pattern).unwrap();
            if let Some(starts) = regex.starts() && !starts.iter().any(|start| start.admits(start_of(text.as_bytes()))) {
                let mut groups = Vec::new();
                prop_assert!(!regex.is_match(text.as_bytes()));
                prop_assert_eq!(regex.rest(text.as_bytes()), None);
                prop_assert_eq!(regex.captures(text.as_bytes(), &mut groups), None);
            }
        }

        #[test]
        fn matching_from_the_first_prefix_gives_the_same(pattern in patterns(), text in "[abAB1 (]{0,12}") {
            let regex = OsRegex::new(&pattern).unwrap();
            let Some(prefix) = regex.common_prefix() else { return Ok(()) };
            let folded = text.to_ascii_lowercase();
            let (mut whole, mut part) = (Vec::new(), Vec::new());
            let rest = regex.captures(text.as_bytes(), &mut whole);
            match folded.as_bytes().windows(prefix.len()).position(|window| window == prefix) {
                None => prop_assert_eq!((rest, regex.rest(text.as_bytes())), (None, None)),
                Some(at) => {
                    let tail = &text.as_bytes()[at..];
                    prop_assert_eq!(regex.rest(text.as_bytes()), regex.rest(tail).map(|rest| rest + at));
                    prop_assert_eq!(rest, regex.captures(tail, &mut part).map(|rest| rest + at));
                    let part: Vec<_> = part.iter().map(|(start, end)| (start + at, end + at)).collect();
                    prop_assert_eq!(whole, part);
                }
            }
        }
    }
}
