//! An event on its way: what came in, what decoders made of it, and what rules see.
//!
//! Enters: a message with where and when it came from. Leaves: the text of any subject. Everything is owned and looked
//! up from the front: nothing here is fast.

use super::header;
use crate::ir::{Category, DecoderIndex, KeyPart, OrderField, StaticField, Subject};

/// Dynamic fields of one event; what comes after is lost.
pub(super) const MAX_FIELDS: usize = 256;

/// A message as the reference receives it, with what is known beside it.
#[derive(Debug, Clone, Copy)]
pub struct NaiveEvent<'e> {
    /// The whole line, header included, or the envelope.
    pub message: &'e [u8],
    /// Where it comes from.
    pub location: &'e str,
    /// Id of the agent that sent it.
    pub agent: &'e str,
    /// Name of that agent, where it is not the engine's own host: it replaces the host of the header.
    pub agent_name: Option<&'e str>,
    /// Name of the engine's own host: that of events that name none.
    pub host: &'e str,
    /// Seconds since 1970: the time that all demands on earlier events go by.
    pub seconds: i64,
}

impl<'e> NaiveEvent<'e> {
    /// A message from the engine's own host, at the beginning of time.
    #[must_use]
    pub fn new(message: &'e [u8]) -> Self {
        Self { message, location: "stdin", agent: "000", agent_name: None, host: "", seconds: 0 }
    }
}

/// The fields of an event.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    /// Dynamic fields in order, repeats included.
    pub(super) dynamic: Vec<(String, Vec<u8>)>,
    /// Static fields that have a value.
    pub(super) fixed: Vec<(StaticField, Vec<u8>)>,
}

impl Fields {
    /// The dynamic field that a rule sees: the first of that name, letter case aside.
    pub(super) fn dynamic(&self, name: &str) -> Option<&[u8]> {
        self.dynamic
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    pub(super) fn fixed(&self, field: StaticField) -> Option<&[u8]> {
        self.fixed.iter().find(|(known, _)| *known == field).map(|(_, value)| value.as_slice())
    }

    /// Gives a static field a value; the last one counts.
    pub(super) fn set(&mut self, field: StaticField, value: &[u8]) {
        self.fixed.retain(|(known, _)| *known != field);
        self.fixed.push((field, value.to_owned()));
    }

    /// Adds a dynamic field, while there is room.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        if self.dynamic.len() < MAX_FIELDS {
            self.dynamic.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(super) fn assign(&mut self, field: &OrderField, value: &[u8]) {
        match field {
            OrderField::Static(field) => self.set(*field, value),
            OrderField::Dynamic(name) => self.add(name, value),
        }
    }
}

/// See the module's comment.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) log: Vec<u8>,
    pub(super) hostname: Vec<u8>,
    pub(super) program_name: Option<Vec<u8>>,
    pub(super) location: Vec<u8>,
    pub(super) agent: String,
    pub(super) seconds: i64,
    /// The decoder that gives name, type and flags.
    pub(super) decoder: Option<DecoderIndex>,
    /// Its name.
    pub(super) decoder_name: Option<String>,
    /// The decoder's type; `None` is a type that no rule root takes.
    pub(super) category: Option<Category>,
    /// Id of the rule that a re-imported alert names: it is the result, without a search.
    pub(super) decided: Option<u32>,
    pub(super) fields: Fields,
    /// Level of the correlation rule that fired with this event in its count.
    pub(super) mark: Option<u8>,
}

impl Event {
    /// Takes the message apart; decoders come later.
    pub(super) fn new(input: &NaiveEvent<'_>) -> Self {
        let message = input.message.split(|byte| *byte == 0).next().unwrap_or_default();
        let header = header::cut(message);
        let agent_name = input.agent_name.map(str::as_bytes);
        Self {
            log: header.log.to_owned(),
            hostname: agent_name.or(header.hostname).unwrap_or(input.host.as_bytes()).to_owned(),
            program_name: header.program_name.map(<[u8]>::to_owned),
            location: input.location.as_bytes().to_owned(),
            agent: input.agent.to_owned(),
            seconds: input.seconds,
            decoder: None,
            decoder_name: None,
            category: Some(Category::Syslog),
            decided: None,
            fields: Fields::default(),
            mark: None,
        }
    }

    /// The text of a subject; `None` when the event has no such thing.
    pub(super) fn text(&self, subject: &Subject) -> Option<&[u8]> {
        let fixed = |field| self.fields.fixed(field);
        match subject {
            Subject::Log => Some(&self.log),
            Subject::ProgramName => self.program_name.as_deref(),
            Subject::Hostname => Some(&self.hostname),
            Subject::Location => Some(&self.location),
            Subject::Static(field) => fixed(*field),
            Subject::User => fixed(StaticField::DstUser).or(fixed(StaticField::SrcUser)),
            Subject::ListUser => fixed(StaticField::SrcUser).or(fixed(StaticField::DstUser)),
            Subject::Field(name) => self.fields.dynamic(name),
        }
    }

    /// The line that first-seen stores and `ignore` lists keep: the decoder's name, a slot for each thing that can be
    /// asked for, empty when it is not asked for or absent, then the dynamic fields that are.
    pub(super) fn line(&self, parts: &[KeyPart], with_name: bool) -> Vec<u8> {
        const SLOTS: [Subject; 8] = [
            Subject::Static(StaticField::Id),
            Subject::Static(StaticField::DstUser),
            Subject::Static(StaticField::SrcUser),
            Subject::Static(StaticField::SrcIp),
            Subject::Static(StaticField::DstIp),
            Subject::Static(StaticField::Data),
            Subject::Static(StaticField::SystemName),
            Subject::Location,
        ];
        let mut line = Vec::new();
        if with_name || parts.contains(&KeyPart::DecoderName) {
            line.extend(self.decoder_name.as_deref().unwrap_or_default().bytes());
        }
        for slot in &SLOTS {
            let is_asked =
                parts.iter().any(|part| matches!(part, KeyPart::Subject(subject) if subject == slot));
            line.push(b' ');
            line.extend(self.text(slot).filter(|_| is_asked).unwrap_or_default());
        }
        for part in parts {
            if let KeyPart::Subject(subject @ Subject::Field(_)) = part {
                line.push(b' ');
                line.extend(self.text(subject).unwrap_or_default());
            }
        }
        line
    }
}
