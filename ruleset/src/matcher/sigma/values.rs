//! The values of Sigma fields in one event.
//!
//! Enters: a decoded record with its slots filled. Leaves: for a field none, one or many values, as they stand in the
//! record. Nearly all are one text that is a range of the record; lists, and texts with escapes, are made when asked for.

use std::borrow::Cow;

use super::super::facts::{Facts, TextRoom};
use crate::decode::extract::Found;
use crate::decode::lists::{Lists, Objects, Value, visit_all, visit_object, visit_scalar};
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

/// What is known of a field without looking at its value.
pub(super) enum Only<'a> {
    /// It is not there.
    Nothing,
    /// It is one text, this.
    Text(&'a [u8]),
    /// Its values have to be visited.
    Look,
}

impl<'a> Event<'a> {
    /// What nearly all fields are: missing, or one text that stands in the record.
    pub(super) fn only(&self, subject: SigmaSubjectIndex) -> Only<'a> {
        if subject == KEYWORDS || self.binding.mapping.format != Format::Json {
            return Only::Look;
        }
        match self.filled(subject).next() {
            None => Only::Nothing,
            Some((_, Found::Bytes { start, end })) => {
                let text = self.facts.input.record.get(start as usize..end as usize);
                text.map_or(Only::Nothing, Only::Text)
            }
            Some(_) => Only::Look,
        }
    }

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

    /// Shows every value of a field, or of the whole event. An object is shown as its JSON text.
    pub(in crate::matcher) fn visit(
        &self,
        subject: SigmaSubjectIndex,
        room: &mut TextRoom,
        visit: &mut dyn FnMut(Value<'_>),
    ) {
        self.visit_as(Objects::Texts, subject, room, visit);
    }

    /// The same without the texts of objects, for those who want to know what there is.
    pub(in crate::matcher) fn visit_kinds(
        &self,
        subject: SigmaSubjectIndex,
        room: &mut TextRoom,
        visit: &mut dyn FnMut(Value<'_>),
    ) {
        self.visit_as(Objects::Kinds, subject, room, visit);
    }

    fn visit_as(
        &self,
        objects: Objects,
        subject: SigmaSubjectIndex,
        room: &mut TextRoom,
        visit: &mut dyn FnMut(Value<'_>),
    ) {
        if subject == KEYWORDS {
            return self.visit_all(room, visit);
        }
        for (slot, found) in self.filled(subject) {
            if !is_list(found) {
                return self.show(objects, slot, found, room, visit);
            }
            // A list on the way may have it in none of its elements: then the next place counts.
            let mut is_shown = false;
            self.show(objects, slot, found, room, &mut |value| {
                is_shown = true;
                visit(value);
            });
            if is_shown {
                return;
            }
        }
    }

    /// Shows every value of what a slot has.
    fn show(
        &self,
        objects: Objects,
        slot: u32,
        found: Found,
        room: &mut TextRoom,
        visit: &mut dyn FnMut(Value<'_>),
    ) {
        let facts = &self.facts;
        let record = facts.input.record;
        match found {
            Found::None => {}
            Found::Null => visit(Value::Null),
            Found::Object { .. } | Found::TapeObject { .. } if objects == Objects::Kinds => {
                visit(Value::Object);
            }
            Found::Object { start, end } => {
                let Some(json) = record.get(start as usize..end as usize) else { return };
                let TextRoom { text, json: texts } = room;
                texts.get_or_insert_default().with(json, |tape| visit_object(tape, 0, text, objects, visit));
            }
            Found::TapeObject { at } => {
                visit_object(facts.tape, at as usize, &mut room.text, objects, visit);
            }
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
                    Lists { tape, tree, slot, text, objects }.visit(0, tree.sigma_node(node), visit);
                });
            }
            Found::TapeList { at, node } => {
                let (tape, tree) = (facts.tape, &facts.view.tests);
                let node = tree.sigma_node(node);
                Lists { tape, tree, slot, text: &mut room.text, objects }.visit(at as usize, node, visit);
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
