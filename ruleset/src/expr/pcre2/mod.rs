//! PCRE2: Perl-compatible regular expressions.
//!
//! Enters: a pattern. Leaves: yes or no for a text, and the captured ranges. Bytes, not characters, and no options: a
//! pattern asks for more itself (`(?i)`, `(*UTF)`). Nearly all patterns are regular; an automaton runs them, in time
//! linear in the text and with the library's answers (`automaton.rs`). The others are the original library's, within
//! bounds (`library.rs`). Which literals a pattern demands is found for both (`necessary.rs`).

#[cfg(test)]
mod agreement;
mod automaton;
mod class;
mod library;
pub(crate) mod literals;
mod necessary;
mod syntax;
#[cfg(test)]
mod tests;

use regex_syntax::hir::Hir;

use self::automaton::Automaton;
use self::library::Library;
use super::finder::Finder;
use super::required::Necessary;
use super::{ExprError, Required};

/// A compiled pattern.
#[derive(Debug)]
pub struct Pcre2 {
    engine: Engine,
    necessary: Necessary,
    /// A few literals, one of which is in every text that matches.
    ahead: Option<Box<[Finder]>>,
}

/// In texts of so many bytes a literal is found much more quickly than a pattern.
const LONG: usize = 128;
/// So few literals are looked for one by one; shorter ones are in too many texts.
const FEW_LITERALS: usize = 3;
const SHORTEST_LITERAL: usize = 4;

#[derive(Debug)]
enum Engine {
    Automaton(Box<Automaton>),
    Library(Box<Library>),
}

impl Pcre2 {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The library does not take it.
    pub fn new(pattern: &str) -> Result<Self, ExprError> {
        let parsed = syntax::parse(pattern);
        let necessary = parsed.as_ref().map(|parsed| necessary::necessary(&parsed.ast)).unwrap_or_default();
        let engine = match parsed.as_ref().and_then(Automaton::new) {
            Some(automaton) => {
                // The parser may take what the library, and so the reference, refuses.
                Library::check(pattern)?;
                Engine::Automaton(Box::new(automaton))
            }
            None => Engine::Library(Box::new(Library::new(pattern)?)),
        };
        let ahead = necessary.required.as_ref().and_then(ahead);
        Ok(Self { engine, necessary, ahead })
    }

    /// Whether [`Pcre2::new`] takes a pattern, without making anything of it.
    ///
    /// # Errors
    /// The library does not take it.
    pub fn check(pattern: &str) -> Result<(), ExprError> {
        Library::check(pattern)
    }

    /// Whether the text has a match.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        if text.len() >= LONG
            && let Some(ahead) = &self.ahead
            && !ahead.iter().any(|literal| literal.is_in(text))
        {
            return false;
        }
        match &self.engine {
            Engine::Automaton(automaton) => automaton.is_match(text),
            Engine::Library(library) => library.is_match(text),
        }
    }

    /// Matches without captures and tells where the text after the match begins.
    #[must_use]
    pub fn rest(&self, text: &[u8]) -> Option<usize> {
        match &self.engine {
            Engine::Automaton(automaton) => automaton.rest(text),
            Engine::Library(library) => library.rest(text),
        }
    }

    /// Matches, stores the captured ranges in `groups` (group 1 first) and tells where the text after the match begins.
    ///
    /// A group that took no part is an empty range if a later one did; otherwise it is not in the list.
    pub fn captures(&self, text: &[u8], groups: &mut Vec<(usize, usize)>) -> Option<usize> {
        match &self.engine {
            Engine::Automaton(automaton) => automaton.captures(text, groups),
            Engine::Library(library) => library.captures(text, groups),
        }
    }

    /// What every matching text has.
    #[must_use]
    pub fn necessary(&self) -> &Necessary {
        &self.necessary
    }

    /// Whether an automaton runs it: in linear time, over texts of any length.
    #[must_use]
    pub fn is_regular(&self) -> bool {
        matches!(self.engine, Engine::Automaton(_))
    }

    /// Bytes of memory that the pattern takes, roughly.
    pub(crate) fn memory_usage(&self) -> usize {
        match &self.engine {
            Engine::Automaton(automaton) => automaton.memory_usage(),
            Engine::Library(library) => library.memory_usage(),
        }
    }

    /// The pattern, where it may be joined with others into one automaton that is only asked whether they match.
    pub(crate) fn joinable(&self) -> Option<&Hir> {
        match &self.engine {
            Engine::Automaton(automaton) => automaton.hir(),
            Engine::Library(_) => None,
        }
    }
}

/// What to look for before the pattern is run: nothing where that would tell little, or where the beginning tells.
fn ahead(required: &Required) -> Option<Box<[Finder]>> {
    let literals = &required.literals;
    let tells = !required.prefix
        && literals.len() <= FEW_LITERALS
        && literals.iter().all(|literal| literal.len() >= SHORTEST_LITERAL);
    tells.then(|| literals.iter().map(|literal| Finder::new(literal)).collect())
}
