//! Many literals looked for in one pass over a text, ASCII letters compared without case.
//!
//! Enters: literals in lower case, then texts. Leaves: every place where one of them stands, overlapping ones too. The
//! pass goes state by state, without looking ahead for rare bytes, which costs more than it saves where literals are
//! many and texts are short.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous;
use aho_corasick::{Anchored, MatchKind, StartKind, dfa};

/// Literals of so many bytes in all get a full table, which is the fastest.
const FULL_TABLE: usize = 40_000;

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
        Some(Self { table, anchored })
    }

    /// Calls `hit` with the literal's number, where it starts and where it ends, in the order of the ends.
    #[inline]
    pub(crate) fn find_each(&self, text: &[u8], hit: impl FnMut(usize, usize, usize)) {
        match &self.table {
            Table::Full(table) => find_each(table, self.anchored, text, hit),
            Table::Sparse(table) => find_each(table, self.anchored, text, hit),
        }
    }
}

#[inline]
fn find_each(
    table: &impl Automaton,
    anchored: Anchored,
    text: &[u8],
    mut hit: impl FnMut(usize, usize, usize),
) {
    let Ok(mut state) = table.start_state(anchored) else { return };
    let mut at = 0;
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
    fn many_literals_in_the_small_form_give_the_same() {
        let many: Vec<String> = (0..12_000).map(|number| format!("x{number:05}y")).collect();
        let refs: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(found(&refs, Site::Anywhere, "..X00017Y.x11999y"), [(17, 2, 9), (11_999, 10, 17)]);
        assert_eq!(found(&refs, Site::Start, "X00017Y.x11999y"), [(17, 0, 7)]);
        assert_eq!(found(&refs, Site::Start, ".X00017Y"), []);
    }
}
