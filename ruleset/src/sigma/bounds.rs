//! The condition of a correlation that counts: `gte: 10`, with the fields whose values count.
//!
//! Enters: the YAML. Leaves: bounds that all must hold, or faults; bounds that exclude each other are one.

use crate::ir::sigma::{Bound, Comparison};
use crate::yaml::{Node, Value};

use super::faults::Faults;
use super::head::Members;
use super::scalar::Single;
use super::words::suggest;

const OPERATORS: [(&str, Comparison); 6] = [
    ("lt", Comparison::Less),
    ("lte", Comparison::LessOrEqual),
    ("gt", Comparison::Greater),
    ("gte", Comparison::GreaterOrEqual),
    ("eq", Comparison::Equal),
    ("neq", Comparison::NotEqual),
];
/// Counts do not get there in any span of time.
const MAX_COUNT: f64 = 1e12;
const KEYS: [&str; 8] = ["lt", "lte", "gt", "gte", "eq", "neq", "field", "percentile"];

/// What a condition says.
#[derive(Debug, Default)]
pub(super) struct CountCondition {
    pub(super) bounds: Vec<Bound>,
    pub(super) fields: Vec<String>,
    pub(super) percentile: Option<f64>,
}

/// The condition of a correlation of type `kind`; `None` after faults.
pub(super) fn read(parts: &Members<'_>, kind: &str, faults: &mut Faults<'_>) -> Option<CountCondition> {
    let form = "add `condition:` with a bound, as in `gte: 10`";
    let Some(node) = parts.get("condition") else {
        faults.error(parts.place, "", format!("{kind} needs a condition"), form);
        return None;
    };
    let Some(members) = Members::new(node, faults) else {
        faults.expected(node, "`condition`", "a mapping with a bound, as in `gte: 10`");
        return None;
    };
    let before = faults.errors();
    let mut found = CountCondition::default();
    for (key, value) in members.pairs() {
        let name = key.text().unwrap_or_default();
        match OPERATORS.iter().find(|(known, _)| *known == name) {
            Some((_, comparison)) => {
                if let Some(number) = number(value, kind, faults) {
                    found.bounds.push(Bound { comparison: *comparison, number });
                }
            }
            None if name == "field" || name == "percentile" => {}
            None => {
                let help = suggest(name, &KEYS);
                faults.error(&key.place, name, format!("a condition has no `{name}`"), help);
            }
        }
    }
    if found.bounds.is_empty() && faults.errors() == before {
        faults.error(&node.place, "", "the condition has no bound", "add one, as in `gte: 10`");
    }
    if !can_hold(&found.bounds) {
        let help = "write bounds that a number can be within";
        faults.error(&node.place, "", "no number is within these bounds", help);
    } else if is_count(kind) && faults.errors() == before {
        check_counts(node, &found.bounds, faults);
    }
    fields(&members, kind, &mut found, faults);
    percentile(&members, kind, &mut found, faults);
    (faults.errors() == before).then_some(found)
}

/// Figures of values can be fractions and below zero, counts cannot.
fn is_count(kind: &str) -> bool {
    matches!(kind, "event_count" | "value_count" | "temporal" | "temporal_ordered")
}

/// Whole numbers are all that is counted, and the first one is that of the first match: without one there is no count.
fn check_counts(node: &Node, bounds: &[Bound], faults: &mut Faults<'_>) {
    let holds = |count: f64| bounds.iter().all(|bound| is_within(count, bound));
    // What bounds say changes at their numbers alone.
    const LEAST: f64 = 1.0;
    let near = bounds.iter().flat_map(|bound| [bound.number - 1.0, bound.number, bound.number + 1.0]);
    let mut counts = near.chain([LEAST]).filter(|count| *count >= LEAST);
    if !counts.clone().any(holds) {
        let message = "no count is within these bounds: a match counts as one at least";
        let help = "write bounds that a count can be within; what does not happen is not counted";
        faults.error(&node.place, "", message, help);
    } else if counts.all(holds) && holds(0.0) {
        let help = "write from how many on there shall be an alert, as in `gte: 10`";
        faults.warning(&node.place, "", "every count is within these bounds", help);
    }
}

#[allow(clippy::float_cmp)] // whole numbers
fn is_within(count: f64, bound: &Bound) -> bool {
    match bound.comparison {
        Comparison::Less => count < bound.number,
        Comparison::LessOrEqual => count <= bound.number,
        Comparison::Greater => count > bound.number,
        Comparison::GreaterOrEqual => count >= bound.number,
        Comparison::Equal => count == bound.number,
        Comparison::NotEqual => count != bound.number,
    }
}

