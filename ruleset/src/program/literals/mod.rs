//! All literals of the tests of one subject, decided in one pass over its text.
//!
//! Enters: the parts of patterns that are nothing but literals (substring, prefix, suffix, whole), and the literals that
//! all other patterns demand; ASCII case ignored. Leaves: the predicates that hold, and those that are worth a look.
//! Whole texts are looked up by hash; prefixes are followed from the start only as far as one fits; the rest is found
//! by one Aho-Corasick automaton. The cost of a text does not grow with the number of patterns.

#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;

use super::PredicateIndex;
use super::equalities::Equalities;
use crate::expr::{
    ByteSet, Matcher, MultiFinder, Necessary, OsMatchKind, OsMatchPart, Pcre2Literal, Required, Site,
    pcre2_literals,
};
use crate::ir::Test;

/// One pattern: it holds when any of its parts does.
#[derive(Debug, Clone)]
pub(crate) struct Literals {
    pub(crate) predicate: PredicateIndex,
    pub(crate) parts: Vec<Part>,
}

/// A pattern that must be run by itself, and what a text must have for that.
#[derive(Debug, Clone)]
pub(crate) struct Candidates {
    pub(crate) predicate: PredicateIndex,
    pub(crate) necessary: Necessary,
}

impl Candidates {
    /// Whether there is a literal that is missing in many texts.
    pub(crate) fn tells(&self) -> bool {
        self.necessary.required.as_ref().is_some_and(tells)
    }
}

/// Which of a set's literals are run. A predicate with literals of both kinds needs both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pass {
    /// Those that are the whole text, which costs the same however long it is.
    LookUp,
    /// All others, for which the text is searched.
    Search,
    /// All.
    Both,
}

/// What the pass tells of a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hit {
    /// It holds.
    Holds(PredicateIndex),
    /// It may hold: nothing that it demands is missing.
    Candidate(PredicateIndex),
}

/// One literal of a pattern.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    kind: OsMatchKind,
    /// In lower case: what the automaton looks for.
    folded: Vec<u8>,
    /// The bytes as they must stand, where case counts.
    exact: Option<Box<[u8]>>,
    /// The end anchor also holds before a final line feed.
    line_feed: bool,
}

impl From<OsMatchPart> for Part {
    fn from(part: OsMatchPart) -> Self {
        Self { kind: part.kind, folded: part.literal, exact: None, line_feed: false }
    }
}

impl Literals {
    /// The parts of a pattern that is nothing but literals.
    pub(crate) fn of(predicate: PredicateIndex, test: &Test, matcher: &Matcher) -> Option<Self> {
        let parts = match (test, matcher) {
            (_, Matcher::OsMatch(matcher)) if !matcher.inverted() => {
                matcher.parts().iter().cloned().map(Part::from).collect()
            }
            (_, Matcher::OsRegex(matcher)) => matcher.as_literals()?.into_iter().map(Part::from).collect(),
            (Test::Pcre2(pattern), _) => {
                let (parts, ignore_case) = pcre2_literals::literals(pattern)?;
                parts.into_iter().map(|part| Part::pcre2(part, ignore_case)).collect()
            }
            (Test::Equals(text), _) => vec![Part::same(text.as_bytes())],
            _ => return None,
        };
        Some(Self { predicate, parts })
    }

    /// The literals in lower case, and whether each is the whole text; nothing where one is not bound to the beginning.
    pub(crate) fn anchored(&self) -> Option<Vec<(&[u8], bool)>> {
        let anchored = |part: &Part| match part.kind {
            OsMatchKind::Equals => Some(true),
            OsMatchKind::Prefix => Some(false),
            OsMatchKind::Substring | OsMatchKind::Suffix | OsMatchKind::Always => None,
        };
        self.parts.iter().map(|part| Some((&*part.folded, anchored(part)?))).collect()
    }

    /// Whether each literal is the whole text.
    pub(crate) fn are_whole(&self) -> bool {
        self.parts.iter().all(|part| part.kind == OsMatchKind::Equals)
    }
}

impl Part {
    /// The whole text, byte by byte.
    fn same(text: &[u8]) -> Self {
        Self {
            kind: OsMatchKind::Equals,
            folded: text.to_ascii_lowercase(),
            exact: Some(text.into()),
            line_feed: false,
        }
    }

