//! PCRE2 patterns that a finite automaton decides exactly as the library does.
//!
//! Enters: a parsed pattern. Leaves: the same pattern for the automata library, which takes time linear in the text; or
//! nothing, where equality is not certain. Both libraries are leftmost-first, so what is translated node by node finds
//! the same match with the same groups. What needs care:
//!
//! * `$` also holds before a line feed that ends the text. As the last thing of a pattern it becomes `\z|(\n)\z`, where
//!   the hidden group tells that the match really ended one byte earlier. The two never hold at one place, so they
//!   change no preference. Elsewhere `$` is left to the library.
//! * `(?m)^` does not hold after a line feed that ends the text. Where something must be taken after it there is no
//!   difference; elsewhere it is left to the library.
//! * A repeat of something that can be empty ends by rules of its own: left to the library.
//! * Look-aheads directly after a leading `^` are conditions on the whole text: each becomes an automaton that is
//!   anchored at the start, and all must agree.
//! * With `(*UTF)` a text must be UTF-8 to match.

use regex_automata::meta::{Config, Regex};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Capture, Class, ClassBytes, ClassBytesRange, Hir, Look as HirLook, Repetition};

use super::super::bytes::ByteSet;
use super::syntax::{Ast, Look, Parsed};

/// Patterns with more groups are left to the library: so many ranges fit on the stack.
const MAX_GROUPS: u32 = 100;
const SLOTS: usize = 2 * (MAX_GROUPS as usize + 2);

/// Memory for the states of one pattern, and for what its search discovers of them.
const MAX_NFA: usize = 1 << 18;
const MAX_CACHE: usize = 1 << 19;

/// An automaton that gives the library's answers.
#[derive(Debug)]
pub(super) struct Automaton {
    regex: Regex,
    /// What the text must satisfy at its start beside the pattern, and whether it must rather not.
    conditions: Vec<(Regex, bool)>,
    groups: u32,
    /// The group after the last one marks a line feed that is not part of the match.
    hides_feed: bool,
    utf: bool,
    /// For joining patterns: without marks and conditions.
    hir: Option<Hir>,
}

impl Automaton {
    /// `None`: the library must run the pattern.
    pub(super) fn new(parsed: &Parsed) -> Option<Self> {
        if parsed.groups > MAX_GROUPS {
            return None;
        }
        let (conditions, body) = conditions(&parsed.ast);
        let plain = lower(&body, Place::WHOLE, None)?;
        let marked = lower(&body, Place::WHOLE, Some(parsed.groups + 1))?;
        let hides_feed =
            marked.properties().explicit_captures_len() > plain.properties().explicit_captures_len();
        let regex = build(&marked)?;
        let conditions = conditions
            .into_iter()
            .map(|(ast, negative)| Some((build(&lower(ast, Place::WHOLE, None)?)?, negative)))
            .collect::<Option<Vec<_>>>()?;
        let joinable = conditions.is_empty() && !parsed.utf;
        Some(Self {
            regex,
            conditions,
            groups: parsed.groups,
            hides_feed,
            utf: parsed.utf,
            hir: joinable.then_some(plain),
        })
    }

    /// The pattern, where it may be joined with others that are only asked whether they match.
    pub(super) fn hir(&self) -> Option<&Hir> {
        self.hir.as_ref()
    }

    /// Bytes of memory, roughly: what joins patterns is a tree that grows with the automaton.
    pub(super) fn memory_usage(&self) -> usize {
        let conditions = self.conditions.iter().map(|(regex, _)| regex.memory_usage()).sum::<usize>();
        2 * (size_of::<Self>() + self.regex.memory_usage() + conditions)
    }

    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text) && self.admits(text)
    }

    pub(super) fn rest(&self, text: &[u8]) -> Option<usize> {
        if self.hides_feed && text.last() == Some(&b'\n') {
            return self.search(text, &mut [None; SLOTS]);
        }
        self.regex.search_half(&Input::new(text)).filter(|_| self.admits(text)).map(|found| found.offset())
    }

    pub(super) fn captures(&self, text: &[u8], groups: &mut Vec<(usize, usize)>) -> Option<usize> {
        groups.clear();
        let mut slots = [None; SLOTS];
        let end = self.search(text, &mut slots)?;
        let range = |group: usize| {
            let (start, end_of) = (slots[2 * group]?.get(), slots[2 * group + 1]?.get());
            Some((start, end_of.min(end.max(start))))
        };
        let last = (1..=self.groups as usize).rev().find(|&group| range(group).is_some()).unwrap_or(0);
        groups.extend((1..=last).map(|group| range(group).unwrap_or((0, 0))));
        Some(end)
    }

    /// Searches with groups; the result is where the match ends.
    fn search(&self, text: &[u8], slots: &mut [Option<NonMaxUsize>; SLOTS]) -> Option<usize> {
        let hidden = self.groups as usize + 1;
        let used = 2 * (self.groups as usize + 1 + usize::from(self.hides_feed));
        self.regex.search_slots(&Input::new(text), &mut slots[..used]).filter(|_| self.admits(text))?;
        let end = slots[1]?.get();
        let feed = if self.hides_feed { slots[2 * hidden] } else { None };
        Some(feed.map_or(end, NonMaxUsize::get))
    }

    /// What is asked only of texts that match otherwise.
    fn admits(&self, text: &[u8]) -> bool {
        let at_start = || Input::new(text).anchored(Anchored::Yes);
        self.conditions.iter().all(|(regex, negative)| regex.is_match(at_start()) != *negative)
            && (!self.utf || std::str::from_utf8(text).is_ok())
    }
}

