//! What conditions see of an event, kept.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use threatlockdown_event::Millis;

use crate::ir::{Category, StaticField, Subject};
use crate::matcher::Verdict;

/// An event as rules see it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) decoder: Option<String>,
    /// Of the decoder; events without one are of the first.
    pub(super) category: Option<Category>,
    pub(super) log: Vec<u8>,
    pub(super) received: Millis,
    program: Option<Vec<u8>>,
    hostname: Option<Vec<u8>>,
    location: String,
    /// By name in lower case.
    fields: FxHashMap<String, String>,
}

impl Event {
    pub(super) fn new(verdict: &Verdict<'_>, received: Millis) -> Self {
        let decoder = verdict.decoder().map(str::to_owned);
        let [_, hostname, program] = verdict.header().map(|value| value.map(<[u8]>::to_vec));
        let mut fields = FxHashMap::default();
        verdict.for_each_field(|name, value| {
            fields.entry(name.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
        });
        Self {
            category: verdict.category(),
            decoder,
            log: verdict.log().to_vec(),
            received,
            program,
            hostname,
            location: verdict.location().to_owned(),
            fields,
        }
    }

    /// Whole seconds since 1970.
    pub(super) fn second(&self) -> i64 {
        self.received.0.div_euclid(1000)
    }

    pub(super) fn value(&self, subject: &Subject) -> Option<Cow<'_, [u8]>> {
        match subject {
            Subject::Log => Some(Cow::Borrowed(&self.log)),
            Subject::ProgramName => self.program.as_deref().map(Cow::Borrowed),
            Subject::Hostname => self.hostname.as_deref().map(Cow::Borrowed),
            Subject::Location => Some(Cow::Borrowed(self.location.as_bytes())),
            Subject::Static(field) => self.field(field.name()),
            Subject::User => self.fixed(StaticField::DstUser).or_else(|| self.fixed(StaticField::SrcUser)),
            Subject::ListUser => {
                self.fixed(StaticField::SrcUser).or_else(|| self.fixed(StaticField::DstUser))
            }
            Subject::Field(name) => self.field(name),
        }
    }

    pub(super) fn fixed(&self, field: StaticField) -> Option<Cow<'_, [u8]>> {
        self.field(field.name())
    }

    fn field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.fields.get(name).map(|value| Cow::Borrowed(value.as_bytes()))
    }
}
