//! Cuts a stream of bytes into records: byte ranges of the stream, found without parsing.
//!
//! Enters: the next bytes of the stream, cut anywhere. Leaves: [`Piece`]s with absolute offsets. The splitter keeps no
//! bytes but the last few (to read the name in front of an array), so what it finds cannot depend on how the stream was
//! cut, and memory is the caller's: it needs the bytes from [`Splitter::needed_from`] on.
//!
//! What is not JSON costs as little as can be said for sure: among lines the line, in a document from the fault to its
//! end. A bracket that is missing in one of many lines is noticed at the next line, because no JSON value goes on there.

use self::input::{History, Input};
use super::Format;
use super::blocks::Scanner;

mod elements;
mod input;
mod outermost;

/// A range of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// One record, or one line with its line end cut off (but not `\r`).
    Record {
        /// First byte.
        start: u64,
        /// Behind the last byte.
        end: u64,
    },
    /// What cannot be a record.
    Bad {
        /// First byte.
        start: u64,
        /// Behind the last byte.
        end: u64,
        /// Why.
        detail: &'static str,
        /// Whether this is the unusable rest of a document, which may hold any number of records.
        rest: bool,
    },
}

/// Where splitting may begin anew and give the same pieces from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resume {
    /// Offset: behind the last outermost value, or where the document begins that is being read.
    pub offset: u64,
    /// Whether the value before it was alone on its line.
    pub lines: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Splitter {
    members: &'static [&'static str],
    state: State,
    /// Offset of the next byte.
    position: u64,
    /// Where the value, line or garbage began that is being read.
    start: u64,
    /// Where the outermost value began, while one is being read.
    outermost: u64,
    scanner: Scanner,
    /// Whether the outermost object is a document with a records member: then it is no record itself.
    document: bool,
    /// Whether a line end was seen since the outermost value began.
    container_lines: bool,
    /// Whether the last outermost value was alone on its line: then a line that begins with `{` begins a record.
    lines: bool,
    junk: Junk,
    history: History,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Plain lines, for ever.
    Line,
    /// Between outermost values.
    Top,
    /// In an outermost object.
    Value,
    /// Behind a line end in an outermost object that is not (yet) a document.
    LineBreak { before: u8, at: u64, blank: bool },
    /// Behind the `[` of a member with one of the names.
    MemberArray { certain: bool },
    /// In an array of records, between them.
    Elements,
    /// In one of its records.
    Element,
    /// In what is not a record there.
    Junk,
    /// Outside of any JSON, up to the line end.
    Garbage,
    /// Everything that is still to come is lost.
    Rest,
}

#[derive(Debug, Clone, Copy, Default)]
struct Junk {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

const ENDS_EARLY: &str = "the text ends inside a JSON value";
const NOT_CLOSED: &str = "the document ends before its closing bracket";
const NOT_JSON: &str = "not a JSON object";
const BROKEN_LINE: &str = "the line ends inside a JSON value";
const BROKEN_STRING: &str = "a line end inside a JSON string";

impl Splitter {
    /// A splitter for a stream that begins, or goes on, at `resume`.
    #[must_use]
    pub fn new(format: Format, resume: Resume) -> Self {
        let (state, members) = match format {
            Format::Lines => (State::Line, [].as_slice()),
            Format::Json(members) => (State::Top, members),
        };
        Self {
            members,
            state,
            position: resume.offset,
            start: resume.offset,
            outermost: resume.offset,
            scanner: Scanner::default(),
            document: false,
            container_lines: false,
            lines: resume.lines,
            junk: Junk::default(),
            history: History::default(),
        }
    }

    /// Takes the next bytes of the stream: how many of them were used, and the piece that ends there. Without a piece
    /// all were used; with one, the next call begins with the first unused byte.
    pub fn next(&mut self, bytes: &[u8]) -> (usize, Option<Piece>) {
        let mut input = Input { bytes, at: 0, base: self.position };
        let mut piece = None;
        while piece.is_none() && input.at < bytes.len() {
            piece = self.step(&mut input);
        }
        self.position = input.offset();
        self.history.push(&bytes[..input.at]);
        (input.at, piece)
    }

    /// The stream has ended: the piece that it ends with, if it ends within one.
    pub fn finish(&mut self) -> Option<Piece> {
        let end = self.position;
        let state = self.state;
        let rest = matches!(state, State::Element | State::Junk | State::Rest);
        let (start, detail) = match state {
            State::Top => return None,
            State::Line => {
                let start = std::mem::replace(&mut self.start, end);
                return (start < end).then_some(Piece::Record { start, end });
            }
            State::Elements => (end, NOT_CLOSED),
            State::Value | State::MemberArray { .. } if self.document => (end, NOT_CLOSED),
            State::Garbage => (self.start, NOT_JSON),
            State::Rest => (self.start, BROKEN_STRING),
            _ => (self.start, ENDS_EARLY),
        };
        self.end_value();
        Some(Piece::Bad { start, end, detail, rest })
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes from here on may become part of a piece; what lies before was passed over or is done.
    #[must_use]
    pub fn needed_from(&self) -> u64 {
        match self.state {
            State::Top | State::Elements => self.position,
            State::Value | State::MemberArray { .. } if self.document => self.position,
            _ => self.start,
        }
    }

    /// Whether the stream would end in the middle of something.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        match self.state {
            State::Top => false,
            State::Line => self.start < self.position,
            _ => true,
        }
    }

    /// Where splitting may begin anew.
    #[must_use]
    pub fn resume(&self) -> Resume {
        let offset = match self.state {
            State::Top => self.position,
            State::Line => self.start,
            _ => self.outermost,
        };
        Resume { offset, lines: self.lines }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        match self.state {
            State::Line => self.line(input),
            State::Top => self.top(input),
            State::Value => self.value(input),
            State::LineBreak { before, at, blank } => self.line_break(input, before, at, blank),
            State::MemberArray { certain } => self.member_array(input, certain),
            State::Elements => self.elements(input),
            State::Element => self.element(input),
            State::Junk => self.junk(input),
            State::Garbage => self.garbage(input),
            State::Rest => {
                input.at = input.bytes.len();
                None
            }
        }
    }

    fn garbage_from(&mut self, start: u64) -> Option<Piece> {
        self.start = start;
        self.state = State::Garbage;
        None
    }

    /// Quotes or brackets no longer fit together at the line end `at`. A value on one line costs that line; of a
    /// document over several lines nothing behind this place can be trusted.
    fn fault(&mut self, start: u64, at: u64) -> Option<Piece> {
        if self.container_lines {
            self.start = start;
            self.state = State::Rest;
            return None;
        }
        self.end_value();
        Some(Piece::Bad { start, end: at, detail: BROKEN_STRING, rest: false })
    }

    fn end_value(&mut self) {
        self.state = State::Top;
        self.document = false;
    }
}

#[cfg(test)]
mod tests;
