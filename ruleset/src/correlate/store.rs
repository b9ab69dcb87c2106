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
/// Bytes of a log that are kept to be shown with a later alert, and of all of them.
const MAX_SHOWN: usize = 1024;
const MAX_LOG_BYTES: usize = 64 << 20;

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
        let longest = readers.iter().map(|reader| reader.timeframe).max().unwrap_or_default();
        self.events.horizon = self.events.horizon.max(longest);
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
    pub(crate) fn remember(&mut self, now: i64, mark: u8, log: &[u8]) -> u64 {
        self.events.push(now, mark, log)
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
    /// Seconds after which no reader looks at an event any more.
    horizon: i64,
    first: u64,
    recent: VecDeque<Remembered>,
    /// Their logs, one behind the other.
    logs: VecDeque<u8>,
    evicted: u64,
}

/// One of them.
#[derive(Debug)]
struct Remembered {
    time: i64,
    /// Where its log begins, counted from the first one ever.
    start: u64,
    length: u16,
    mark: u8,
}

impl Events {
    fn push(&mut self, now: i64, mark: u8, log: &[u8]) -> u64 {
        let shown = &log[..log.len().min(MAX_SHOWN)];
        while let Some(oldest) = self.recent.front() {
            let is_old = now.saturating_sub(oldest.time) > self.horizon;
            let is_full = self.recent.len() >= self.room || self.logs.len() + shown.len() > MAX_LOG_BYTES;
            if !is_old && !is_full {
                break;
            }
            self.evicted += u64::from(!is_old);
            self.logs.drain(..usize::from(oldest.length));
            self.recent.pop_front();
            self.first += 1;
        }
        let start = self.recent.back().map_or(0, |last| last.start + u64::from(last.length));
        let length = u16::try_from(shown.len()).unwrap_or(u16::MAX);
        self.logs.extend(shown);
        self.recent.push_back(Remembered { time: now, start, length, mark });
        self.first + self.recent.len() as u64 - 1
    }

    fn get(&self, event: u64) -> Option<&Remembered> {
        self.recent.get(usize::try_from(event.checked_sub(self.first)?).ok()?)
    }

    /// Whether the event is still in memory.
    pub(super) fn has(&self, event: u64) -> bool {
        event >= self.first
    }

    /// The level of the rule that counted the event up to its frequency, or 0.
    pub(super) fn mark(&self, event: u64) -> u8 {
        self.get(event).map_or(0, |event| event.mark)
    }

    fn set_mark(&mut self, event: u64, mark: u8) {
        let place = event.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(event) = place.and_then(|place| self.recent.get_mut(place)) {
            event.mark = mark;
        }
    }

    fn log(&self, event: u64) -> Option<Arc<[u8]>> {
        let event = self.get(event)?;
        let begin = usize::try_from(event.start - self.recent.front()?.start).ok()?;
        Some(self.logs.range(begin..begin + usize::from(event.length)).copied().collect())
    }
}
