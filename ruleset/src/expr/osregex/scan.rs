//! The scan: how the reference matches an OSRegex alternative, step by step.
//!
//! Enters: an alternative and a text. Leaves: the place of the last consumed byte, and the places of group edges. This
//! is not backtracking as regular expression engines know it: one pass with a flag for "the loop of the current class
//! has begun", one place to start over from, and up to four saved places to come back to. Which matches are found, which
//! are missed and how greedy a class is follow from the order of these steps alone, so they must stay as they are.
//!
//! # Bound
//! A pass over the text is linear, but coming back is not: starting over makes `a\w+b` quadratic in a run of `a`, and
//! each of four nested saved places multiplies again (`\w+a\w+a\w+a\w+a\w+!` comes to the fifth power). So the steps are
//! counted. Whoever needs more than [`FREE_STEPS`] and [`STEPS_PER_BYTE`] for each byte of text does not match: the
//! same answer that PCRE2 gives at its limits. Texts of 2 KiB do not reach it by starting over alone.

use super::class::Class;
use super::parse::{Alternative, Op, Repeat};

const FREE_STEPS: usize = 4_000_000;
const STEPS_PER_BYTE: usize = 16;

/// Places to come back to; more are forgotten.
const SAVED: usize = 4;

/// Where group edges are recorded.
pub(super) trait Marks {
    const RECORDS: bool;
    fn record(&mut self, mark: u16, at: usize);
}

/// Records nothing: for a pattern that is only asked whether it matches.
pub(super) struct NoMarks;

impl Marks for NoMarks {
    const RECORDS: bool = false;
    fn record(&mut self, _mark: u16, _at: usize) {}
}

/// Records into a list of ranges that belongs to the caller.
pub(super) struct Groups<'a>(&'a mut Vec<(usize, usize)>);

const UNSET: usize = usize::MAX;

impl<'a> Groups<'a> {
    pub(super) fn new(groups: &'a mut Vec<(usize, usize)>, count: usize) -> Self {
        groups.clear();
        groups.resize(count, (UNSET, UNSET));
        Self(groups)
    }

    /// Cuts the list at the first group without both edges.
    pub(super) fn drop_incomplete(self) {
        // Edges may stem from different attempts; a close before its open is no range.
        let complete = self.0.iter().take_while(|(open, close)| *close != UNSET && open <= close).count();
        self.0.truncate(complete);
    }
}

impl Marks for Groups<'_> {
    const RECORDS: bool = true;
    fn record(&mut self, mark: u16, at: usize) {
        if let Some((open, close)) = self.0.get_mut(usize::from(mark / 2)) {
            *(if mark.is_multiple_of(2) { open } else { close }) = at;
        }
    }
}

/// Matches one alternative; the result is the index of the last consumed byte (0 for an empty text).
pub(super) fn scan<M: Marks>(alternative: &Alternative, text: &[u8], marks: &mut M) -> Option<usize> {
    Scan {
        alternative,
        text,
        marks,
        op: 0,
        at: 0,
        end: End::At(0),
        start_over: None,
        looping: false,
        saved: [(0, 0); SAVED],
        saves: 0,
    }
    .run()
}

/// The last consumed byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Unset,
    /// Before the text: a starred class that took nothing at its first byte. The reference would point outside its
    /// buffer; taken as no match should it be the final state.
    Before,
    At(usize),
}

/// What a step decides.
enum Next {
    /// Go on; the step has moved on in the pattern, the text or both.
    Go,
    /// Nothing fits here: come back to a saved place or start over.
    Fail,
    Match,
}

struct Scan<'a, M> {
    alternative: &'a Alternative,
    text: &'a [u8],
    marks: &'a mut M,
    /// Place in the pattern.
    op: usize,
    /// Place in the text.
    at: usize,
    end: End,
    /// The byte after which a failed attempt starts over.
    start_over: Option<usize>,
    /// The loop of a repeated class has begun.
    looping: bool,
    /// A stack of places in pattern and text.
    saved: [(usize, usize); SAVED],
    saves: usize,
}

