//! The verdict on one record, and what an alert shows of it.
//!
//! Enters: a decoded record. Leaves: a [`Verdict`], which borrows from it and makes description, data and identity only
//! when it is asked: most events are never asked.

use std::borrow::Cow;

use simd_json::Node as TapeNode;

use super::decode::Decoded;
use super::walk::Event;
use super::{Input, State, output_slots};
use crate::decode::data::{self, Members};
use crate::decode::extract::{Found, Reading, extract};
use crate::decode::mapping::{Mapping, Normalise};
use crate::decode::place::{self, Place};
use crate::decode::text;
use crate::ir::Part;
use crate::program::{ALTERNATIVES, Binding, Decoder, Extra, Given, Program, Rule, View};

/// The verdict on one record.
pub struct Verdict<'v> {
    program: &'v Program,
    input: &'v Input<'v>,
    decoded: &'v Decoded<'v>,
    tape: &'v [TapeNode<'v>],
    binding: &'v Binding,
    view: &'v View,
    enveloped: bool,
    reading: Reading,
    decoder: Option<Decoder>,
    /// The service that the record's wrapper names.
    service: Option<Cow<'v, str>>,
    rule: Option<u32>,
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

pub(super) fn judge<'v>(
    program: &'v Program,
    input: &'v Input<'v>,
    decoded: &'v Decoded<'v>,
    tape: &'v [TapeNode<'v>],
    state: &mut State,
) -> Verdict<'v> {
    let binding = &program.bindings[input.binding.0];
    let enveloped = is_enveloped(binding, tape);
    let view = match &binding.enveloped {
        Some(view) if enveloped => view,
        _ => &binding.raw,
    };
    let mapping = &binding.mapping;
    let decoder = if enveloped { decoded.decoder } else { mapping.decoder.or(decoded.decoder) };
    let place = if enveloped { Place::default() } else { Place::of(tape, mapping) };
    let has_service = mapping.wrapper.as_ref().is_some_and(|wrapper| wrapper.service.is_some());
    let service = if has_service && place.root > 0 { place::service(tape) } else { None };
    let reading = reading(mapping, enveloped, place, decoder, service.as_deref());
    state.slots.fill(Found::NONE);
    extract(tape, &view.tests, reading, &mut state.slots);
    let event = Event {
        program,
        view,
        tape,
        context: input.context,
        log: decoded.header.log,
        decoder,
        tag: decoded.tag,
        service: service.as_deref(),
    };
    let rule = event.search(state).map(|node| program.nodes[node as usize].rule);
    Verdict { program, input, decoded, tape, binding, view, enveloped, reading, decoder, service, rule }
}

fn reading(
    mapping: &Mapping,
    enveloped: bool,
    place: Place,
    decoder: Option<Decoder>,
    service: Option<&str>,
) -> Reading {
    let kind = if enveloped { Normalise::None } else { mapping.normalise };
    Reading {
        normalise: matches!(kind, Normalise::AwsBucket | Normalise::AwsEvent | Normalise::AwsSubscriber),
        keeps_lists: kind == Normalise::AwsSubscriber || place.shown.is_some(),
        cloudtrail: kind == Normalise::AwsBucket,
        discard_null: decoder == Some(Decoder::JsonMsGraph),
        graph: mapping.normalise == Normalise::AzureGraph,
        place,
        left_out: (service == Some("macie")).then_some("trigger"),
    }
}

