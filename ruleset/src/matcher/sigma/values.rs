//! The values of Sigma fields in one event.
//!
//! Enters: a decoded record with its slots filled. Leaves: for a field none, one or many values, as they stand in the
//! record. Nearly all are one text that is a range of the record; lists, and texts with escapes, are made when asked for.

use std::borrow::Cow;

use super::super::facts::{Facts, TextRoom};
use crate::decode::extract::Found;
use crate::decode::lists::{Lists, Value, visit_all, visit_scalar};
use crate::decode::mapping::Format;
use crate::program::{Binding, KEYWORDS, SigmaSubjectIndex};

/// One event as Sigma rules look at it.
#[derive(Clone, Copy)]
pub(in crate::matcher) struct Event<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) binding: &'a Binding,
}

impl<'a> Event<'a> {
    pub(in crate::matcher) fn new(facts: Facts<'a>, binding: &'a Binding) -> Self {
        Self { facts: facts.as_it_stands(), binding }
    }
}

impl Event<'_> {
    /// The slots of a field that have something in this event, and what they have.
    fn filled(&self, subject: SigmaSubjectIndex) -> impl Iterator<Item = (u32, Found)> {
        let range = self.binding.sigma.places.get(subject as usize).copied().unwrap_or_default();
        let base = self.facts.program.subjects.len();
        let slots = &self.facts.fields.slots;
        (0..range.count).filter_map(move |alternative| {
            let slot = base + (range.first + alternative) as usize;
            let found = *slots.get(slot)?;
            (!found.is_none()).then_some((u32::try_from(slot).ok()?, found))
        })
    }

    /// Whether the event has the field at all, be it null.
    pub(super) fn is_present(&self, subject: SigmaSubjectIndex) -> bool {
        self.filled(subject).next().is_some()
    }

    /// Whether the field is one text as far as that is known without looking, so that there is one value to be tested.
    pub(super) fn is_single(&self, subject: SigmaSubjectIndex) -> bool {
        subject != KEYWORDS && self.filled(subject).next().is_none_or(|(_, found)| !is_list(found))
    }

    /// Shows every value of a field, or of the whole event.
    pub(in crate::matcher) fn visit(
        &self,
        subject: SigmaSubjectIndex,
        room: &mut TextRoom,
        visit: &mut dyn FnMut(Value<'_>),
    ) {
        if subject == KEYWORDS {
            return self.visit_all(room, visit);
        }
        for (slot, found) in self.filled(subject) {
            if !is_list(found) {
                return self.show(slot, found, room, visit);
            }
            // A list on the way may have it in none of its elements: then the next place counts.
            let mut is_shown = false;
            self.show(slot, found, room, &mut |value| {
                is_shown = true;
                visit(value);
            });
            if is_shown {
                return;
            }
        }
    }

    /// Shows every value of what a slot has.
    fn show(&self, slot: u32, found: Found, room: &mut TextRoom, visit: &mut dyn FnMut(Value<'_>)) {
        let facts = &self.facts;
        let record = facts.input.record;
        match found {
            Found::None => {}
            Found::Null => visit(Value::Null),
            Found::Object => visit(Value::Object),
            Found::Bytes { start, end } => {
                self.visit_bytes(record.get(start as usize..end as usize), visit);
            }
            Found::Arena { start, end } => {
                self.visit_bytes(facts.fields.arena.get(start as usize..end as usize), visit);
            }
            Found::Json { start, end, .. } => {
                let Some(json) = record.get(start as usize..end as usize) else { return };
                let TextRoom { text, json: texts } = room;
                texts.get_or_insert_default().with(json, |tape| {
                    if let Some(node) = tape.first() {
                        visit_scalar(*node, text, visit);
                    }
                });
            }
            Found::List { start, end, node } => {
                let Some(json) = record.get(start as usize..end as usize) else { return };
                let TextRoom { text, json: texts } = room;
                let tree = &facts.view.tests;
                texts.get_or_insert_default().with(json, |tape| {
                    Lists { tape, tree, slot, text }.visit(0, tree.sigma_node(node), visit);
                });
            }
            Found::TapeList { at, node } => {
                let (tape, tree) = (facts.tape, &facts.view.tests);
                let node = tree.sigma_node(node);
                Lists { tape, tree, slot, text: &mut room.text }.visit(at as usize, node, visit);
            }
            Found::Tape { at } | Found::Python { at } => {
                if let Some(node) = facts.tape.get(at as usize) {
                    visit_scalar(*node, &mut room.text, visit);
                }
            }
        }
    }

    /// Lines of text need not be UTF-8, which patterns expect.
    fn visit_bytes(&self, bytes: Option<&[u8]>, visit: &mut dyn FnMut(Value<'_>)) {
        let Some(bytes) = bytes else { return };
        match self.binding.mapping.format {
            Format::Json => visit(Value::Text(bytes)),
            Format::Text => match String::from_utf8_lossy(bytes) {
                Cow::Borrowed(text) => visit(Value::Text(text.as_bytes())),
                Cow::Owned(text) => visit(Value::Text(text.as_bytes())),
            },
        }
    }

    /// The line, or every value of the record.
    fn visit_all(&self, room: &mut TextRoom, visit: &mut dyn FnMut(Value<'_>)) {
        let facts = &self.facts;
        if self.binding.mapping.format == Format::Text {
            return self.visit_bytes(Some(facts.input.record), visit);
        }
        let TextRoom { text, json } = room;
        if facts.tape.is_empty() {
            json.get_or_insert_default().with(facts.input.record, |tape| visit_all(tape, 0, text, visit));
        } else {
            visit_all(facts.tape, facts.decoded.reading.place.root, text, visit);
        }
    }
}

fn is_list(found: Found) -> bool {
    matches!(found, Found::List { .. } | Found::TapeList { .. })
}
