//! Lines and outermost values: where they begin, and where they end.
//!
//! Enters: the next bytes, while the splitter stands between outermost values or in one that is no list of records. Leaves:
//! the record or the fault that ends there, and the state to go on in.

use super::input::Input;
use super::{BROKEN_LINE, NOT_JSON, Piece, Splitter, State};
use crate::formats::BOM;
use crate::formats::blocks::{Interest, Stop};

impl Splitter {
    pub(super) fn line(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        let end = input.skip_to_line_end()?;
        input.at += 1;
        let start = std::mem::replace(&mut self.start, input.offset());
        Some(Piece::Record { start, end })
    }

    pub(super) fn top(&mut self, input: &mut Input<'_>) -> Option<Piece> {
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

    pub(super) fn value(&mut self, input: &mut Input<'_>) -> Option<Piece> {
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
    pub(super) fn line_break(
        &mut self,
        input: &mut Input<'_>,
        before: u8,
        at: u64,
        blank: bool,
    ) -> Option<Piece> {
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

    pub(super) fn garbage(&mut self, input: &mut Input<'_>) -> Option<Piece> {
        let end = input.skip_to_line_end()?;
        self.end_value();
        Some(Piece::Bad { start: self.start, end, detail: NOT_JSON, rest: false })
    }
}
