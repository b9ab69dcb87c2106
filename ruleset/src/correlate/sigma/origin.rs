//! Where the values of what is counted are found.
//!
//! Enters: an event, or the match of a correlation, and where a plan says that its values stand. Leaves: the key of its group,
//! what is counted of it, what it hands on.

use threatlockdown_event::identity::hash;

use super::chains::Stamp;
use super::groups::Key;
use super::measure::Measure;
use super::plan::{MAX_TIME, Plan, Source, Sources};
use super::series::number;
use super::{Carried, CorrelationMatch, Matched};
use crate::correlate::write_value;

/// What is counted: an event, or the match of a correlation.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    Event(&'a Matched<'a>),
    Match(&'a CorrelationMatch),
}

impl<'a> Origin<'a> {
    pub(super) fn value(&self, source: Source) -> Option<&'a [u8]> {
        match (self, source) {
            (Self::Event(event), Source::Event(field)) => event.fields.value(field),
            (Self::Match(made), Source::Group(place)) => made.group.get(place as usize).map(|value| &**value),
            (Self::Match(made), Source::Carried(place)) => made.carried.get(place as usize)?.as_deref(),
            _ => None,
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        match self {
            Self::Event(event) => Stamp { time: event.time.clamp(-MAX_TIME, MAX_TIME), id: event.id.0 },
            Self::Match(made) => Stamp { time: made.time, id: made.id.0 },
        }
    }

    pub(super) fn carried(&self, sources: &Sources) -> Carried {
        sources.carried.iter().map(|source| self.value(*source).map(Box::from)).collect()
    }

    pub(super) fn group(&self, sources: &Sources) -> Vec<Box<[u8]>> {
        let value = |source: &Option<Source>| source.and_then(|source| self.value(source));
        sources.group.iter().map(|source| value(source).unwrap_or_default().into()).collect()
    }

    /// The hash of its group; `None` where a field is missing.
    pub(super) fn key(&self, sources: &Sources, text: &mut Vec<u8>) -> Option<Key> {
        text.clear();
        for source in &sources.group {
            write_value(Some(self.value((*source)?)?), text);
        }
        Some(hash(&[text]))
    }
}

/// What is counted, as a number or hash; `None` where it is missing.
pub(super) fn value(plan: &Plan, sources: &Sources, origin: Origin<'_>, text: &mut Vec<u8>) -> Option<u64> {
    match &plan.measure {
        Measure::Distinct(_) => {
            text.clear();
            for source in &sources.value {
                write_value(Some(origin.value((*source)?)?), text);
            }
            hash(&[text]).first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
        }
        Measure::Figure(..) => number(origin.value((*sources.value.first()?)?)?).map(f64::to_bits),
        _ => Some(0),
    }
}
