//! What is remembered between events: plain lists, searched from their ends.
//!
//! Enters: results. Leaves: earlier events by their numbers, first-seen keys, stamps, texts and fields.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::event::Event;
use crate::correlate::FrontEnd;
use crate::ir::{RuleIndex, StaticField};

/// So many events are remembered; of more the oldest are forgotten, by all lists.
const RECENT: usize = 8192;
/// First-seen keys are cut to that.
const LONGEST_KEY: usize = 255;
/// New keys of intrusion detection that a further one is compared with.
const SIMILAR_AMONG: usize = 32;
/// Leading bytes that two keys must have more than in common to be similar.
const SIMILAR_BYTES: usize = 14;
/// Seconds for which fields wait for the rest of their event.
const ACCUMULATED_FOR: i64 = 120;
/// Longer values are not kept for it.
const LONGEST_ACCUMULATED: usize = 80;

/// How a memory behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct NaiveOptions {
    /// Whose behaviour is followed where the reference has two.
    pub front_end: FrontEnd,
    /// Seconds east of UTC of the zone that `<time>` and `<weekday>` mean.
    pub zone_offset: i32,
}

/// Which events a correlation looks through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ListOf {
    /// Results of the rule with that id.
    Sid(u32),
    /// Events that count for that rule with `if_matched_group`.
    Group(RuleIndex),
}

/// What the oracle remembers.
#[derive(Default)]
pub struct NaiveMemory {
    pub(super) options: NaiveOptions,
    /// Oldest first, with their numbers.
    recent: VecDeque<(u64, Event)>,
    next_number: u64,
    /// Numbers of events, oldest first; an event can be in a list several times.
    lists: BTreeMap<ListOf, Vec<u64>>,
    /// When a rule with `ignore` was first a result, in this window.
    pub(super) stamps: BTreeMap<RuleIndex, i64>,
    first_seen: BTreeSet<Vec<u8>>,
    new_keys: VecDeque<Vec<u8>>,
    last_logs: BTreeMap<(Vec<u8>, u32), Vec<u8>>,
    pub(super) ignored_lines: BTreeSet<Vec<u8>>,
    accumulated: BTreeMap<Vec<u8>, Accumulated>,
}

/// Fields of an event that comes in several parts.
#[derive(Default)]
struct Accumulated {
    last: i64,
    fields: BTreeMap<StaticField, Vec<u8>>,
}

impl NaiveMemory {
    /// An empty memory.
    #[must_use]
    pub fn new(options: NaiveOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Remembers an event, in the lists given (one for each time).
    pub(super) fn remember(&mut self, event: Event, lists: &[ListOf]) {
        let number = self.next_number;
        self.next_number += 1;
        for list in lists {
            self.lists.entry(*list).or_default().push(number);
        }
        self.recent.push_back((number, event));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Numbers of the events of a list that are still remembered, newest first.
    pub(super) fn listed(&self, list: ListOf) -> Vec<u64> {
        let numbers = self.lists.get(&list).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().rev().copied().filter(|number| self.event(*number).is_some()).collect()
    }

    /// Numbers of all remembered events, newest first.
    pub(super) fn all(&self) -> Vec<u64> {
        self.recent.iter().rev().map(|(number, _)| *number).collect()
    }

    pub(super) fn event(&self, number: u64) -> Option<&Event> {
        let oldest = self.recent.front()?.0;
        self.recent.get(usize::try_from(number.checked_sub(oldest)?).ok()?).map(|(_, event)| event)
    }

    pub(super) fn mark(&mut self, number: u64, level: u8) {
        if let Some((_, event)) = self.recent.iter_mut().find(|(known, _)| *known == number) {
            event.mark = Some(level);
        }
    }

    /// Whether the key is new; it is not from now on.
    pub(super) fn is_first(&mut self, mut key: Vec<u8>, is_intrusion_detection: bool) -> bool {
        key.truncate(LONGEST_KEY);
        if self.first_seen.contains(&key) {
            return false;
        }
        if is_intrusion_detection {
            let in_common = |known: &Vec<u8>| known.iter().zip(&key).take_while(|(a, b)| a == b).count();
            let similar = self.new_keys.iter().filter(|known| in_common(known) > SIMILAR_BYTES).count();
            if similar > 2 {
                key.truncate(SIMILAR_BYTES);
            }
            self.new_keys.push_back(key.clone());
            if self.new_keys.len() > SIMILAR_AMONG {
                self.new_keys.pop_front();
            }
        }
        self.first_seen.insert(key)
    }

    /// Whether the log differs from the last one of this host for this rule; the first one does not.
    pub(super) fn is_different(&mut self, event: &Event, rule: u32) -> bool {
        let key = (event.hostname.clone(), rule);
        self.last_logs.insert(key, event.log.clone()).is_some_and(|last| last != event.log)
    }

    /// Gives the event the fields that earlier parts of it had.
    pub(super) fn accumulate(&mut self, event: &mut Event) {
        const FIELDS: [StaticField; 7] = [
            StaticField::DstUser,
            StaticField::SrcUser,
            StaticField::DstIp,
            StaticField::SrcIp,
            StaticField::DstPort,
            StaticField::SrcPort,
            StaticField::Data,
        ];
        let Some(id) = event.fields.fixed(StaticField::Id) else { return };
        let hostname = event.hostname.as_slice();
        let decoder = event.decoder_name.as_deref().unwrap_or_default();
        let key = [hostname, b" ", decoder.as_bytes(), b" ", id].concat();
        let kept = self.accumulated.entry(key).or_default();
        if event.seconds - kept.last > ACCUMULATED_FOR {
            kept.fields.clear();
        }
        kept.last = event.seconds;
        for field in FIELDS {
            match (event.fields.fixed(field), kept.fields.get(&field)) {
                (Some(value), _) if value.len() <= LONGEST_ACCUMULATED => {
                    kept.fields.insert(field, value.to_owned());
                }
                (None, Some(value)) => event.fields.set(field, value),
                _ => {}
            }
        }
    }
}