    /// A part of a Sigma pattern; the end is the end.
    pub(crate) fn sigma(kind: OsMatchKind, literal: &[u8], cased: bool) -> Self {
        Self {
            kind,
            folded: literal.to_ascii_lowercase(),
            exact: cased.then(|| literal.into()),
            line_feed: false,
        }
    }

    /// Whether it is the whole text, so that a look-up decides it.
    pub(crate) fn is_whole(&self) -> bool {
        self.kind == OsMatchKind::Equals
    }

    /// Whether every text has it.
    pub(crate) fn is_in_all(&self) -> bool {
        self.folded.is_empty() && self.kind != OsMatchKind::Equals
    }

    pub(crate) fn pcre2(part: Pcre2Literal, ignore_case: bool) -> Self {
        Self {
            kind: part.kind,
            folded: part.literal.to_ascii_lowercase(),
            exact: (!ignore_case).then(|| part.literal.into_boxed_slice()),
            line_feed: true,
        }
    }
}

/// Which pattern a literal belongs to, and what else must hold.
#[derive(Debug)]
struct Owner {
    hit: Hit,
    kind: OsMatchKind,
    exact: Option<Box<[u8]>>,
    line_feed: bool,
}

/// All literals of the patterns of a subject.
#[derive(Debug, Default)]
pub(crate) struct LiteralSet {
    /// Those that must be the whole text.
    equalities: Equalities,
    equality_owners: Vec<Vec<Owner>>,
    /// Those that the text must begin with, and those that may lie elsewhere.
    prefixes: Option<Automaton>,
    anywhere: Option<Automaton>,
    /// Patterns that hold for every text, and those that hold for the empty text.
    always: Vec<PredicateIndex>,
    when_empty: Vec<PredicateIndex>,
    /// Patterns without literals, with the bytes that a text can begin with.
    bare: Vec<(PredicateIndex, Option<ByteSet>)>,
    /// Every pattern that the set decides.
    pub(crate) predicates: Vec<PredicateIndex>,
}

impl LiteralSet {
    /// `None` when an automaton cannot be built, which only a size beyond memory causes.
    pub(crate) fn new(patterns: &[Literals], candidates: &[Candidates]) -> Option<Self> {
        let mut set = Self::default();
        let (mut prefixes, mut anywhere) = (Building::default(), Building::default());
        for Literals { predicate, parts } in patterns {
            set.predicates.push(*predicate);
            for part in parts {
                let (exact, line_feed) = (part.exact.clone(), part.line_feed);
                let owner = Owner { hit: Hit::Holds(*predicate), kind: part.kind, exact, line_feed };
                match part.kind {
                    OsMatchKind::Equals if part.folded.is_empty() => set.when_empty.push(*predicate),
                    _ if part.folded.is_empty() => set.always.push(*predicate),
                    OsMatchKind::Always => set.always.push(*predicate),
                    OsMatchKind::Equals => set.equal(&part.folded, owner),
                    OsMatchKind::Prefix => prefixes.add(&part.folded, owner),
                    OsMatchKind::Suffix | OsMatchKind::Substring => anywhere.add(&part.folded, owner),
                }
            }
        }
        for Candidates { predicate, necessary } in candidates {
            let Some(required) = necessary.required.as_ref().filter(|required| tells(required)) else {
                set.bare.push((*predicate, necessary.first));
                continue;
            };
            let (building, kind) = match required.prefix {
                true => (&mut prefixes, OsMatchKind::Prefix),
                false => (&mut anywhere, OsMatchKind::Substring),
            };
            for literal in &required.literals {
                let hit = Hit::Candidate(*predicate);
                building.add(literal, Owner { hit, kind, exact: None, line_feed: false });
            }
        }
        set.prefixes = prefixes.build(Site::Start)?;
        set.anywhere = anywhere.build(Site::Anywhere)?;
        Some(set)
    }

    fn equal(&mut self, literal: &[u8], owner: Owner) {
        let index = self.equalities.insert(literal) as usize;
        if index >= self.equality_owners.len() {
            self.equality_owners.resize_with(index + 1, Vec::new);
        }
        self.equality_owners[index].push(owner);
    }

