//! Fills the slots straight from the bytes of a record: no copy, no tape, no allocation.
//!
//! Enters: a JSON record and a [`PathTree`]. Leaves: what [`super::extract`] would find on the tape of the record, as
//! ranges of the record's own bytes. Rules name a few members of a record, so a parser that stores all of them does
//! most of its work for nothing. Here one pass over blocks of 64 bytes marks the few bytes that can end a string
//! ([`marks`]); a walk from mark to mark then checks the whole grammar ([`grammar`]) and looks at keys only where the
//! tree has edges ([`walk`]).
//!
//! A record counts as read only if the parser takes it as it stands. Whatever is malformed, or rare and told apart by
//! nothing but details of the parser (escaped keys, `\u0000`, bytes that are not UTF-8, numbers near the end of their
//! range), is [`Outcome::Fallback`]: then the parser decides, and makes the error.

mod grammar;
mod marks;
mod texts;
mod walk;

#[doc(hidden)]
pub mod bench_api;
#[cfg(test)]
mod tests;

use super::extract::{Found, Reading};
use super::mapping::EnvelopeForm;
use super::paths::PathTree;
use grammar::Text;
use walk::Walk;

pub(crate) use texts::JsonTexts;

/// What came of reading a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The slots are filled; the record is valid JSON and UTF-8.
    Read,
    /// The record comes in the reference's envelope, so another view's tree applies; the slots are of no use.
    Enveloped,
    /// The parser has to decide; the slots are of no use.
    Fallback,
}

/// What a worker keeps between records.
#[derive(Debug, Default)]
pub(crate) struct Work {
    marks: marks::Marks,
}

impl Work {
    /// Whether the last record that was read has ASCII bytes only. Every record that was read is UTF-8.
    #[allow(dead_code)] // for the engine: an ASCII record needs no second look
    pub(crate) fn is_ascii(&self) -> bool {
        self.marks.is_ascii()
    }
}

/// Fills `slots`, which hold [`Found::None`], from `record`. With `form`, a record in the envelope is recognised before
/// its members are looked at.
pub(crate) fn read(
    record: &[u8],
    tree: &PathTree,
    reading: Reading,
    form: Option<&EnvelopeForm>,
    work: &mut Work,
    slots: &mut [Found],
) -> Outcome {
    // The parser's own limit; and positions are 32 bits wide.
    if u32::try_from(record.len()).is_err() {
        return Outcome::Fallback;
    }
    work.marks.find(record);
    if !work.is_ascii() && simdutf8::basic::from_utf8(record).is_err() {
        return Outcome::Fallback;
    }
    Walk::new(Text::new(record, work.marks.bits()), tree, reading, form, slots).record()
}
