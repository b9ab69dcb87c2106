//! A choice of literals, each free or bound to an end of the text: all of OSMatch, and those OSRegex patterns that have
//! nothing but literals.
//!
//! Enters: the parts, lower-cased. Leaves: whether one of them holds. A few free parts are searched one after the
//! other, which is quickest; many go into one automaton, so that the cost does not grow with their number.

use aho_corasick::AhoCorasick;

use super::finder::Finder;

/// More free parts than this are searched in one pass.
const SEARCHED_ALONE: usize = 6;

/// How a literal lies in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OsMatchKind {
    /// Anywhere.
    Substring,
    /// At the beginning.
    Prefix,
    /// At the end.
    Suffix,
    /// It is the whole text.
    Equals,
    /// Holds for every text; the literal is empty.
    Always,
}

/// One literal of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsMatchPart {
    /// Where it must lie.
    pub kind: OsMatchKind,
    /// The bytes, ASCII letters in lower case.
    pub literal: Vec<u8>,
}

impl OsMatchPart {
    /// A part; `literal` in any case. An empty literal that need not be the whole text holds always.
    pub(super) fn new(kind: OsMatchKind, literal: &[u8]) -> Self {
        let kind = if literal.is_empty() && kind != OsMatchKind::Equals { OsMatchKind::Always } else { kind };
        Self { kind, literal: literal.to_ascii_lowercase() }
    }

    fn holds_at_an_end(&self, text: &[u8]) -> bool {
        let length = self.literal.len();
        match self.kind {
            OsMatchKind::Prefix => {
                text.get(..length).is_some_and(|start| start.eq_ignore_ascii_case(&self.literal))
            }
            OsMatchKind::Suffix => {
                text.len() >= length && text[text.len() - length..].eq_ignore_ascii_case(&self.literal)
            }
            OsMatchKind::Equals => text.eq_ignore_ascii_case(&self.literal),
            OsMatchKind::Always | OsMatchKind::Substring => false,
        }
    }
}

/// The compiled choice.
#[derive(Debug)]
pub(super) struct Literals {
    parts: Vec<OsMatchPart>,
    always: bool,
    /// The free parts.
    substrings: Search,
}

#[derive(Debug)]
enum Search {
    Alone(Box<[Finder]>),
    Together(AhoCorasick),
}

impl Literals {
    pub(super) fn new(parts: Vec<OsMatchPart>) -> Self {
        let always = parts.iter().any(|part| part.kind == OsMatchKind::Always);
        let free =
            || parts.iter().filter(|part| part.kind == OsMatchKind::Substring).map(|part| &part.literal);
        let alone = || Search::Alone(free().map(|literal| Finder::new(literal)).collect());
        let substrings = if free().count() <= SEARCHED_ALONE {
            alone()
        } else {
            // Refused only for sizes that a pattern cannot have; then the slower way is still right.
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(free())
                .map_or_else(|_| alone(), Search::Together)
        };
        Self { parts, always, substrings }
    }

    pub(super) fn parts(&self) -> &[OsMatchPart] {
        &self.parts
    }

    /// Whether one of the parts holds.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        if self.always || self.parts.iter().any(|part| part.holds_at_an_end(text)) {
            return true;
        }
        match &self.substrings {
            Search::Alone(finders) => finders.iter().any(|finder| finder.is_in(text)),
            Search::Together(automaton) => automaton.is_match(text),
        }
    }
}
