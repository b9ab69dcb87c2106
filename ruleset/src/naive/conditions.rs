//! What a rule demands of one event: conditions on its texts, its size, the time, and look-ups in lists.
//!
//! Enters: a compiled rule and an event. Leaves: whether everything holds that needs no memory.

use super::event::Event;
use crate::expr::{Matcher, OsMatch};
use crate::ir::{
    BuiltinCheck, Condition, List, ListTest, Lookup, Rule, StaticField, Test, TimeOfDay, Weekdays,
};

/// A condition that can be evaluated; one whose pattern does not compile never holds.
pub(super) struct Compiled {
    condition: Condition,
    matcher: Option<Matcher>,
    /// Of a look-up.
    check_value: Option<OsMatch>,
}

impl Compiled {
    pub(super) fn new(condition: &Condition) -> Self {
        let pattern = match &condition.test {
            Test::List(test) => test.check_value.as_deref(),
            _ => None,
        };
        Self {
            condition: condition.clone(),
            matcher: Matcher::new(&condition.test).ok(),
            check_value: pattern.and_then(|pattern| OsMatch::new(pattern).ok()),
        }
    }

    /// A subject that is not there fails the condition, negated or not.
    pub(super) fn holds(&self, event: &Event, lists: &[List]) -> bool {
        let Some(text) = event.text(&self.condition.subject) else { return false };
        let matched = match (&self.condition.test, &self.matcher) {
            (Test::List(test), _) => match lists.get(test.list as usize) {
                Some(list) => self.look_up(test, list, text),
                None => return false,
            },
            (_, Some(matcher)) => matcher.is_match(text),
            (_, None) => return false,
        };
        matched != self.condition.negate
    }

    fn look_up(&self, test: &ListTest, list: &List, text: &[u8]) -> bool {
        let value_fits = |value: Option<&[u8]>| {
            value.zip(self.check_value.as_ref()).is_some_and(|(value, pattern)| pattern.is_match(value))
        };
        match test.lookup {
            Lookup::MatchKey => value_of(list, text).is_some(),
            Lookup::NotMatchKey => value_of(list, text).is_none(),
            Lookup::MatchKeyValue => value_fits(value_of(list, text)),
            Lookup::AddressMatchKey => value_of_address(list, text).is_some(),
            Lookup::NotAddressMatchKey => value_of_address(list, text).is_none(),
            Lookup::AddressMatchKeyValue => value_fits(value_of_address(list, text)),
        }
    }
}

fn value_of<'l>(list: &'l List, key: &[u8]) -> Option<&'l [u8]> {
    list.entries.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_slice())
}

/// The address itself, then what is left of it up to each dot, longest first.
fn value_of_address<'l>(list: &'l List, address: &[u8]) -> Option<&'l [u8]> {
    let up_to_dots = (0..address.len()).rev().filter(|at| address.get(*at) == Some(&b'.'));
    let prefixes = up_to_dots.filter_map(|at| address.get(..=at));
    std::iter::once(address).chain(prefixes).find_map(|key| value_of(list, key))
}

/// Everything about the rule that looks at this event alone and changes nothing, lists aside. `local` is the event's
/// time in seconds of the zone that the rules mean.
pub(super) fn hold(rule: &Rule, conditions: &[Compiled], event: &Event, local: i64, lists: &[List]) -> bool {
    rule.decoded_as.as_ref().is_none_or(|name| event.decoder_name.as_ref() == Some(name))
        && rule.maxsize.is_none_or(|size| event.log.len() >= size as usize)
        && rule.time.is_none_or(|time| is_on_time(time, local))
        && rule.weekdays.is_none_or(|days| is_on_day(days, local))
        && rule.builtin_check.is_none_or(|check| builtin(check, event))
        && conditions.iter().all(|condition| condition.holds(event, lists))
}

fn is_on_time(time: TimeOfDay, local: i64) -> bool {
    let minute = local.rem_euclid(86_400) / 60;
    (i64::from(time.from)..=i64::from(time.to)).contains(&minute) != time.outside
}

fn is_on_day(days: Weekdays, local: i64) -> bool {
    // 1 January 1970 was a Thursday.
    let day = (local.div_euclid(86_400) + 4).rem_euclid(7);
    days.0 >> day & 1 == 1
}

/// First bytes of the addresses that the reference knows search engines by.
const CRAWLERS: [&[u8]; 8] =
    [b"66.249.", b"72.14.", b"209.85.", b"65.55.", b"207.46.", b"74.6.", b"72.30.", b"67.195."];

fn builtin(check: BuiltinCheck, event: &Event) -> bool {
    let fixed = |field| event.fields.fixed(field);
    match check {
        BuiltinCheck::CheckIdSize => fixed(StaticField::Id).is_some_and(|id| id.len() >= 10),
        BuiltinCheck::SrcuserDstuser => match (fixed(StaticField::SrcUser), fixed(StaticField::DstUser)) {
            (Some(source), Some(destination)) => source == destination,
            _ => true,
        },
        BuiltinCheck::TargetuserCalleruserDiff => {
            let named = |label: &[u8]| {
                let at = event.log.windows(label.len()).position(|window| window == label)?;
                let rest = event.log.get(at + label.len()..)?;
                rest.split(|byte| matches!(byte, b':' | b' ' | b'\t')).find(|word| !word.is_empty())
            };
            let users = named(b"Target User Name").zip(named(b"Caller User Name"));
            users.is_some_and(|(target, caller)| target != caller)
        }
        BuiltinCheck::SimpleHttpRequest => {
            fixed(StaticField::Url).is_some_and(|url| url == b"/" || !url.contains(&b'?'))
        }
        BuiltinCheck::ValidCrawler => CRAWLERS.iter().any(|prefix| event.log.starts_with(prefix)),
    }
}