    /// Calls `report` for every predicate that holds or may hold, perhaps more than once.
    #[inline]
    pub(crate) fn run(&self, text: &[u8], report: impl FnMut(Hit)) {
        self.pass(Pass::Both, text, report);
    }

    /// The part of [`Self::run`] that the pass is.
    #[inline]
    pub(crate) fn pass(&self, pass: Pass, text: &[u8], mut report: impl FnMut(Hit)) {
        if pass != Pass::Search {
            self.look_up(text, &mut report);
        }
        if pass != Pass::LookUp {
            self.search(text, &mut report);
        }
    }

    #[inline]
    fn look_up(&self, text: &[u8], mut report: impl FnMut(Hit)) {
        if text.is_empty() {
            self.when_empty.iter().for_each(|predicate| report(Hit::Holds(*predicate)));
        }
        self.run_equalities(text, text.len(), &mut report);
        if let Some(before) = text.strip_suffix(b"\n") {
            self.run_equalities(text, before.len(), &mut report);
        }
    }

    #[inline]
    fn search(&self, text: &[u8], mut report: impl FnMut(Hit)) {
        self.always.iter().for_each(|predicate| report(Hit::Holds(*predicate)));
        for (predicate, first) in &self.bare {
            if first.is_none_or(|first| text.first().is_some_and(|&byte| first.contains(byte))) {
                report(Hit::Candidate(*predicate));
            }
        }
        if let Some(prefixes) = &self.prefixes {
            prefixes.run(text, &mut report);
        }
        if let Some(anywhere) = &self.anywhere {
            anywhere.run(text, &mut report);
        }
    }

    fn run_equalities(&self, text: &[u8], end: usize, report: &mut impl FnMut(Hit)) {
        let Some(index) = self.equalities.find(&text[..end]) else { return };
        for owner in &self.equality_owners[index as usize] {
            if owner.accepts(text, 0, end) {
                report(owner.hit);
            }
        }
    }
}

/// Single bytes such as the blank are in nearly every text, and each of them would be a hit.
fn tells(required: &Required) -> bool {
    required.prefix || required.literals.iter().all(|literal| literal.len() > 1)
}

impl Owner {
    #[inline]
    fn accepts(&self, text: &[u8], start: usize, end: usize) -> bool {
        let at_end = || end == text.len() || (self.line_feed && text[end..] == *b"\n");
        let anchored = match self.kind {
            OsMatchKind::Always | OsMatchKind::Substring => true,
            OsMatchKind::Prefix => start == 0,
            OsMatchKind::Suffix => at_end(),
            OsMatchKind::Equals => start == 0 && at_end(),
        };
        anchored && self.exact.as_ref().is_none_or(|exact| text[start..end] == **exact)
    }
}

/// Distinct literals and the patterns that they belong to.
#[derive(Debug, Default)]
struct Building {
    literals: Vec<Vec<u8>>,
    known: FxHashMap<Vec<u8>, usize>,
    owners: Vec<Vec<Owner>>,
}

impl Building {
    fn add(&mut self, literal: &[u8], owner: Owner) {
        let index = *self.known.entry(literal.to_vec()).or_insert_with(|| {
            self.literals.push(literal.to_vec());
            self.owners.push(Vec::new());
            self.literals.len() - 1
        });
        self.owners[index].push(owner);
    }

    /// `Some(None)` for no literals at all.
    #[allow(clippy::option_option)]
    fn build(self, site: Site) -> Option<Option<Automaton>> {
        if self.literals.is_empty() {
            return Some(None);
        }
        let finder = MultiFinder::new(&self.literals, site)?;
        let owners = self.owners.into_iter().map(Vec::into_boxed_slice).collect();
        Some(Some(Automaton { finder, owners }))
    }
}

/// An automaton and, per literal, the patterns that it belongs to.
#[derive(Debug)]
struct Automaton {
    finder: MultiFinder,
    owners: Box<[Box<[Owner]>]>,
}

impl Automaton {
    #[inline]
    fn run(&self, text: &[u8], report: &mut impl FnMut(Hit)) {
        self.finder.find_each(text, |literal, start, end| {
            for owner in &self.owners[literal] {
                if owner.accepts(text, start, end) {
                    report(owner.hit);
                }
            }
        });
    }
}