impl<M: Marks> Scan<'_, M> {
    #[inline(always)]
    fn run(mut self) -> Option<usize> {
        let mut steps = FREE_STEPS + STEPS_PER_BYTE * self.text.len();
        while self.at < self.text.len() {
            steps = steps.checked_sub(1)?;
            if self.op == 0 && !self.skip_to_candidate() {
                return None;
            }
            match self.step() {
                Next::Go => {}
                Next::Match => return self.matched(),
                Next::Fail => {
                    if !self.come_back() {
                        return None;
                    }
                }
            }
        }
        self.text_ended()
    }

    /// At the beginning of a pattern whose first byte is known, goes to its next occurrence: the steps in between would
    /// each fail and start over one byte later. `false`: there is none, so the pattern's first byte is never consumed.
    #[inline(always)]
    fn skip_to_candidate(&mut self) -> bool {
        let Some([lower, upper]) = self.alternative.first else { return true };
        if self.alternative.from_start {
            return true;
        }
        match memchr::memchr2(lower, upper, &self.text[self.at..]) {
            Some(0) => true,
            Some(skipped) => {
                self.at += skipped;
                self.end = End::Unset;
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    fn step(&mut self) -> Next {
        let ops = &*self.alternative.ops;
        match ops.get(self.op) {
            None if !self.alternative.to_end => return Next::Match,
            Some(&Op::Mark(mark)) => {
                self.marks.record(mark, self.at);
                self.op += 1;
                if self.op == ops.len() && !self.alternative.to_end {
                    return Next::Match;
                }
            }
            _ => {}
        }
        let byte = self.text[self.at];
        match ops.get(self.op) {
            Some(&Op::Class(class, repeat)) => {
                if class.accepts(byte) {
                    self.accepted(repeat, byte);
                    Next::Go
                } else {
                    self.refused(repeat)
                }
            }
            Some(&Op::Literal(literal)) if literal == byte.to_ascii_lowercase() => self.take_one(),
            // A second edge in a row is compared like a literal parenthesis.
            Some(Op::Mark(_)) if byte == b'(' => self.take_one(),
            _ => Next::Fail,
        }
    }

    #[inline(always)]
    fn take_one(&mut self) -> Next {
        self.op += 1;
        if self.start_over.is_none() {
            self.start_over = Some(self.at);
        }
        self.advance();
        Next::Go
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.end = End::At(self.at);
        self.at += 1;
    }

    /// The current class takes the byte.
    #[inline(always)]
    fn accepted(&mut self, repeat: Repeat, byte: u8) {
        match repeat {
            Repeat::Once => {
                self.take_one();
                return;
            }
            Repeat::Any => self.looping = true,
            Repeat::OneOrMore => {}
        }
        if self.looping {
            self.look_ahead(byte);
            return;
        }
        // The first byte of a `+`.
        if let Some(&Op::Mark(mark)) = self.alternative.ops.get(self.op + 1) {
            let last = self.at + 1 == self.text.len();
            self.marks.record(mark, self.at + usize::from(last));
        }
        self.looping = true;
        self.advance();
    }

    /// The loop of the current class has begun: does what comes after the class take this byte, too?
    #[inline(always)]
    fn look_ahead(&mut self, byte: u8) {
        let ops = &*self.alternative.ops;
        let mut after = self.op + 1;
        let mark = match ops.get(after) {
            Some(&Op::Mark(mark)) => {
                after += 1;
                Some(mark)
            }
            _ => None,
        };
        let next = match ops.get(after) {
            None => {
                // The class is the last one: it takes the byte, and the end stays where it was.
                if let Some(mark) = mark {
                    self.marks.record(mark, self.at + 1);
                }
                self.at += 1;
                return;
            }
            Some(&Op::Class(class, repeat)) if class.accepts(byte) => {
                after + usize::from(repeat == Repeat::Once)
            }
            Some(&Op::Literal(literal)) if literal == byte.to_ascii_lowercase() => {
                self.looping = false;
                after + 1
            }
            _ => return self.advance(),
        };
        if let Some(mark) = mark {
            self.marks.record(mark, self.at);
        }
        if self.saves < SAVED {
            self.saved[self.saves] = (self.op, self.at);
            self.saves += 1;
        }
        self.op = next;
        self.advance();
    }

    /// The current class does not take the byte.
    #[inline(always)]
    fn refused(&mut self, repeat: Repeat) -> Next {
        if self.looping && self.end != End::Unset && matches!(self.alternative.left[self.op], 2 | 3) {
            self.end = End::At(self.at);
            if !self.alternative.to_end {
                return Next::Match;
            }
            self.looping = false;
            return Next::Fail;
        }
        let leave = match repeat {
            Repeat::Once => false,
            Repeat::OneOrMore => self.looping,
            Repeat::Any => {
                self.end = self.at.checked_sub(1).map_or(End::Before, End::At);
                true
            }
        };
        self.looping = false;
        if !leave {
            return Next::Fail;
        }
        // What follows the class is tried on the same byte.
        self.op += 1;
        Next::Go
    }

    /// After a failure; `false`: there is nowhere to go.
    #[inline(always)]
    fn come_back(&mut self) -> bool {
        if let Some(last) = self.saves.checked_sub(1) {
            self.saves = last;
            (self.op, self.at) = self.saved[last];
            self.at += 1;
            return true;
        }
        if self.alternative.from_start {
            return false;
        }
        if let Some(start) = self.start_over.take() {
            self.at = start;
        }
        self.at += 1;
        self.op = 0;
        self.end = End::Unset;
        true
    }

    /// The text is used up: matched if the pattern is, too, or if what is left of it can be empty.
    fn text_ended(&mut self) -> Option<usize> {
        if M::RECORDS {
            while matches!(self.alternative.ops.get(self.op), Some(Op::Class(_, Repeat::Any))) {
                self.op += 1;
            }
            if let Some(&Op::Mark(mark)) = self.alternative.ops.get(self.op) {
                self.marks.record(mark, self.text.len());
            }
        }
        let starred = |op| matches!(self.alternative.ops.get(op), Some(Op::Class(_, Repeat::Any)));
        let repeated =
            |op| matches!(self.alternative.ops.get(op), Some(Op::Class(_, Repeat::Any | Repeat::OneOrMore)));
        let (op, looping) = (self.op, self.looping);
        let can_end = self.ends(op)
            || starred(op) && self.ends(op + 1)
            || looping && repeated(op) && (self.ends(op + 1) || starred(op + 1) && self.ends(op + 2));
        if can_end { self.matched() } else { None }
    }

    /// Whether the pattern ends at `op`, a last group edge aside.
    fn ends(&self, op: usize) -> bool {
        let ops = &*self.alternative.ops;
        op == ops.len() || op + 1 == ops.len() && matches!(ops[op], Op::Mark(_))
    }

    fn matched(&self) -> Option<usize> {
        match self.end {
            End::At(at) => Some(at),
            End::Unset | End::Before => None,
        }
    }
}

const _: () = assert!(size_of::<Class>() == 1, "a step of the pattern should stay small");
