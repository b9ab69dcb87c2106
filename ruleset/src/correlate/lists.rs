//! Correlation lists: the events that a reader may count, by what must be equal in them.
//!
//! Enters: events that feed a reader, and events that ask it. Leaves: whether the reader's rule matches. The reference
//! scans one list from its newest end and skips what is not equal; here the events are kept apart by the values that
//! must be equal, so that a scan sees at most as many events as the rule's frequency, and those that must differ but do
//! not. What ends the scan (an event too old, a mark) is asked in the reference's order, so the results are the same. A list
//! that is too short, or too old where the count would be reached, is not scanned at all; and where nothing must differ, events
//! that no scan would come to are not kept.

use rustc_hash::FxHashMap;

use super::events::Events;
use super::list::{Entry, Key, List};
use super::reader::Reader;
use super::room::table_bytes;

/// Keys from which dead ones are looked for.
const SWEEP_FROM: usize = 1024;

/// The lists of one reader.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(super) by_key: FxHashMap<Key, List>,
    sweep_at: usize,
    /// What keys and lists take beside the table.
    bytes: usize,
    table: usize,
}

/// What a list with its key takes beside the table.
fn weight(key: &Key, list: &List) -> usize {
    let values: usize = list.iter().map(|entry| entry.values.bytes()).sum();
    key.bytes() + list.bytes() + values
}

/// What an event is to a reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// When.
    pub(crate) now: i64,
    /// Agent and the values that must be equal.
    pub(crate) key: &'a [u8],
    /// The values that must differ.
    pub(crate) values: &'a [u8],
    /// It has any dynamic field.
    pub(crate) has_dynamic: bool,
}

impl Default for Lists {
    fn default() -> Self {
        Self { by_key: FxHashMap::default(), sweep_at: SWEEP_FROM, bytes: 0, table: 0 }
    }
}

impl Lists {
    /// Adds an event that must not be older than a late one of its kind: lists stay in the order of time.
    pub(crate) fn add(
        &mut self,
        reader: &Reader,
        sight: &Sight<'_>,
        event: u64,
        times: u32,
        events: &Events,
    ) {
        if self.by_key.len() >= self.sweep_at {
            self.sweep(reader, sight.now, events);
        }
        self.change(sight.key, |list, bytes| {
            while list.oldest().is_some_and(|oldest| is_past(oldest, reader, sight.now, events)) {
                *bytes -= list.pop_first().map_or(0, |oldest| oldest.values.bytes());
            }
            let mut at = list.place_of(sight.now);
            for _ in 0..times {
                while at > 0 && list.len() >= reader.most_kept() && is_outlived(list) {
                    *bytes -= list.pop_first().map_or(0, |oldest| oldest.values.bytes());
                    at -= 1;
                }
                let entry = Entry::new(event, sight.now, sight.values, sight.has_dynamic);
                *bytes += entry.values.bytes();
                list.insert(at, entry);
            }
        });
    }

    /// Changes the list of a key; `change` keeps account of the values.
    fn change(&mut self, key: &[u8], change: impl FnOnce(&mut List, &mut usize)) {
        let list = match self.by_key.get_mut(key) {
            Some(list) => list,
            None => {
                let key = Key::new(key);
                self.bytes += key.bytes();
                self.by_key.entry(key).or_default()
            }
        };
        let before = list.bytes();
        change(list, &mut self.bytes);
        self.bytes = (self.bytes + list.bytes()).saturating_sub(before);
        self.table = self.table.max(table_bytes(&self.by_key));
    }

    /// The most that the lists may take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.table
    }

    /// Leaves out the events that are no longer there.
    pub(super) fn forget_gone(&mut self, events: &Events) {
        self.by_key.retain(|_, list| {
            list.retain(|entry| events.has(entry.event));
            !list.is_empty()
        });
        self.weigh();
    }

    /// Gives unused capacity back, and counts anew.
    fn weigh(&mut self) {
        self.by_key.shrink_to(self.by_key.len());
        self.table = table_bytes(&self.by_key);
        let lists = self.by_key.iter_mut().map(|(key, list)| {
            list.shrink();
            weight(key, list)
        });
        self.bytes = lists.sum();
    }

    /// Takes an entry in as it was.
    pub(super) fn restore(&mut self, key: &[u8], entry: Entry) {
        self.change(key, |list, bytes| {
            *bytes += entry.values.bytes();
            list.insert(list.place_of(entry.time), entry);
        });
    }

    /// Whether the reader's rule matches on this event. The counted events, newest first, are put into `counted`.
    pub(crate) fn fires(
        &mut self,
        reader: &Reader,
        sight: &Sight<'_>,
        events: &Events,
        counted: &mut Vec<u64>,
    ) -> bool {
        counted.clear();
        let Some(list) = self.by_key.get_mut(sight.key) else { return false };
        let wanted = reader.wanted();
        // Where the count would be reached at the earliest.
        let reached = match list.len().checked_sub(wanted.max(1)) {
            Some(0) => list.oldest(),
            Some(place) => list.get(place).map(|entry| (entry.time, entry.event)),
            None => None,
        };
        if reached.is_none_or(|reached| is_past(reached, reader, sight.now, events)) {
            return false;
        }
        let ends = |entry: &Entry| differ(reader, entry, sight) && events.mark(entry.event) >= reader.level;
        // Where it ended last time it ends again, and what came since does not reach the count.
        if list.ended().is_some_and(|(place, entry)| list.len() - place <= wanted && ends(entry)) {
            return false;
        }
        let mut end = None;
        for (place, entry) in (0..list.len()).rev().zip(list.iter().rev()) {
            if is_gone(entry, reader, sight.now, events) {
                return false;
            }
            if !differ(reader, entry, sight) {
                continue;
            }
            if events.mark(entry.event) >= reader.level {
                end = Some(place);
                break;
            }
            counted.push(entry.event);
            if counted.len() >= wanted {
                return true;
            }
        }
        if let Some(place) = end {
            list.set_ended(place);
        }
        false
    }

    fn sweep(&mut self, reader: &Reader, now: i64, events: &Events) {
        self.by_key.retain(|_, list| list.last().is_some_and(|last| !is_gone(last, reader, now, events)));
        self.weigh();
        self.sweep_at = (self.by_key.len() * 2).max(SWEEP_FROM);
    }
}

