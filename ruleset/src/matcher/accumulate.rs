//! Fields of events that come in several lines.
//!
//! Enters: an event whose decoder accumulates. Leaves: the fields that it lacks and that an earlier event with the same
//! host, decoder and id had; what it has itself is kept for later ones.

use super::facts::{Facts, Stamps, TextRoom};
use crate::correlate::Memory;
use crate::program::SubjectIndex;

/// Whether the event has the id by which its fields would be kept and filled.
pub(super) fn is_accumulated(facts: &Facts<'_>) -> bool {
    facts.program.accumulated.last().is_some_and(|id| facts.text(*id, &mut TextRoom::default()).is_some())
}

/// The values to fill in; nothing when the event has no id.
pub(super) fn accumulate(
    facts: &Facts<'_>,
    memory: &Memory,
    stamps: &mut Stamps,
) -> Vec<(SubjectIndex, Box<[u8]>)> {
    let Some((id, subjects)) = facts.program.accumulated.split_last() else { return Vec::new() };
    let mut buffer = TextRoom::default();
    let Some(id) = facts.text(*id, &mut buffer).map(<[u8]>::to_vec) else { return Vec::new() };
    let mut key = Vec::new();
    let host = facts.decoded.header.hostname.unwrap_or_else(|| memory.options().host.as_bytes());
    for part in [host, facts.decoded.decoder_name(facts.program).unwrap_or_default().as_bytes(), &id] {
        crate::correlate::write_value(Some(part), &mut key);
    }
    let mut filled = Vec::new();
    let mut store = memory.store();
    let partial = store.partial(&key, facts.seconds(stamps));
    for (field, subject) in subjects.iter().enumerate() {
        match facts.text(*subject, &mut buffer) {
            Some(value) => partial.keep(field, value),
            None => filled.extend(partial.fields[field].clone().map(|value| (*subject, value))),
        }
    }
    filled
}
