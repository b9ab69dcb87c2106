//! What is known of one event, as rules look at it: each subject's text, and keys made of several.
//!
//! Enters: a decoded record with its slots filled. Leaves: texts, borrowed where they stand in the record as they are and
//! made in a buffer of the worker's where not.

use simd_json::Node as TapeNode;
use threatlockdown_event::Millis;

use super::fields::Fields;
use super::{Input, output_slots};
use crate::correlate::{Clock, Memory};
use crate::decode::extract::{Found, Reading, extract};
use crate::decode::reader::{self, JsonTexts};
use crate::decode::statics::has_dynamic_member;
use crate::decode::{header_time, text};
use crate::ir::OrderField;
use crate::matcher::decode::Decoded;
use crate::program::{ALTERNATIVES, Extra, Given, KeySubject, Program, SubjectIndex, SubjectPlace, View};

/// How far ahead of its arrival an event's own time may lie and still be believed.
const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;

/// The last header's time: lines of the same second have the same stamp.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    text: Vec<u8>,
    /// Day of the receipt, which tells the year of a stamp without one.
    day: i64,
    time: Option<Millis>,
}

impl Stamps {
    fn read(&mut self, timestamp: &[u8], received: Millis) -> Option<Millis> {
        let day = received.0.div_euclid(86_400_000);
        if self.text != timestamp || self.day != day {
            self.text.clear();
            self.text.extend_from_slice(timestamp);
            self.day = day;
            self.time = header_time::read(timestamp, received);
        }
        self.time
    }
}

/// Everything that conditions look at.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) program: &'a Program,
    pub(crate) view: &'a View,
    /// The record as the reference sees it.
    pub(crate) tape: &'a [TapeNode<'a>],
    /// The record as it stands: the same nodes with what comes behind a NUL.
    pub(crate) whole: &'a [TapeNode<'a>],
    pub(crate) input: &'a Input<'a>,
    pub(crate) decoded: &'a Decoded<'a>,
    pub(crate) fields: &'a Fields,
    pub(crate) beside: Beside<'a>,
}

/// What is known of an event beside its record.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) location: &'a str,
    /// The service that the record's wrapper names.
    pub(crate) service: Option<&'a str>,
}

/// Room for texts that do not stand in the record.
#[derive(Default)]
pub(crate) struct TextRoom {
    pub(super) text: String,
    /// Made for the first value that needs it.
    pub(super) json: Option<Box<JsonTexts>>,
}

impl<'a> Facts<'a> {
    /// The same event with texts that do not end at NUL.
    pub(crate) fn as_it_stands(self) -> Self {
        Self { tape: self.whole, ..self }
    }

    /// Whether the event has the subject at all.
    pub(crate) fn is_present(&self, subject: SubjectIndex) -> bool {
        let header = &self.decoded.header;
        match self.program.subjects[subject as usize].place {
            SubjectPlace::Log | SubjectPlace::Location | SubjectPlace::Hostname => true,
            SubjectPlace::ProgramName => header.program_name.is_some(),
            SubjectPlace::Either(first, second) => self.is_present(first) || self.is_present(second),
            SubjectPlace::Slot { .. } => match &self.view.given[subject as usize] {
                Given::Constant(_) => true,
                Given::Fact(fact) if self.input.context.envelope(fact).is_some() => true,
                Given::Service if self.beside.service.is_some() => true,
                Given::Fact(_) | Given::Service | Given::No => !self.fields.slots[subject as usize].is_none(),
            },
        }
    }

