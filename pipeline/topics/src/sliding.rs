//! A set that forgets its oldest entries: ids of recent alerts, idempotency keys of recent requests.
//!
//! Enters: entries in the order of their arrival. Leaves: whether an id is known, and rows for the store. Bounded by
//! age and by number. A row holds all entries that came since the last one, so a snapshot writes one row however
//! many there are, and forgetting removes rows from the front.

use std::collections::HashMap;
use std::collections::VecDeque;

use threatlockdown_event::Millis;

use crate::codec::{DecodeError, Decoder, put_u32};

/// How long an entry is kept.
const KEPT_HOURS: u32 = 24;
const ROW_VERSION: u8 = 1;
const HOUR_MILLIS: i64 = 3_600_000;

/// A 16-byte id.
pub(crate) type Id = [u8; 16];

/// What is kept with an id, and its stored form.
pub(crate) trait Kept: Sized {
    fn put(&self, row: &mut Vec<u8>);
    fn take(row: &mut Decoder<'_>) -> Result<Self, DecodeError>;
}

impl Kept for () {
    fn put(&self, _row: &mut Vec<u8>) {}

    fn take(_row: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// What the store has to write: rows are keyed by the number of their first entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) add: Option<(u64, Vec<u8>)>,
    /// Rows all of whose entries come before this one may go.
    pub(crate) keep_from: u64,
}

/// The set.
pub(crate) struct Sliding<V> {
    known: HashMap<Id, V>,
    /// All ids, oldest first, with their hour since 1970.
    order: VecDeque<(Id, u32)>,
    /// Number of the oldest entry in `order`; numbers never repeat.
    first: u64,
    /// Number of the first entry that the store does not have.
    saved: u64,
    capacity: usize,
}

impl<V: Kept> Sliding<V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { known: HashMap::new(), order: VecDeque::new(), first: 0, saved: 0, capacity: capacity.max(1) }
    }

    /// From the rows of the store.
    pub(crate) fn load(capacity: usize, rows: &[(u64, Vec<u8>)]) -> Result<Self, DecodeError> {
        let mut set = Self::new(capacity);
        for (number, row) in rows {
            if set.order.is_empty() {
                set.first = *number;
            }
            let mut row = Decoder::new(row);
            row.version(ROW_VERSION)?;
            while !row.is_empty() {
                let id = row.array()?;
                let hour = row.u32()?;
                set.push(id, hour, V::take(&mut row)?);
            }
        }
        set.saved = set.first + set.order.len() as u64;
        Ok(set)
    }

    pub(crate) fn get(&self, id: &Id) -> Option<&V> {
        self.known.get(id)
    }

    /// Adds an entry; one whose id is known is left as it is.
    pub(crate) fn insert(&mut self, id: Id, at: Millis, value: V) {
        if !self.known.contains_key(&id) {
            let hour = hour_of(at).max(self.order.back().map_or(0, |(_, hour)| *hour));
            self.push(id, hour, value);
        }
    }

    /// Forgets what is too old at `now`.
    pub(crate) fn expire(&mut self, now: Millis) {
        // An hour more, because an entry of the oldest hour may have come at its end.
        let oldest = hour_of(now).saturating_sub(KEPT_HOURS + 1);
        while self.order.front().is_some_and(|(_, hour)| *hour < oldest) {
            self.forget_first();
        }
    }

    /// What the store does not have yet. Stays the same until [`Sliding::mark_saved`], so that it can be tried again.
    pub(crate) fn change(&self) -> Change {
        let from = self.saved.max(self.first);
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let mut row = Vec::new();
        for (id, hour) in self.order.iter().skip(skip) {
            let Some(value) = self.known.get(id) else { continue };
            if row.is_empty() {
                row.push(ROW_VERSION);
            }
            row.extend_from_slice(id);
            put_u32(&mut row, *hour);
            value.put(&mut row);
        }
        Change { add: (!row.is_empty()).then_some((from, row)), keep_from: self.first }
    }

    /// The last [`Sliding::change`] is in the store.
    pub(crate) fn mark_saved(&mut self) {
        self.saved = self.first + self.order.len() as u64;
    }

    fn push(&mut self, id: Id, hour: u32, value: V) {
        self.known.insert(id, value);
        self.order.push_back((id, hour));
        if self.order.len() > self.capacity {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((id, _)) = self.order.pop_front() {
            self.known.remove(&id);
            self.first += 1;
        }
    }
}

fn hour_of(time: Millis) -> u32 {
    u32::try_from(time.0 / HOUR_MILLIS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{RECENT_ALERTS, Store};

    fn id(number: u64) -> Id {
        u128::from(number).to_be_bytes()
    }

    fn save(set: &mut Sliding<()>, store: &Store) {
        store.change_rows(RECENT_ALERTS, &set.change()).unwrap();
        set.mark_saved();
    }

    #[test]
    fn the_store_holds_what_the_set_holds_and_little_more() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut set = Sliding::<()>::new(100);
        for number in 0..1000 {
            set.insert(id(number), Millis(0), ());
            set.insert(id(number / 2 + number / 4), Millis(0), ());
            if number % 7 == 0 {
                save(&mut set, &store);
            }
        }
        save(&mut set, &store);
        let rows = store.rows(RECENT_ALERTS).unwrap();
        assert!(rows.len() < 60, "{} rows", rows.len());
        let mut loaded = Sliding::<()>::load(100, &rows).unwrap();
        assert_eq!(loaded.order, set.order);
        assert_eq!(loaded.change().add, None);
        loaded.insert(id(5000), Millis(0), ());
        save(&mut loaded, &store);
        let again = Sliding::<()>::load(100, &store.rows(RECENT_ALERTS).unwrap()).unwrap();
        assert_eq!(again.order, loaded.order);
        assert!(again.get(&id(5000)).is_some());
    }

    #[test]
    fn entries_live_for_a_day() {
        let mut set = Sliding::<()>::new(100);
        set.insert(id(1), Millis(HOUR_MILLIS * 10 + HOUR_MILLIS - 1), ());
        set.expire(Millis(HOUR_MILLIS * 34 + HOUR_MILLIS - 1));
        assert!(set.get(&id(1)).is_some());
        set.expire(Millis(HOUR_MILLIS * 36));
        assert!(set.get(&id(1)).is_none());
        assert_eq!(set.change().keep_from, 1);
    }

    #[test]
    fn a_failed_save_is_repeated_whole() {
        let mut set = Sliding::<()>::new(100);
        set.insert(id(1), Millis(0), ());
        let first = set.change();
        set.insert(id(2), Millis(0), ());
        let second = set.change();
        assert_eq!(first.add.unwrap().0, second.add.as_ref().unwrap().0);
        let loaded = Sliding::<()>::load(100, &[second.add.unwrap()]).unwrap();
        assert!(loaded.get(&id(1)).is_some() && loaded.get(&id(2)).is_some());
    }
}
