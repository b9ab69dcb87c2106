//! The state machine: counts matches, decides, and lets correlations feed each other.
//!
//! Enters: matches and watermarks. Leaves: matches of correlations. Windows that have ended are decided, in the order of their
//! ends, before anything that is later is counted; so it does not matter when the caller says that time has passed.

use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::sync::Arc;

use threatlockdown_event::identity::hash;
use threatlockdown_event::{AlertId, EventId};

use super::chains::Stamp;
use super::groups::{Group, Groups, Key, NEVER, Window};
use super::origin::{Origin, value};
use super::places::Share;
use super::plan::{Feed, MAX_TIME, Plan, Plans};
use super::recent::Entry;
use super::windows::{Decided, Fired, Member, Outcome, gather, slide};
use super::{CorrelationMatch, Counters, Limits, Matched};
use crate::correlate::write_value;

/// Idle groups that are forgotten at most for each watermark.
const EXPIRED_PER_WATERMARK: usize = 4096;

/// See the module's comment.
#[derive(Debug)]
pub struct Correlator {
    pub(super) plans: Arc<Plans>,
    pub(super) limits: Limits,
    /// What others do not count.
    pub(super) share: Share,
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
    /// Of the events that come next, in their order.
    ahead: VecDeque<Ahead>,
    numbers: Vec<(u32, u32)>,
}

/// The key of an event that was announced.
#[derive(Debug)]
struct Ahead {
    event: EventId,
    task: Task,
    key: Option<Key>,
}

impl Work {
    /// The key of an event or match; that of an announced event is known.
    fn key(&mut self, plan: &Plan, origin: Origin<'_>, task: &Task) -> Option<Key> {
        if let (Origin::Event(event), Some(next)) = (origin, self.ahead.front())
            && next.event == event.id
            && next.task == *task
        {
            return self.ahead.pop_front().and_then(|next| next.key);
        }
        origin.key(plan.referents.get(task.referent as usize)?, &mut self.text)
    }
}

/// A match that is to be counted: in which correlation, where it came from (0: the event, else one more than the
/// index of a match of this step), and as which referent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    correlation: u32,
    origin: usize,
    referent: u32,
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
            share: Share::All,
            clock: i64::MIN,
            ends: BTreeSet::new(),
            bytes: 0,
            hand: 0,
            work: Work::default(),
        }
    }

    /// From now on it counts what is its share; what it has counted of others stays until it is forgotten.
    pub fn set_share(&mut self, share: Share) {
        self.share = share;
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

    /// Bytes of the groups of one correlation (estimated).
    #[must_use]
    pub fn bytes_of(&self, correlation: u32) -> usize {
        self.groups.get(correlation as usize).map_or(0, Groups::bytes)
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

    /// Announces the events that are observed next, in this order: an id stands for the same fields here and there. Changes
    /// nothing of what is counted. The groups of all of them are looked for together: where a million are live each look
    /// is a wait for memory, and so these waits are one.
    pub fn expect<'e>(&mut self, events: impl Iterator<Item = Matched<'e>>) {
        let Self { plans, groups, work, .. } = self;
        let Work { feeds, text, ahead, numbers, .. } = work;
        ahead.clear();
        for event in events {
            tasks(plans, &event, feeds);
            for task in &*feeds {
                let plan = plans.get(task.correlation);
                let sources = plan.and_then(|plan| plan.referents.get(task.referent as usize));
                let key = sources.and_then(|sources| Origin::Event(&event).key(sources, text));
                ahead.push_back(Ahead { event: event.id, task: *task, key });
            }
        }
        numbers.clear();
        for Ahead { task, key, .. } in &*ahead {
            let of = groups.get(task.correlation as usize);
            let number = of.and_then(|groups| groups.find(key.as_ref()?));
            numbers.extend(number.map(|number| (task.correlation, number)));
        }
        for (correlation, number) in &*numbers {
            let group = groups.get(*correlation as usize).and_then(|groups| groups.get(*number));
            black_box(group.map_or(0, Group::glance));
        }
    }

    /// Counts an event's matches; what follows is appended to `found`. Events come in the order of (time, id).
    pub fn observe(&mut self, event: &Matched<'_>, found: &mut Vec<CorrelationMatch>) {
        let plans = Arc::clone(&self.plans);
        let time = event.time.clamp(-MAX_TIME, MAX_TIME);
        self.end_windows(&plans, time, found);
        self.clock = self.clock.max(time);
        let mut feeds = std::mem::take(&mut self.work.feeds);
        tasks(&plans, event, &mut feeds);
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
            match work.key(plan, origin, task) {
                Some(key) if self.share.has(plan.place(&key)) => work.keyed.push((key, task.referent)),
                // Another counts it.
                Some(_) => {}
                None => lacking += 1,
            }
        }
        work.keyed.sort_unstable();
        for group in work.keyed.chunk_by(|one, other| one.0 == other.0) {
            let Some((key, first)) = group.first().copied() else { continue };
            work.rules.clear();
            work.rules.extend(group.iter().map(|(_, referent)| *referent));
            let Some(sources) = plan.referents.get(first as usize) else { continue };
            // An alias may name another field for each rule: the first that has it says what the value is.
            let mut all = group.iter().filter_map(|(_, referent)| plan.referents.get(*referent as usize));
            let Some(value) = all.find_map(|sources| value(plan, sources, origin, &mut work.text)) else {
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

    pub(super) fn counter(&mut self, index: u32, change: impl FnOnce(&mut Counters)) {
        if let Some(counters) = self.counters.get_mut(index as usize) {
            change(counters);
        }
    }
}

/// Where an event is to be counted.
fn tasks(plans: &Plans, event: &Matched<'_>, feeds: &mut Vec<Task>) {
    feeds.clear();
    let of_rules = event.rules.iter().flat_map(|rule| plans.fed_by_rule(*rule));
    feeds.extend(of_rules.map(|feed| task(feed, 0)));
    feeds.sort_unstable();
    feeds.dedup();
}

fn task(feed: &Feed, origin: usize) -> Task {
    Task { correlation: feed.correlation, origin, referent: feed.referent }
}
