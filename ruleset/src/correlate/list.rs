//! The events of one key, and the key: what a look at a list comes by first.
//!
//! Enters: keys, and events in the order of time. Leaves: the same. Where a million keys are live none of them is near the
//! processor, and each pointer that is followed is a wait for memory. So a short key stands in the table itself, and with it
//! the only event of a list, as most have no other in a window, or of a longer one what tells how old it is.

use std::collections::VecDeque;

use super::room::allocated;
use super::short::Bytes;

/// Values that must be equal: in place stand agent, address and a long name of a user.
pub(super) type Key = Bytes<54>;
/// Values that must differ, see [`super::write_value`]: in place stands a port.
pub(super) type Values = Bytes<14>;

/// Room of a list that gets its second event.
const FIRST_ROOM: usize = 4;

/// One event in a list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: u64,
    pub(super) time: i64,
    pub(super) values: Values,
    pub(super) has_dynamic: bool,
}

impl Entry {
    pub(super) fn new(event: u64, time: i64, values: &[u8], has_dynamic: bool) -> Self {
        Self { event, time, values: Values::new(values), has_dynamic }
    }
}

/// The events of one key, oldest first.
#[derive(Debug)]
pub(super) enum List {
    One(Entry),
    /// Any number.
    Many {
        ends: Ends,
        entries: VecDeque<Entry>,
    },
}

/// What is known of the entries without a look at them: it stands beside the key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ends {
    /// Time and number of the oldest.
    time: i64,
    event: u64,
    /// Seconds from the oldest to the newest; the greatest number stands for more.
    seconds: u32,
    /// Behind which of the newest a look at the list ended, or 0. Only a hint: what came late moves others.
    ended: u32,
}

impl Ends {
    fn of(entries: &VecDeque<Entry>) -> Self {
        let (Some(first), Some(last)) = (entries.front(), entries.back()) else { return Self::default() };
        let ends = Self { time: first.time, event: first.event, ..Self::default() };
        ends.until(last.time)
    }

    fn until(self, newest: i64) -> Self {
        let seconds = newest.saturating_sub(self.time).clamp(0, i64::from(u32::MAX));
        Self { seconds: u32::try_from(seconds).unwrap_or(u32::MAX), ..self }
    }

    /// The time of the newest.
    fn newest(&self) -> Option<i64> {
        (self.seconds < u32::MAX).then(|| self.time.saturating_add(i64::from(self.seconds)))
    }
}

impl Default for List {
    fn default() -> Self {
        Self::Many { ends: Ends::default(), entries: VecDeque::new() }
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
            Self::Many { ends, entries } => (!entries.is_empty()).then_some((ends.time, ends.event)),
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

    /// Where a look ended that went from the newest back, if it is known.
    pub(super) fn ended(&self) -> Option<(usize, &Entry)> {
        let Self::Many { ends, entries } = self else { return None };
        let place = (ends.ended > 0).then(|| entries.len().checked_sub(ends.ended as usize))??;
        Some((place, entries.get(place)?))
    }

    /// A look ended at this place.
    pub(super) fn set_ended(&mut self, place: usize) {
        if let Self::Many { ends, entries } = self {
            ends.ended = u32::try_from(entries.len().saturating_sub(place)).unwrap_or_default();
        }
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
        if let Self::Many { ends, .. } = self
            && ends.newest().is_some_and(|newest| newest <= time)
        {
            return place;
        }
        while place > 0 && self.get(place - 1).is_some_and(|entry| entry.time > time) {
            place -= 1;
        }
        place
    }

    pub(super) fn insert(&mut self, place: usize, entry: Entry) {
        if let Self::Many { ends, entries } = self
            && entries.capacity() > 0
        {
            let ended = if ends.ended > 0 { ends.ended.saturating_add(1) } else { 0 };
            if place > 0 && place == entries.len() {
                *ends = ends.until(entry.time);
                entries.push_back(entry);
            } else {
                entries.insert(place, entry);
                *ends = Ends::of(entries);
            }
            ends.ended = ended;
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
        match self {
            Self::One(_) => match std::mem::take(self) {
                Self::One(entry) => Some(entry),
                Self::Many { .. } => None,
            },
            Self::Many { ends, entries } => {
                let first = entries.pop_front();
                let (newest, ended) = (ends.newest(), ends.ended);
                *ends = match (entries.front(), newest) {
                    (Some(oldest), Some(newest)) => {
                        Ends { time: oldest.time, event: oldest.event, ..*ends }.until(newest)
                    }
                    _ => Ends::of(entries),
                };
                ends.ended = ended;
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
        Self::Many { ends: Ends::of(&entries), entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time: i64) -> Entry {
        Entry::new(time as u64 + 100, time, b"", false)
    }

    fn times(list: &List) -> Vec<i64> {
        list.iter().map(|entry| entry.time).collect()
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
        const { assert!(size_of::<(Key, List)>() <= 112 && size_of::<Entry>() <= 40) }
    }
}
