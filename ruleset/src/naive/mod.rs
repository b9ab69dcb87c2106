//! The slow oracle: decides about an event in the most direct way, to check the engine against.
//!
//! Enters: rules, decoders and lists, and an event as the reference receives it, in its envelope. Leaves: decoder, rule
//! and fields. It shares the leaf matchers and the intermediate form with the engine and nothing else: no mappings, no
//! binding of paths, no indexes. It decodes everything, tries every rule in order and searches everything that it
//! remembers. For tests and benches only.
//!
//! | module | from → to |
//! |---|---|
//! | `header`, `event` | message → event |
//! | `decode`, `plugins`, `json`, `flatten` | event → event with decoder and fields |
//! | `conditions` | rule, event → whether what the rule says of this event alone holds |
//! | `memory`, `correlate` | rule, event → whether what it says of earlier ones holds |
//! | `search` | the walk through the tree |
//! | `sigma` | Sigma rules, record → the rules that match |
//! | `envelope` | a provider's record → the event that the reference would see |

mod conditions;
mod correlate;
mod decode;
mod envelope;
mod event;
mod flatten;
#[doc(hidden)]
pub mod header;
pub mod json;
mod memory;
mod plugins;
mod search;
pub mod sigma;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use envelope::envelope;
pub use event::NaiveEvent;
pub use memory::{NaiveMemory, NaiveOptions};

use crate::correlate::FrontEnd;
use crate::expr::OsRegex;
use crate::ir::{CorrelationSource, Rule, RuleIndex, RuleSet};
use conditions::Compiled;
use decode::Decoders;
use event::Event;
use memory::ListOf;
use search::Found;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NaiveVerdict {
    /// The decoder that took it.
    pub decoder: Option<String>,
    /// The rule that is the result, level-0 rules included.
    pub rule: Option<RuleIndex>,
    /// Its id.
    pub id: Option<u32>,
    /// Its level.
    pub level: Option<u8>,
    /// Whether an alert is written, as far as the rule decides: its level is not 0, nothing ignores it, and it does not
    /// say `no_log`.
    pub alert: bool,
    /// Static fields under their own names, then dynamic fields in order, repeats included.
    pub fields: Vec<(String, String)>,
}

/// A rule set with its patterns compiled, for many events.
pub struct Naive<'s> {
    set: &'s RuleSet,
    decoders: Decoders,
    rules: Vec<CompiledRule>,
    /// Ids of rules whose results some other rule counts by `if_matched_sid`.
    counted: BTreeSet<u32>,
}

struct CompiledRule {
    conditions: Vec<Compiled>,
    lists: Vec<Compiled>,
    matched_regex: Option<OsRegex>,
}

impl<'s> Naive<'s> {
    /// Compiles the patterns.
    #[must_use]
    pub fn new(set: &'s RuleSet) -> Self {
        let compile = |rule: &Rule| CompiledRule {
            conditions: rule.conditions.iter().map(Compiled::new).collect(),
            lists: rule.lists.iter().map(Compiled::new).collect(),
            matched_regex: match rule.correlation.as_ref().map(|correlation| &correlation.source) {
                Some(CorrelationSource::Regex(pattern)) => OsRegex::new(pattern).ok(),
                _ => None,
            },
        };
        let sources = set.tree.rules.iter().filter_map(|rule| rule.correlation.as_ref());
        let counted = sources.filter_map(|correlation| match correlation.source {
            CorrelationSource::Sid(id) => Some(id),
            _ => None,
        });
        Self {
            set,
            decoders: Decoders::new(&set.decoders, set.tree.rules.iter().map(|rule| rule.id).collect()),
            rules: set.tree.rules.iter().map(compile).collect(),
            counted: counted.collect(),
        }
    }

