//! The events in memory, by number: what lists refer to, and what alerts show of earlier events.
//!
//! Enters: events that some reader counts. Leaves: whether one is still there, its mark, the beginning of its log. Those
//! that no reader looks at any more go first; without room the oldest go before their time, which is counted.

use std::collections::VecDeque;
use std::sync::Arc;

use super::FrontEnd;

/// Events that the reference keeps in mind.
const REFERENCE_EVENTS: usize = 8192;
/// Events that are kept in mind at most, and bytes of their logs, where no room in bytes bounds them.
const MAX_EVENTS: usize = 262_144;
const MAX_LOG_BYTES: usize = 64 << 20;
/// Bytes of a log that are kept to be shown with a later alert.
pub(super) const MAX_SHOWN: usize = 1024;
/// One in so many events goes at once when there is no room: each time all lists are gone through.
const AT_ONCE: usize = 8;

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Events {
    room: usize,
    log_room: usize,
    /// Seconds after which no reader looks at an event any more.
    horizon: i64,
    first: u64,
    recent: VecDeque<Remembered>,
    /// Their logs, one behind the other.
    logs: VecDeque<u8>,
    evicted: u64,
    /// The latest time of any.
    latest: i64,
    /// All stay, whatever their time.
    hold: bool,
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

/// One of them as it is told to others.
pub(super) struct Told {
    pub(super) time: i64,
    pub(super) mark: u8,
    pub(super) log: Vec<u8>,
}

impl Events {
    pub(super) fn new(front_end: FrontEnd, is_bounded: bool) -> Self {
        let (room, log_room) = match front_end {
            FrontEnd::Daemon if is_bounded => (usize::MAX, usize::MAX),
            FrontEnd::Daemon => (MAX_EVENTS, MAX_LOG_BYTES),
            FrontEnd::Test => (REFERENCE_EVENTS, MAX_LOG_BYTES),
        };
        Self { room, log_room, latest: i64::MIN, ..Self::default() }
    }

    /// Some reader looks at events for so many seconds.
    pub(super) fn keep_for(&mut self, seconds: i64) {
        self.horizon = self.horizon.max(seconds);
    }

    pub(super) fn horizon(&self) -> i64 {
        self.horizon
    }

    /// Nothing is too old while `hold` is set.
    pub(super) fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.recent.capacity() * size_of::<Remembered>() + self.logs.capacity()
    }

    pub(super) fn push(&mut self, now: i64, mark: u8, log: &[u8]) -> u64 {
        let shown = &log[..log.len().min(MAX_SHOWN)];
        while let Some(oldest) = self.recent.front() {
            let is_old = !self.hold && now.saturating_sub(oldest.time) > self.horizon;
            let is_full = self.recent.len() >= self.room || self.logs.len() + shown.len() > self.log_room;
            if !is_old && !is_full {
                break;
            }
            self.evicted += u64::from(!is_old);
            self.pop();
        }
        self.latest = self.latest.max(now);
        let start = self.recent.back().map_or(0, |last| last.start + u64::from(last.length));
        let length = u16::try_from(shown.len()).unwrap_or(u16::MAX);
        self.logs.extend(shown);
        self.recent.push_back(Remembered { time: now, start, length, mark });
        self.first + self.recent.len() as u64 - 1
    }

    fn pop(&mut self) {
        if let Some(oldest) = self.recent.pop_front() {
            self.logs.drain(..usize::from(oldest.length));
            self.first += 1;
        }
    }

    /// Forgets some of the oldest.
    pub(super) fn forget_some(&mut self) {
        for _ in 0..self.recent.len().div_ceil(AT_ONCE) {
            let time = self.recent.front().map_or(i64::MIN, |oldest| oldest.time);
            self.evicted += u64::from(self.latest.saturating_sub(time) <= self.horizon);
            self.pop();
        }
        self.recent.shrink_to(self.recent.len());
        self.logs.shrink_to(self.logs.len());
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

    pub(super) fn set_mark(&mut self, event: u64, mark: u8) {
        let place = event.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(event) = place.and_then(|place| self.recent.get_mut(place)) {
            event.mark = mark;
        }
    }

    pub(super) fn log(&self, event: u64) -> Option<Arc<[u8]>> {
        let event = self.get(event)?;
        let begin = usize::try_from(event.start - self.recent.front()?.start).ok()?;
        Some(self.logs.range(begin..begin + usize::from(event.length)).copied().collect())
    }

    /// The number of the oldest.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Told> {
        let base = self.recent.front().map_or(0, |first| first.start);
        self.recent.iter().map(move |event| {
            let begin = usize::try_from(event.start - base).unwrap_or(usize::MAX);
            let log = self.logs.range(begin..begin + usize::from(event.length)).copied().collect();
            Told { time: event.time, mark: event.mark, log }
        })
    }
}
