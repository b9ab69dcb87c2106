//! The decoder engine: which decoder takes a log, and which parts of the log become fields.
//!
//! Enters: the decoders of [`crate::ir`], later a log after its header and the header's program name. Leaves: the
//! current decoder and, handed to a [`Sink`], the fields in the order in which the reference assigns them; the sink
//! decides where they go. The walk is the reference's, step by step (`walk.rs`): what it asks is only answered faster,
//! because a test is passed over when its first bytes or a literal that it needs are not there (`trial.rs`).

mod build;
mod needles;
mod plugins;
mod programs;
mod required;
#[cfg(test)]
pub(crate) mod tests;
mod trial;
mod walk;

use self::needles::{Found, Needles};
use self::plugins::SonicWall;
use self::programs::Programs;
use self::trial::Trial;
use crate::ir::{Category, DecoderIndex, Offset, OrderField, Plugin, StaticField};

/// Index into [`Decoders::fields`]. The static fields come first, in the order of [`StaticField::ALL`].
pub(crate) type FieldId = u32;

/// The id of a static field.
pub(crate) fn static_field(field: StaticField) -> FieldId {
    // The variants are declared in the order of `ALL`.
    field as FieldId
}

/// Compiled decoders; immutable, shared by all workers.
#[derive(Debug)]
pub(crate) struct Decoders {
    fields: Vec<OrderField>,
    compiled: Vec<Compiled>,
    steps: Vec<Step>,
    with_program: Vec<Root>,
    without_program: Vec<Root>,
    /// For each first byte of a log (lower case; 0 for an empty log) the positions of those that can take it.
    by_first: Vec<Box<[u32]>>,
    programs: Programs,
    /// The literals of the roots' tests.
    root_needles: Needles,
    /// The literals of the tests of all children of one parent name; roots refer to it by index.
    scopes: Vec<Needles>,
    sonicwall: Option<SonicWall>,
}

/// What the rules and alerts need to know of a decoder.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    /// The name that events get.
    pub(crate) name: String,
    /// Decoders of the same name have the same: what `decoded_as` compares.
    pub(crate) id: u32,
    /// Name of the parent, for children.
    pub(crate) parent: Option<String>,
    /// Which rules its events belong to.
    pub(crate) category: Option<Category>,
    /// Text for alerts.
    pub(crate) fts_comment: Option<String>,
    /// Fills missing fields from earlier events.
    pub(crate) accumulate: bool,
    /// How JSON is read while it is the current decoder.
    json: JsonOptions,
    /// Where the JSON begins while it is the current decoder.
    json_at: Offset,
}

impl Compiled {
    /// JSON members that are null are left out.
    pub(crate) fn discards_null(&self) -> bool {
        self.json.discard_null
    }
}

/// The part of a decoder that the walk needs.
#[derive(Debug)]
struct Step {
    prematch: Option<(Trial, Offset)>,
    action: Action,
    continues: bool,
}

#[derive(Debug)]
enum Action {
    None,
    Regex { trial: Trial, offset: Offset, order: Box<[FieldId]> },
    Plugin(Plugin),
}

#[derive(Debug)]
struct Root {
    decoder: DecoderIndex,
    children: Box<[DecoderIndex]>,
    /// Index into [`Decoders::scopes`].
    scope: usize,
    /// For each byte that a log can begin with, in lower case, the children whose prematch is worth a try, by position. Set where there
    /// are many.
    by_first: Option<Box<[Box<[u32]>]>>,
}

/// Buffers that one worker reuses for every log.
#[derive(Debug, Default)]
pub(crate) struct Work {
    groups: Vec<(usize, usize)>,
    /// Roots that take the program name, one bit each.
    passed: Vec<u64>,
    in_roots: Found,
    in_children: Found,
    text: Vec<u8>,
    /// A record that stands on several lines, as one.
    pub(crate) line: Vec<u8>,
}

/// What became of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoding {
    /// The current decoder: it gives the name, the first-time key and `accumulate`.
    pub(crate) decoder: Option<DecoderIndex>,
    /// Whose rules are tried; `None`: no root's. SonicWall decides it anew for each event.
    pub(crate) category: Option<Category>,
    /// The event is an earlier alert: the rule that it names is the result, without evaluation.
    pub(crate) rule: Option<u32>,
}

/// How JSON is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct JsonOptions {
    /// Members that are null are left out.
    pub(crate) discard_null: bool,
    /// Arrays of scalars become comma-separated text.
    pub(crate) csv_arrays: bool,
}

/// Takes the fields. A later value of a static field replaces an earlier one, dynamic fields are appended.
pub(crate) trait Sink {
    /// The field is this part of the log.
    fn capture(&mut self, field: FieldId, start: usize, end: usize);
    /// The field has one of the values that a plugin gives by itself.
    fn constant(&mut self, field: FieldId, value: &'static str);
    /// The field has a value that does not stand in the log in one piece.
    fn text(&mut self, field: FieldId, value: &[u8]);
    /// The log from `start` on is JSON: its members become fields.
    fn json(&mut self, start: usize, options: JsonOptions);
    /// Whether there is a rule with that id: an alert that names no known one is not taken in.
    fn knows_rule(&self, id: u32) -> bool;
    /// The location becomes `location|part of the log`, and the hostname is the same text then.
    fn relocate(&mut self, start: usize, end: usize);
    /// This part of the log takes the place of the log and of the full log.
    fn replace_log(&mut self, start: usize, end: usize);
}

impl Decoders {
    /// The fields of all decoders, by [`FieldId`]; dynamic ones as they are written.
    pub(crate) fn fields(&self) -> &[OrderField] {
        &self.fields
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.compiled.len()
    }

    /// A decoder; `index` is one of the tree that this was made of.
    pub(crate) fn get(&self, index: DecoderIndex) -> &Compiled {
        &self.compiled[index as usize]
    }
}
