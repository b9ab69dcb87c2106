//! All automata of one subject as one.
//!
//! Enters: regular patterns, then texts that several of them may match. Leaves: the predicates that hold, all in one
//! pass. The automaton's states are found while texts are read and kept in the worker's own memory, up to a bound; a
//! text for which that does not work out is left to each pattern by itself. With one or two candidates those are
//! quicker alone: see [`WORTH_IT`].

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_automata::{Input, MatchKind, PatternSet as Matched};
use regex_syntax::hir::Hir;

use super::PredicateIndex;
use crate::expr::Matcher;

/// From so many candidates on, one pass for all patterns is worth it.
pub(crate) const WORTH_IT: usize = 3;

/// Most memory for the patterns, and for the states that a worker has found.
const MAX_NFA: usize = 4 << 20;
const MAX_CACHE: usize = 1 << 20;
/// The states are forgotten so often at most; afterwards each time must have been worth so many bytes a state.
const MAX_CLEARS: usize = 3;
const BYTES_PER_STATE: usize = 10;

/// Regular patterns of one subject.
#[derive(Debug)]
pub(crate) struct PatternSet {
    automaton: DFA,
    /// The predicate of each pattern.
    predicates: Vec<PredicateIndex>,
}

/// What one worker has found of a set's states.
#[derive(Debug)]
pub(crate) struct PatternCache {
    states: Cache,
    matched: Matched,
}

impl PatternSet {
    /// A set of those that can be joined; `None` when they are too few, or too large together.
    pub(crate) fn new<'m>(patterns: impl IntoIterator<Item = (PredicateIndex, &'m Matcher)>) -> Option<Self> {
        let joinable = |matcher: &'m Matcher| match matcher {
            Matcher::Pcre2(pattern) => pattern.joinable(),
            _ => None,
        };
        let (predicates, patterns): (Vec<PredicateIndex>, Vec<&Hir>) = patterns
            .into_iter()
            .filter_map(|(predicate, matcher)| Some((predicate, joinable(matcher)?)))
            .unzip();
        if predicates.len() < WORTH_IT {
            return None;
        }
        let config =
            Config::new().utf8(false).nfa_size_limit(Some(MAX_NFA)).which_captures(WhichCaptures::None);
        let nfa = Compiler::new().configure(config).build_many_from_hir(&patterns).ok()?;
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(MAX_CACHE)
            .skip_cache_capacity_check(false)
            .minimum_cache_clear_count(Some(MAX_CLEARS))
            .minimum_bytes_per_state(Some(BYTES_PER_STATE));
        let automaton = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        Some(Self { automaton, predicates })
    }

    /// The predicates that the set decides.
    pub(crate) fn predicates(&self) -> &[PredicateIndex] {
        &self.predicates
    }

    /// Memory for one worker.
    pub(crate) fn create_cache(&self) -> PatternCache {
        PatternCache { states: self.automaton.create_cache(), matched: Matched::new(self.predicates.len()) }
    }

    /// Calls `holds` for each predicate that holds, once. `false`: the text must be given to each pattern by itself;
    /// then nothing was reported.
    #[must_use]
    pub(crate) fn run(
        &self,
        text: &[u8],
        cache: &mut PatternCache,
        mut holds: impl FnMut(PredicateIndex),
    ) -> bool {
        cache.matched.clear();
        let input = Input::new(text);
        let PatternCache { states, matched } = cache;
        if self.automaton.try_which_overlapping_matches(states, &input, matched).is_err() {
            return false;
        }
        matched.iter().for_each(|pattern| holds(self.predicates[pattern.as_usize()]));
        true
    }
}

#[cfg(test)]
impl PatternCache {
    /// Bytes of memory, roughly.
    pub(crate) fn memory_usage(&self) -> usize {
        self.states.memory_usage()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ir::Test;

    fn matchers(patterns: &[&str]) -> Vec<Matcher> {
        patterns.iter().map(|pattern| Matcher::new(&Test::Pcre2((*pattern).into())).unwrap()).collect()
    }

    fn run(set: &PatternSet, cache: &mut PatternCache, text: &[u8]) -> Option<Vec<PredicateIndex>> {
        let mut held = Vec::new();
        let complete = set.run(text, cache, |predicate| held.push(predicate));
        assert!(complete || held.is_empty());
        complete.then_some(held)
    }

    #[test]
    fn every_pattern_is_told_in_one_pass() {
        let matchers = matchers(&["a+b", "(?=a)a", "^b", "(?i)B$", "c\\d"]);
        let set = PatternSet::new((10..).zip(&matchers)).unwrap();
        assert_eq!(set.predicates(), [10, 12, 13, 14], "the look-ahead is not joined");
        let mut cache = set.create_cache();
        assert_eq!(run(&set, &mut cache, b"xaab\n"), Some(vec![10, 13]));
        assert_eq!(run(&set, &mut cache, b"bc1"), Some(vec![12, 14]));
        assert_eq!(run(&set, &mut cache, b""), Some(vec![]));
        assert!(PatternSet::new((0..).zip(&matchers[..3])).is_none(), "two are quicker alone");
    }

    #[test]
    fn a_text_that_needs_too_many_states_is_given_up() {
        let matchers = matchers(&["(?s)a.{300}b", "(?s)c.{300}d", "(?s)[ab].{200}c"]);
        let set = PatternSet::new((0..).zip(&matchers)).unwrap();
        let mut cache = set.create_cache();
        let mut state = 1_u32;
        let text: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b"abcd"[(state >> 30) as usize]
        })
        .take(200_000)
        .map(|byte| if byte == b'd' { b'a' } else { byte })
        .collect();
        assert_eq!(run(&set, &mut cache, &text[..20]), Some(vec![]));
        let all = run(&set, &mut cache, &text);
        assert!(all.is_none() || all == Some(vec![2]));
        assert!(cache.memory_usage() < 2 * MAX_CACHE, "{}", cache.memory_usage());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn equals_each_pattern_alone(
            patterns in proptest::collection::vec("(\\(\\?i\\))?\\^?([ab.]|\\[ab\\]\\+|b\\{2\\}|\\(a\\|ab\\)|a\\*|\\\\b){1,4}\\$?", 3..9),
            texts in proptest::collection::vec("[abAB \\n]{0,12}", 1..6),
        ) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let matchers = matchers(&patterns);
            if let Some(set) = PatternSet::new((0..).zip(&matchers)) {
                let mut cache = set.create_cache();
                for text in &texts {
                    let alone = (0..).zip(&matchers).filter(|(at, matcher)| set.predicates().contains(at) && matcher.is_match(text.as_bytes()));
                    let expected: Vec<PredicateIndex> = alone.map(|(at, _)| at).collect();
                    prop_assert_eq!(run(&set, &mut cache, text.as_bytes()), Some(expected), "{:?} on {:?}", patterns, text);
                }
            }
        }
    }
}
