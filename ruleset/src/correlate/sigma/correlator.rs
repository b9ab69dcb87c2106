//! The state machine: counts matches, decides, and lets correlations feed each other.
//!
//! Enters: matches and watermarks. Leaves: matches of correlations. Windows that have ended are decided, in the order of their
//! ends, before anything that is later is counted; so it does not matter when the caller says that time has passed.

use std::collections::BTreeSet;
use std::sync::Arc;

use threatlockdown_event::identity::hash;
use threatlockdown_event::{AlertId, EventId};

use super::chains::Stamp;
use super::groups::{Group, Groups, Key, NEVER, Window};
use super::measure::Measure;
use super::plan::{Feed, MAX_TIME, Plan, Plans, Source, Sources};
use super::recent::Entry;
use super::series::number;
use super::tally::{Counted, Held, Tally};
use super::{Carried, CorrelationMatch, Counters, Limits, Matched};
use crate::correlate::write_value;

/// Idle groups that are forgotten at most for each match, and for each watermark.
const EXPIRED_PER_MATCH: usize = 2;
const EXPIRED_PER_WATERMARK: usize = 4096;

/// See the module's comment.
#[derive(Debug)]
pub struct Correlator {
    pub(super) plans: Arc<Plans>,
    pub(super) limits: Limits,
    /// No match before this is on time.
    pub(super) clock: i64,
    pub(super) groups: Vec<Groups>,
    pub(super) counters: Vec<Counters>,
    /// Ends of open windows.
    pub(super) ends: BTreeSet<(i64, u32, Key)>,
    pub(super) bytes: usize,
    /// Whose idle groups are looked at next.
    hand: usize,
    work: Work,
}

/// Buffers.
#[derive(Debug, Default)]
struct Work {
    feeds: Vec<Task>,
    keyed: Vec<(Key, u32)>,
    rules: Vec<u32>,
    text: Vec<u8>,
}

/// A match that is to be counted: in which correlation, where it came from (0: the event, else one more than the
/// index of a match of this step), and as which referent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    correlation: u32,
    origin: usize,
    referent: u32,
}

/// What is counted: an event, or the match of a correlation.
#[derive(Clone, Copy)]
enum Origin<'a> {
    Event(&'a Matched<'a>),
    Match(&'a CorrelationMatch),
}

impl<'a> Origin<'a> {
    fn value(&self, source: Source) -> Option<&'a [u8]> {
        match (self, source) {
            (Self::Event(event), Source::Event(field)) => event.fields.value(field),
            (Self::Match(made), Source::Group(place)) => made.group.get(place as usize).map(|value| &**value),
            (Self::Match(made), Source::Carried(place)) => made.carried.get(place as usize)?.as_deref(),
            _ => None,
        }
    }

    fn stamp(&self) -> Stamp {
        match self {
            Self::Event(event) => Stamp { time: event.time.clamp(-MAX_TIME, MAX_TIME), id: event.id.0 },
            Self::Match(made) => Stamp { time: made.time, id: made.id.0 },
        }
    }

    fn carried(&self, sources: &Sources) -> Carried {
        sources.carried.iter().map(|source| self.value(*source).map(Box::from)).collect()
    }

    fn group(&self, sources: &Sources) -> Vec<Box<[u8]>> {
        let value = |source: &Option<Source>| source.and_then(|source| self.value(source));
        sources.group.iter().map(|source| value(source).unwrap_or_default().into()).collect()
    }

    /// The hash of its group; `None` where a field is missing.
    fn key(&self, sources: &Sources, text: &mut Vec<u8>) -> Option<Key> {
        text.clear();
        for source in &sources.group {
            write_value(Some(self.value((*source)?)?), text);
        }
        Some(hash(&[text]))
    }
}

impl Correlator {
    /// An empty one.
    #[must_use]
    pub fn new(plans: Arc<Plans>, limits: Limits) -> Self {
        let count = plans.len();
        Self {
            groups: (0..count).map(|_| Groups::default()).collect(),
            counters: vec![Counters::default(); count],
            plans,
            limits,
            clock: i64::MIN,
            ends: BTreeSet::new(),
            bytes: 0,
            hand: 0,
            work: Work::default(),
        }
    }

    /// What it counts.
    #[must_use]
    pub fn plans(&self) -> &Arc<Plans> {
        &self.plans
    }

