//! Cuts a stream of bytes into records: byte ranges of the stream, found without parsing.
//!
//! Enters: the next bytes of the stream, cut anywhere. Leaves: [`Piece`]s with absolute offsets. The splitter keeps no
//! bytes but the last few (to read the name in front of an array), so what it finds cannot depend on how the stream was
//! cut, and memory is the caller's: it needs the bytes from [`Splitter::needed_from`] on.
//!
//! What is not JSON costs as little as can be said for sure: among lines the line, in a document from the fault to its
//! end. A bracket that is missing in one of many lines is noticed at the next line, because no JSON value goes on there.

use self::input::{History, Input};
use super::blocks::{Interest, Scanner, Stop};
use super::{BOM, Format};

mod input;

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

    fn line(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        let end = input.skip_to_line_end()?;
        input.at += 1;
        let start = std::mem::replace(&mut self.start, input.offset());
        Some(Piece::Record { start, end })
    }

    fn top(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        while let Some(byte) = input.peek() {
            let offset = input.offset();
            let mark = offset < BOM.len() as u64 && BOM[offset as usize] == byte;
            // Commas and record separators (RFC 7464) between values do no harm.
            if !(byte.is_ascii_whitespace() || byte == b',' || byte == 0x1e || mark) {
                self.begin(byte, offset);
                if self.state != State::Garbage {
                    input.at += 1;
                }
                return None;
            }
            input.at += 1;
        }
        None
    }

    fn begin(&mut self, byte: u8, offset: u64) {
        self.start = offset;
        self.outermost = offset;
        self.document = false;
        self.container_lines = false;
        self.scanner.start();
        self.state = match byte {
            b'{' => State::Value,
            b'[' => State::Elements,
            _ => State::Garbage,
        };
    }

    fn value(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        let interest = if self.document { Interest::Arrays } else { Interest::ArraysAndLines };
        let stop = self.scanner.scan(input.rest(), interest);
        let offset = input.stop_at(stop);
        match stop {
            Stop::End => None,
            Stop::Array(_) => {
                if let Some(certain) = self.records_member(input) {
                    self.state = State::MemberArray { certain };
                }
                None
            }
            Stop::LineEnd(_) => {
                let before =
                    input.before(1, &self.history).find(|byte| !byte.is_ascii_whitespace()).unwrap_or(b',');
                self.scanner.line_end_seen = true;
                self.state = State::LineBreak { before, at: offset, blank: false };
                None
            }
            Stop::Close(_) if input.last() != b'}' => {
                self.garbage_from(if self.document { offset } else { self.start })
            }
            Stop::Close(_) => {
                let document = self.document;
                self.end_value();
                if document {
                    return None;
                }
                self.lines = !self.scanner.line_end_seen;
                Some(Piece::Record { start: self.start, end: offset + 1 })
            }
            Stop::BrokenString(_) => {
                let start = if self.document { offset } else { self.start };
                self.container_lines |= self.document && self.scanner.line_end_seen;
                self.fault(start, offset)
            }
        }
    }

    /// A line end between the tokens of an outermost object: does the value go on behind it?
    fn line_break(&mut self, input: &mut Input<'_>, before: u8, at: u64, blank: bool) -> Option<Piece> {
        let byte = input.peek()?;
        if byte.is_ascii_whitespace() {
            input.at += 1;
            self.state = State::LineBreak { before, at, blank: blank || !matches!(byte, b'\r' | b'\n') };
            return None;
        }
        let goes_on = matches!(byte, b',' | b'}' | b']' | b':')
            || match before {
                b',' | b'{' | b'[' | b':' if byte == b'{' => {
                    // Within an object a name has to follow, and one-line records follow one another at the margin.
                    let name = before == b'{' || (before == b',' && self.scanner.depth() == 1);
                    !(name || (self.lines && !blank))
                }
                b',' | b'{' | b'[' | b':' => true,
                _ => false,
            };
        if goes_on {
            self.state = State::Value;
            return None;
        }
        self.end_value();
        Some(Piece::Bad { start: self.start, end: at, detail: BROKEN_LINE, rest: false })
    }

    /// Whether the array that begins behind the last byte is the value of a records member; if so, whether that is
    /// certain even when the array is empty.
    fn records_member(&self, input: &Input<'_>) -> Option<bool> {
        let mut before = input.before(1, &self.history).filter(|byte| !byte.is_ascii_whitespace());
        if before.next() != Some(b':') || before.next() != Some(b'"') {
            return None;
        }
        let mut name = [0; History::LEN];
        let mut first = History::LEN;
        loop {
            match before.next()? {
                b'"' => break,
                byte => {
                    first = first.checked_sub(1)?;
                    name[first] = byte;
                }
            }
        }
        let in_front = before.next()?;
        let known = self.members.iter().any(|member| member.as_bytes() == &name[first..]);
        let capital = name[first..].first().is_some_and(u8::is_ascii_uppercase);
        (known && in_front != b'\\').then_some(in_front == b'{' || capital)
    }

    fn member_array(&mut self, input: &mut Input<'_>, certain: bool) -> Option<Piece> {
        let byte = input.peek()?;
        if byte.is_ascii_whitespace() {
            self.scanner.line_end_seen |= byte == b'\n';
            input.at += 1;
            return None;
        }
        if byte == b'{' || (byte == b']' && certain) {
            self.container_lines |= self.scanner.line_end_seen;
            self.document = true;
            self.state = State::Elements;
        } else {
            self.state = State::Value;
        }
        None
    }

    fn elements(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        while let Some(byte) = input.peek() {
            match byte {
                b'{' => {
                    self.start = input.offset();
                    input.at += 1;
                    self.scanner.start();
                    self.state = State::Element;
                    return None;
                }
                b']' => {
                    input.at += 1;
                    self.end_elements();
                    return None;
                }
                b',' => {}
                b'\n' => self.container_lines = true,
                _ if byte.is_ascii_whitespace() => {}
                _ => {
                    self.start = input.offset();
                    self.junk = Junk::default();
                    self.state = State::Junk;
                    return None;
                }
            }
            input.at += 1;
        }
        None
    }

    fn end_elements(&mut self) {
        if self.document {
            self.scanner.start();
            self.scanner.line_end_seen = self.container_lines;
            self.state = State::Value;
        } else {
            self.end_value();
        }
    }

    fn element(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        let stop = self.scanner.scan(input.rest(), Interest::End);
        let offset = input.stop_at(stop);
        self.container_lines |= self.scanner.line_end_seen;
        match stop {
            Stop::Close(_) if input.last() == b'}' => {
                self.state = State::Elements;
                Some(Piece::Record { start: self.start, end: offset + 1 })
            }
            Stop::Close(_) => {
                if self.container_lines {
                    self.state = State::Rest;
                    return None;
                }
                self.garbage_from(self.start)
            }
            Stop::BrokenString(_) => self.fault(self.start, offset),
            _ => None,
        }
    }

    fn junk(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        while let Some(byte) = input.peek() {
            let offset = input.offset();
            let junk = &mut self.junk;
            if junk.in_string {
                match byte {
                    b'\n' => {
                        input.at += 1;
                        return self.fault(self.start, offset);
                    }
                    _ if junk.escaped => junk.escaped = false,
                    b'\\' => junk.escaped = true,
                    b'"' => junk.in_string = false,
                    _ => {}
                }
                input.at += 1;
                continue;
            }
            match byte {
                b'{' | b']' if junk.depth == 0 => {
                    self.state = State::Elements;
                    return Some(Piece::Bad {
                        start: self.start,
                        end: offset,
                        detail: NOT_JSON,
                        rest: false,
                    });
                }
                // A line that only begins like an array.
                b'\n' if !self.document && !self.container_lines => {
                    self.end_value();
                    return Some(Piece::Bad {
                        start: self.start,
                        end: offset,
                        detail: NOT_JSON,
                        rest: false,
                    });
                }
                b'\n' => self.container_lines = true,
                b'"' => junk.in_string = true,
                b'{' | b'[' => junk.depth += 1,
                b'}' | b']' => junk.depth = junk.depth.saturating_sub(1),
                _ => {}
            }
            input.at += 1;
        }
        None
    }

    fn garbage(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        let end = input.skip_to_line_end()?;
        self.end_value();
        Some(Piece::Bad { start: self.start, end, detail: NOT_JSON, rest: false })
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
