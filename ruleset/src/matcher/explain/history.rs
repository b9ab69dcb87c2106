//! The events of the session so far, as far as correlations count them (SEMANTICS sections 9.5 and 10).
//!
//! Enters: each event with its result. Leaves: how many of them a correlation counts. It is the explanation's own and
//! not the engine's memory: that keeps no more than it needs to decide, this has to tell.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::event::Event;
use crate::expr::OsRegex;
use crate::ir::{Correlation, CorrelationSource, RuleIndex, RuleSet};

/// As many as the reference keeps.
const MAX_EVENTS: usize = 8192;

/// See the module.
pub(super) struct History {
    /// Ids of rules whose events stand in a list of their own, and so in no other.
    targets: FxHashSet<u32>,
    /// Oldest first; only those whose result is remembered.
    events: VecDeque<Past>,
}

struct Past {
    event: Event,
    rule: RuleIndex,
    /// Level of the correlation rule that counted it last.
    mark: u8,
}

/// What a correlation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    /// Events before this one, each as often as it counts; at most as many as are needed.
    pub(super) counted: u32,
    /// Position of the newest.
    newest: Option<usize>,
}

impl History {
    pub(super) fn new(set: &RuleSet) -> Self {
        let targets = set.tree.rules.iter().filter_map(|rule| match rule.correlation.as_ref()?.source {
            CorrelationSource::Sid(id) => Some(id),
            _ => None,
        });
        Self { targets: targets.collect(), events: VecDeque::new() }
    }

    /// How many earlier events `rule` counts for `event`.
    pub(super) fn count(&self, set: &RuleSet, rule: RuleIndex, event: &Event) -> Count {
        let mut count = Count::default();
        let Some(known) = set.tree.rules.get(rule as usize) else { return count };
        let Some(correlation) = &known.correlation else { return count };
        let regex = match &correlation.source {
            CorrelationSource::Regex(pattern) => OsRegex::new(pattern).ok(),
            _ => None,
        };
        let needed = correlation.frequency.saturating_sub(1);
        for (at, past) in self.events.iter().enumerate().rev() {
            let times = self.times(set, rule, &correlation.source, past, regex.as_ref(), event);
            if times == 0 {
                continue;
            }
            if event.second() - past.event.second() > i64::from(correlation.timeframe) {
                break;
            }
            if !agrees(correlation, &past.event, event) {
                continue;
            }
            if past.mark >= known.level && past.mark > 0 {
                break;
            }
            count.newest.get_or_insert(at);
            count.counted += times;
            if count.counted >= needed {
                count.counted = needed;
                break;
            }
        }
        count
    }

    /// How often an earlier event stands in the list that a correlation looks through.
    fn times(
        &self,
        set: &RuleSet,
        rule: RuleIndex,
        source: &CorrelationSource,
        past: &Past,
        regex: Option<&OsRegex>,
        event: &Event,
    ) -> u32 {
        let Some(decided) = set.tree.rules.get(past.rule as usize) else { return 0 };
        match source {
            CorrelationSource::Sid(id) => u32::from(decided.id == *id),
            CorrelationSource::Group if self.targets.contains(&decided.id) => 0,
            CorrelationSource::Group => {
                let feeds = decided.feeds.iter().filter(|feed| feed.correlation == rule);
                feeds.map(|feed| feed.times).sum()
            }
            CorrelationSource::Regex(_) => {
                let same_type = past.event.category == event.category;
                u32::from(same_type && regex.is_some_and(|regex| regex.is_match(&past.event.log)))
            }
        }
    }

    /// Adds an event with its result; one whose result does not count (its rule is ignored) ends a count all the same.
    pub(super) fn remember(&mut self, set: &RuleSet, event: Event, result: Option<RuleIndex>, counts: bool) {
        let Some(rule) = result else { return };
        let Some(known) = set.tree.rules.get(rule as usize).filter(|rule| rule.level > 0) else { return };
        let mut mark = 0;
        if known.correlation.as_ref().is_some_and(|correlation| correlation.frequency > 2) {
            mark = known.level;
            let newest = self.count(set, rule, &event).newest;
            if let Some(past) = newest.and_then(|at| self.events.get_mut(at)) {
                past.mark = known.level;
            }
        }
        if !counts {
            return;
        }
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Past { event, rule, mark });
    }
}

fn agrees(correlation: &Correlation, past: &Event, event: &Event) -> bool {
    let equal = |subject| {
        let (before, now) = (past.value(subject), event.value(subject));
        before.is_some() && before == now
    };
    correlation.same.iter().all(equal) && !correlation.different.iter().any(equal)
}
