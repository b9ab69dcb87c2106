//! What a rule demands beside its conditions, and what a decision leaves behind: the part of the walk that looks at
//! earlier events and at the clock.
//!
//! Enters: rules whose conditions hold, and the final decision. Leaves: whether they match, what is remembered, and what
//! an alert tells of earlier events. The order is the reference's: `check_diff` and `if_fts` change what is remembered
//! even when a later check fails.

use std::sync::{Arc, MutexGuard};

use threatlockdown_event::Millis;

use super::apart::Apart;
use super::facts::{Facts, Stamps};
use super::observe::Observer;
use super::walk::{Decision, Walk};
use crate::correlate::{
    FrontEnd, Memory, Reader, ReaderIndex, ReaderSource, Sight, Stamp, Store, write_value,
};
use crate::ir::{BuiltinCheck, Category, StaticField, TimeOfDay, Weekdays};
use crate::program::{KeySubject, More, Program, Rule, SubjectIndex};

/// The memory as one event's walk uses it.
pub(super) struct Past<'w> {
    memory: &'w Memory,
    /// Taken when it is first needed, kept to the end of the event.
    guard: Option<MutexGuard<'w, Store>>,
    /// The lists of each reader.
    lists: &'w [usize],
    now: Option<i64>,
    pub(super) stamps: &'w mut Stamps,
    /// Set where earlier events are left aside: what the walk comes by.
    pub(super) apart: Option<Apart>,
    /// Level of the last correlation that this event completed.
    mark: u8,
    /// Logs of the events that it completed, newest first.
    previous: Vec<Arc<[u8]>>,
    /// The text that `check_diff` compared with.
    previous_log: Option<Arc<[u8]>>,
}

/// What the decision comes to.
#[derive(Debug, Default)]
pub(super) struct Conclusion {
    /// Index of the deciding rule.
    pub(super) rule: Option<u32>,
    /// It is an alert, as far as levels and options have no say.
    pub(super) counts: bool,
    /// Logs of the earlier events that count with this one, newest first.
    pub(super) previous: Vec<Arc<[u8]>>,
    /// The text that `check_diff` compared with.
    pub(super) previous_log: Option<Arc<[u8]>>,
}

impl Conclusion {
    fn silent(rule: Option<u32>) -> Self {
        Self { rule, ..Self::default() }
    }
}

impl<'w> Past<'w> {
    pub(super) fn new(
        memory: &'w Memory,
        lists: &'w [usize],
        stamps: &'w mut Stamps,
        (apart, time): (Option<Apart>, Option<Millis>),
    ) -> Self {
        Self {
            apart,
            memory,
            guard: None,
            lists,
            now: time.map(|time| time.0.div_euclid(1000)),
            stamps,
            mark: 0,
            previous: Vec::new(),
            previous_log: None,
        }
    }

    fn store(&mut self) -> &mut Store {
        let memory = self.memory;
        self.guard.get_or_insert_with(|| memory.store())
    }

    /// Seconds since 1970.
    fn now(&mut self, facts: &Facts<'_>) -> i64 {
        let stamps = &mut *self.stamps;
        *self.now.get_or_insert_with(|| facts.seconds(stamps))
    }
}

impl<'w, O: Observer> Walk<'w, O> {
    pub(super) fn holds_more(&mut self, rule: &'w Rule, more: &'w More) -> bool {
        self.holds_of_event(more)
            && if self.past.apart.is_some() { self.passes_by(rule, more) } else { self.holds_now(rule, more) }
    }

    /// The demands on the event alone, but for lists.
    pub(super) fn holds_of_event(&mut self, more: &More) -> bool {
        self.facts.decoded.header.log.len() >= more.maxsize as usize
            && more.builtin_check.is_none_or(|check| self.builtin_check(check))
            && more.time.is_none_or(|time| self.is_at(time))
            && more.weekdays.is_none_or(|days| self.is_on(days))
    }

    /// The demands on earlier events, and those that come after them.
    fn holds_now(&mut self, rule: &'w Rule, more: &'w More) -> bool {
        (!more.check_diff || self.differs(rule))
            && (!more.if_fts || self.is_first())
            && more.lists.iter().all(|condition| self.condition(*condition))
            && more.correlation.is_none_or(|reader| self.correlates(reader))
    }

    fn builtin_check(&mut self, check: BuiltinCheck) -> bool {
        let log = self.facts.decoded.header.log;
        match check {
            BuiltinCheck::CheckIdSize => {
                self.on_static(StaticField::Id, |id| id.len() >= 10).unwrap_or(false)
            }
            BuiltinCheck::SrcuserDstuser => {
                let source = self.on_static(StaticField::SrcUser, <[u8]>::to_vec);
                let same = |target: &[u8]| source.as_ref().is_none_or(|source| source == target);
                self.on_static(StaticField::DstUser, same).unwrap_or(true)
            }
            BuiltinCheck::TargetuserCalleruserDiff => target_and_caller_differ(log),
            BuiltinCheck::SimpleHttpRequest => {
                self.on_static(StaticField::Url, |url| url == b"/" || !url.contains(&b'?')).unwrap_or(false)
            }
            BuiltinCheck::ValidCrawler => CRAWLERS.iter().any(|network| log.starts_with(network.as_bytes())),
        }
    }

