//! The store behind a [`super::Memory`]: everything that changes from event to event.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::FrontEnd;
use super::first_seen::FirstSeen;
use super::lists::{Lists, Sight};
use super::partial::Partials;
use super::reader::Reader;

/// Events that the reference keeps in mind.
const REFERENCE_EVENTS: usize = 8192;
/// Events that are kept in mind at most.
const MAX_EVENTS: usize = 262_144;
/// Texts and keys of one kind that are kept at most.
const MAX_KEYS: usize = 1_000_000;
/// Bytes of a log that are kept to be shown with a later alert.
const MAX_SHOWN: usize = 1024;

/// What an `ignore` window does to a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// It counts.
    Counts,
    /// It falls into the window.
    Ignored,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Store {
    front_end: FrontEnd,
    events: Events,
    lists: Vec<Lists>,
    list_of: FxHashMap<[u8; 16], usize>,
    stamps: FxHashMap<u32, i64>,
    pub(crate) first_seen: FirstSeen,
    /// Last log by host and rule.
    texts: FxHashMap<Box<[u8]>, Arc<[u8]>>,
    ignored: FxHashSet<Box<[u8]>>,
    pub(crate) partials: Partials,
    counted: Vec<u64>,
}

impl Store {
    pub(super) fn new(front_end: FrontEnd) -> Self {
        let room = match front_end {
            FrontEnd::Daemon => MAX_EVENTS,
            FrontEnd::Test => REFERENCE_EVENTS,
        };
        Self { front_end, events: Events { room, ..Events::default() }, ..Self::default() }
    }

    pub(super) fn evicted(&self) -> u64 {
        self.events.evicted
    }

    /// The lists of each reader: those that it had in an earlier program, if its demand is the same.
    pub(crate) fn lists_of(&mut self, readers: &[Reader]) -> Vec<usize> {
        readers
            .iter()
            .map(|reader| {
                *self.list_of.entry(reader.identity).or_insert_with(|| {
                    self.lists.push(Lists::default());
                    self.lists.len() - 1
                })
            })
            .collect()
    }

    /// Takes an event into memory; returns its number, by which lists know it.
    pub(crate) fn remember(&mut self, mark: u8, log: &[u8]) -> u64 {
        self.events.push(mark, log)
    }

    /// Puts a remembered event into a reader's list.
    pub(crate) fn feed(&mut self, list: usize, reader: &Reader, sight: &Sight<'_>, event: u64, times: u32) {
        let times = match self.front_end {
            // One event is one event; the reference counts it once for each place of its rule in the tree.
            FrontEnd::Daemon => 1,
            FrontEnd::Test => times,
        };
        if let Some(lists) = self.lists.get_mut(list) {
            lists.add(reader, sight, event, times, &self.events);
        }
    }

    /// Whether the reader's rule matches on this event; then the counting starts over, and what was counted is appended
    /// to `previous`.
    pub(crate) fn fires(
        &mut self,
        list: usize,
        reader: &Reader,
        sight: &Sight<'_>,
        previous: &mut Vec<Arc<[u8]>>,
    ) -> bool {
        let Some(lists) = self.lists.get(list) else { return false };
        if !lists.fires(reader, sight, &self.events, &mut self.counted) {
            return false;
        }
        previous.extend(self.counted.iter().filter_map(|event| self.events.log(*event)));
        // With a frequency of 2 nothing is marked, as in the reference: every further event matches again.
        if reader.frequency > 2
            && let Some(newest) = self.counted.first()
        {
            self.events.set_mark(*newest, reader.level);
        }
        true
    }

    /// A match of a rule that is ignored for some seconds after each.
    pub(crate) fn stamp(&mut self, rule: u32, seconds: u32, now: i64) -> Stamp {
        match self.stamps.get(&rule).copied() {
            Some(stamp) if now.saturating_sub(stamp) < i64::from(seconds) => Stamp::Ignored,
            Some(_) if self.front_end == FrontEnd::Test => {
                self.stamps.remove(&rule);
                Stamp::Counts
            }
            _ => {
                self.stamps.insert(rule, now);
                Stamp::Counts
            }
        }
    }

    /// The text that `log` replaces for this key, if there is one and it is another.
    pub(crate) fn replace_text(&mut self, key: &[u8], log: &[u8]) -> Option<Arc<[u8]>> {
        match self.texts.get_mut(key) {
            Some(last) if **last == *log => None,
            Some(last) => Some(std::mem::replace(last, log.into())),
            None => {
                if self.texts.len() < MAX_KEYS {
                    self.texts.insert(key.into(), log.into());
                } else {
                    self.events.evicted += 1;
                }
                None
            }
        }
    }

    /// Remembers values whose events are to be discarded.
    pub(crate) fn ignore(&mut self, key: &[u8]) {
        if self.ignored.len() >= MAX_KEYS {
            self.events.evicted += 1;
        } else if !self.ignored.contains(key) {
            self.ignored.insert(key.into());
        }
    }

    /// Whether such values were remembered.
    pub(crate) fn is_ignored(&self, key: &[u8]) -> bool {
        self.ignored.contains(key)
    }
}

/// The events in memory, oldest first, by number.
#[derive(Debug, Default)]
pub(crate) struct Events {
    room: usize,
    first: u64,
    recent: VecDeque<(u8, Arc<[u8]>)>,
    evicted: u64,
}

impl Events {
    fn push(&mut self, mark: u8, log: &[u8]) -> u64 {
        if self.recent.len() >= self.room.max(1) {
            self.recent.pop_front();
            self.first += 1;
            self.evicted += 1;
        }
        let shown = &log[..log.len().min(MAX_SHOWN)];
        self.recent.push_back((mark, shown.into()));
        self.first + self.recent.len() as u64 - 1
    }

    fn place(&self, event: u64) -> Option<usize> {
        usize::try_from(event.checked_sub(self.first)?).ok()
    }

    /// Whether the event is still in memory.
    pub(super) fn has(&self, event: u64) -> bool {
        event >= self.first
    }

    /// The level of the rule that counted the event up to its frequency, or 0.
    pub(super) fn mark(&self, event: u64) -> u8 {
        self.place(event).and_then(|place| self.recent.get(place)).map_or(0, |(mark, _)| *mark)
    }

    fn set_mark(&mut self, event: u64, mark: u8) {
        if let Some((place, _)) = self.place(event).and_then(|place| self.recent.get_mut(place)) {
            *place = mark;
        }
    }

    fn log(&self, event: u64) -> Option<Arc<[u8]>> {
        self.place(event).and_then(|place| self.recent.get(place)).map(|(_, log)| Arc::clone(log))
    }
}