/// Whether the oldest one is not only the first to be too old, but also forgotten before the others: one that came late is not.
fn is_outlived(list: &List) -> bool {
    let oldest = list.oldest().map(|(_, event)| event);
    list.get(1).is_none_or(|next| oldest <= Some(next.event))
}

fn is_gone(entry: &Entry, reader: &Reader, now: i64, events: &Events) -> bool {
    is_past((entry.time, entry.event), reader, now, events)
}

fn is_past((time, event): (i64, u64), reader: &Reader, now: i64, events: &Events) -> bool {
    now.saturating_sub(time) > reader.timeframe || !events.has(event)
}

fn differ(reader: &Reader, entry: &Entry, sight: &Sight<'_>) -> bool {
    if reader.wants_dynamic && !entry.has_dynamic && !sight.has_dynamic {
        return false;
    }
    let (mut stored, mut current) = (&*entry.values, sight.values);
    for _ in &reader.different {
        let (a, b) = (take_value(&mut stored), take_value(&mut current));
        if a.is_some() && a == b {
            return false;
        }
    }
    true
}

/// Appends a value, or that there is none, so that neighbours cannot run into each other.
pub(crate) fn write_value(value: Option<&[u8]>, out: &mut Vec<u8>) {
    let length = value.map_or(u32::MAX, |value| u32::try_from(value.len()).unwrap_or(u32::MAX - 1));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

fn take_value<'v>(values: &mut &'v [u8]) -> Option<&'v [u8]> {
    let (length, rest) = values.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length == u32::MAX {
        *values = rest;
        return None;
    }
    let (value, rest) = rest.split_at_checked(length as usize)?;
    *values = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::ReaderSource;

    fn reader() -> Reader {
        Reader {
            identity: [0; 16],
            source: ReaderSource::Fed,
            frequency: 2,
            timeframe: 60,
            level: 10,
            global: false,
            same: Vec::new(),
            different: Vec::new(),
            wants_dynamic: false,
        }
    }

    fn sight(now: i64, key: &[u8]) -> Sight<'_> {
        Sight { now, key, values: b"", has_dynamic: false }
    }

    /// Keys that nobody asks for again do not stay for ever.
    #[test]
    fn dead_keys_are_swept() {
        let (mut lists, events) = (Lists::default(), Events::default());
        let mut most = 0;
        for number in 0..100_000_i64 {
            lists.add(&reader(), &sight(number, &number.to_le_bytes()), 0, 1, &events);
            most = most.max(lists.by_key.len());
        }
        assert!(most <= SWEEP_FROM, "{most}");
        // What is alive is kept, and the next look is put off.
        let mut lists = Lists::default();
        for number in 0..5_000_i64 {
            lists.add(&reader(), &sight(7, &number.to_le_bytes()), 0, 1, &events);
        }
        assert_eq!((lists.by_key.len(), lists.sweep_at), (5_000, 8_192));
    }

    /// One list does not grow with what is too old to count.
    #[test]
    fn a_list_holds_a_window() {
        let (mut lists, events) = (Lists::default(), Events::default());
        let reader = Reader { frequency: 1_000, ..reader() };
        for now in 0..1_000 {
            lists.add(&reader, &sight(now, b""), 0, 1, &events);
        }
        assert_eq!(lists.by_key[&b""[..]].len(), 61);
    }

    /// Nor with what no scan would come to.
    #[test]
    fn a_list_holds_what_may_be_counted() {
        let (mut lists, events) = (Lists::default(), Events::default());
        let four = Reader { frequency: 4, ..reader() };
        for (event, now) in [(1, 10), (2, 20), (3, 30), (4, 25), (5, 40), (6, 50)] {
            lists.add(&four, &sight(now, b""), event, 1, &events);
        }
        let kept = |lists: &Lists| lists.by_key[&b""[..]].iter().map(|entry| entry.time).collect::<Vec<_>>();
        // The one that came late stays as long as those that are younger and forgotten before it.
        assert_eq!(kept(&lists), [25, 30, 40, 50]);
        let mut counted = Vec::new();
        assert!(lists.fires(&four, &sight(51, b""), &events, &mut counted));
        assert_eq!(counted, [6, 5, 3]);
        // Where values must differ, the scan may go on to any of them.
        let differing = Reader { different: vec![0], ..four };
        let mut lists = Lists::default();
        for (event, now) in [(1, 10), (2, 20), (3, 30), (4, 25), (5, 40), (6, 50)] {
            lists.add(&differing, &sight(now, b""), event, 1, &events);
        }
        assert_eq!(kept(&lists), [10, 20, 25, 30, 40, 50]);
    }
}
