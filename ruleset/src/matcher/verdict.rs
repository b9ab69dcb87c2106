//! The verdict on one record, and what an alert shows of it.
//!
//! Enters: a decoded record. Leaves: a [`Verdict`], which borrows from it and makes description, data and identity only
//! when it is asked: most events are never asked.

use std::cell::RefCell;
use std::sync::Arc;

use simd_json::{Buffers, Node, Tape};
use threatlockdown_event::Millis;

use super::decode::{self, Room};
use super::facts::{Facts, Stamps, TextRoom};
use super::past::Conclusion;
use super::{MAX_DEPTH, output_slots};
use crate::decode::data::{self, Members};
use crate::decode::extract::Found;
use crate::ir::sigma::SigmaRuleIndex;
use crate::ir::{OrderField, Part, StaticField};
use crate::program::{ALTERNATIVES, Binding, Extra, Given, Rule};

/// The verdict on one record.
pub struct Verdict<'v> {
    pub(super) facts: Facts<'v>,
    pub(super) binding: &'v Binding,
    enveloped: bool,
    conclusion: Conclusion,
    /// The Sigma rules that match, in load order.
    pub(super) matches: &'v [SigmaRuleIndex],
    later: Option<Later<'v>>,
}

/// What makes the tape of a record that the reader took, for whoever asks for all of it.
pub(super) struct Later<'v> {
    /// The JSON in a line of text.
    pub(super) text: &'v [u8],
    pub(super) room: RefCell<(&'v mut Room, &'v mut Buffers)>,
}

/// What identity, time and place of an event are made of; texts as they stand in the record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The provider's own key for the event.
    pub key: Option<String>,
    /// Account, tenant or subscription.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// The event's time, as written.
    pub time: Option<String>,
}

/// Descriptions with their references resolved are shown up to this many bytes; longer ones are shown unresolved.
const MAX_DESCRIPTION: usize = 1023;

impl<'v> Verdict<'v> {
    pub(super) fn new(
        facts: Facts<'v>,
        binding: &'v Binding,
        enveloped: bool,
        conclusion: Conclusion,
        (matches, later): (&'v [SigmaRuleIndex], Option<Later<'v>>),
    ) -> Self {
        Self { facts, binding, enveloped, conclusion, matches, later }
    }