    /// Decides about one event, and remembers it.
    #[must_use]
    pub fn evaluate(&self, memory: &mut NaiveMemory, input: &NaiveEvent<'_>) -> NaiveVerdict {
        let mut event = Event::new(input);
        self.decoders.decode(&mut event);
        let decoder = event.decoder.and_then(|index| self.decoders.get(index));
        if decoder.is_some_and(|decoder| decoder.accumulate) {
            memory.accumulate(&mut event);
        }
        let found = match event.decided {
            Some(id) => self.by_id(id).map(|rule| Found { rule, parent: None }),
            None => self.find(&mut event, memory),
        };
        let (decoder, fields) = (event.decoder_name.clone(), shown(&event));
        let (rule, alert) = found.map_or((None, false), |found| self.decide(&found, event, memory));
        let result = rule.and_then(|rule| self.rule(rule));
        NaiveVerdict {
            decoder,
            rule,
            id: result.map(|rule| rule.id),
            level: result.map(|rule| rule.level),
            alert,
            fields,
        }
    }

    fn rule(&self, index: RuleIndex) -> Option<&'s Rule> {
        self.set.tree.rules.get(index as usize)
    }

    fn by_id(&self, id: u32) -> Option<RuleIndex> {
        let at = self.set.tree.rules.iter().position(|rule| rule.id == id)?;
        RuleIndex::try_from(at).ok()
    }

    /// What comes of the rule that was found: the result, and whether it is an alert.
    fn decide(&self, found: &Found, event: Event, memory: &mut NaiveMemory) -> (Option<RuleIndex>, bool) {
        let Some(mut rule) = self.rule(found.rule) else { return (None, false) };
        let mut index = found.rule;
        if rule.level == 0 {
            return (Some(index), false);
        }
        let front_end = memory.options.front_end;
        if is_in_ignore_window(index, rule, event.seconds, memory) {
            match (front_end, found.parent) {
                (FrontEnd::Test, _) => return (Some(index), false),
                (FrontEnd::Daemon, None) => return (None, false),
                (FrontEnd::Daemon, Some(parent)) => index = parent,
            }
            let Some(parent) = self.rule(index) else { return (None, false) };
            rule = parent;
            if rule.level == 0 {
                return (Some(index), false);
            }
        }
        if !rule.check_if_ignored.is_empty()
            && front_end == FrontEnd::Daemon
            && memory.ignored_lines.contains(&event.line(&rule.check_if_ignored, false))
        {
            return (None, false);
        }
        if !rule.ignore.is_empty() {
            memory.ignored_lines.insert(event.line(&rule.ignore, false));
        }
        memory.remember(event, &self.lists_of(rule, memory.options.front_end));
        (Some(index), !rule.options.no_log)
    }

    /// Never both: what is counted by its id is not counted by its groups.
    fn lists_of(&self, rule: &Rule, front_end: FrontEnd) -> Vec<ListOf> {
        if self.counted.contains(&rule.id) {
            return vec![ListOf::Sid(rule.id)];
        }
        let times = rule.feeds.iter().flat_map(|feed| {
            // The test front end counts an event once for each place of its rule in the tree.
            let times = if front_end == FrontEnd::Test { feed.times } else { 1 };
            (0..times).map(|_| feed.correlation)
        });
        times.map(ListOf::Group).collect()
    }
}

/// Whether the rule was a result less than its `ignore` seconds ago; stamps it otherwise.
fn is_in_ignore_window(index: RuleIndex, rule: &Rule, now: i64, memory: &mut NaiveMemory) -> bool {
    if rule.ignore_seconds == 0 {
        return false;
    }
    match memory.stamps.get(&index) {
        Some(stamp) if now - stamp < i64::from(rule.ignore_seconds) => true,
        // The test front end forgets the stamp: the next match sets it.
        Some(_) if memory.options.front_end == FrontEnd::Test => {
            memory.stamps.remove(&index);
            false
        }
        _ => {
            memory.stamps.insert(index, now);
            false
        }
    }
}

fn shown(event: &Event) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let fixed = event.fields.fixed.iter().map(|(field, value)| (field.name().to_owned(), text(value)));
    fixed.chain(event.fields.dynamic.iter().map(|(name, value)| (name.clone(), text(value)))).collect()
}