    /// What became of the matches of each correlation.
    #[must_use]
    pub fn counters(&self) -> &[Counters] {
        &self.counters
    }

    /// Bytes of all groups (estimated).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Groups that are kept, of all correlations.
    #[must_use]
    pub fn live_groups(&self) -> usize {
        self.groups.iter().map(Groups::len).sum()
    }

    /// When the next open window ends; `None` where none is open. A caller without further events decides it
    /// by a watermark beyond.
    #[must_use]
    pub fn next_end(&self) -> Option<i64> {
        self.ends.first().map(|(end, ..)| *end)
    }

    /// Counts an event's matches; what follows is appended to `found`. Events come in the order of (time, id).
    pub fn observe(&mut self, event: &Matched<'_>, found: &mut Vec<CorrelationMatch>) {
        let plans = Arc::clone(&self.plans);
        let time = event.time.clamp(-MAX_TIME, MAX_TIME);
        self.end_windows(&plans, time, found);
        self.clock = self.clock.max(time);
        let mut feeds = std::mem::take(&mut self.work.feeds);
        feeds.clear();
        let of_rules = event.rules.iter().flat_map(|rule| plans.fed_by_rule(*rule));
        feeds.extend(of_rules.map(|feed| task(feed, 0)));
        feeds.sort_unstable();
        feeds.dedup();
        let from = found.len();
        self.run(&plans, &mut feeds, Some(event), from, found);
        self.work.feeds = feeds;
    }

    /// No event before `watermark` comes any more: decides the windows that ended before it. [`i64::MAX`] ends all.
    pub fn advance(&mut self, watermark: i64, found: &mut Vec<CorrelationMatch>) {
        let plans = Arc::clone(&self.plans);
        // Later than the end of any window.
        let watermark = if watermark == i64::MAX { i64::MAX } else { watermark.clamp(-MAX_TIME, MAX_TIME) };
        self.end_windows(&plans, watermark, found);
        self.clock = self.clock.max(watermark.min(4 * MAX_TIME));
        let mut left = EXPIRED_PER_WATERMARK;
        for _ in 0..plans.len() {
            self.hand = (self.hand + 1) % plans.len();
            left -= self.expire(&plans, self.hand, left);
        }
    }

    /// Decides the windows that end before `time`, the earliest first.
    fn end_windows(&mut self, plans: &Plans, time: i64, found: &mut Vec<CorrelationMatch>) {
        while let Some((end, correlation, key)) = self.ends.first().copied()
            && end < time
        {
            self.ends.pop_first();
            self.clock = self.clock.max(end);
            let from = found.len();
            let Some(plan) = plans.get(correlation) else { continue };
            if !self.end(plan, correlation, &key, end, found) {
                continue;
            }
            let mut feeds: Vec<Task> = plans.fed_by(correlation).iter().map(|feed| task(feed, 1)).collect();
            feeds.sort_unstable();
            self.run(plans, &mut feeds, None, from, found);
        }
    }

    /// Works off what is to be counted. What comes of it feeds later correlations only, so it finds its place behind.
    fn run(
        &mut self,
        plans: &Plans,
        feeds: &mut Vec<Task>,
        event: Option<&Matched<'_>>,
        from: usize,
        found: &mut Vec<CorrelationMatch>,
    ) {
        let mut at = 0;
        while let Some(first) = feeds.get(at).copied() {
            let same = |task: &Task| (task.correlation, task.origin) == (first.correlation, first.origin);
            let next = at + feeds.iter().skip(at).take_while(|task| same(task)).count();
            let made = found.len();
            if let Some(plan) = plans.get(first.correlation) {
                let tasks = feeds.get(at..next).unwrap_or_default();
                let mut new = Vec::new();
                let origin = match first.origin.checked_sub(1) {
                    None => event.map(Origin::Event),
                    Some(index) => found.get(from + index).map(Origin::Match),
                };
                if let Some(origin) = origin {
                    self.take(plan, first.correlation, origin, tasks, &mut new);
                }
                found.append(&mut new);
            }
            for index in made..found.len() {
                for feed in plans.fed_by(first.correlation) {
                    let task = task(feed, index - from + 1);
                    let place = feeds.partition_point(|known| *known < task).max(next);
                    feeds.insert(place, task);
                }
            }
            at = next;
        }
    }

