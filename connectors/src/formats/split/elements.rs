//! Lists of records: the member that holds one, and its elements.
//!
//! Enters: the next bytes, from the `[` behind the name of a records member, or from an outermost `[`. Leaves: each element
//! that is a record, and in one piece what is none, up to the `]`.

use super::input::{History, Input};
use super::{Junk, NOT_JSON, Piece, Splitter, State};
use crate::formats::blocks::{Interest, Stop};

impl Splitter {
    /// Whether the array that begins behind the last byte is the value of a records member; if so, whether that is
    /// certain even when the array is empty.
    pub(super) fn records_member(&self, input: &Input<'_>) -> Option<bool> {
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

    pub(super) fn member_array(&mut self, input: &mut Input<'_>, certain: bool) -> Option<Piece> {
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

    pub(super) fn elements(&mut self, input: &mut Input<'_>) -> Option<Piece> {
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

    pub(super) fn element(&mut self, input: &mut Input<'_>) -> Option<Piece> {
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

    pub(super) fn junk(&mut self, input: &mut Input<'_>) -> Option<Piece> {
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
}