    fn on_static<R>(&mut self, field: StaticField, then: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let subject = *self.facts.program.statics.get(&field)?;
        self.facts.text(subject, &mut self.marks.text).map(then)
    }

    fn local_seconds(&mut self) -> i64 {
        let now = self.past.now(&self.facts);
        self.past.memory.options().zone.local_seconds(now)
    }

    fn is_at(&mut self, time: TimeOfDay) -> bool {
        let minute = self.local_seconds().rem_euclid(86_400) / 60;
        let inside = (i64::from(time.from)..=i64::from(time.to)).contains(&minute);
        inside != time.outside
    }

    fn is_on(&mut self, days: Weekdays) -> bool {
        // The first of January 1970 was a Thursday.
        let day = (self.local_seconds().div_euclid(86_400) + 4).rem_euclid(7);
        days.0 >> day & 1 == 1
    }

    fn differs(&mut self, rule: &Rule) -> bool {
        let header = &self.facts.decoded.header;
        let host = header.hostname.unwrap_or_else(|| self.past.memory.options().host.as_bytes());
        let mut key = std::mem::take(&mut self.marks.key);
        key.clear();
        key.extend_from_slice(&rule.number.to_le_bytes());
        key.extend_from_slice(host);
        let previous = self.past.store().replace_text(&key, header.log);
        self.marks.key = key;
        let differs = previous.is_some();
        if differs {
            self.past.previous_log = previous;
        }
        differs
    }

    /// The decoder must say what makes an event new.
    fn is_first(&mut self) -> bool {
        let program: &'w Program = self.facts.program;
        let Some(decoder) = self.facts.decoded.decoder else { return false };
        let parts = &program.fts[decoder as usize];
        if parts.is_empty() {
            return false;
        }
        let mut key = std::mem::take(&mut self.marks.key);
        self.write_key(parts, &mut key);
        let is_ids = self.facts.decoded.category == Some(Category::Ids);
        let is_new = self.past.store().is_first(&key, is_ids);
        self.marks.key = key;
        is_new
    }