    /// Counts one event or match in one correlation: once for each group that it belongs to.
    fn take(
        &mut self,
        plan: &Plan,
        index: u32,
        origin: Origin<'_>,
        tasks: &[Task],
        found: &mut Vec<CorrelationMatch>,
    ) {
        let mut work = std::mem::take(&mut self.work);
        work.keyed.clear();
        let mut lacking = 0;
        for task in tasks {
            let sources = plan.referents.get(task.referent as usize);
            match sources.and_then(|sources| origin.key(sources, &mut work.text)) {
                Some(key) => work.keyed.push((key, task.referent)),
                None => lacking += 1,
            }
        }
        work.keyed.sort_unstable();
        for group in work.keyed.chunk_by(|one, other| one.0 == other.0) {
            let Some((key, first)) = group.first().copied() else { continue };
            work.rules.clear();
            work.rules.extend(group.iter().map(|(_, referent)| *referent));
            let Some(sources) = plan.referents.get(first as usize) else { continue };
            let Some(value) = value(plan, sources, origin, &mut work.text) else {
                self.counter(index, |counters| counters.without_value += 1);
                continue;
            };
            let Stamp { time, id } = origin.stamp();
            let entry = Entry { time, id, value };
            let matched = Member { origin, sources, key, entry, rules: &work.rules };
            if plan.at_end {
                self.gather(plan, index, &matched);
            } else if let Some(made) = self.slide(plan, index, &matched) {
                found.push(made);
            }
        }
        self.work = work;
        self.counter(index, |counters| {
            counters.without_group += lacking;
            counters.matched += found.len() as u64;
        });
        self.keep_within(index);
    }

    /// A correlation that is decided at once: the window ends with the match at hand.
    fn slide(&mut self, plan: &Plan, index: u32, member: &Member<'_>) -> Option<CorrelationMatch> {
        let Member { entry, .. } = *member;
        let horizon = self.clock.saturating_sub(plan.span);
        let groups = self.groups.get_mut(index as usize)?;
        let before = groups.bytes();
        let found = groups.find(&member.key);
        let is_idle = found.and_then(|number| groups.get(number)).is_none_or(|group| group.last < horizon);
        if is_idle && entry.time < horizon {
            self.counter(index, |counters| counters.late += 1);
            return None;
        }
        let number = found.unwrap_or_else(|| groups.add(Group::new(member.key, NEVER, entry.time)));
        groups.touch(number);
        if is_idle {
            // Whether it was forgotten in the meantime must make no difference.
            groups.change(number, |group| group.restart(entry.time));
        }
        let limits = &self.limits;
        let mut outcome = Outcome::default();
        let held = groups.change(number, |group| slide(plan, limits, group, member, &mut outcome))?;
        self.bytes = (self.bytes + groups.bytes()).saturating_sub(before);
        self.expire_some(plan, index);
        self.counter(index, |counters| outcome.count(counters));
        let Fired { held, evidence, time } = held?;
        let group = member.origin.group(member.sources);
        let carried = member.origin.carried(member.sources);
        Some(self.made(plan, index, Decided { held, evidence, time, last: None, group, carried }))
    }

    /// A correlation that is decided at the end: opens the group's window or adds to it.
    fn gather(&mut self, plan: &Plan, index: u32, member: &Member<'_>) {
        let Some(groups) = self.groups.get_mut(index as usize) else { return };
        let (time, before) = (member.entry.time, groups.bytes());
        let number = match groups.find(&member.key) {
            Some(number) => number,
            None => {
                let opens = |rule: &u32| plan.opens.get(*rule as usize).copied().unwrap_or_default();
                if !member.rules.iter().any(opens) {
                    return;
                }
                let end = time.saturating_add(plan.span);
                if end < self.clock {
                    self.counter(index, |counters| counters.late += 1);
                    return;
                }
                self.ends.insert((end, index, member.key));
                let mut group = Group::new(member.key, time, time);
                let group_values = member.origin.group(member.sources);
                group.window = Some(Box::new(Window { group: group_values, carried: Vec::new() }));
                groups.add(group)
            }
        };
        groups.touch(number);
        let limits = &self.limits;
        let mut outcome = Outcome::default();
        groups.change(number, |group| gather(plan, limits, group, member, &mut outcome));
        self.bytes = (self.bytes + groups.bytes()).saturating_sub(before);
        self.counter(index, |counters| outcome.count(counters));
    }

