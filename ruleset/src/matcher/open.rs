//! From the bytes of a record to its fields: which decoder, which slots.
//!
//! Enters: a record and the binding of its source. Leaves: [`Opened`], with the slots filled. There are two ways to the
//! same result. The reader fills the slots from the record's bytes and checks the rest; it takes nearly every record. What
//! it leaves to the parser, and every record that is to be shown whole, goes over the tape.

use simd_json::Buffers;

use super::decode::{self, Decoded, Decoding, Room};
use super::tapes::Tapes;
use super::{Fault, Input, overflow};
use crate::decode::extract::{Found, Reading, extract};
use crate::decode::mapping::{Format, Normalise};
use crate::decode::place::{self, Place};
use crate::decode::reader::{self, Outcome};
use crate::decode::text;
use crate::program::{Binding, Program, View};

/// A record whose fields are known.
pub(super) struct Opened<'a> {
    pub(super) decoded: Decoded<'a>,
    pub(super) enveloped: bool,
}

impl Opened<'_> {
    /// Where the fields of such a record are.
    pub(super) fn view<'b>(&self, binding: &'b Binding) -> &'b View {
        match &binding.enveloped {
            Some(view) if self.enveloped => view,
            _ => &binding.raw,
        }
    }
}

impl Decoding<'_, '_> {
    /// Over the bytes; nothing when the parser has to decide, and then the fields are as before.
    pub(super) fn open_by_reader<'a>(
        &mut self,
        binding: &Binding,
        input: &Input<'a>,
        work: &mut reader::Work,
    ) -> Option<Opened<'a>> {
        let opened = match binding.mapping.format {
            Format::Text => self.read_line(binding, input.record, work),
            Format::Json if !binding.is_plain => None,
            Format::Json if binding.mapping.adds_nothing() => self
                .read_as_text(&binding.raw, input.record, work)
                .map(|decoded| Opened { decoded, enveloped: false }),
            Format::Json => self.read_record(binding, input.record, work),
        };
        if opened.is_none() {
            self.fields.clear();
        }
        opened
    }

    fn read_record<'a>(
        &mut self,
        binding: &Binding,
        record: &'a [u8],
        work: &mut reader::Work,
    ) -> Option<Opened<'a>> {
        let reading = self.program.reading(binding, &[]);
        let form = binding.envelope_form();
        match reader::read(record, &binding.raw.tests, reading, form, work, self.fields.slots_to_read()) {
            Outcome::Read => {
                let decoded = self.json(record, binding.decoder, false, reading);
                Some(Opened { decoded, enveloped: false })
            }
            Outcome::Enveloped => {
                self.fields.slots.fill(Found::None);
                let view = binding.enveloped.as_ref()?;
                let decoded = self.read_as_text(view, record, work)?;
                Some(Opened { decoded, enveloped: true })
            }
            Outcome::Fallback => None,
        }
    }

    /// A record that rules see as it stands, so that decoders look at it.
    fn read_as_text<'a>(
        &mut self,
        view: &View,
        record: &'a [u8],
        work: &mut reader::Work,
    ) -> Option<Decoded<'a>> {
        let decoded = self.json(record, None, true, Reading::default());
        self.fields.json.filter(|json| json.start == 0 && !json.options.csv_arrays)?;
        self.fields.place_first(self.program);
        let read =
            reader::read(record, &view.tests, decoded.reading, None, work, self.fields.slots_to_read());
        self.fields.place_rest(self.program);
        (read == Outcome::Read).then_some(decoded)
    }

    fn read_line<'a>(
        &mut self,
        binding: &Binding,
        record: &'a [u8],
        work: &mut reader::Work,
    ) -> Option<Opened<'a>> {
        let decoded = self.text(record);
        if let Some(json) = self.fields.json {
            let log = decoded.header.log;
            let text = log.get(json.start..)?;
            let before = (text.as_ptr() as usize).checked_sub(record.as_ptr() as usize)?;
            // Captures count from the start of the record, what the reader finds from that of its text.
            if json.options.csv_arrays || (before > 0 && !self.fields.captured.is_empty()) {
                return None;
            }
            self.fields.place_first(self.program);
            let slots = self.fields.slots_to_read();
            if reader::read(text, &binding.raw.tests, decoded.reading, None, work, slots) != Outcome::Read {
                return None;
            }
            if before > 0 {
                slots.iter_mut().for_each(|slot| slot.shift(before));
            }
            self.fields.place_rest(self.program);
        } else {
            self.fields.place_first(self.program);
        }
        Some(Opened { decoded, enveloped: false })
    }

    /// Over the tape.
    ///
    /// # Errors
    /// The record of a JSON source is none.
    pub(super) fn open_by_tape<'a, 't>(
        &mut self,
        binding: &Binding,
        input: &Input<'a>,
        room: &'t mut Room,
        buffers: &mut Buffers,
        tapes: &mut Tapes<'t>,
    ) -> Result<Opened<'a>, Fault> {
        let mapping = &binding.mapping;
        let opened = match mapping.format {
            Format::Json => {
                let parsed = decode::parse_record(input.record, room, buffers, &mut tapes.whole)?;
                if parsed.may_have_nul {
                    tapes.cut_at_nul();
                }
                let enveloped = is_enveloped(binding, tapes.seen());
                if parsed.has_infinities && mapping.printed && !enveloped {
                    tapes.change(overflow::forget);
                }
                let as_text = enveloped || mapping.adds_nothing();
                let reading = match enveloped {
                    true => Reading::default(),
                    false => self.program.reading(binding, tapes.seen()),
                };
                let decoded = self.json(input.record, binding.decoder, as_text, reading);
                if as_text && self.fields.json.is_none() {
                    tapes.clear();
                }
                Opened { decoded: Decoded { lossy: parsed.lossy, ..decoded }, enveloped }
            }
            Format::Text => {
                let mut decoded = self.text(input.record);
                if let Some(json) = self.fields.json {
                    let text = decoded.header.log.get(json.start..).unwrap_or_default();
                    let parsed = decode::parse_text(text, room, buffers, &mut tapes.whole);
                    decoded.lossy = parsed.lossy;
                    if parsed.may_have_nul {
                        tapes.cut_at_nul();
                    }
                }
                Opened { decoded, enveloped: false }
            }
        };
        self.fields.place_first(self.program);
        let view = opened.view(binding);
        let reading = opened.decoded.reading;
        extract(tapes.seen(), &view.tests, reading, self.fields.slots_to_read());
        if tapes.differ() {
            let sigma = self.program.subjects.len();
            self.fields.read_again(sigma, |slots| extract(&tapes.whole.0, &view.tests, reading, slots));
        }
        if let Some(slot) = binding.sigma.service.filter(|_| !opened.enveloped) {
            let service = (reading.place.root > 0).then(|| place::service(&tapes.whole.0)).flatten();
            self.fields.name_service(self.program.subjects.len() + slot as usize, service.as_deref());
        }
        self.fields.place_rest(self.program);
        Ok(opened)
    }
}

impl Program {
    /// How a record as the provider sends it is read.
    fn reading(&self, binding: &Binding, tape: &[simd_json::Node<'_>]) -> Reading {
        let mapping = &binding.mapping;
        let place = Place::of(tape, mapping);
        let is_macie = mapping.wrapper.as_ref().is_some_and(|wrapper| wrapper.service.is_some())
            && place.root > 0
            && place::service(tape).as_deref() == Some("macie");
        let kind = mapping.normalise;
        Reading {
            normalise: matches!(kind, Normalise::AwsBucket | Normalise::AwsEvent | Normalise::AwsSubscriber),
            keeps_lists: kind == Normalise::AwsSubscriber || place.shown.is_some(),
            cloudtrail: kind == Normalise::AwsBucket,
            discard_null: binding.decoder.is_some_and(|decoder| self.decoders.get(decoder).discards_null()),
            graph: kind == Normalise::AzureGraph,
            place,
            left_out: is_macie.then_some("trigger"),
            ..Reading::default()
        }
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
