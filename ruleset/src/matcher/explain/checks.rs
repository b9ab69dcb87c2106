//! The conditions of one rule, tried one by one.
//!
//! Enters: a rule, an event, the events before it. Leaves: for each condition in the order of the reference (SEMANTICS
//! 7.6) what it is, the value that it saw, and whether it holds; nothing after the first that fails.

use std::fmt;

use rustc_hash::FxHashMap;

use super::event::Event;
use super::history::History;
use crate::expr::{Matcher, OsMatch};
use crate::ir::{
    BuiltinCheck, Condition, CorrelationSource, ListTest, Lookup, Rule, RuleIndex, RuleSet, StaticField,
    Subject, Test, TimeOfDay, Weekdays,
};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// What it depends on is not known here.
    Unknown,
}

/// One condition, tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The element and what it demands.
    pub what: String,
    /// The value that it saw, or a word on it.
    pub saw: Option<String>,
    /// The result.
    pub holds: Holds,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.saw {
            Some(saw) => write!(f, " – the event has {saw}"),
            None => Ok(()),
        }
    }
}

pub(super) fn all(checks: &[Checked]) -> Holds {
    let any = |holds| checks.iter().any(|check| check.holds == holds);
    match (any(Holds::No), any(Holds::Unknown)) {
        (true, _) => Holds::No,
        (false, true) => Holds::Unknown,
        (false, false) => Holds::Yes,
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Longer values are shortened.
const SHOWN_CHARS: usize = 200;

fn quoted(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("'{shown}'")
}

/// By index of the list: its entries.
type Entries<'s> = FxHashMap<u32, FxHashMap<&'s [u8], &'s [u8]>>;

/// Tries conditions; what they need is compiled when it is first used.
pub(super) struct Judge<'s> {
    set: &'s RuleSet,
    matchers: FxHashMap<&'s Test, Option<Matcher>>,
    lists: Entries<'s>,
}

impl<'s> Judge<'s> {
    pub(super) fn new(set: &'s RuleSet) -> Self {
        Self { set, matchers: FxHashMap::default(), lists: FxHashMap::default() }
    }

    pub(super) fn checks(
        &mut self,
        index: RuleIndex,
        is_root: bool,
        event: &Event,
        history: &History,
    ) -> Vec<Checked> {
        let set = self.set;
        let rule = &set.tree.rules[index as usize];
        let mut checks = Vec::new();
        let mut add = |check: Checked| {
            let failed = check.holds == Holds::No;
            checks.push(check);
            !failed
        };
        // Ends at the first that fails, as the engine does.
        let _ = alone(rule, is_root, event).into_iter().all(&mut add)
            && rule.conditions.iter().all(|condition| add(self.condition(condition, event)))
            && beside(rule, event).into_iter().all(&mut add)
            && rule.lists.iter().all(|condition| add(self.condition(condition, event)))
            && correlated(set, index, event, history).into_iter().all(&mut add);
        checks
    }

    fn condition(&mut self, condition: &'s Condition, event: &Event) -> Checked {
        let Condition { subject, test, negate } = condition;
        let value = event.value(subject);
        let what = describe(self.set, condition);
        let Some(value) = value else {
            let saw = if *subject == Subject::Hostname { "none in its header" } else { "none" };
            let holds = if *subject == Subject::Hostname { Holds::Unknown } else { Holds::No };
            return Checked { what, saw: Some(saw.into()), holds };
        };
        let matched = match test {
            Test::List(test) => self.looks_up(test, &value),
            test => {
                let matcher = self.matchers.entry(test).or_insert_with(|| Matcher::new(test).ok());
                matcher.as_ref().is_some_and(|matcher| matcher.is_match(&value))
            }
        };
        Checked { what, saw: Some(quoted(&value)), holds: (matched != *negate).into() }
    }

    /// SEMANTICS 11.3.
    fn looks_up(&mut self, test: &ListTest, key: &[u8]) -> bool {
        let set = self.set;
        let entries = self.lists.entry(test.list).or_insert_with(|| {
            let list = set.lists.get(test.list as usize);
            let entries = list.map(|list| list.entries.as_slice()).unwrap_or_default();
            // Of several the first counts.
            entries.iter().rev().map(|(key, value)| (key.as_slice(), value.as_slice())).collect()
        });
        let exact = || entries.get(key).copied();
        let address = || {
            let prefixes = key.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.');
            exact().or_else(|| {
                prefixes.map(|(at, _)| &key[..=at]).find_map(|prefix| entries.get(prefix).copied())
            })
        };
        let fits = |value: &[u8]| {
            let pattern = test.check_value.as_deref().and_then(|pattern| OsMatch::new(pattern).ok());
            pattern.is_some_and(|pattern| pattern.is_match(value))
        };
        match test.lookup {
            Lookup::MatchKey => exact().is_some(),
            Lookup::NotMatchKey => exact().is_none(),
            Lookup::MatchKeyValue => exact().is_some_and(fits),
            Lookup::AddressMatchKey => address().is_some(),
            Lookup::NotAddressMatchKey => address().is_none(),
            Lookup::AddressMatchKeyValue => !address().is_some_and(fits),
        }
    }
}

/// What comes before the conditions: category at a root, the decoder.
fn alone(rule: &Rule, is_root: bool, event: &Event) -> Vec<Checked> {
    let mut checks = Vec::new();
    if is_root {
        let name = event.category.map_or("another one", crate::ir::Category::name);
        checks.push(Checked {
            what: format!("category {}", rule.category.name()),
            saw: Some(name.into()),
            holds: (event.category == Some(rule.category)).into(),
        });
    }
    if let Some(decoder) = &rule.decoded_as {
        checks.push(Checked {
            what: format!("decoded_as {decoder}"),
            saw: Some(format!("decoder {}", event.decoder.as_deref().unwrap_or("none"))),
            holds: (event.decoder.as_ref() == Some(decoder)).into(),
        });
    }
    checks
}

/// What is no test of one subject.
fn beside(rule: &Rule, event: &Event) -> Vec<Checked> {
    let mut checks = Vec::new();
    let mut add = |what: String, saw: Option<String>, holds| checks.push(Checked { what, saw, holds });
    if let Some(check) = rule.builtin_check {
        add(format!("compiled_rule {check:?}"), None, builtin(check, event));
    }
    if let Some(size) = rule.maxsize {
        let length = event.log.len();
        add(format!("at least {size} bytes"), Some(length.to_string()), (length >= size as usize).into());
    }
    let day_second = event.second().rem_euclid(86_400);
    if let Some(TimeOfDay { from, to, outside }) = rule.time {
        let minute = day_second / 60;
        let inside = (i64::from(from)..=i64::from(to)).contains(&minute);
        let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        let word = if outside { "not " } else { "" };
        let what = format!("time {word}{} – {}", clock(from.into()), clock(to.into()));
        add(what, Some(format!("{} UTC", clock(minute))), (inside != outside).into());
    }
    if let Some(Weekdays(days)) = rule.weekdays {
        const NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        // 1970 began on a Thursday.
        let today =
            usize::try_from((event.second().div_euclid(86_400) + 4).rem_euclid(7)).unwrap_or_default();
        let is_in = |day: usize| days >> day & 1 == 1;
        let wanted: Vec<&str> = (0..7).filter(|day| is_in(*day)).map(|day| NAMES[day]).collect();
        add(format!("weekday {}", wanted.join(" ")), Some(NAMES[today].into()), is_in(today).into());
    }
    if rule.check_diff {
        add("check_diff (another log than the last one of this host)".into(), None, Holds::Unknown);
    }
    if rule.if_fts {
        add("if_fts (a key that was not seen before)".into(), None, Holds::Unknown);
    }
    checks
}

/// SEMANTICS 7.3; the two that compare with tables of the reference are left open.
fn builtin(check: BuiltinCheck, event: &Event) -> Holds {
    let field = |field| event.fixed(field);
    match check {
        BuiltinCheck::CheckIdSize => field(StaticField::Id).is_some_and(|id| id.len() >= 10).into(),
        BuiltinCheck::SrcuserDstuser => match (field(StaticField::SrcUser), field(StaticField::DstUser)) {
            (Some(source), Some(target)) => (source == target).into(),
            _ => Holds::Yes,
        },
        BuiltinCheck::SimpleHttpRequest => {
            field(StaticField::Url).is_some_and(|url| *url == *b"/" || !url.contains(&b'?')).into()
        }
        BuiltinCheck::TargetuserCalleruserDiff | BuiltinCheck::ValidCrawler => Holds::Unknown,
    }
}

fn correlated(set: &RuleSet, index: RuleIndex, event: &Event, history: &History) -> Option<Checked> {
    let correlation = set.tree.rules[index as usize].correlation.as_ref()?;
    let counted = history.count(set, index, event).counted;
    let source = match &correlation.source {
        CorrelationSource::Sid(id) => format!("of rule {id}"),
        CorrelationSource::Group => "of its group".to_owned(),
        CorrelationSource::Regex(pattern) => format!("whose log matches '{pattern}'"),
    };
    let names = |subjects: &[Subject]| subjects.iter().map(name).collect::<Vec<_>>().join(", ");
    let mut what = format!("{} events {source} within {} s", correlation.frequency, correlation.timeframe);
    if !correlation.same.is_empty() {
        what.push_str(&format!(" with the same {}", names(&correlation.same)));
    }
    if !correlation.different.is_empty() {
        what.push_str(&format!(" with different {}", names(&correlation.different)));
    }
    let saw = format!("{counted} before it, itself the {}.", counted + 1);
    Some(Checked { what, saw: Some(saw), holds: (counted + 1 >= correlation.frequency).into() })
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Log => "log".into(),
        Subject::ProgramName => "program_name".into(),
        Subject::Hostname => "hostname".into(),
        Subject::Location => "location".into(),
        Subject::Static(field) => field.name().into(),
        Subject::User | Subject::ListUser => "user".into(),
        Subject::Field(name) => format!("field {name}"),
    }
}

