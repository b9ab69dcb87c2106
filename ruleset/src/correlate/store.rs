//! The store behind a [`super::Memory`]: everything that changes from event to event.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::FrontEnd;
use super::events::Events;
use super::first_seen::FirstSeen;
use super::kept::Kept;
use super::lists::{Lists, Sight};
use super::partial::{Partial, Partials};
use super::reader::Reader;
use super::room::Share;

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
    pub(super) events: Events,
    pub(super) lists: Vec<Lists>,
    pub(super) list_of: FxHashMap<[u8; 16], usize>,
    pub(super) stamps: FxHashMap<u32, i64>,
    pub(super) first_seen: FirstSeen,
    /// Last log by host and rule.
    pub(super) texts: Kept<Arc<[u8]>>,
    pub(super) ignored: Kept<()>,
    pub(super) partials: Partials,
    counted: Vec<u64>,
    share: Share,
    /// Texts, keys and partial events that were forgotten before their time.
    forgotten: u64,
}

impl Store {
    pub(super) fn new(front_end: FrontEnd, share: Share) -> Self {
        let events = Events::new(front_end, share.is_bounded());
        Self { front_end, events, share, ..Self::default() }
    }

    pub(super) fn evicted(&self) -> u64 {
        self.events.evicted() + self.forgotten
    }

    pub(super) fn bytes(&self) -> usize {
        self.share.used()
    }

    /// The lists of each reader: those that it had in an earlier program, if its demand is the same.
    pub(crate) fn lists_of(&mut self, readers: &[Reader]) -> Vec<usize> {
        readers.iter().map(|reader| self.list_of(reader.identity)).collect()
    }

    pub(super) fn list_of(&mut self, identity: [u8; 16]) -> usize {
        *self.list_of.entry(identity).or_insert_with(|| {
            self.lists.push(Lists::default());
            self.lists.len() - 1
        })
    }

    /// Takes an event into memory; returns its number, by which lists know it.
    pub(crate) fn remember(&mut self, now: i64, mark: u8, log: &[u8]) -> u64 {
        let before = self.events.bytes();
        let event = self.events.push(now, mark, log);
        self.share.change(before, self.events.bytes());
        event
    }

    /// Puts a remembered event into a reader's list.
    pub(crate) fn feed(&mut self, list: usize, reader: &Reader, sight: &Sight<'_>, event: u64, times: u32) {
        let times = match self.front_end {
            // One event is one event; the reference counts it once for each place of its rule in the tree.
            FrontEnd::Daemon => 1,
            FrontEnd::Test => times,
        };
        self.events.keep_for(reader.timeframe);
        if let Some(lists) = self.lists.get_mut(list) {
            let before = lists.bytes();
            lists.add(reader, sight, event, times, &self.events);
            self.share.change(before, lists.bytes());
        }
        self.make_room();
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
        let Some(lists) = self.lists.get_mut(list) else { return false };
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

    /// Whether a key was never seen before; see [`FirstSeen::is_new`].
    pub(crate) fn is_first(&mut self, key: &[u8], cut_alike: bool) -> bool {
        let before = self.first_seen.known.bytes();
        let is_new = self.first_seen.is_new(key, cut_alike);
        self.forgotten += self.first_seen.known.trim();
        self.share.change(before, self.first_seen.known.bytes());
        self.make_room();
        is_new
    }

    /// The text that `log` replaces for this key, if there is one and it is another.
    pub(crate) fn replace_text(&mut self, key: &[u8], log: &[u8]) -> Option<Arc<[u8]>> {
        if self.texts.get(key).is_some_and(|last| **last == *log) {
            return None;
        }
        let before = self.texts.bytes();
        let replaced = self.texts.put(key, log.into());
        self.forgotten += self.texts.trim();
        self.share.change(before, self.texts.bytes());
        self.make_room();
        replaced
    }

    /// Remembers values whose events are to be discarded.
    pub(crate) fn ignore(&mut self, key: &[u8]) {
        let before = self.ignored.bytes();
        self.ignored.put(key, ());
        self.forgotten += self.ignored.trim();
        self.share.change(before, self.ignored.bytes());
        self.make_room();
    }

    /// Whether such values were remembered.
    pub(crate) fn is_ignored(&self, key: &[u8]) -> bool {
        self.ignored.has(key)
    }

    /// What is known of the event with this id.
    pub(crate) fn partial(&mut self, key: &[u8], now: i64) -> &mut Partial {
        self.make_room();
        let before = self.partials.bytes();
        // Counted at its longest, so what is kept afterwards changes nothing.
        self.partials.of(key, now);
        self.share.change(before, self.partials.bytes());
        self.partials.of(key, now)
    }

    /// Forgets the oldest of what takes most, until the rest has room.
    pub(super) fn make_room(&mut self) {
        while !self.share.fits() {
            let windows = self.events.bytes() + self.lists.iter().map(Lists::bytes).sum::<usize>();
            let kinds = [
                windows,
                self.first_seen.known.bytes(),
                self.texts.bytes(),
                self.ignored.bytes(),
                self.partials.bytes(),
            ];
            let most = (0..kinds.len()).max_by_key(|kind| kinds.get(*kind)).filter(|kind| kinds[*kind] > 0);
            match most {
                Some(0) => self.forget_events(),
                Some(1) => self.forgotten += self.first_seen.known.forget_some(),
                Some(2) => self.forgotten += self.texts.forget_some(),
                Some(3) => self.forgotten += self.ignored.forget_some(),
                Some(_) => self.forgotten += self.partials.forget_some(),
                None => return,
            }
            self.weigh();
        }
    }

    fn forget_events(&mut self) {
        self.events.forget_some();
        for lists in &mut self.lists {
            lists.forget_gone(&self.events);
        }
    }

    /// Counts anew.
    pub(super) fn weigh(&mut self) {
        let all = self.events.bytes()
            + self.lists.iter().map(Lists::bytes).sum::<usize>()
            + self.first_seen.known.bytes()
            + self.texts.bytes()
            + self.ignored.bytes()
            + self.partials.bytes();
        self.share.change(self.share.used(), all);
    }
}
