//! What the benchmark and the fuzz target of the reader need of the inside of this crate. Not part of the interface.
//!
//! Enters: the records of one source. Leaves: filled slots of the rules' fields, by either way.

use simd_json::{Buffers, Tape};

use super::super::extract::{Found, Reading, extract};
use super::{JsonTexts, Outcome, Work, read};
use crate::decode::mapping::Normalise;
use crate::decode::text;
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
    texts: JsonTexts,
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
            texts: JsonTexts::default(),
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

    /// The texts of all slots by way of the tape; `None` when the parser refuses the record as it stands.
    pub fn texts_by_tape(&mut self, record: &[u8]) -> Option<Vec<Option<String>>> {
        let mut bytes = record.to_vec();
        let mut tape = Tape(Vec::new());
        simd_json::fill_tape(&mut bytes, &mut self.buffers, &mut tape).ok()?;
        self.slots.fill(Found::None);
        extract(&tape.0, &self.binding.raw.tests, self.reading, &mut self.slots);
        let text = |found: &Found| {
            let mut out = String::new();
            match *found {
                Found::Tape { at } => text::write_value(&tape.0, at as usize, &mut out),
                Found::Python { at } => text::write_python(&tape.0, at as usize, &mut out),
                _ => return None,
            }
            Some(out)
        };
        Some(self.slots.iter().map(text).collect())
    }

    /// The texts of all slots by the reader; `None` when it leaves the record to the parser or to another mapping.
    pub fn texts_by_reader(&mut self, record: &[u8]) -> Option<Vec<Option<String>>> {
        if !self.read(record) {
            return None;
        }
        let part = |start: u32, end: u32| record.get(start as usize..end as usize).unwrap_or_default();
        let texts = &mut self.texts;
        let text = |found: &Found| match *found {
            Found::Bytes { start, end } => Some(String::from_utf8_lossy(part(start, end)).into_owned()),
            Found::Json { start, end, python } => {
                let mut out = String::new();
                texts.write(part(start, end), python, &mut out);
                Some(out)
            }
            _ => None,
        };
        Some(self.slots.iter().map(text).collect())
    }
}