/// `field aws.eventname: osregex '^Console'`.
fn describe(set: &RuleSet, condition: &Condition) -> String {
    let not = if condition.negate { "not " } else { "" };
    let subject = match (&condition.subject, &condition.test) {
        (Subject::Log, Test::OsMatch(_)) => "match".into(),
        (Subject::Log, _) => "regex".into(),
        (subject, _) => name(subject),
    };
    let test = match &condition.test {
        Test::OsMatch(pattern) => format!("osmatch '{pattern}'"),
        Test::OsRegex(pattern) => format!("osregex '{pattern}'"),
        Test::Pcre2(pattern) => format!("pcre2 '{pattern}'"),
        Test::Equals(text) => format!("equal to '{text}'"),
        Test::Networks(networks) => format!("in {}", shown_networks(networks)),
        Test::List(test) => {
            let list = set.lists.get(test.list as usize).map_or("?", |list| list.name.as_str());
            format!("{} in list {list}", lookup(test))
        }
    };
    format!("{subject}: {not}{test}")
}

fn lookup(test: &ListTest) -> String {
    let name = match test.lookup {
        Lookup::MatchKey => "match_key",
        Lookup::NotMatchKey => "not_match_key",
        Lookup::MatchKeyValue => "match_key_value",
        Lookup::AddressMatchKey => "address_match_key",
        Lookup::NotAddressMatchKey => "not_address_match_key",
        Lookup::AddressMatchKeyValue => "address_match_key_value",
    };
    match &test.check_value {
        Some(value) => format!("{name} '{value}'"),
        None => name.to_owned(),
    }
}

fn shown_networks(networks: &[crate::ir::Network]) -> String {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use crate::ir::Network;
    let one = |network: &Network| match network {
        Network::V4(address, mask) => format!("{}/{}", Ipv4Addr::from(*address), mask.count_ones()),
        Network::V6(address, mask) => format!("{}/{}", Ipv6Addr::from(*address), mask.count_ones()),
        Network::Any => "any".into(),
    };
    networks.iter().map(one).collect::<Vec<_>>().join(", ")
}
