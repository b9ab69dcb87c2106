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

    /// Whether a text that begins with this byte (lower case; 0 for an empty text) can match.
    pub(crate) fn admits_first(self, byte: u8) -> bool {
        let ([mask, ..], [value, ..]) = (self.mask.to_le_bytes(), self.value.to_le_bytes());
        byte & mask == value
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
    /// The alternatives, each as a pattern of its own: they are tried in order and have nothing in common.
    pub(crate) fn split(pattern: &str) -> Vec<&str> {
        let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
        for (at, byte) in pattern.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                // Inside a group it is a fault, which the whole pattern then has.
                b'|' => {
                    parts.push(&pattern[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        parts.push(&pattern[start..]);
        parts
    }

    /// How texts begin that the only alternative matches; `None` when it is not bound to the beginning.
    pub(crate) fn start(&self) -> Option<Start> {
        self.only().filter(|alternative| alternative.from_start).map(Alternative::opening)
    }

    /// The literals (lower case) that every match of the only alternative contains.
    pub(crate) fn runs(&self) -> Vec<Vec<u8>> {
        self.only().map(Alternative::runs).unwrap_or_default()
    }

    /// With what every match of the only alternative begins: so many bytes, then these (lower case), which are not
    /// empty; `None` when it is bound to the beginning or begins otherwise.
    ///
    /// A text can be matched from their first occurrence on: nothing is repeated before them, so every attempt at an
    /// earlier place fails within them and leaves nothing behind.
    pub(crate) fn lead(&self) -> Option<(usize, Vec<u8>)> {
        let alternative = self.only().filter(|alternative| !alternative.from_start)?;
        let free = |op: &&Op| op.fixed().is_none() && matches!(op, Op::Class(_, Repeat::Once));
        let count = alternative.ops.iter().take_while(free).count();
        let literal: Vec<u8> = alternative.ops[count..].iter().map_while(|op| op.fixed()).collect();
        (!literal.is_empty()).then_some((count, literal))
    }

    fn only(&self) -> Option<&Alternative> {
        match &*self.alternatives {
            [branch] => Some(&branch.alternative),
            _ => None,
        }
    }
}

impl Alternative {
    /// Sound because before the first repeated class the scan takes byte after byte, and with `^` the first refusal is
    /// final. A starred class can take nothing; two group edges in a row are compared as a byte.
    fn opening(&self) -> Start {
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

    /// The runs of fixed bytes that [`Alternative::required`] chooses from, and those that end or begin in a class
    /// repeated by `+` that accepts one byte only: `\s+%` needs a blank before the sign.
    ///
    /// The latter is sound where the loop flag never outlives its class. It does so only where a repeated class finds
    /// that the class behind it, taken once, accepts the byte, too; so no byte may be accepted by both.
    fn runs(&self) -> Vec<Vec<u8>> {
        let end = self.tail();
        let adjacent = !(0..self.ops.len()).any(|at| self.flag_outlives(at));
        let (mut runs, mut run) = (Vec::new(), Vec::new());
        for op in &self.ops[..end] {
            match *op {
                Op::Class(class, Repeat::OneOrMore) if adjacent && class.only().is_some() => {
                    run.extend(class.only());
                    runs.push(std::mem::take(&mut run));
                    run.extend(class.only());
                }
                op => match op.fixed() {
                    Some(byte) => run.push(byte),
                    None => runs.push(std::mem::take(&mut run)),
                },
            }
        }
        runs.push(run);
        runs.retain(|run| !run.is_empty());
        runs
    }

    /// The first step that may be passed without being taken at the end of a match.
    fn tail(&self) -> usize {
        let repeats = self.ops.iter().any(|op| matches!(op, Op::Class(_, Repeat::OneOrMore | Repeat::Any)));
        let tail = |at: &usize| repeats && matches!(self.ops[*at], Op::Class(..)) && self.left[*at] <= 3;
        (0..self.ops.len()).find(tail).unwrap_or(self.ops.len())
    }

    fn flag_outlives(&self, at: usize) -> bool {
        let Op::Class(class, Repeat::OneOrMore | Repeat::Any) = self.ops[at] else { return false };
        let next = match self.ops.get(at + 1) {
            Some(Op::Mark(_)) => self.ops.get(at + 2),
            next => next,
        };
        match next {
            Some(&Op::Class(next, Repeat::Once)) => {
                (0..=255).any(|byte| class.accepts(byte) && next.accepts(byte))
            }
            // Two group edges in a row are compared as a byte; nobody writes that, so nothing is claimed.
            Some(Op::Mark(_)) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admits(pattern: &str, text: &str) -> bool {
        OsRegex::new(pattern).unwrap().start().unwrap().admits(start_of(text.as_bytes()))
    }

    fn occurs(literal: &[u8], text: &str) -> Option<usize> {
        text.to_ascii_lowercase().as_bytes().windows(literal.len()).position(|window| window == literal)
    }

    #[test]
    fn known_bytes_must_be_there() {
        assert!(admits("^Accepted", "accepted x") && !admits("^Accepted", "accept"));
        assert!(admits(r"^\d\d\d\d-\d\d", "2020-12") && !admits(r"^\d\d\d\d-\d\d", "20201-"));
        assert!(admits(r"^\w+ x", "a") && admits(r"^a\d*b", "ab") && !admits(r"^a\d+b", "ab"));
        assert!(admits("^", "") && !admits("^a", ""));
        assert_eq!(OsRegex::new("a").unwrap().start(), None);
    }

    #[test]
    fn the_lead_of_a_free_alternative() {
        let lead = |pattern: &str| OsRegex::new(pattern).unwrap().lead();
        assert_eq!(lead(r"\p\wKey=(\w+)"), Some((2, b"key=".to_vec())));
        assert_eq!(lead(r"a\(b\s(c)"), Some((0, b"a(b ".to_vec())));
        for none in [r"^ab", r"\d+ab", "(ab)", r"\w", "ab|cd"] {
            assert_eq!(lead(none), None, "{none}");
        }
    }

    #[test]
    fn a_repeated_blank_joins_the_runs_at_its_sides() {
        let runs = |pattern: &str| -> Vec<String> {
            let runs = OsRegex::new(pattern).unwrap().runs();
            runs.into_iter().map(|run| String::from_utf8(run).unwrap()).collect()
        };
        assert_eq!(runs(r"\d+:\s+%x"), [": ", " %x"]);
        assert_eq!(
            runs(r"\w+\d:\s+%x"),
            [":", "%x"],
            "the flag of the first loop lets the blank be passed over"
        );
        assert_eq!(runs(r"ab(\w+) cd$"), ["ab", " cd"]);
        assert!(OsRegex::new(r"\w+\d:\s+%x").unwrap().is_match(b"a1:%x"), "as the reference has it");
    }

    #[test]
    fn alternatives_are_split_where_the_language_splits_them() {
        assert_eq!(OsRegex::split(r"a\|b|\\|c"), [r"a\|b", r"\\", "c"]);
        assert_eq!(OsRegex::split("a|"), ["a", ""]);
    }

    fn patterns() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "a", "b", "B", "1", " ", r"\d", r"\d+", r"\w", r"\w*", r"\s", r"\.", r"\.+", "(a)", r"(\d*)",
            "()",
        ]);
        (any::<bool>(), prop::collection::vec(token, 0..7), any::<bool>()).prop_map(
            |(from_start, tokens, to_end)| {
                format!(
                    "{}{}{}",
                    if from_start { "^" } else { "" },
                    tokens.concat(),
                    if to_end { "$" } else { "" }
                )
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_refused_does_not_match(pattern in patterns(), text in "[abAB1 (]{0,10}") {
            let regex = OsRegex::new(&pattern).unwrap();
            let refused = regex.start().is_some_and(|start| !start.admits(start_of(text.as_bytes())));
            if refused || regex.runs().iter().any(|run| occurs(run, &text).is_none()) {
                let mut groups = Vec::new();
                prop_assert!(!regex.is_match(text.as_bytes()));
                prop_assert_eq!(regex.rest(text.as_bytes()), None);
                prop_assert_eq!(regex.captures(text.as_bytes(), &mut groups), None);
            }
        }

        #[test]
        fn matching_from_the_first_lead_gives_the_same(pattern in patterns(), text in "[abAB1 (]{0,12}") {
            let regex = OsRegex::new(&pattern).unwrap();
            let Some((before, literal)) = regex.lead() else { return Ok(()) };
            let (mut whole, mut part) = (Vec::new(), Vec::new());
            let rest = regex.captures(text.as_bytes(), &mut whole);
            match occurs(&literal, &text) {
                None => prop_assert_eq!((rest, regex.rest(text.as_bytes())), (None, None)),
                Some(first) => {
                    let Some(at) = first.checked_sub(before) else { return Ok(()) };
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
