//! Many literals looked for in one pass over a text, ASCII letters compared without case.
//!
//! Enters: literals in lower case, then texts. Leaves: every place where one of them stands, overlapping ones too. The
//! pass goes state by state, which costs a memory access for each byte. Few literals that are not too short are first
//! looked for with vector instructions, on a copy of the text in lower case: most texts have none of them, and only from
//! the first one on the pass has something to find.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous;
use aho_corasick::{Anchored, MatchKind, StartKind, dfa, packed};

/// Literals of so many bytes in all get a full table, which is the fastest.
const FULL_TABLE: usize = 40_000;

/// Shorter literals are in too many texts to be worth a look ahead.
const SHORTEST_AHEAD: usize = 3;
/// Longer ones would leave too little of each copy.
const LONGEST_AHEAD: usize = COPY / 2;
/// So many bytes of a text are copied at a time.
const COPY: usize = 256;

/// Where the literals may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    /// At the start of the text; the pass ends when none fits any more.
    Start,
    /// Anywhere in it.
    Anywhere,
}

/// The compiled literals.
#[derive(Debug)]
pub(crate) struct MultiFinder {
    table: Table,
    anchored: Anchored,
    ahead: Option<Ahead>,
}

/// The look ahead; only where the machine has the instructions and the literals are few.
#[derive(Debug)]
struct Ahead {
    searcher: packed::Searcher,
    /// Bytes of the longest literal.
    longest: usize,
}

/// The two forms, fast and small.
#[derive(Debug)]
enum Table {
    Full(dfa::DFA),
    Sparse(contiguous::NFA),
}

impl MultiFinder {
    /// `None` when the automaton cannot be built, which only a size beyond memory causes.
    pub(crate) fn new(literals: &[impl AsRef<[u8]>], site: Site) -> Option<Self> {
        let (anchored, start) = match site {
            Site::Start => (Anchored::Yes, StartKind::Anchored),
            Site::Anywhere => (Anchored::No, StartKind::Unanchored),
        };
        let total: usize = literals.iter().map(|literal| literal.as_ref().len()).sum();
        let table = if total <= FULL_TABLE {
            let mut builder = dfa::DFA::builder();
            builder.ascii_case_insensitive(true).match_kind(MatchKind::Standard);
            Table::Full(builder.start_kind(start).prefilter(false).build(literals).ok()?)
        } else {
            let mut builder = contiguous::NFA::builder();
            builder.ascii_case_insensitive(true).match_kind(MatchKind::Standard);
            Table::Sparse(builder.prefilter(false).build(literals).ok()?)
        };
        let ahead = if site == Site::Anywhere { Ahead::new(literals) } else { None };
        Some(Self { table, anchored, ahead })
    }

    /// Calls `hit` with the literal's number, where it starts and where it ends, in the order of the ends.
    #[inline]
    pub(crate) fn find_each(&self, text: &[u8], hit: impl FnMut(usize, usize, usize)) {
        let from = match &self.ahead {
            // The searcher has no quick way for shorter texts.
            Some(ahead) if text.len() >= ahead.searcher.minimum_len() => match ahead.first(text) {
                Some(first) => first,
                None => return,
            },
            _ => 0,
        };
        match &self.table {
            Table::Full(table) => find_each(table, self.anchored, text, from, hit),
            Table::Sparse(table) => find_each(table, self.anchored, text, from, hit),
        }
    }
}

impl Ahead {
    fn new(literals: &[impl AsRef<[u8]>]) -> Option<Self> {
        let lengths = || literals.iter().map(|literal| literal.as_ref().len());
        let (shortest, longest) = (lengths().min()?, lengths().max()?);
        if shortest < SHORTEST_AHEAD || longest > LONGEST_AHEAD {
            return None;
        }
        let searcher = packed::Config::new().builder().extend(literals).build()?;
        Some(Self { searcher, longest })
    }

    /// A place at or before that of the first literal; nothing where there is none.
    fn first(&self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = text.get(at..)?;
            let piece = &rest[..rest.len().min(COPY)];
            let mut copy = [0; COPY];
            let copy = &mut copy[..piece.len()];
            copy.copy_from_slice(piece);
            copy.make_ascii_lowercase();
            let found = self.searcher.find(&*copy).map(|found| found.start());
            let is_last = piece.len() == rest.len();
            // A literal that begins further back may end behind the piece.
            let safe = if is_last { piece.len() } else { piece.len() - (self.longest - 1) };
            match found {
                Some(found) => return Some(at + found.min(safe)),
                None if is_last => return None,
                None => at += safe,
            }
        }
    }
}

