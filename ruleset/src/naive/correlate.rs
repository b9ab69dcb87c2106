//! Whether enough earlier events like this one are remembered.
//!
//! Enters: a correlation rule, the event, the memory. Leaves: whether the rule fires, with the marks that make the next
//! count begin anew.

use super::event::Event;
use super::memory::{ListOf, NaiveMemory};
use crate::expr::OsRegex;
use crate::ir::{Correlation, CorrelationSource, RuleIndex, Subject};

/// Whether the rule at `index` with this level fires on the event.
pub(super) fn fires(
    correlation: &Correlation,
    index: RuleIndex,
    level: u8,
    regex: Option<&OsRegex>,
    event: &mut Event,
    memory: &mut NaiveMemory,
) -> bool {
    let source = match &correlation.source {
        CorrelationSource::Sid(id) => memory.listed(ListOf::Sid(*id)),
        CorrelationSource::Group => memory.listed(ListOf::Group(index)),
        CorrelationSource::Regex(_) => memory.all(),
    };
    let by_regex = matches!(correlation.source, CorrelationSource::Regex(_));
    let wanted = correlation.frequency.saturating_sub(1).max(1);
    let (mut counted, mut newest) = (0, None);
    for number in source {
        let Some(earlier) = memory.event(number) else { continue };
        if by_regex {
            let matches = regex.is_some_and(|regex| regex.is_match(&earlier.log));
            if earlier.category != event.category || !matches {
                continue;
            }
        }
        if event.seconds - earlier.seconds > i64::from(correlation.timeframe) {
            return false;
        }
        if !correlation.global && earlier.agent != event.agent {
            continue;
        }
        if !is_alike(correlation, event, earlier) {
            continue;
        }
        if earlier.mark.unwrap_or_default() >= level {
            return false;
        }
        counted += 1;
        if counted == wanted {
            if let Some(newest) = newest {
                event.mark = Some(level);
                memory.mark(newest, level);
            }
            return true;
        }
        newest = newest.or(Some(number));
    }
    false
}

fn is_alike(correlation: &Correlation, event: &Event, earlier: &Event) -> bool {
    let equal = |subject: &Subject| match (event.text(subject), earlier.text(subject)) {
        (Some(own), Some(other)) => own == other,
        _ => false,
    };
    let by_dynamic = correlation.different.iter().any(|subject| matches!(subject, Subject::Field(_)));
    let without_dynamic = event.fields.dynamic.is_empty() && earlier.fields.dynamic.is_empty();
    correlation.same.iter().all(equal)
        && !correlation.different.iter().any(equal)
        && !(by_dynamic && without_dynamic)
}