/// Many patterns are compiled and few are used: the engines that cost much to build are left out.
fn build(hir: &Hir) -> Option<Regex> {
    let config = Config::new()
        .match_kind(MatchKind::LeftmostFirst)
        .utf8_empty(false)
        .nfa_size_limit(Some(MAX_NFA))
        .hybrid_cache_capacity(MAX_CACHE)
        .onepass(false)
        .dfa(false);
    Regex::builder().configure(config).build_from_hir(hir).ok()
}

/// `^`, then look-aheads, then the rest: the look-aheads with their sense, and the pattern without them. Without a group
/// that a look-ahead would set.
fn conditions(ast: &Ast) -> (Vec<(&Ast, bool)>, Ast) {
    let Ast::Concat(parts) = ast else { return (Vec::new(), ast.clone()) };
    let mut found = Vec::new();
    let mut kept = Vec::new();
    let mut anchored = false;
    let mut parts = parts.iter().peekable();
    while let Some(part) =
        parts.next_if(|part| matches!(part, Ast::Empty | Ast::Look(Look::Start) | Ast::Ahead { .. }))
    {
        match part {
            Ast::Look(_) => anchored = true,
            Ast::Ahead { negative, inner } if anchored && !inner.has_groups() => {
                found.push((&**inner, *negative));
                continue;
            }
            _ => {}
        }
        kept.push(part.clone());
    }
    kept.extend(parts.cloned());
    (found, Ast::Concat(kept))
}

/// What stands after a node.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Nothing: a match ends where the node does.
    last: bool,
    /// At least one byte is taken afterwards.
    taken_after: bool,
}

impl Place {
    const WHOLE: Self = Self { last: true, taken_after: false };
}

/// Translates; `hidden` is the group that marks a line feed after `$`.
fn lower(ast: &Ast, place: Place, hidden: Option<u32>) -> Option<Hir> {
    Some(match ast {
        Ast::Empty => Hir::empty(),
        Ast::Class(set) => byte_class(*set),
        Ast::Look(look) => self::look(*look, place, hidden)?,
        Ast::Repeat { inner, min, max, greedy } => {
            if inner.min_len() == 0 && *max != Some(1) {
                return None;
            }
            let place = Place { last: place.last && *max == Some(1), ..place };
            let sub = Box::new(lower(inner, place, hidden)?);
            Hir::repetition(Repetition { min: *min, max: *max, greedy: *greedy, sub })
        }
        Ast::Group(index, inner) => {
            let sub = Box::new(lower(inner, place, hidden)?);
            Hir::capture(Capture { index: *index, name: None, sub })
        }
        Ast::Concat(parts) => {
            let mut lowered = Vec::with_capacity(parts.len());
            let mut place = place;
            for part in parts.iter().rev() {
                lowered.push(lower(part, place, hidden)?);
                place.last &= matches!(part, Ast::Empty);
                place.taken_after |= part.min_len() > 0;
            }
            lowered.reverse();
            Hir::concat(lowered)
        }
        Ast::Alternate(branches) => Hir::alternation(
            branches.iter().map(|branch| lower(branch, place, hidden)).collect::<Option<_>>()?,
        ),
        Ast::Ahead { .. } | Ast::Opaque(_) => return None,
    })
}

fn look(look: Look, place: Place, hidden: Option<u32>) -> Option<Hir> {
    Some(match look {
        Look::Start => Hir::look(HirLook::Start),
        Look::End => Hir::look(HirLook::End),
        Look::EndLine => Hir::look(HirLook::EndLF),
        Look::StartLine if place.taken_after => Hir::look(HirLook::StartLF),
        Look::EndOrLastFeed if place.last => {
            let feed = Hir::literal(*b"\n");
            let feed = match hidden {
                Some(index) => Hir::capture(Capture { index, name: None, sub: Box::new(feed) }),
                None => feed,
            };
            let end = || Hir::look(HirLook::End);
            Hir::alternation(vec![end(), Hir::concat(vec![feed, end()])])
        }
        Look::StartLine | Look::EndOrLastFeed => return None,
        Look::Word => Hir::look(HirLook::WordAscii),
        Look::NotWord => Hir::look(HirLook::WordAsciiNegate),
    })
}

fn byte_class(set: ByteSet) -> Hir {
    Hir::class(Class::Bytes(ClassBytes::new(set.iter().map(|byte| ClassBytesRange::new(byte, byte)))))
}

impl Ast {
    fn has_groups(&self) -> bool {
        match self {
            Self::Group(..) => true,
            Self::Empty | Self::Class(_) | Self::Look(_) => false,
            Self::Repeat { inner, .. } | Self::Ahead { inner, .. } | Self::Opaque(inner) => {
                inner.has_groups()
            }
            Self::Concat(parts) | Self::Alternate(parts) => parts.iter().any(Self::has_groups),
        }
    }
}