#[inline]
fn find_each(
    table: &impl Automaton,
    anchored: Anchored,
    text: &[u8],
    from: usize,
    mut hit: impl FnMut(usize, usize, usize),
) {
    let Ok(mut state) = table.start_state(anchored) else { return };
    let mut at = from;
    while let Some((special, end)) = next_special(table, anchored, state, text, at) {
        (state, at) = (special, end);
        if table.is_dead(state) {
            return;
        }
        if table.is_match(state) {
            for index in 0..table.match_len(state) {
                let pattern = table.match_pattern(state, index);
                let start = at - table.pattern_len(pattern);
                // With a literal that fits from the start come those that end it.
                if start == 0 || anchored == Anchored::No {
                    hit(pattern.as_usize(), start, at);
                }
            }
        }
    }
}

/// The next state that means something, and the end of the text that leads to it. A function of its own, because its
/// loop is quick only with all of its values in registers.
#[inline(never)]
fn next_special(
    table: &impl Automaton,
    anchored: Anchored,
    mut state: StateID,
    text: &[u8],
    from: usize,
) -> Option<(StateID, usize)> {
    for (at, byte) in text.iter().enumerate().skip(from) {
        state = table.next_state(anchored, state, *byte);
        if table.is_special(state) {
            return Some((state, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(literals: &[&str], site: Site, text: &str) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        let finder = MultiFinder::new(literals, site).unwrap();
        finder.find_each(text.as_bytes(), |literal, start, end| found.push((literal, start, end)));
        found.sort_unstable();
        found
    }

    #[test]
    fn overlapping_literals_are_all_found() {
        let literals = ["ab", "b", "bab"];
        let expected = [(0, 0, 2), (0, 2, 4), (1, 1, 2), (1, 3, 4), (2, 1, 4)];
        assert_eq!(found(&literals, Site::Anywhere, "ABaB"), expected);
        assert_eq!(found(&literals, Site::Start, "ABaB"), [(0, 0, 2)]);
        assert_eq!(found(&literals, Site::Anywhere, ""), []);
    }

    #[test]
    fn a_look_ahead_misses_nothing_in_a_long_text() {
        let long = "L".repeat(LONGEST_AHEAD);
        let literals = ["needle", "dle", long.as_str()].map(str::to_lowercase);
        let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
        for gap in (0..80).chain(COPY - LONGEST_AHEAD - 3..2 * COPY + 3) {
            let text = format!("{}NeeDLE{}x", ".".repeat(gap), "l".repeat(LONGEST_AHEAD));
            let start = gap + 6;
            let expected = [(0, gap, start), (1, gap + 3, start), (2, start, start + LONGEST_AHEAD)];
            assert_eq!(found(&literals, Site::Anywhere, &text), expected, "{gap}");
            assert_eq!(found(&literals, Site::Anywhere, &".".repeat(gap)), []);
        }
    }

    proptest! {
        #[test]
        fn a_look_ahead_changes_nothing(
            literals in proptest::collection::vec("[ab]{3,7}", 1..6),
            text in "[abABc]{0,700}",
        ) {
            let mut distinct = literals;
            distinct.sort();
            distinct.dedup();
            let literals: Vec<&str> = distinct.iter().map(String::as_str).collect();
            let mut expected = Vec::new();
            for (number, literal) in literals.iter().enumerate() {
                for start in 0..text.len() {
                    let end = start + literal.len();
                    if text.get(start..end).is_some_and(|piece| piece.eq_ignore_ascii_case(literal)) {
                        expected.push((number, start, end));
                    }
                }
            }
            prop_assert_eq!(found(&literals, Site::Anywhere, &text), expected);
        }
    }

    #[test]
    fn many_literals_in_the_small_form_give_the_same() {
        let many: Vec<String> = (0..12_000).map(|number| format!("x{number:05}y")).collect();
        let refs: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(found(&refs, Site::Anywhere, "..X00017Y.x11999y"), [(17, 2, 9), (11_999, 10, 17)]);
        assert_eq!(found(&refs, Site::Start, "X00017Y.x11999y"), [(17, 0, 7)]);
        assert_eq!(found(&refs, Site::Start, ".X00017Y"), []);
    }
}
