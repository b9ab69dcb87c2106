//! From the text of an OSRegex pattern to the steps that the scan walks.
//!
//! Enters: a pattern. Leaves: its alternatives. A class and its quantifier become one step, because the scan never
//! stands between the two; what it needs of the pattern's text (how many bytes are left) is counted beforehand.

use std::cmp::Reverse;

use super::super::ExprError;
use super::super::bytes::ByteSet;
use super::super::finder::commonness;
use super::super::literals::{OsMatchKind, OsMatchPart};
use super::class::Class;

/// How often a class may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Once,
    /// `+`
    OneOrMore,
    /// `*`
    Any,
}

/// One step of an alternative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// The edge of a group, counted from 0: even ones open, odd ones close.
    Mark(u16),
    /// A byte, letters in lower case.
    Literal(u8),
    /// An escape with its quantifier.
    Class(Class, Repeat),
}

/// One alternative.
#[derive(Debug)]
pub(super) struct Alternative {
    pub(super) ops: Box<[Op]>,
    /// For each step the length of the pattern's text from there to the end of the alternative, at most 4.
    pub(super) left: Box<[u8]>,
    /// `^`
    pub(super) from_start: bool,
    /// `$`
    pub(super) to_end: bool,
    pub(super) groups: usize,
    /// When it begins with a literal (a mark may come before it): that byte in both cases.
    pub(super) first: Option<[u8; 2]>,
}

/// Splits and checks a pattern.
pub(super) fn parse(pattern: &str) -> Result<Vec<Alternative>, ExprError> {
    let bytes = pattern.as_bytes();
    let mut alternatives = Vec::new();
    let mut at = 0;
    loop {
        let (alternative, end) = parse_alternative(bytes, at)?;
        alternatives.push(alternative);
        if end == bytes.len() {
            return Ok(alternatives);
        }
        at = end + 1;
    }
}

/// Reads from `start` to the next `|` or the end and returns the place of that.
fn parse_alternative(bytes: &[u8], start: usize) -> Result<(Alternative, usize), ExprError> {
    let from_start = bytes.get(start) == Some(&b'^');
    let mut to_end = false;
    let mut at = start + usize::from(from_start);
    let mut ops = Vec::new();
    let mut marks = 0_u16;
    let mut open = None;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                let class = class(bytes, at)?;
                let repeat = match bytes.get(at + 2) {
                    Some(b'+') => Repeat::OneOrMore,
                    Some(b'*') => Repeat::Any,
                    _ => Repeat::Once,
                };
                ops.push(Op::Class(class, repeat));
                at += 1 + usize::from(repeat != Repeat::Once);
            }
            b'|' if open.is_none() => break,
            b'$' if matches!(bytes.get(at + 1), None | Some(b'|')) && open.is_none() => to_end = true,
            edge @ (b'(' | b'|' | b')') => {
                check_group(bytes, at, edge, open)?;
                open = (edge == b'(').then_some(at);
                ops.push(Op::Mark(marks));
                marks = marks
                    .checked_add(1)
                    .ok_or_else(|| ExprError::new(at, "too many groups", "split the pattern"))?;
            }
            byte => ops.push(Op::Literal(byte.to_ascii_lowercase())),
        }
        at += 1;
    }
    if let Some(open) = open {
        return Err(ExprError::new(
            open,
            "the group is not closed",
            r"add ')', or write '\(' for the character itself",
        ));
    }
    Ok((Alternative::new(ops, from_start, to_end, usize::from(marks / 2)), at.min(bytes.len())))
}

fn class(bytes: &[u8], at: usize) -> Result<Class, ExprError> {
    let Some(&letter) = bytes.get(at + 1) else {
        return Err(ExprError::new(at, r"the pattern ends in '\'", r"write '\\' for the character itself"));
    };
    Class::of_escape(letter).ok_or_else(|| {
        let shown = String::from_utf8_lossy(&bytes[at + 1..]).chars().next().unwrap_or_default();
        let help = match letter {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                r"OSRegex knows \d \D \w \W \s \S \t \p \. only; use type=pcre2 for more".to_owned()
            }
            _ => format!(
                "outside a class the character stands for itself: write {shown} without the backslash"
            ),
        };
        ExprError::new(at, format!(r"'\{shown}' is not an escape of OSRegex"), help)
    })
}

fn check_group(bytes: &[u8], at: usize, edge: u8, open: Option<usize>) -> Result<(), ExprError> {
    match (edge, open) {
        (b'(', Some(_)) => Err(ExprError::new(
            at,
            "groups do not nest in OSRegex",
            "close the outer group first, or use type=pcre2",
        )),
        (b'|', _) => Err(ExprError::new(
            at,
            "'|' cannot stand inside a group in OSRegex",
            r"write whole alternatives outside the group, '\|' for the character itself, or use type=pcre2",
        )),
        (b')', None) => {
            Err(ExprError::new(at, "')' closes no group", r"write '\)' for the character itself"))
        }
        (b')', Some(_)) if matches!(bytes.get(at + 1), Some(b'+' | b'*')) => Err(ExprError::new(
            at + 1,
            "groups cannot be repeated in OSRegex",
            "repeat the class inside, or use type=pcre2",
        )),
        _ => Ok(()),
    }
}