    /// Decides a window; whether the correlation matched.
    fn end(
        &mut self,
        plan: &Plan,
        index: u32,
        key: &Key,
        end: i64,
        found: &mut Vec<CorrelationMatch>,
    ) -> bool {
        let Some(groups) = self.groups.get_mut(index as usize) else { return false };
        let before = groups.bytes();
        let group = groups.find(key).and_then(|number| groups.remove(number));
        self.bytes = (self.bytes + groups.bytes()).saturating_sub(before);
        let Some(group) = group else { return false };
        let Some(held) = group.tally.holds(plan, i64::MIN) else { return false };
        let evidence = group.tally.evidence(plan, i64::MIN);
        let last = group.tally.last();
        let Window { group, carried } = group.window.map(|window| *window).unwrap_or_default();
        let decided = Decided { held, evidence, time: end, last, group, carried };
        let made = self.made(plan, index, decided);
        self.counter(index, |counters| counters.matched += 1);
        found.push(made);
        true
    }

    fn made(&self, plan: &Plan, correlation: u32, decided: Decided) -> CorrelationMatch {
        let Decided { held, evidence, time, last, group, carried } = decided;
        let mut text = Vec::new();
        group.iter().for_each(|value| write_value(Some(value), &mut text));
        let ids: Vec<u8> = evidence.iter().flat_map(|stamp| stamp.id).collect();
        let id = hash(&[b"correlation", plan.id.as_bytes(), &text, &time.to_be_bytes(), &ids]);
        let newest = evidence.last().map_or(time, |stamp| stamp.time);
        CorrelationMatch {
            correlation,
            id: AlertId(id),
            group,
            time,
            first: evidence.first().map_or(time, |stamp| stamp.time),
            last: last.unwrap_or(newest),
            events: evidence.iter().take(self.limits.max_events).map(|stamp| EventId(stamp.id)).collect(),
            count: held.count,
            figure: held.figure,
            carried,
        }
    }

    fn counter(&mut self, index: u32, change: impl FnOnce(&mut Counters)) {
        if let Some(counters) = self.counters.get_mut(index as usize) {
            change(counters);
        }
    }
}

/// Memory.
impl Correlator {
    fn expire_some(&mut self, plan: &Plan, index: u32) {
        self.expire_of(plan, index as usize, EXPIRED_PER_MATCH);
    }

    fn expire(&mut self, plans: &Plans, index: usize, most: usize) -> usize {
        plans.plans.get(index).map_or(0, |plan| self.expire_of(plan, index, most))
    }

    /// Forgets groups that can make no difference any more, at most so many; returns how many.
    fn expire_of(&mut self, plan: &Plan, index: usize, most: usize) -> usize {
        let Some(groups) = self.groups.get_mut(index).filter(|_| !plan.at_end) else { return 0 };
        let (before, horizon) = (groups.bytes(), self.clock.saturating_sub(plan.span));
        let mut gone = 0;
        while gone < most
            && let Some((number, group)) = groups.oldest()
            && group.last < horizon
        {
            groups.remove(number);
            gone += 1;
        }
        self.bytes = (self.bytes + groups.bytes()).saturating_sub(before);
        gone
    }

    /// Where there is too much: forgets what is idle, then what was touched least recently, of the correlation that was just
    /// added to or of that which holds most, with some to spare, so that this is rare.
    fn keep_within(&mut self, index: u32) {
        let most = self.limits.max_bytes_each;
        let is_over = |groups: &Groups| groups.bytes() > most;
        let is_one_over = self.groups.get(index as usize).is_some_and(is_over);
        if !is_one_over && self.bytes <= self.limits.max_bytes {
            return;
        }
        let plans = Arc::clone(&self.plans);
        for index in 0..plans.len() {
            self.expire(&plans, index, usize::MAX);
        }
        if self.groups.get(index as usize).is_some_and(is_over) {
            self.evict(index as usize, most - most / 128);
        }
        while self.bytes > self.limits.max_bytes {
            let largest = (0_usize..)
                .zip(&self.groups)
                .max_by_key(|(index, groups)| (groups.bytes(), std::cmp::Reverse(*index)));
            let Some((index, groups)) = largest.filter(|(_, groups)| groups.len() > 0) else { return };
            let over = self.bytes - (self.limits.max_bytes - self.limits.max_bytes / 128);
            self.evict(index, groups.bytes().saturating_sub(over));
        }
    }