    /// Shows the tape of the record, `known` unless the reader took it: then it is made for it.
    fn with_tape<R>(&self, known: &[Node<'_>], then: impl FnOnce(&[Node<'_>]) -> R) -> R {
        let Some(later) = &self.later else { return then(known) };
        let mut tape = Tape(Vec::new());
        let (binding, input) = (self.binding, self.facts.input);
        match later.room.try_borrow_mut() {
            Ok(mut kept) => {
                let (room, buffers) = &mut *kept;
                decode::show(binding, input, later.text, room, buffers, &mut tape);
                then(&tape.0)
            }
            // Somebody who is shown the fields asks for them again.
            Err(_) => {
                let (mut room, mut buffers) = (Room::default(), Buffers::with_max_depth(4096, MAX_DEPTH));
                decode::show(binding, input, later.text, &mut room, &mut buffers, &mut tape);
                then(&tape.0)
            }
        }
    }

    /// The rule that decided; a level-0 rule is a verdict too.
    #[must_use]
    pub fn rule(&self) -> Option<&'v Rule> {
        self.conclusion.rule.map(|rule| &self.facts.program.rules[rule as usize])
    }

    /// Whether the rule alerts, as far as its level and options do not say otherwise: not while it is ignored.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.conclusion.counts
    }

    /// Logs of the earlier events that a correlation counted, newest first, each cut at 1 KiB.
    #[must_use]
    pub fn previous(&self) -> &[Arc<[u8]>] {
        &self.conclusion.previous
    }

    /// The log that `check_diff` found another one instead of.
    #[must_use]
    pub fn previous_log(&self) -> Option<&[u8]> {
        self.conclusion.previous_log.as_deref()
    }

    /// Position of the rule in [`crate::program::Program::rules`].
    #[must_use]
    pub fn rule_index(&self) -> Option<usize> {
        self.conclusion.rule.map(|rule| rule as usize)
    }

    /// Name of the decoder.
    #[must_use]
    pub fn decoder(&self) -> Option<&'v str> {
        self.facts.decoded.decoder_name(self.facts.program)
    }

    /// Which root the event belongs to: the decoder's type; that of events without a decoder is syslog.
    #[must_use]
    pub fn category(&self) -> Option<crate::ir::Category> {
        self.facts.decoded.category
    }

    /// Name of the decoder's parent.
    #[must_use]
    pub fn decoder_parent(&self) -> Option<&'v str> {
        let decoder = self.facts.decoded.decoder?;
        self.facts.program.decoders.get(decoder).parent.as_deref()
    }

    /// What the decoder says of events that it sees for the first time.
    #[must_use]
    pub fn fts_comment(&self) -> Option<&'v str> {
        let decoder = self.facts.decoded.decoder?;
        self.facts.program.decoders.get(decoder).fts_comment.as_deref()
    }

    /// Timestamp, host name and program name of a text line's header.
    #[must_use]
    pub fn header(&self) -> [Option<&'v [u8]>; 3] {
        let header = &self.facts.decoded.header;
        [header.timestamp, header.hostname, header.program_name]
    }

    /// The log after its header: what `<match>` and `<regex>` look at.
    #[must_use]
    pub fn log(&self) -> &'v [u8] {
        self.facts.decoded.header.log
    }

    /// Whether bytes of the record were not UTF-8.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.facts.decoded.lossy || std::str::from_utf8(self.facts.input.record).is_err()
    }

    /// The location that rules and alerts show.
    #[must_use]
    pub fn location(&self) -> &'v str {
        self.facts.beside.location
    }

    /// The log source.
    #[must_use]
    pub fn source(&self) -> &'v str {
        &self.facts.input.context.source
    }

    /// Name of the cloud provider.
    #[must_use]
    pub fn provider(&self) -> Option<&'v str> {
        self.binding.mapping.provider.as_deref()
    }

    /// When the event happened, by the memory's clock.
    #[must_use]
    pub fn time(&self) -> Millis {
        self.facts.time(&mut Stamps::default())
    }

    /// The description with its references resolved, and what the event is identified by: one walk over the record.
    #[must_use]
    pub fn describe(&self) -> (String, Identity) {
        let mut slots = vec![Found::None; output_slots(self.facts.program)];
        let first_output = self.facts.program.subjects.len();
        self.facts.extract_outputs(&mut slots);
        let whole = self.facts.as_it_stands();
        // Events whose keys differ behind a NUL are two events.
        let identity = if self.facts.tape.as_ptr() == whole.tape.as_ptr() {
            self.identity(&slots)
        } else {
            let mut slots = vec![Found::None; output_slots(self.facts.program)];
            whole.extract_outputs(&mut slots);
            self.identity(&slots)
        };
        let mut description = String::new();
        for part in self.rule().map(|rule| rule.description.parts.as_slice()).unwrap_or_default() {
            if description.len() > MAX_DESCRIPTION {
                break;
            }
            match part {
                Part::Text(text) => description.push_str(text),
                Part::Field(name) => {
                    if let Some(output) = self.facts.program.outputs.iter().position(|known| known == name) {
                        self.write_output(name, first_output + output, &slots, &mut description);
                    }
                }
            }
        }
        if description.len() > MAX_DESCRIPTION {
            description = self.rule().map(|rule| rule.description.source.clone()).unwrap_or_default();
        }
        (description, identity)
    }

    fn identity(&self, slots: &[Found]) -> Identity {
        let facts = self.facts.as_it_stands();
        let extras =
            slots.get(facts.program.subjects.len() + facts.program.outputs.len()..).unwrap_or_default();
        let text = |slot: usize| {
            let mut buffer = TextRoom::default();
            let text = facts.found_text(*extras.get(slot)?, &mut buffer)?;
            (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
        };
        let first =
            |extra: Extra| (0..ALTERNATIVES).find_map(|alternative| text(extra as usize + alternative));
        let parts: Vec<String> =
            (0..ALTERNATIVES).filter_map(|part| text(Extra::Key as usize + part)).collect();
        Identity {
            key: text(Extra::Key as usize).map(|_| parts.join("\n")),
            region: text(Extra::Region as usize),
            account: first(Extra::Account)
                .or_else(|| self.facts.input.context.account.as_deref().map(str::to_owned)),
            time: first(Extra::Time),
        }
    }

    fn write_output(&self, name: &str, slot: usize, slots: &[Found], out: &mut String) {
        let header = &self.facts.decoded.header;
        let from_header = match name {
            "program_name" => Some(header.program_name),
            "hostname" => Some(header.hostname),
            _ => None,
        };
        if let Some(text) = from_header {
            out.push_str(&String::from_utf8_lossy(text.unwrap_or_default()));
            return;
        }
        match &self.facts.view.given[slot] {
            Given::Constant(value) => return out.push_str(value),
            Given::Fact(fact) => {
                if let Some(value) = self.facts.input.context.envelope(fact) {
                    return out.push_str(value);
                }
            }
            Given::Service => {
                if let Some(value) = self.facts.beside.service {
                    return out.push_str(value);
                }
            }
            Given::No => {}
        }
        let mut buffer = TextRoom::default();
        let found = self.captured(name).unwrap_or(slots[slot]);
        if let Some(text) = self.facts.found_text(found, &mut buffer) {
            out.push_str(&String::from_utf8_lossy(text));
        }
    }

    /// What decoders captured, or accumulation filled in, under that name: of a static field the last, of a dynamic one
    /// the first.
    fn captured(&self, name: &str) -> Option<Found> {
        let program = self.facts.program;
        let fields = &self.facts.fields;
        let filled =
            fields.accumulated.iter().find(|(subject, _)| program.subjects[*subject as usize].name == name);
        if let Some((_, found)) = filled {
            return Some(*found);
        }
        let named = |field: u32| match &program.decoders.fields()[field as usize] {
            OrderField::Static(field) => field.name() == name,
            OrderField::Dynamic(own) => own.eq_ignore_ascii_case(name),
        };
        match StaticField::by_name(name) {
            Some(_) => fields.captured.iter().rev().find(|(field, _)| named(*field)),
            None => fields.captured.iter().find(|(field, _)| named(*field)),
        }
        .map(|(_, found)| *found)
    }

    /// Captured fields by name, the static ones first, in the order in which alerts show them.
    fn captured_fields(&self) -> Vec<(String, String)> {
        let program = self.facts.program;
        let fields = &self.facts.fields;
        if fields.captured.is_empty() {
            return Vec::new();
        }
        let mut buffer = TextRoom::default();
        let mut shown: Vec<(String, String)> = Vec::new();
        let mut text = |found| {
            let text = self.facts.found_text(found, &mut buffer).unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        };
        for name in SHOWN_STATICS {
            shown.extend(self.captured(name).map(|found| (name.to_owned(), text(found))));
        }
        for (field, found) in &fields.captured {
            if let OrderField::Dynamic(name) = &program.decoders.fields()[*field as usize] {
                shown.push((name.clone(), text(*found)));
            }
        }
        shown
    }

    /// Appends the alert's `data` object as JSON; `{}` when there is nothing in it.
    pub fn write_data(&self, out: &mut String) {
        let captured = self.captured_fields();
        self.with_tape(self.facts.whole, |tape| data::write_object(&self.members(tape, &captured), out));
    }

    /// Every field as rules see it, by its full name, in the order of the record.
    pub fn for_each_field(&self, mut visit: impl FnMut(&str, &str)) {
        let captured = self.captured_fields();
        self.with_tape(self.facts.tape, |tape| {
            data::for_each_field(&self.members(tape, &captured), &mut visit);
        });
    }

    /// The same as the alert's `data` shows them: texts do not end at NUL.
    pub fn for_each_shown_field(&self, mut visit: impl FnMut(&str, &str)) {
        let captured = self.captured_fields();
        self.with_tape(self.facts.whole, |tape| {
            data::for_each_field(&self.members(tape, &captured), &mut visit);
        });
    }

    fn members<'m>(&'m self, tape: &'m [Node<'m>], captured: &'m [(String, String)]) -> Members<'m> {
        let mapping = &self.binding.mapping;
        let constants = mapping.constants.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let facts = mapping
            .envelope
            .iter()
            .filter_map(|(name, fact)| Some((name.as_str(), self.facts.input.context.envelope(fact)?)));
        let service = mapping.wrapper.as_ref().and_then(|wrapper| wrapper.service.as_deref());
        let service = service.zip(self.facts.beside.service);
        let given = if self.enveloped { Vec::new() } else { constants.chain(service).chain(facts).collect() };
        let captured = captured.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Members {
            tape,
            under: if self.enveloped { "" } else { &mapping.under },
            given: given.into_iter().chain(captured).collect(),
            reading: self.facts.decoded.reading,
        }
    }
}

/// Static fields in the order of alerts.
const SHOWN_STATICS: [&str; 14] = [
    "protocol",
    "action",
    "srcip",
    "srcport",
    "srcuser",
    "dstip",
    "dstport",
    "dstuser",
    "id",
    "status",
    "url",
    "data",
    "extra_data",
    "system_name",
];