    /// The parts separated by blanks.
    pub(super) fn write_key(&mut self, parts: &[KeySubject], key: &mut Vec<u8>) {
        key.clear();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                key.push(b' ');
            }
            key.extend_from_slice(self.facts.key_text(*part, &mut self.marks.text));
        }
    }

    fn correlates(&mut self, index: ReaderIndex) -> bool {
        let program: &'w Program = self.facts.program;
        let reader = &program.readers[index as usize];
        self.with_sight(reader, |walk, sight| {
            let list = walk.past.lists[index as usize];
            let mut previous = std::mem::take(&mut walk.past.previous);
            previous.clear();
            let fires = walk.past.store().fires(list, reader, &sight, &mut previous);
            walk.past.previous = previous;
            if fires && reader.frequency > 2 {
                walk.past.mark = reader.level;
            }
            fires
        })
        .unwrap_or(false)
    }

    /// What the event is to a reader; nothing when it lacks a value that must be equal.
    fn with_sight<R>(&mut self, reader: &Reader, then: impl FnOnce(&mut Self, Sight<'_>) -> R) -> Option<R> {
        let now = self.past.now(&self.facts);
        let mut key = std::mem::take(&mut self.marks.key);
        let mut values = std::mem::take(&mut self.marks.values);
        key.clear();
        values.clear();
        if !reader.global {
            write_value(Some(self.facts.agent().as_bytes()), &mut key);
        }
        if matches!(reader.source, ReaderSource::Regex(_)) {
            key.push(self.facts.decoded.category.map_or(u8::MAX, |category| category as u8));
        }
        let complete = self.write_same(&reader.same, &mut key);
        let result = complete.then(|| {
            for subject in &reader.different {
                write_value(self.facts.text(*subject, &mut self.marks.text), &mut values);
            }
            let has_dynamic = reader.wants_dynamic && self.facts.has_dynamic();
            then(self, Sight { now, key: &key, values: &values, has_dynamic })
        });
        (self.marks.key, self.marks.values) = (key, values);
        result
    }

    pub(super) fn write_same(&mut self, subjects: &[SubjectIndex], key: &mut Vec<u8>) -> bool {
        subjects.iter().all(|subject| match self.facts.text(*subject, &mut self.marks.text) {
            Some(text) => {
                write_value(Some(text), key);
                true
            }
            None => false,
        })
    }

    /// What becomes of the decision, and what stays of it.
    pub(super) fn conclude(&mut self, decision: Option<Decision>, named: Option<u32>) -> Conclusion {
        let program: &'w Program = self.facts.program;
        let rule_of = |node: u32| program.nodes[node as usize].rule;
        let parent = decision.and_then(|(_, parent)| parent).map(rule_of);
        let Some(mut index) = named.or_else(|| decision.map(|(node, _)| rule_of(node))) else {
            return Conclusion::silent(None);
        };
        let mut rule = &program.rules[index as usize];
        if rule.level == 0 {
            return Conclusion::silent(Some(index));
        }
        if self.past.apart.is_some() {
            self.leaves(rule);
            return Conclusion { rule: Some(index), counts: true, ..Conclusion::default() };
        }
        let front_end = self.past.memory.options().front_end;
        if rule.ignore_seconds > 0 {
            let now = self.past.now(&self.facts);
            if self.past.store().stamp(rule.number, rule.ignore_seconds, now) == Stamp::Ignored {
                match (front_end, parent) {
                    (FrontEnd::Test, _) => return Conclusion::silent(Some(index)),
                    (FrontEnd::Daemon, None) => return Conclusion::silent(None),
                    (FrontEnd::Daemon, Some(parent)) => {
                        (index, rule) = (parent, &program.rules[parent as usize]);
                    }
                }
                if rule.level == 0 {
                    return Conclusion::silent(Some(index));
                }
            }
        }
        // The reference means to do this, but never finds what it has kept: its test front end is followed there.
        if front_end == FrontEnd::Daemon && self.is_discarded(rule) {
            return Conclusion::silent(None);
        }
        self.remember(rule);
        let own = rule.more.as_ref();
        let mut previous = std::mem::take(&mut self.past.previous);
        if own.is_none_or(|more| more.correlation.is_none()) {
            previous.clear();
        }
        let previous_log = self.past.previous_log.take().filter(|_| own.is_some_and(|more| more.check_diff));
        Conclusion { rule: Some(index), counts: true, previous, previous_log }
    }

    fn is_discarded(&mut self, rule: &'w Rule) -> bool {
        let Some(ignored) = &rule.ignored else { return false };
        let mut key = std::mem::take(&mut self.marks.key);
        let mut discarded = false;
        if !ignored.check.is_empty() {
            self.write_key(&ignored.check, &mut key);
            discarded = self.past.store().is_ignored(&key);
        }
        if !discarded && !ignored.remember.is_empty() {
            self.write_key(&ignored.remember, &mut key);
            self.past.store().ignore(&key);
        }
        self.marks.key = key;
        discarded
    }

    fn remember(&mut self, rule: &'w Rule) {
        let program: &'w Program = self.facts.program;
        if rule.feeds.is_empty() && program.regex_readers.is_empty() {
            return;
        }
        let (mark, record) = (self.past.mark, self.facts.input.record);
        let now = self.past.now(&self.facts);
        let event = self.past.store().remember(now, mark, record);
        for &(index, times) in &rule.feeds {
            self.feed(index, event, times);
        }
        for &index in &program.regex_readers {
            if self.chooses(index) {
                self.feed(index, event, 1);
            }
        }
    }

    /// Whether a reader that goes by a pattern reads this event.
    pub(super) fn chooses(&self, index: ReaderIndex) -> bool {
        let reader = &self.facts.program.readers[index as usize];
        matches!(&reader.source, ReaderSource::Regex(regex) if regex.is_match(self.facts.decoded.header.log))
    }

    fn feed(&mut self, index: ReaderIndex, event: u64, times: u32) {
        let program: &'w Program = self.facts.program;
        let reader = &program.readers[index as usize];
        self.with_sight(reader, |walk, sight| {
            let list = walk.past.lists[index as usize];
            walk.past.store().feed(list, reader, &sight, event, times);
        });
    }
}

/// Networks of well-known crawlers, with which lines of an access log begin.
const CRAWLERS: [&str; 8] =
    ["66.249.", "72.14.", "209.85.", "65.55.", "207.46.", "74.6.", "72.30.", "67.195."];

/// Whether the names after `Target User Name` and `Caller User Name` in a log of Windows differ; a name ends at a tab or
/// two blanks.
fn target_and_caller_differ(log: &[u8]) -> bool {
    let after = |name: &[u8]| {
        memchr::memmem::find(log, name).map(|at| {
            let rest = &log[at + name.len()..];
            let blanks = memchr::memmem::find(rest, b"  ").unwrap_or(rest.len());
            &rest[..memchr::memchr(b'\t', rest).map_or(blanks, |tab| tab.min(blanks))]
        })
    };
    match (after(b"Target User Name"), after(b"Caller User Name")) {
        (Some(target), Some(caller)) => target != caller,
        _ => false,
    }
}
