//! What a rule demands of earlier events (SEMANTICS 10).

use super::{Counts, rest_of};
use crate::expr::Matcher;
use crate::ir::{Correlation, CorrelationSource, Test};
use crate::wazuh::source::{Faults, Text};
use crate::wazuh::syntax::Counting;

/// Events that must come together, where the rule does not say.
const FREQUENCY: u32 = 2;
/// Seconds within which they must come, where the rule does not say.
const TIMEFRAME: u32 = 360;

/// The rules whose events are counted. Of several elements the first in this order counts: sid, group, regex.
pub(super) fn counts(counting: &Counting, faults: &mut Faults<'_>) -> Option<Counts> {
    let given = [
        ("if_matched_sid", &counting.sid),
        ("if_matched_group", &counting.group),
        ("if_matched_regex", &counting.regex),
    ];
    let mut given = given.into_iter().filter_map(|(name, text)| text.as_ref().map(|text| (name, text)));
    let (name, text) = given.next()?;
    for (other, text) in given {
        let message = format!("<{other}> beside <{name}> has no effect");
        faults.warning(text.origin(0), &text.value, message, "keep one of them, or write two rules");
    }
    let place = faults.source().place(text.origin(0));
    match name {
        "if_matched_sid" => sid(text, faults).map(|id| Counts::Sid(id, place)),
        "if_matched_group" => {
            check(&Test::OsMatch(text.value.clone()), text, faults);
            Some(Counts::Group(text.value.clone(), place))
        }
        _ => {
            check(&Test::OsRegex(text.value.clone()), text, faults);
            None
        }
    }
}

fn sid(text: &Text, faults: &mut Faults<'_>) -> Option<u32> {
    let value = text.value.as_str();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = "<if_matched_sid> is not the id of a rule";
        faults.left_out(text.origin(0), value, message, "write one id of at most six digits, without blanks");
        return None;
    }
    Some(value.parse().unwrap_or(u32::MAX))
}

fn check(test: &Test, text: &Text, faults: &mut Faults<'_>) {
    if let Err(error) = Matcher::check(test) {
        faults.error(text.origin(error.offset), rest_of(text, error.offset), error.message, error.help);
    }
}

/// The demand itself.
pub(super) fn correlation(counting: &mut Counting, counts: Option<&Counts>) -> Option<Correlation> {
    let source = match (counts, counting.regex.take()) {
        (Some(Counts::Sid(id, _)), _) => CorrelationSource::Sid(*id),
        (Some(Counts::Group(..)), _) => CorrelationSource::Group,
        (None, Some(regex)) => CorrelationSource::Regex(regex.value),
        (None, None) => return None,
    };
    Some(Correlation {
        source,
        frequency: counting.frequency.unwrap_or(FREQUENCY),
        timeframe: counting.timeframe.unwrap_or(TIMEFRAME),
        global: counting.global,
        same: std::mem::take(&mut counting.same),
        different: std::mem::take(&mut counting.different),
    })
}
