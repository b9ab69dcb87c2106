//! Accumulation: fields of events that come in several lines.
//!
//! Enters: for decoders with `<accumulate>`, the host, decoder and id of an event and its fields. Leaves: fields that it
//! lacks and an earlier event with the same id had, at most two minutes before.

use rustc_hash::FxHashMap;

use super::room::table_bytes;

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
    key_bytes: usize,
}

/// What is known of one id.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    pub(super) last: i64,
    pub(crate) fields: [Option<Box<[u8]>>; FIELDS],
}

impl Partials {
    /// What is known of `key` at `now`; empty where that is nothing or too old.
    pub(crate) fn of(&mut self, key: &[u8], now: i64) -> &mut Partial {
        if self.by_id.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.retain(|partial| now.saturating_sub(partial.last) <= WINDOW);
            self.sweep_at = self.by_id.len() * 2;
        }
        if !self.by_id.contains_key(key) {
            self.key_bytes += key.len();
        }
        let partial = self.by_id.entry(key.into()).or_default();
        if now.saturating_sub(partial.last) > WINDOW {
            *partial = Partial::default();
        }
        partial.last = now;
        partial
    }

    fn retain(&mut self, test: impl Fn(&Partial) -> bool) {
        self.by_id.retain(|_, partial| test(partial));
        self.key_bytes = self.by_id.keys().map(|key| key.len()).sum();
    }

    /// The most that it may take: every field at its longest.
    pub(super) fn bytes(&self) -> usize {
        self.key_bytes + table_bytes(&self.by_id) + self.by_id.len() * FIELDS * MAX_VALUE
    }

    /// Forgets the older half; how many.
    pub(super) fn forget_some(&mut self) -> u64 {
        let before = self.by_id.len();
        let mut times: Vec<i64> = self.by_id.values().map(|partial| partial.last).collect();
        let (_, median, _) = times.select_nth_unstable(before / 2);
        let median = *median;
        self.retain(|partial| partial.last > median);
        self.by_id.shrink_to(self.by_id.len());
        (before - self.by_id.len()) as u64
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Partial)> {
        self.by_id.iter().map(|(key, partial)| (&**key, partial))
    }
}

impl Partial {
    /// Keeps a value that the event has, unless it is too long.
    pub(crate) fn keep(&mut self, field: usize, value: &[u8]) {
        if let Some(place) = self.fields.get_mut(field).filter(|_| value.len() <= MAX_VALUE) {
            *place = Some(value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_known_for_two_minutes_from_the_last_event() {
        let mut partials = Partials::default();
        partials.of(b"id", 1_000).keep(0, b"ann");
        assert_eq!(partials.of(b"other", 1_000).fields[0], None);
        assert_eq!(partials.of(b"id", 1_120).fields[0].as_deref(), Some(&b"ann"[..]));
        assert_eq!(partials.of(b"id", 1_240).fields[0].as_deref(), Some(&b"ann"[..]), "from the last event");
        assert_eq!(partials.of(b"id", 1_361).fields[0], None);
    }

    #[test]
    fn longer_values_are_not_kept_and_leave_what_was() {
        let mut partials = Partials::default();
        let partial = partials.of(b"id", 0);
        partial.keep(1, &[b'x'; 80]);
        assert_eq!(partial.fields[1].as_deref().map(<[u8]>::len), Some(80));
        partial.keep(1, &[b'y'; 81]);
        assert_eq!(partial.fields[1].as_deref().map(|value| value[0]), Some(b'x'));
        partial.keep(FIELDS, b"there is no such field");
    }

    #[test]
    fn old_ids_are_swept() {
        let mut partials = Partials::default();
        let mut most = 0;
        for now in 0..20_000_i64 {
            partials.of(&now.to_le_bytes(), now);
            most = most.max(partials.by_id.len());
        }
        assert!(most <= SWEEP_FROM, "{most}");
    }
}
