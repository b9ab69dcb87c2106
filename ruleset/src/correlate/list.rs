//! The events of one key, and the key: what a look at a list comes by first.
//!
//! Enters: keys, and events in the order of time. Leaves: the same. Where a million keys are live none of them is near the
//! processor, and each pointer that is followed is a wait for memory. So a short key stands in the table itself, and with it
//! the only event of a list, as most have no other in a window, or of a longer one what tells how old it is.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use super::room::allocated;

/// Bytes of a key that stand in place: agent, address and a long name of a user.
const SHORT: usize = 54;
/// Room of a list that gets its second event.
const FIRST_ROOM: usize = 4;

/// Values that must be equal.
#[derive(Debug)]
pub(super) enum Key {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Key {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(key);
                Self::Short { length, bytes }
            }
            _ => Self::Long(key.into()),
        }
    }

    /// What it takes beside its place.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(key) => allocated(key.len()),
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(key) => key,
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

/// One event in a list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: u64,
    pub(super) time: i64,
    /// Values that must differ, see [`super::write_value`].
    pub(super) values: Box<[u8]>,
    pub(super) has_dynamic: bool,
}

/// The events of one key, oldest first.
#[derive(Debug)]
pub(super) enum List {
    One(Entry),
    /// Any number, with time and number of the oldest.
    Many {
        time: i64,
        event: u64,
        entries: VecDeque<Entry>,
    },
}

impl Default for List {
    fn default() -> Self {
        Self::Many { time: 0, event: 0, entries: VecDeque::new() }
    }
}

impl List {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many { entries, .. } => entries.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Time and number of the oldest.
    pub(super) fn oldest(&self) -> Option<(i64, u64)> {
        match self {
            Self::One(entry) => Some((entry.time, entry.event)),
            Self::Many { time, event, entries } => (!entries.is_empty()).then_some((*time, *event)),
        }
    }

    pub(super) fn get(&self, place: usize) -> Option<&Entry> {
        match self {
            Self::One(entry) => (place == 0).then_some(entry),
            Self::Many { entries, .. } => entries.get(place),
        }
    }

    pub(super) fn last(&self) -> Option<&Entry> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        let (first, rest) = match self {
            Self::One(entry) => (std::slice::from_ref(entry), &[][..]),
            Self::Many { entries, .. } => entries.as_slices(),
        };
        first.iter().chain(rest)
    }

    /// Behind all that are not later.
    pub(super) fn place_of(&self, time: i64) -> usize {
        let mut place = self.len();
        while place > 0 && self.get(place - 1).is_some_and(|entry| entry.time > time) {
            place -= 1;
        }
        place
    }

    pub(super) fn insert(&mut self, place: usize, entry: Entry) {
        if let Self::Many { time, event, entries } = self
            && entries.capacity() > 0
        {
            if place == 0 {
                (*time, *event) = (entry.time, entry.event);
            }
            entries.insert(place, entry);
            return;
        }
        *self = match std::mem::take(self) {
            Self::Many { .. } => Self::One(entry),
            Self::One(first) => {
                let mut entries = VecDeque::with_capacity(FIRST_ROOM);
                entries.push_back(first);
                entries.insert(place, entry);
                Self::of(entries)
            }
        };
    }

    pub(super) fn pop_first(&mut self) -> Option<Entry> {
        match std::mem::take(self) {
            Self::One(entry) => Some(entry),
            Self::Many { mut entries, .. } => {
                let first = entries.pop_front();
                *self = Self::of(entries);
                first
            }
        }
    }

    /// Leaves out what does not stay.
    pub(super) fn retain(&mut self, stays: impl Fn(&Entry) -> bool) {
        match std::mem::take(self) {
            Self::One(entry) if stays(&entry) => *self = Self::One(entry),
            Self::One(_) => {}
            Self::Many { mut entries, .. } => {
                entries.retain(stays);
                *self = Self::of(entries);
            }
        }
    }

    /// Gives unused room back.
    pub(super) fn shrink(&mut self) {
        if let Self::Many { entries, .. } = self {
            entries.shrink_to_fit();
        }
    }

    /// What it takes beside its place and the values of its events.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many { entries, .. } => allocated(entries.capacity() * size_of::<Entry>()),
        }
    }

    fn of(entries: VecDeque<Entry>) -> Self {
        let (time, event) = entries.front().map_or((0, 0), |first| (first.time, first.event));
        Self::Many { time, event, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time: i64) -> Entry {
        Entry { event: time as u64 + 100, time, values: Box::default(), has_dynamic: false }
    }

    fn times(list: &List) -> Vec<i64> {
        list.iter().map(|entry| entry.time).collect()
    }

    #[test]
    fn keys_are_what_they_were_made_of() {
        for length in [0, 1, SHORT, SHORT + 1, 300] {
            let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let key = Key::new(&text);
            assert_eq!((&*key, key.bytes() > 0), (&*text, length > SHORT));
            assert!(key == Key::new(&text) && key != Key::new(&[&text[..], &[7]].concat()));
        }
    }

    /// Whatever is done to it, a list is what a plain one would be, and knows its oldest.
    #[test]
    fn a_list_is_in_the_order_of_time() {
        let (mut list, mut plain) = (List::default(), Vec::new());
        for step in 0..2_000_u64 {
            let dice = step.wrapping_mul(6_364_136_223_846_793_005) >> 33;
            let time = (dice % 50) as i64;
            match dice % 7 {
                0 | 1 => assert_eq!(
                    list.pop_first().map(|entry| entry.time),
                    (!plain.is_empty()).then(|| plain.remove(0))
                ),
                2 if dice % 5 == 0 => {
                    list.retain(|entry| entry.time % 3 == 0);
                    plain.retain(|time| time % 3 == 0);
                    list.shrink();
                }
                _ if plain.len() > 12 => (list, plain) = (List::default(), Vec::new()),
                _ => {
                    let place = plain.partition_point(|known| *known <= time);
                    assert_eq!(list.place_of(time), place);
                    list.insert(place, entry(time));
                    plain.insert(place, time);
                }
            }
            assert_eq!(times(&list), plain);
            assert_eq!((list.len(), list.last().map(|last| last.time)), (plain.len(), plain.last().copied()));
            let oldest = plain.first().map(|time| (*time, *time as u64 + 100));
            assert_eq!(list.oldest(), oldest);
            assert!(plain.len() < 2 || list.bytes() > 0);
        }
    }

    /// What a million keys cost is a million times this and more.
    #[test]
    fn a_list_with_its_key_is_small() {
        const { assert!(size_of::<(Key, List)>() <= 104) }
    }
}
