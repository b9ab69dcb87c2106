//! The text of a value that does not stand in the record as rules see it.
//!
//! Enters: the JSON of one value. Leaves: its text, made by the parser and [`super::super::text`] as if the whole record
//! had been parsed. Few values need it: numbers that are no small integers, lists, texts with escapes.

use simd_json::{Buffers, Node, Tape};

use super::super::text::{write_python, write_value};
use crate::matcher::MAX_DEPTH;

/// Makes such texts; its room is reused.
pub(crate) struct JsonTexts {
    bytes: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for JsonTexts {
    fn default() -> Self {
        Self { bytes: Vec::new(), buffers: Buffers::with_max_depth(256, MAX_DEPTH), tape: Tape(Vec::new()) }
    }
}

impl JsonTexts {
    /// Appends the text of the value `json`, which was found valid: the one that rules see, or that of Python's `str`.
    pub(crate) fn write(&mut self, json: &[u8], python: bool, out: &mut String) {
        self.with(json, |tape| match python {
            true => write_python(tape, 0, out),
            false => write_value(tape, 0, out),
        });
    }

    /// Shows the tape of the value `json`, which was found valid.
    pub(crate) fn with(&mut self, json: &[u8], then: impl FnOnce(&[Node<'_>])) {
        self.bytes.clear();
        self.bytes.extend_from_slice(json);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        if simd_json::fill_tape(&mut self.bytes, &mut self.buffers, &mut tape).is_ok() {
            then(&tape.0);
        }
        self.tape = tape.reset();
    }
}