    /// The text of a subject; made in `buffer` where it does not stand in the record as it is.
    pub(crate) fn text<'b>(&self, subject: SubjectIndex, buffer: &'b mut TextRoom) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        let header = &self.decoded.header;
        match self.program.subjects[subject as usize].place {
            SubjectPlace::Log => Some(header.log),
            SubjectPlace::Location => Some(self.beside.location.as_bytes()),
            SubjectPlace::Hostname => {
                Some(header.hostname.unwrap_or_else(|| self.beside.memory.options().host.as_bytes()))
            }
            SubjectPlace::ProgramName => header.program_name,
            SubjectPlace::Either(first, second) => {
                let subject = if self.is_present(first) { first } else { second };
                self.slot_text(subject, buffer)
            }
            SubjectPlace::Slot { .. } => self.slot_text(subject, buffer),
        }
    }

    fn slot_text<'b>(&self, subject: SubjectIndex, buffer: &'b mut TextRoom) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match &self.view.given[subject as usize] {
            Given::Constant(value) => return Some(value.as_bytes()),
            Given::Fact(fact) => {
                if let Some(value) = self.input.context.envelope(fact) {
                    return Some(value.as_bytes());
                }
            }
            Given::Service => {
                if let Some(value) = self.beside.service {
                    return Some(value.as_bytes());
                }
            }
            Given::No => {}
        }
        self.found_text(self.fields.slots[subject as usize], buffer)
    }

    /// The text of what a slot holds.
    pub(crate) fn found_text<'b>(&self, found: Found, buffer: &'b mut TextRoom) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match found {
            Found::None => return None,
            Found::Bytes { start, end } => return self.input.record.get(start as usize..end as usize),
            Found::Arena { start, end } => return self.fields.arena.get(start as usize..end as usize),
            Found::Json { start, end, python } => {
                let json = self.input.record.get(start as usize..end as usize)?;
                buffer.text.clear();
                buffer.json.get_or_insert_default().write(json, python, &mut buffer.text);
            }
            Found::Tape { at } => {
                if let Some(TapeNode::String(value)) = self.tape.get(at as usize) {
                    return Some(value.as_bytes());
                }
                buffer.text.clear();
                match self.decoded.reading.csv {
                    true => text::write_csv(self.tape, at as usize, &mut buffer.text),
                    false => text::write_value(self.tape, at as usize, &mut buffer.text),
                }
            }
            Found::Null
            | Found::Object { .. }
            | Found::TapeObject { .. }
            | Found::List { .. }
            | Found::TapeList { .. } => return None,
            Found::Python { at } => {
                buffer.text.clear();
                text::write_python(self.tape, at as usize, &mut buffer.text);
            }
        }
        Some(buffer.text.as_bytes())
    }

    /// When the event happened, by the memory's clock: seconds since 1970.
    pub(crate) fn seconds(&self, stamps: &mut Stamps) -> i64 {
        self.time(stamps).0.div_euclid(1000)
    }

    /// The same as finely as it is known.
    pub(crate) fn time(&self, stamps: &mut Stamps) -> Millis {
        let received = self.input.received;
        let own = match self.beside.memory.options().clock {
            Clock::Received => None,
            Clock::Event => self.own_time(stamps),
        };
        own.filter(|own| own.0 <= received.0.saturating_add(MAX_AHEAD_MS)).unwrap_or(received)
    }

    /// Fills the slots that only alerts and identity need.
    pub(crate) fn extract_outputs(&self, slots: &mut [Found]) {
        let reading = self.decoded.reading;
        if self.tape.is_empty() && (self.fields.json.is_some() || self.decoded.is_json) {
            // The reader has taken it, so it takes it again.
            let mut work = reader::Work::default();
            reader::read(self.input.record, &self.view.outputs, reading, None, &mut work, slots);
            return;
        }
        extract(self.tape, &self.view.outputs, reading, slots);
        if let Some(outside) = &self.view.outside {
            extract(self.tape, outside, Reading::default(), slots);
        }
    }

    /// The time that the event itself tells.
    fn own_time(&self, stamps: &mut Stamps) -> Option<Millis> {
        if let Some(timestamp) = self.decoded.header.timestamp {
            return stamps.read(timestamp, self.input.received);
        }
        let mut slots = vec![Found::None; output_slots(self.program)];
        self.extract_outputs(&mut slots);
        let first = self.program.subjects.len() + self.program.outputs.len() + Extra::Time as usize;
        let mut buffer = TextRoom::default();
        slots[first..first + ALTERNATIVES].iter().find_map(|found| {
            let text = self.found_text(*found, &mut buffer)?;
            std::str::from_utf8(text).ok().and_then(Millis::parse)
        })
    }

    /// The agent that sent the event.
    #[allow(clippy::unused_self)] // agents come with their own sources
    pub(crate) fn agent(&self) -> &'static str {
        "000"
    }

    /// Whether the event has any dynamic field.
    pub(crate) fn has_dynamic(&self) -> bool {
        let is_dynamic =
            |field: u32| matches!(self.program.decoders.fields()[field as usize], OrderField::Dynamic(_));
        // What a mapping adds to its records is dynamic.
        let is_mapped = self.decoded.is_json && self.fields.json.is_none();
        is_mapped
            || self.fields.captured.iter().any(|(field, _)| is_dynamic(*field))
            || self.fields.json.is_some_and(|json| self.has_dynamic_member(json.start))
    }

    fn has_dynamic_member(&self, start: usize) -> bool {
        if !self.tape.is_empty() {
            return has_dynamic_member(self.tape, self.decoded.reading.discard_null);
        }
        // Few rules ask, so the reader does not keep it.
        let mut json = self.decoded.header.log.get(start..).unwrap_or_default().to_vec();
        let tape = simd_json::to_tape(&mut json);
        tape.is_ok_and(|tape| has_dynamic_member(&tape.0, self.decoded.reading.discard_null))
    }

    /// The text of a part of a key; empty where the event lacks it.
    pub(crate) fn key_text<'b>(&self, part: KeySubject, buffer: &'b mut TextRoom) -> &'b [u8]
    where
        'a: 'b,
    {
        match part {
            KeySubject::DecoderName => self.decoded.decoder_name(self.program).unwrap_or_default().as_bytes(),
            KeySubject::Subject(subject) => self.text(subject, buffer).unwrap_or_default(),
        }
    }
}
