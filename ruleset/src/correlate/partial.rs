//! Accumulation: fields of events that come in several lines.
//!
//! Enters: for decoders with `<accumulate>`, the host, decoder and id of an event and its fields. Leaves: fields that it
//! lacks and an earlier event with the same id had, at most two minutes before.

use rustc_hash::FxHashMap;

/// Seconds after which an id is another one.
const WINDOW: i64 = 120;
/// Longest value that is kept.
const MAX_VALUE: usize = 80;
/// Ids from which old ones are looked for.
const SWEEP_FROM: usize = 4096;
/// Fields that are filled: dstuser, srcuser, dstip, srcip, dstport, srcport, data.
pub(crate) const FIELDS: usize = 7;

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    by_id: FxHashMap<Box<[u8]>, Partial>,
    sweep_at: usize,
}

/// What is known of one id.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    last: i64,
    pub(crate) fields: [Option<Box<[u8]>>; FIELDS],
}

impl Partials {
    /// What is known of `key` at `now`; empty where that is nothing or too old.
    pub(crate) fn of(&mut self, key: &[u8], now: i64) -> &mut Partial {
        if self.by_id.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.by_id.retain(|_, partial| now.saturating_sub(partial.last) <= WINDOW);
            self.sweep_at = self.by_id.len() * 2;
        }
        let partial = self.by_id.entry(key.into()).or_default();
        if now.saturating_sub(partial.last) > WINDOW {
            *partial = Partial::default();
        }
        partial.last = now;
        partial
    }
}

impl Partial {
    /// Keeps a value that the event has.
    pub(crate) fn keep(&mut self, field: usize, value: &[u8]) {
        if let Some(place) = self.fields.get_mut(field) {
            *place = Some(value[..value.len().min(MAX_VALUE)].into());
        }
    }
}
