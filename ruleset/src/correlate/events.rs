//! The events in memory, by number: what lists refer to, and what alerts show of earlier events.
//!
//! Enters: events that some reader counts. Leaves: whether one is still there, its mark, the beginning of its log. Those
//! that no reader looks at any more go first; without room the oldest go before their time, which is counted. Marks lie apart
//! from the rest: they are asked for each event that is counted, all over the memory, and so they stay near the processor.

use std::sync::Arc;

use super::FrontEnd;
use super::blocks::Blocks;
use super::logs::Logs;

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
    recent: Blocks<Remembered>,
    /// For each of them the level of the rule that counted it up to its frequency, or 0.
    marks: Blocks<u8>,
    logs: Logs,
    evicted: u64,
    /// The latest time of any.
    latest: i64,
    /// All stay, whatever their time.
    hold: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    time: i64,
    /// Where its log begins, and in the lower bits how long it is.
    log: u64,
}

/// Bits of the length of a log.
const LENGTH_BITS: u32 = 11;

impl Remembered {
    fn new(time: i64, start: u64, length: usize) -> Self {
        const { assert!(MAX_SHOWN < 1 << LENGTH_BITS) }
        Self { time, log: start << LENGTH_BITS | length as u64 }
    }

    fn start(&self) -> u64 {
        self.log >> LENGTH_BITS
    }

    fn length(&self) -> usize {
        (self.log & ((1 << LENGTH_BITS) - 1)) as usize
    }
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
        self.recent.bytes() + self.marks.bytes() + self.logs.capacity()
    }

    pub(super) fn push(&mut self, now: i64, mark: u8, log: &[u8]) -> u64 {
        let shown = &log[..log.len().min(MAX_SHOWN)];
        while let Some(oldest) = self.recent.first() {
            let is_old = !self.hold && now.saturating_sub(oldest.time) > self.horizon;
            let is_full = self.recent.len() >= self.room || self.logs.len() + shown.len() > self.log_room;
            if !is_old && !is_full {
                break;
            }
            self.evicted += u64::from(!is_old);
            self.pop();
        }
        self.latest = self.latest.max(now);
        let start = self.logs.push(shown);
        self.recent.push(Remembered::new(now, start, shown.len()));
        self.marks.push(mark);
        self.first + self.recent.len() as u64 - 1
    }

    fn pop(&mut self) {
        if self.recent.pop_first().is_some() {
            self.marks.pop_first();
            self.first += 1;
            self.logs.forget_before(self.recent.first().map(Remembered::start));
        }
    }

    /// Forgets some of the oldest.
    pub(super) fn forget_some(&mut self) {
        for _ in 0..self.recent.len().div_ceil(AT_ONCE) {
            let time = self.recent.first().map_or(i64::MIN, |oldest| oldest.time);
            self.evicted += u64::from(self.latest.saturating_sub(time) <= self.horizon);
            self.pop();
        }
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
        self.place(event).and_then(|place| self.marks.get(place)).copied().unwrap_or_default()
    }

    pub(super) fn set_mark(&mut self, event: u64, mark: u8) {
        if let Some(known) = self.place(event).and_then(|place| self.marks.get_mut(place)) {
            *known = mark;
        }
    }

    pub(super) fn log(&self, event: u64) -> Option<Arc<[u8]>> {
        let event = self.recent.get(self.place(event)?)?;
        Some(self.logs.get(event.start(), event.length()).into())
    }

    /// The number of the oldest.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Told> {
        self.recent.iter().zip(self.marks.iter()).map(|(event, mark)| {
            let log = self.logs.get(event.start(), event.length()).to_vec();
            Told { time: event.time, mark: *mark, log }
        })
    }
}
