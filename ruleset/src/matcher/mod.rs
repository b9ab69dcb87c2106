//! The engine: one raw record in, one verdict out.
//!
//! Enters: the bytes of a record, its context and the binding of its source. Leaves: a [`Verdict`]: the deepest rule
//! along the first branch that matches, as the reference walks its tree, or none; and on request what an alert shows.
//! A worker keeps one [`Scratch`]; an event that matches nothing allocates nothing. A fault ([`Fault`]) means that the
//! record cannot be read at all and belongs into the dead-letter topic.

mod accumulate;
mod decode;
pub mod explain;
mod facts;
mod fields;
mod marks;
mod observe;
mod overflow;
mod past;
pub mod profile;
mod verdict;
mod walk;

use std::sync::Arc;

use simd_json::{Buffers, Tape};
use thiserror::Error;
use threatlockdown_event::{Context, Millis};

use self::accumulate::accumulate;
use self::decode::{Decoded, Decoding};
use self::facts::Facts;
use self::fields::Fields;
use self::marks::Marks;
use self::observe::{Observer, Unobserved};
use self::past::Past;
use self::walk::Walk;
use crate::correlate::{Memory, MemoryOptions};
use crate::decode::extract::{Reading, extract};
use crate::decode::mapping::{Format, Normalise};
use crate::decode::text;
use crate::decode::tree::Work;
use crate::program::{Binding, EXTRAS, Program};

pub use crate::program::BindingIndex;
pub use verdict::{Identity, Verdict};

/// Deepest nesting of JSON that is accepted.
pub const MAX_DEPTH: usize = 128;

/// One record to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// From [`Program::binding`], once per batch.
    pub binding: BindingIndex,
    /// The record, byte for byte.
    pub record: &'a [u8],
    /// What the connector knows of it.
    pub context: &'a Context,
    /// When it was received.
    pub received: Millis,
}

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The source's records are JSON and this is none.
    #[error("not valid JSON: {0}")]
    Malformed(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// What a worker keeps between events so that nothing is allocated for each.
pub struct Scratch {
    memory: Arc<Memory>,
    /// The lists of each of the program's readers in the memory.
    lists: Vec<usize>,
    room: decode::Room,
    buffers: Buffers,
    tape: Tape<'static>,
    work: Work,
    fields: Fields,
    marks: Marks,
}

impl Scratch {
    /// For use with `program` only, with a memory of its own.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        Self::sharing(program, Memory::new(MemoryOptions::default()))
    }

    /// For use with `program` only; what is remembered between events is in `memory`, which may be shared.
    #[must_use]
    pub fn sharing(program: &Program, memory: Arc<Memory>) -> Self {
        let subjects = program.subjects.len();
        let lists = memory.store().lists_of(&program.readers);
        Self {
            memory,
            lists,
            room: decode::Room::default(),
            buffers: Buffers::with_max_depth(4096, MAX_DEPTH),
            tape: Tape(Vec::new()),
            work: Work::default(),
            fields: Fields::new(subjects),
            marks: Marks::new(program.predicates.len(), subjects),
        }
    }
}

impl Program {
    /// Judges one record and hands the verdict to `then`, whose result is returned.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn evaluate<R>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        then: impl FnOnce(&Verdict<'_>) -> R,
    ) -> Result<R, Fault> {
        self.evaluate_observed(scratch, input, &mut Unobserved, then)
    }

    /// The same, with somebody looking on.
    #[inline]
    pub(crate) fn evaluate_observed<R>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        observer: &mut impl Observer,
        then: impl FnOnce(&Verdict<'_>) -> R,
    ) -> Result<R, Fault> {
        let Scratch { memory, lists, room, buffers, tape: kept, work, fields, marks } = scratch;
        let mut tape = std::mem::replace(kept, Tape(Vec::new())).reset();
        let binding = &self.bindings[input.binding.0];
        fields.clear();
        let mut decoding = Decoding { program: self, work, fields };
        let (decoded, enveloped) = match binding.mapping.format {
            Format::Json => match decode::parse_record(input.record, room, buffers, &mut tape) {
                Ok(lossy) => {
                    let enveloped = is_enveloped(binding, &tape.0);
                    let as_text = enveloped || binding.mapping.adds_nothing();
                    let decoded = decoding.json(input.record, as_text, reading(binding, enveloped));
                    if as_text && decoding.fields.json.is_none() {
                        tape.0.clear();
                    }
                    (Decoded { lossy, ..decoded }, enveloped)
                }
                Err(fault) => {
                    *kept = tape.reset();
                    return Err(fault);
                }
            },
            Format::Text => {
                let mut decoded = decoding.text(input.record);
                if let Some(json) = decoding.fields.json {
                    let text = decoded.header.log.get(json.start..).unwrap_or_default();
                    decoded.lossy = decode::parse_text(text, room, buffers, &mut tape);
                }
                (decoded, false)
            }
        };
        let view = match &binding.enveloped {
            Some(view) if enveloped => view,
            _ => &binding.raw,
        };
        fields.place_first(self);
        extract(&tape.0, &view.tests, decoded.reading, &mut fields.slots);
        fields.place_rest(self);
        let location = binding.mapping.location.as_deref().unwrap_or(&input.context.location);
        let relocated = decoded.relocated.map(|part| format!("{location}|{}", String::from_utf8_lossy(part)));
        let location = relocated.as_deref().unwrap_or(location);
        if decoded.decoder.is_some_and(|decoder| self.decoders.get(decoder).accumulate) {
            let facts = Facts {
                program: self,
                view,
                tape: &tape.0,
                input,
                decoded: &decoded,
                fields,
                memory,
                location,
            };
            let filled = accumulate(&facts, memory);
            fields.fill(filled);
        }
        let facts =
            Facts { program: self, view, tape: &tape.0, input, decoded: &decoded, fields, memory, location };
        observer.decoded(&facts);
        let conclusion = Walk { facts, marks, past: Past::new(memory, lists), observer }.judge();
        let verdict = Verdict::new(facts, binding, enveloped, conclusion);
        let result = then(&verdict);
        drop(verdict);
        *kept = tape.reset();
        Ok(result)
    }
}

fn reading(binding: &Binding, enveloped: bool) -> Reading {
    Reading {
        normalise: !enveloped && binding.mapping.normalise == Normalise::AwsBucket,
        graph: binding.mapping.normalise == Normalise::AzureGraph,
        ..Reading::default()
    }
}

/// A member at the top of the envelope tells, mostly the first.
fn is_enveloped(binding: &Binding, tape: &[simd_json::Node<'_>]) -> bool {
    use simd_json::Node;
    let (Some(form), Some(Node::Object { len, .. })) = (binding.envelope_form(), tape.first()) else {
        return false;
    };
    let mut at = 1;
    for _ in 0..*len {
        if matches!(tape.get(at), Some(Node::String(member)) if *member == form.member) {
            return matches!(tape.get(at + 1), Some(Node::String(value)) if *value == form.value);
        }
        at += 1 + text::span(tape, at + 1);
    }
    false
}

/// How many slots the outputs of `program` take.
pub(crate) fn output_slots(program: &Program) -> usize {
    program.subjects.len() + program.outputs.len() + EXTRAS
}