    /// Forgets the least recently touched groups of a correlation until it has at most so many bytes.
    fn evict(&mut self, index: usize, most: usize) {
        let Some(groups) = self.groups.get_mut(index) else { return };
        let span = self.plans.plans.get(index).map_or(0, |plan| plan.span);
        let before = groups.bytes();
        let mut evicted = 0;
        while groups.bytes() > most
            && let Some((number, _)) = groups.oldest()
            && let Some(group) = groups.remove(number)
        {
            if group.window.is_some() {
                self.ends.remove(&(group.anchor.saturating_add(span), index as u32, group.key));
            }
            evicted += 1;
        }
        self.bytes = (self.bytes + groups.bytes()).saturating_sub(before);
        self.counter(index as u32, |counters| counters.evicted += evicted);
    }
}

/// A match in one group.
struct Member<'a> {
    origin: Origin<'a>,
    sources: &'a Sources,
    key: Key,
    entry: Entry,
    rules: &'a [u32],
}

/// What is to be added to the counters.
#[derive(Default)]
struct Outcome {
    counted: u64,
    late: u64,
    dropped: u64,
}

impl Outcome {
    fn count(&self, counters: &mut Counters) {
        counters.counted += self.counted;
        counters.late += self.late;
        counters.dropped += self.dropped;
    }
}

/// That a group's condition holds, and on what it rests.
struct Fired {
    held: Held,
    evidence: Vec<Stamp>,
    time: i64,
}

/// All that a match is made of.
struct Decided {
    held: Held,
    evidence: Vec<Stamp>,
    time: i64,
    last: Option<i64>,
    group: Vec<Box<[u8]>>,
    carried: Carried,
}

fn task(feed: &Feed, origin: usize) -> Task {
    Task { correlation: feed.correlation, origin, referent: feed.referent }
}

/// What is counted, as a number or hash; `None` where it is missing.
fn value(plan: &Plan, sources: &Sources, origin: Origin<'_>, text: &mut Vec<u8>) -> Option<u64> {
    match &plan.measure {
        Measure::Distinct(_) => {
            text.clear();
            for source in &sources.value {
                write_value(Some(origin.value(*source)?), text);
            }
            hash(&[text]).first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
        }
        Measure::Figure(..) => number(origin.value(*sources.value.first()?)?).map(f64::to_bits),
        _ => Some(0),
    }
}

/// Adds a match to a moving window; what was decided.
fn slide(
    plan: &Plan,
    limits: &Limits,
    group: &mut Group,
    member: &Member<'_>,
    outcome: &mut Outcome,
) -> Option<Fired> {
    let entry = member.entry;
    let now = group.last.max(entry.time);
    let horizon = now.saturating_sub(plan.span);
    if entry.time < horizon {
        outcome.late += 1;
        return None;
    }
    group.last = now;
    outcome.counted += 1;
    // What is not after the last match belongs to its window.
    if group.anchor != NEVER && entry.time <= group.anchor {
        return None;
    }
    outcome.dropped += group.tally.add(plan, limits, &Counted { entry, rules: member.rules, horizon });
    if group.anchor != NEVER && now.saturating_sub(group.anchor) <= plan.span {
        return None;
    }
    let held = group.tally.holds(plan, horizon)?;
    let evidence = group.tally.evidence(plan, horizon);
    group.anchor = now;
    group.tally = Tally::Empty;
    Some(Fired { held, evidence, time: now })
}

/// Adds a match to a standing window.
fn gather(plan: &Plan, limits: &Limits, group: &mut Group, member: &Member<'_>, outcome: &mut Outcome) {
    let entry = member.entry;
    if entry.time < group.anchor {
        outcome.late += 1;
        return;
    }
    outcome.counted += 1;
    let counted = Counted { entry, rules: member.rules, horizon: i64::MIN };
    outcome.dropped += group.tally.add(plan, limits, &counted);
    if entry.time >= group.last {
        group.last = entry.time;
        if let Some(window) = group.window.as_mut() {
            window.carried = member.origin.carried(member.sources);
        }
    }
}