fn number(node: &Node, kind: &str, faults: &mut Faults<'_>) -> Option<f64> {
    let single = match &node.value {
        Value::Scalar(scalar) => Single::of(scalar),
        _ => Single::Null,
    };
    let is_count = is_count(kind);
    match single {
        Single::Number(number, ref text) if is_count && number > MAX_COUNT => {
            let help = "write a number that can be reached: so many are never counted";
            faults.error(&node.place, text, "this is more than anything is counted to", help);
            None
        }
        Single::Number(number, _)
            if number.is_finite() && (!is_count || (number >= 0.0 && number.fract() == 0.0)) =>
        {
            Some(number)
        }
        _ => {
            let form = if is_count { "a whole number from 0 on" } else { "a number" };
            faults.expected(node, "a bound", form);
            None
        }
    }
}

fn fields(members: &Members<'_>, kind: &str, found: &mut CountCondition, faults: &mut Faults<'_>) {
    let counts_values = kind.starts_with("value_");
    match members.get("field") {
        None if counts_values => {
            let message = format!("{kind} needs the field whose values count");
            faults.error(members.place, "", message, "add `field: NAME` to the condition");
        }
        None => {}
        Some(node) if !counts_values => {
            let message = format!("{kind} counts no values: `field` has no effect");
            faults.warning(&node.place, "", message, "remove it, or use value_count");
        }
        Some(node) => {
            let items = match &node.value {
                Value::Sequence(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            if items.is_empty() || (items.len() > 1 && kind != "value_count") {
                faults.expected(node, "`field`", "the name of one field");
            }
            for item in items {
                match item.text() {
                    Some(name) => found.fields.push(name.to_owned()),
                    None => faults.expected(item, "`field`", "the name of a field"),
                }
            }
        }
    }
}

fn percentile(members: &Members<'_>, kind: &str, found: &mut CountCondition, faults: &mut Faults<'_>) {
    let wanted = kind == "value_percentile";
    match members.get("percentile") {
        None if wanted => {
            let help = "add `percentile: 95` to the condition";
            faults.error(members.place, "", "value_percentile needs to know which percentile", help);
        }
        None => {}
        Some(node) if !wanted => {
            let message = format!("{kind} has no percentile: it has no effect");
            faults.warning(&node.place, "", message, "remove it, or use value_percentile");
        }
        Some(node) => {
            let single = match &node.value {
                Value::Scalar(scalar) => Single::of(scalar),
                _ => Single::Null,
            };
            match single {
                Single::Number(number, _) if (0.0..=100.0).contains(&number) => {
                    found.percentile = Some(number);
                }
                _ => faults.expected(node, "`percentile`", "a number from 0 to 100"),
            }
        }
    }
}

/// Whether some number is within all bounds.
fn can_hold(bounds: &[Bound]) -> bool {
    let (mut low, mut high) = ((f64::NEG_INFINITY, true), (f64::INFINITY, true));
    for Bound { comparison, number } in bounds {
        let raise = |low: (f64, bool), at: (f64, bool)| {
            if at.0 > low.0 || (at.0 == low.0 && !at.1) { at } else { low }
        };
        let sink = |high: (f64, bool), at: (f64, bool)| {
            if at.0 < high.0 || (at.0 == high.0 && !at.1) { at } else { high }
        };
        match comparison {
            Comparison::Less => high = sink(high, (*number, false)),
            Comparison::LessOrEqual => high = sink(high, (*number, true)),
            Comparison::Greater => low = raise(low, (*number, false)),
            Comparison::GreaterOrEqual => low = raise(low, (*number, true)),
            Comparison::Equal => {
                low = raise(low, (*number, true));
                high = sink(high, (*number, true));
            }
            Comparison::NotEqual => {}
        }
    }
    let is_point = low.0 == high.0;
    let excluded = |at: f64| bounds.iter().any(|b| b.comparison == Comparison::NotEqual && b.number == at);
    low.0 < high.0 || (is_point && low.1 && high.1 && !excluded(low.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_exclude_each_other() {
        use Comparison::*;
        let holds = |bounds: &[(Comparison, f64)]| {
            let bounds: Vec<Bound> = bounds
                .iter()
                .map(|(comparison, number)| Bound { comparison: *comparison, number: *number })
                .collect();
            can_hold(&bounds)
        };
        assert!(holds(&[]));
        assert!(holds(&[(Greater, 3.0), (LessOrEqual, 5.0)]));
        assert!(holds(&[(GreaterOrEqual, 5.0), (LessOrEqual, 5.0)]));
        assert!(holds(&[(Equal, 5.0), (NotEqual, 4.0)]));
        assert!(!holds(&[(Greater, 5.0), (LessOrEqual, 5.0)]));
        assert!(!holds(&[(Greater, 5.0), (Less, 3.0)]));
        assert!(!holds(&[(Equal, 5.0), (NotEqual, 5.0)]));
        assert!(!holds(&[(Equal, 5.0), (Less, 5.0)]));
    }
}
