//! The engine: one raw record in, one verdict out.
//!
//! Enters: the bytes of a record, its context and the binding of its source. Leaves: a [`Verdict`]: the deepest rule
//! along the first branch that matches, as the reference walks its tree, or none; and on request what an alert shows.
//! A worker keeps one [`Scratch`]; an event that matches nothing allocates nothing. A fault ([`Fault`]) means that the
//! record cannot be read at all and belongs into the dead-letter topic.

mod decode;
mod overflow;
mod verdict;
mod walk;

use std::sync::Arc;

use simd_json::{Buffers, Tape};
use thiserror::Error;
use threatlockdown_event::{Context, Millis};

use crate::correlate::Memory;
use crate::decode::extract::Found;
use crate::decode::mapping::Format;
use crate::program::{BindingIndex, EXTRAS, PredicateIndex, Program};

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
    room: decode::Room,
    buffers: Buffers,
    tape: Tape<'static>,
    state: State,
}

/// The part of the scratch that does not borrow from the record.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Where the tested fields stand.
    pub(crate) slots: Vec<Found>,
    /// Per predicate: not yet known, true, false.
    pub(crate) known: Vec<Known>,
    /// Per subject: whether its literals have been run.
    pub(crate) ran: Vec<bool>,
    /// Per subject: the literal predicates that hold.
    pub(crate) hits: Vec<Vec<PredicateIndex>>,
    /// Stack of positions of children that come into question.
    pub(crate) candidates: Vec<u32>,
    /// Text of a value that is not a string.
    pub(crate) text: String,
}

/// What is known of a predicate for the current event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Known {
    #[default]
    Unknown,
    Yes,
    No,
}

impl Scratch {
    /// For use with `program` only, with a memory of its own.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        Self::sharing(program, Arc::default())
    }

    /// For use with `program` only; what is remembered between events is in `memory`, which may be shared.
    #[must_use]
    pub fn sharing(program: &Program, memory: Arc<Memory>) -> Self {
        let subjects = program.subjects.len();
        Self {
            memory,
            room: decode::Room::default(),
            buffers: Buffers::with_max_depth(4096, MAX_DEPTH),
            tape: Tape(Vec::new()),
            state: State {
                slots: vec![Found::NONE; subjects],
                known: vec![Known::Unknown; program.predicates.len()],
                ran: vec![false; subjects],
                hits: vec![Vec::new(); subjects],
                candidates: Vec::new(),
                text: String::new(),
            },
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
        let Scratch { room, buffers, tape: kept, state, memory: _ } = scratch;
        let mut tape = std::mem::replace(kept, Tape(Vec::new())).reset();
        let binding = &self.bindings[input.binding.0];
        let mapping = &binding.mapping;
        let may_be_special = mapping.adds_nothing() || mapping.decoder.is_some();
        let decoded = match mapping.format {
            Format::Json => decode::json_record(input.record, may_be_special, room, buffers, &mut tape),
            Format::Text => Ok(decode::text_record(input.record, room, buffers, &mut tape)),
        };
        if mapping.printed
            && decoded.as_ref().is_ok_and(|decoded| decoded.has_infinities)
            && !verdict::is_enveloped(binding, &tape.0)
        {
            overflow::forget(&mut tape.0);
        }
        let result = decoded.map(|decoded| {
            let verdict = verdict::judge(self, input, &decoded, &tape.0, state);
            then(&verdict)
        });
        *kept = tape.reset();
        result
    }
}

/// How many slots the outputs of `program` take.
pub(crate) fn output_slots(program: &Program) -> usize {
    program.subjects.len() + program.outputs.len() + EXTRAS
}
