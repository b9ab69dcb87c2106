//! Where the fields of one event stand.
//!
//! Enters: what decoders capture and what the walk over a JSON record finds. Leaves: a slot for each subject, and the list
//! of captured fields for alerts. Kept by a worker from event to event, so that nothing is allocated for each.

use crate::decode::extract::Found;
use crate::decode::tree::{FieldId, JsonOptions, Sink};
use crate::ir::OrderField;
use crate::program::{Program, SubjectIndex};

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Per subject.
    pub(crate) slots: Vec<Found>,
    /// Room for a second reading.
    again: Vec<Found>,
    /// The slots that captures were put into.
    placed: Vec<SubjectIndex>,
    /// A record was read into the slots, so that any of them may be filled.
    is_read: bool,
    /// What decoders captured, in order.
    pub(crate) captured: Vec<(FieldId, Found)>,
    /// Values that do not stand in the record.
    pub(crate) arena: Vec<u8>,
    /// What accumulation filled: subject and value.
    pub(crate) accumulated: Vec<(SubjectIndex, Found)>,
    /// What a JSON decoder was to read.
    pub(crate) json: Option<JsonRequest>,
    /// The decoder named another location: a part of the log.
    pub(crate) location: Option<(usize, usize)>,
    /// The decoder put this part of the log in its place.
    pub(crate) log: Option<(usize, usize)>,
}

/// A JSON decoder's work, done after all captures are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonRequest {
    /// Where the value begins in the log.
    pub(crate) start: usize,
    pub(crate) options: JsonOptions,
    /// So many captures came before it.
    after: usize,
}

impl Fields {
    pub(super) fn new(subjects: usize) -> Self {
        Self { slots: vec![Found::None; subjects], ..Self::default() }
    }

    /// Forgets the event before.
    pub(super) fn clear(&mut self) {
        // There are more subjects than bytes in most lines of text, of which a decoder fills a few.
        if std::mem::take(&mut self.is_read) {
            self.slots.fill(Found::None);
        } else {
            self.placed.iter().for_each(|slot| self.slots[*slot as usize] = Found::None);
        }
        self.placed.clear();
        self.captured.clear();
        self.arena.clear();
        self.accumulated.clear();
        self.json = None;
        self.location = None;
        self.log = None;
    }

    /// All slots, for a record to be read into them.
    pub(super) fn slots_to_read(&mut self) -> &mut [Found] {
        self.is_read = true;
        &mut self.slots
    }

    /// Takes the slots from `first` on from another reading of the record, and leaves those before as they are.
    pub(super) fn read_again(&mut self, first: usize, read: impl FnOnce(&mut [Found])) {
        self.again.clear();
        self.again.resize(self.slots.len(), Found::None);
        read(&mut self.again);
        self.slots[first..].copy_from_slice(&self.again[first..]);
    }

    /// Puts the captures before the JSON decoder into their slots.
    pub(super) fn place_first(&mut self, program: &Program) {
        let end = self.json.map_or(self.captured.len(), |json| json.after);
        self.place(program, 0, end);
    }

    /// Puts those after it into their slots.
    pub(super) fn place_rest(&mut self, program: &Program) {
        if let Some(json) = self.json {
            self.place(program, json.after, self.captured.len());
        }
    }

    fn place(&mut self, program: &Program, from: usize, to: usize) {
        for (field, found) in &self.captured[from..to] {
            let Some(slot) = program.field_slots[*field as usize] else { continue };
            let is_static = matches!(program.decoders.fields()[*field as usize], OrderField::Static(_));
            let place = &mut self.slots[slot as usize];
            self.placed.push(slot);
            // Of a static field the last value counts, of a dynamic one the first.
            if is_static || place.is_none() {
                *place = *found;
            }
        }
    }

    /// Puts captures into the slots of Sigma fields, which begin at `base`.
    pub(super) fn place_sigma(&mut self, program: &Program, slots: &[Option<u32>]) {
        if slots.is_empty() {
            return;
        }
        let base = program.subjects.len();
        for (field, found) in &self.captured {
            let Some(Some(slot)) = slots.get(*field as usize) else { continue };
            let is_static = matches!(program.decoders.fields()[*field as usize], OrderField::Static(_));
            let index = base + *slot as usize;
            let place = &mut self.slots[index];
            if is_static || place.is_none() {
                *place = *found;
                self.placed.push(SubjectIndex::try_from(index).unwrap_or(SubjectIndex::MAX));
            }
        }
    }

    /// Takes what accumulation filled in.
    pub(super) fn fill(&mut self, filled: Vec<(SubjectIndex, Box<[u8]>)>) {
        for (subject, value) in filled {
            let kept = self.keep(&value);
            self.slots[subject as usize] = kept;
            self.placed.push(subject);
            self.accumulated.push((subject, kept));
        }
    }

    /// Puts the service that a wrapper names into the slot of the Sigma field. Without a service the field is that of the
    /// record, and null where it has none: what a service might have sent is told from what none sends by its presence.
    pub(super) fn name_service(&mut self, slot: usize, service: Option<&str>) {
        let named = service.map(|service| self.keep(service.as_bytes()));
        let Some(place) = self.slots.get_mut(slot) else { return };
        match named {
            Some(found) => *place = found,
            None if place.is_none() => *place = Found::Null,
            None => {}
        }
    }

    /// Keeps a value beside the record.
    pub(super) fn keep(&mut self, value: &[u8]) -> Found {
        let start = self.arena.len();
        self.arena.extend_from_slice(value);
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Found::Arena { start: offset(start), end: offset(self.arena.len()) }
    }
}

/// Takes what decoders find in a log that begins at `offset` of the record.
pub(super) struct Collector<'f> {
    pub(super) program: &'f Program,
    pub(super) fields: &'f mut Fields,
    pub(super) offset: usize,
}

impl Sink for Collector<'_> {
    fn capture(&mut self, field: FieldId, start: usize, end: usize) {
        let offset = |at: usize| u32::try_from(self.offset + at).unwrap_or(u32::MAX);
        self.fields.captured.push((field, Found::Bytes { start: offset(start), end: offset(end) }));
    }

    fn constant(&mut self, field: FieldId, value: &'static str) {
        self.text(field, value.as_bytes());
    }

    fn text(&mut self, field: FieldId, value: &[u8]) {
        let kept = self.fields.keep(value);
        self.fields.captured.push((field, kept));
    }

    fn json(&mut self, start: usize, options: JsonOptions) {
        // Two JSON decoders in one chain read the same text; the first one's fields would win anyway.
        if self.fields.json.is_none() {
            self.fields.json = Some(JsonRequest { start, options, after: self.fields.captured.len() });
        }
    }

    fn knows_rule(&self, id: u32) -> bool {
        self.program.rules.iter().any(|rule| rule.number == id)
    }

    fn relocate(&mut self, start: usize, end: usize) {
        self.fields.location = Some((start, end));
    }

    fn replace_log(&mut self, start: usize, end: usize) {
        self.fields.log = Some((start, end));
    }
}