impl Alternative {
    fn new(ops: Vec<Op>, from_start: bool, to_end: bool, groups: usize) -> Self {
        let mut left: Vec<u8> = ops
            .iter()
            .rev()
            .scan(0_u8, |sum, op| {
                let length = match op {
                    Op::Mark(_) | Op::Literal(_) => 1,
                    Op::Class(_, Repeat::Once) => 2,
                    Op::Class(..) => 3,
                };
                *sum = (*sum + length).min(4);
                Some(*sum)
            })
            .collect();
        left.reverse();
        let first = match ops[..] {
            [Op::Literal(byte), ..] | [Op::Mark(_), Op::Literal(byte), ..] => {
                Some([byte, byte.to_ascii_uppercase()])
            }
            _ => None,
        };
        Self { ops: ops.into(), left: left.into(), from_start, to_end, groups, first }
    }

    /// The alternative as one literal, if it has nothing but fixed bytes (escapes with a single meaning included).
    ///
    /// Why this is equal to the scan: without a quantifier the scan saves no place and never loops, so it takes byte
    /// after byte, and on a difference goes on one after the beginning of the attempt: the plain search of a substring,
    /// which finds the first occurrence if there is one. An attempt that is under way when the text ends is lost, but
    /// no later one would have room either. `^` makes the first difference final: a prefix. `$` makes a whole match
    /// before the end a difference: a suffix, or with `^` equality. Without any step the scan matches at once, unless
    /// `$` is there, which then only the empty text satisfies: equality with nothing.
    pub(super) fn literal(&self) -> Option<OsMatchPart> {
        let bytes: Vec<u8> = self.ops.iter().map(|op| op.fixed()).collect::<Option<_>>()?;
        let kind = match (self.from_start, self.to_end) {
            (_, true) if bytes.is_empty() => OsMatchKind::Equals,
            (false, false) => OsMatchKind::Substring,
            (true, false) => OsMatchKind::Prefix,
            (false, true) => OsMatchKind::Suffix,
            (true, true) => OsMatchKind::Equals,
        };
        Some(OsMatchPart::new(kind, &bytes))
    }

    /// The fixed bytes that a match must begin with, at the start of the text, in lower case.
    ///
    /// Why this is sound: with `^` the first attempt is the only one, and it comes back only to places that a repeated
    /// class saved. Until the first such class, and a mark ends this literal too, each step takes one byte or fails.
    pub(super) fn start(&self) -> Option<Vec<u8>> {
        let run: Vec<u8> = self.ops.iter().map_while(|op| op.fixed()).collect();
        (self.from_start && !run.is_empty()).then_some(run)
    }

    /// The bytes that a matching text can begin with, where the alternative is bound to the start and must take its
    /// first byte: the first step (after a mark, which takes nothing) is a literal or a class that is not starred, so
    /// a byte that it refuses ends the only attempt, and the empty text leaves it untaken.
    pub(super) fn first_bytes(&self) -> Option<ByteSet> {
        let first = match &*self.ops {
            [Op::Mark(_), first, ..] | [first, ..] if self.from_start => *first,
            _ => return None,
        };
        match first {
            Op::Literal(literal) => Some(ByteSet::of(|byte| byte.to_ascii_lowercase() == literal)),
            Op::Class(class, Repeat::Once | Repeat::OneOrMore) => {
                Some(ByteSet::of(|byte| class.accepts(byte)))
            }
            Op::Class(_, Repeat::Any) | Op::Mark(_) => None,
        }
    }

    /// The longest run of fixed bytes that every match must consume, in lower case.
    ///
    /// Why this is sound: the scan reaches a step only by having taken all before it at some time, and only a starred
    /// class is ever passed without being taken. It may come back, but only to a repeated class or to the beginning, so
    /// a run of fixed bytes is always entered at its front and taken from adjacent bytes. One thing spoils it: with
    /// the loop flag up, a class that is refused within the last three bytes of the pattern ends the scan as a match
    /// although it and what follows were not taken. The flag only comes from a repeated class; so if there is one,
    /// such a tail does not count. Group edges break a run, to keep this simple.
    pub(super) fn required(&self) -> Option<Vec<u8>> {
        let repeats = self.ops.iter().any(|op| matches!(op, Op::Class(_, Repeat::OneOrMore | Repeat::Any)));
        let tail = |at: usize| repeats && matches!(self.ops[at], Op::Class(..)) && self.left[at] <= 3;
        let end = (0..self.ops.len()).find(|&at| tail(at)).unwrap_or(self.ops.len());
        let runs = self.ops[..end].split(|op| op.fixed().is_none()).filter(|run| !run.is_empty());
        let runs = runs.filter_map(|run| run.iter().map(|op| op.fixed()).collect::<Option<Vec<u8>>>());
        // Among equally long ones the one with the rarest byte tells most.
        runs.max_by_key(|run| (run.len(), Reverse(run.iter().map(|&byte| commonness(byte)).min())))
    }
}

impl Op {
    /// The byte that must be there, folded, if there is just one.
    pub(super) fn fixed(self) -> Option<u8> {
        match self {
            Self::Literal(byte) => Some(byte),
            Self::Class(class, Repeat::Once) => class.only(),
            Self::Mark(_) | Self::Class(..) => None,
        }
    }
}
