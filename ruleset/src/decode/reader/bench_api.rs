//! What the benchmark of the reader needs of the inside of this crate. Not part of the interface.
//!
//! Enters: the records of one source. Leaves: filled slots of the rules' fields, by either way.

use simd_json::{Buffers, Tape};

use super::super::extract::{Found, Reading, extract};
use super::{Outcome, Work, read};
use crate::decode::mapping::Normalise;
use crate::matcher::MAX_DEPTH;
use crate::program::{Binding, Program};

/// The room that both ways use again and again.
pub struct Bench<'p> {
    binding: &'p Binding,
    reading: Reading,
    bytes: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    work: Work,
    slots: Vec<Found>,
}

impl<'p> Bench<'p> {
    /// For records of `source`, with the fields that the rules of `program` test.
    #[must_use]
    pub fn new(program: &'p Program, source: &str) -> Self {
        let binding = &program.bindings[program.binding(source).0];
        let normalise = binding.mapping.normalise == Normalise::AwsBucket;
        Self {
            binding,
            reading: Reading { normalise, ..Reading::default() },
            bytes: Vec::new(),
            buffers: Buffers::with_max_depth(4096, MAX_DEPTH),
            tape: Tape(Vec::new()),
            work: Work::default(),
            slots: vec![Found::None; program.subjects.len()],
        }
    }

    /// The parser alone, or with the walk over its tape; whether it takes the record.
    #[inline(never)]
    pub fn tape(&mut self, record: &[u8], extracting: bool) -> bool {
        self.bytes.clear();
        self.bytes.extend_from_slice(record);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape(&mut self.bytes, &mut self.buffers, &mut tape).is_ok();
        if parsed && extracting {
            self.slots.fill(Found::None);
            extract(&tape.0, &self.binding.raw.tests, self.reading, &mut self.slots);
        }
        self.tape = tape.reset();
        parsed
    }

    /// The reader; whether it takes the record.
    #[inline(never)]
    pub fn read(&mut self, record: &[u8]) -> bool {
        self.slots.fill(Found::None);
        let Self { binding, reading, work, slots, .. } = self;
        let form = binding.mapping.envelope_form.as_ref();
        read(record, &binding.raw.tests, *reading, form, work, slots) == Outcome::Read
    }

    /// The reader's first pass alone; whether the record is ASCII.
    #[inline(never)]
    pub fn marks(&mut self, record: &[u8]) -> bool {
        self.work.marks.find(record);
        self.work.is_ascii()
    }

    /// The slots that hold a value.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.slots.iter().filter(|slot| **slot != Found::None).count()
    }
}