/// A member at the top of the envelope tells, mostly the first.
pub(super) fn is_enveloped(binding: &Binding, tape: &[TapeNode<'_>]) -> bool {
    let (Some(form), Some(TapeNode::Object { len, .. })) = (binding.envelope_form(), tape.first()) else {
        return false;
    };
    let mut at = 1;
    for _ in 0..*len {
        if matches!(tape.get(at), Some(TapeNode::String(member)) if *member == form.member) {
            return matches!(tape.get(at + 1), Some(TapeNode::String(value)) if *value == form.value);
        }
        at += 1 + text::span(tape, at + 1);
    }
    false
}

impl<'v> Verdict<'v> {
    /// The rule that decided; a level-0 rule is a verdict too.
    #[must_use]
    pub fn rule(&self) -> Option<&'v Rule> {
        self.rule.map(|rule| &self.program.rules[rule as usize])
    }

    /// Position of the rule in [`Program::rules`].
    #[must_use]
    pub fn rule_index(&self) -> Option<usize> {
        self.rule.map(|rule| rule as usize)
    }

    /// Name of the decoder.
    #[must_use]
    pub fn decoder(&self) -> Option<&'static str> {
        self.decoder.map(Decoder::name)
    }

    /// Timestamp, host name and program name of a text line's header.
    #[must_use]
    pub fn header(&self) -> [Option<&'v [u8]>; 3] {
        let header = &self.decoded.header;
        [header.timestamp, header.hostname, header.program_name]
    }

    /// Whether bytes of the record were not UTF-8.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.decoded.lossy || std::str::from_utf8(self.input.record).is_err()
    }

    /// The location that rules and alerts show.
    #[must_use]
    pub fn location(&self) -> &'v str {
        self.binding.mapping.location.as_deref().unwrap_or(&self.input.context.location)
    }

    /// Name of the cloud provider.
    #[must_use]
    pub fn provider(&self) -> Option<&'v str> {
        self.binding.mapping.provider.as_deref()
    }

    /// The description with its references resolved, and what the event is identified by: one walk over the record.
    #[must_use]
    pub fn describe(&self) -> (String, Identity) {
        let mut slots = vec![Found::NONE; output_slots(self.program)];
        let first_output = self.program.subjects.len();
        extract(self.tape, &self.view.outputs, self.reading, &mut slots);
        if let Some(outside) = &self.view.outside {
            extract(self.tape, outside, Reading::default(), &mut slots);
        }
        let mut description = String::new();
        for part in self.rule().map(|rule| rule.description.parts.as_slice()).unwrap_or_default() {
            if description.len() > MAX_DESCRIPTION {
                break;
            }
            match part {
                Part::Text(text) => description.push_str(text),
                Part::Field(name) => {
                    if let Some(output) = self.program.outputs.iter().position(|known| known == name) {
                        self.write_output(name, first_output + output, &slots, &mut description);
                    }
                }
            }
        }
        if description.len() > MAX_DESCRIPTION {
            description = self.rule().map(|rule| rule.description.source.clone()).unwrap_or_default();
        }
        let extras = &slots[first_output + self.program.outputs.len()..];
        (description, self.identity(extras))
    }

    fn identity(&self, extras: &[Found]) -> Identity {
        let text = |slot: usize| {
            let (at, _) = extras.get(slot)?.get()?;
            let mut out = String::new();
            text::write_value(self.tape, at, &mut out);
            (!out.is_empty()).then_some(out)
        };
        let first =
            |extra: Extra| (0..ALTERNATIVES).find_map(|alternative| text(extra as usize + alternative));
        let parts: Vec<String> =
            (0..ALTERNATIVES).filter_map(|part| text(Extra::Key as usize + part)).collect();
        Identity {
            key: text(Extra::Key as usize).map(|_| parts.join("\n")),
            region: text(Extra::Region as usize),
            account: first(Extra::Account)
                .or_else(|| self.input.context.account.as_deref().map(str::to_owned)),
            time: first(Extra::Time),
        }
    }

    fn write_output(&self, name: &str, slot: usize, slots: &[Found], out: &mut String) {
        let header = &self.decoded.header;
        let (text, is_static) = match name {
            "program_name" => (header.program_name, true),
            "hostname" => (header.hostname, true),
            "tag" => (self.decoded.tag.map(str::as_bytes), false),
            _ => (None, false),
        };
        if let Some(text) = text {
            out.push_str(&String::from_utf8_lossy(text));
        }
        if text.is_some() || is_static {
            return;
        }
        match &self.view.given[slot] {
            Given::Constant(value) => return out.push_str(value),
            Given::Fact(fact) => {
                if let Some(value) = self.input.context.envelope(fact) {
                    return out.push_str(value);
                }
            }
            Given::Service => {
                if let Some(value) = &self.service {
                    return out.push_str(value);
                }
            }
            Given::No => {}
        }
        match slots[slot].get() {
            Some((at, true)) => text::write_python(self.tape, at, out),
            Some((at, false)) => text::write_value(self.tape, at, out),
            None => {}
        }
    }

    /// Appends the alert's `data` object as JSON; `{}` when there is nothing in it.
    pub fn write_data(&self, out: &mut String) {
        data::write_object(&self.members(), out);
    }

    /// Every field as rules see it, by its full name, in the order of the record.
    pub fn for_each_field(&self, mut visit: impl FnMut(&str, &str)) {
        data::for_each_field(&self.members(), &mut visit);
    }

    fn members(&self) -> Members<'_> {
        let mapping = &self.binding.mapping;
        let constants = mapping.constants.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let facts = mapping
            .envelope
            .iter()
            .filter_map(|(name, fact)| Some((name.as_str(), self.input.context.envelope(fact)?)));
        let service = mapping.wrapper.as_ref().and_then(|wrapper| wrapper.service.as_deref());
        let service = service.zip(self.service.as_deref());
        let given = if self.enveloped { Vec::new() } else { constants.chain(service).chain(facts).collect() };
        let tag = self.decoded.tag.map(|tag| ("tag", tag));
        Members {
            tape: self.tape,
            under: if self.enveloped { "" } else { &mapping.under },
            given: given.into_iter().chain(tag).collect(),
            reading: self.reading,
        }
    }
}
