//! Sigma rules, evaluated as they are written.
//!
//! Enters: rules in the intermediate form and events as JSON values. Leaves: which rules match. There is no index, no
//! shared test and no prefilter, and fields are looked for from the top for every test: slow, and easy to see through.
//! The engine is compared with it.

use super::json::{Json, write_text};
use crate::decode::mapping::Mapping;
use crate::expr::{Networks, Pcre2};
use crate::ir::sigma::{
    Comparison, Expr, FieldTest, Pattern, PatternPart, ReferenceSite, SigmaRule, SigmaSet, TimePart,
};

/// An event as Sigma rules of a source look at it.
#[derive(Clone, Copy)]
pub struct SigmaEvent<'e> {
    /// The record, or what the reference's envelope has of it.
    pub record: &'e Json,
    /// What keywords look at.
    pub whole: &'e Json,
    /// The mapping of its source.
    pub mapping: &'e Mapping,
}

/// Positions of the rules that match, in order.
#[must_use]
pub fn matches(set: &SigmaSet, event: SigmaEvent<'_>) -> Vec<u32> {
    let looks = |rule: &SigmaRule| event.mapping.sigma.fits(&rule.logsource);
    let rules = (0..).zip(&set.rules);
    rules.filter(|(_, rule)| looks(rule) && event.holds(&rule.expr)).map(|(index, _)| index).collect()
}

/// One value of a field.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    List,
    Text(String),
}

impl SigmaEvent<'_> {
    fn holds(self, expr: &Expr) -> bool {
        match expr {
            Expr::All(parts) => parts.iter().all(|part| self.holds(part)),
            Expr::Any(parts) => parts.iter().any(|part| self.holds(part)),
            Expr::Not(part) => !self.holds(part),
            Expr::Field { name, test } => self.passes(&self.values(name), test, false),
            Expr::Keyword(test) => {
                let mut values = Vec::new();
                scalars(self.whole, &mut values);
                self.passes(&values, test, true)
            }
        }
    }

    fn values(self, name: &str) -> Vec<Value> {
        let Json::Object(_) = self.record else { return Vec::new() };
        let found = self.mapping.sigma.paths_of(name).find_map(|path| {
            let parts: Vec<&str> = path.split('.').collect();
            reach(self.record, &parts).filter(|values| !values.is_empty())
        });
        found.unwrap_or_default()
    }

    fn passes(self, values: &[Value], test: &FieldTest, anywhere: bool) -> bool {
        let any = |test: &dyn Fn(&str) -> bool| {
            values.iter().any(|value| matches!(value, Value::Text(text) if test(text)))
        };
        match test {
            FieldTest::Pattern(pattern) => any(&|text| fits(pattern, text, anywhere)),
            FieldTest::Regex(regex) => {
                let regex = Pcre2::new(&format!("(*UTF){regex}"));
                any(&|text| regex.as_ref().is_ok_and(|regex| regex.is_match(text.as_bytes())))
            }
            FieldTest::Networks(networks) => {
                let networks = Networks::new(networks);
                any(&|text| networks.contains(text.as_bytes()))
            }
            FieldTest::Compare(comparison, number) => any(&|text| compares(text, *comparison, *number)),
            FieldTest::Null => values.iter().all(|value| matches!(value, Value::Null | Value::List)),
            FieldTest::Exists(wanted) => values.is_empty() != *wanted,
            FieldTest::Same { field, site, cased, negated } => {
                let fold = |text: &str| if *cased { text.to_owned() } else { text.to_ascii_lowercase() };
                let others: Vec<String> = self
                    .values(field)
                    .into_iter()
                    .filter_map(|value| if let Value::Text(text) = value { Some(fold(&text)) } else { None })
                    .collect();
                let same = |text: &str| others.iter().any(|other| stands(&fold(text), other, *site));
                !others.is_empty() && any(&|text| same(text) != *negated)
            }
            FieldTest::TimePart(part, number) => {
                any(&|text| time_part(text, *part).is_some_and(|value| value == i64::from(*number)))
            }
        }
    }
}

/// What the path leads to, if it leads anywhere: through lists to every element, in objects to the first member for which
/// it goes on. A key may stand for several parts.
fn reach(value: &Json, path: &[&str]) -> Option<Vec<Value>> {
    match (value, path) {
        (Json::Array(elements), path) => {
            let list = path.is_empty().then_some(Value::List);
            let inner = elements.iter().filter_map(|element| reach(element, path)).flatten();
            Some(list.into_iter().chain(inner).collect())
        }
        (Json::Null, []) => Some(vec![Value::Null]),
        (value, []) => {
            let mut text = String::new();
            match text_of(value) {
                Some(scalar) => text = scalar,
                None => compact(value, &mut text),
            }
            Some(vec![Value::Text(text)])
        }
        (Json::Object(members), path) => members.iter().find_map(|(key, inner)| {
            let end = (1..=path.len()).find(|end| path[..*end].join(".").eq_ignore_ascii_case(key))?;
            reach(inner, &path[end..])
        }),
        _ => None,
    }
}

fn scalars(value: &Json, values: &mut Vec<Value>) {
    match value {
        Json::Array(elements) => elements.iter().for_each(|element| scalars(element, values)),
        Json::Object(members) => members.iter().for_each(|(_, value)| scalars(value, values)),
        scalar => values.extend(text_of(scalar).map(Value::Text)),
    }
}

/// Scalars as JSON writes them; numbers in one form, whatever that of the record.
fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::Bool(value) => Some(value.to_string()),
        Json::Text(text) => Some(text.clone()),
        Json::Number(text) => {
            let whole = text.parse::<i64>().map(|value| value.to_string());
            let whole = whole.or_else(|_| text.parse::<u64>().map(|value| value.to_string()));
            let float = || serde_json::Number::from_f64(text.parse().ok()?).map(|value| value.to_string());
            whole.ok().or_else(float)
        }
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// JSON without blanks, with numbers as above.
fn compact(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Text(text) => write_text(text, out),
        Json::Bool(_) | Json::Number(_) => out.push_str(&text_of(value).unwrap_or_default()),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                compact(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_text(key, out);
                out.push(':');
                compact(member, out);
            }
            out.push('}');
        }
    }
}

/// Whether the pattern fits the whole text, or some part of it.
fn fits(pattern: &Pattern, text: &str, anywhere: bool) -> bool {
    let fold = |bytes: &[u8]| if pattern.cased { bytes.to_vec() } else { bytes.to_ascii_lowercase() };
    let mut parts: Vec<PatternPart> = pattern
        .parts
        .iter()
        .map(|part| match part {
            PatternPart::Bytes(bytes) => PatternPart::Bytes(fold(bytes)),
            other => other.clone(),
        })
        .collect();
    if anywhere {
        parts.insert(0, PatternPart::AnyRun);
        parts.push(PatternPart::AnyRun);
    }
    rest_fits(&parts, &fold(text.as_bytes()))
}

fn rest_fits(parts: &[PatternPart], text: &[u8]) -> bool {
    let Some((part, parts)) = parts.split_first() else { return text.is_empty() };
    match part {
        PatternPart::Bytes(bytes) => {
            text.strip_prefix(bytes.as_slice()).is_some_and(|rest| rest_fits(parts, rest))
        }
        PatternPart::AnyRun => (0..=text.len()).any(|at| rest_fits(parts, &text[at..])),
        PatternPart::AnyOne => {
            let length = (1..=4).find(|length| {
                text.get(..*length).and_then(|bytes| std::str::from_utf8(bytes).ok()).is_some()
            });
            length.is_some_and(|length| rest_fits(parts, &text[length..]))
        }
    }
}

fn compares(text: &str, comparison: Comparison, number: f64) -> bool {
    let is_number = text.starts_with(|char: char| char.is_ascii_digit() || "+-.".contains(char));
    let words = ["inf", "nan"].iter().any(|word| text.to_ascii_lowercase().contains(word));
    let Some(value) = text.parse::<f64>().ok().filter(|_| is_number && !words) else { return false };
    let order = value.partial_cmp(&number);
    match comparison {
        Comparison::Less => order == Some(std::cmp::Ordering::Less),
        Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Comparison::Greater => order == Some(std::cmp::Ordering::Greater),
        Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        Comparison::Equal => order == Some(std::cmp::Ordering::Equal),
        Comparison::NotEqual => order != Some(std::cmp::Ordering::Equal),
    }
}

fn stands(text: &str, other: &str, site: ReferenceSite) -> bool {
    match site {
        ReferenceSite::Whole => text == other,
        ReferenceSite::Start => text.starts_with(other),
        ReferenceSite::End => text.ends_with(other),
        ReferenceSite::Anywhere => text.contains(other),
    }
}

fn time_part(text: &str, part: TimePart) -> Option<i64> {
    use jiff::{Timestamp, tz::TimeZone};
    let millis = threatlockdown_event::Millis::parse(text)?.0;
    let time = Timestamp::from_millisecond(millis).ok()?.to_zoned(TimeZone::UTC);
    Some(i64::from(match part {
        TimePart::Minute => time.minute().into(),
        TimePart::Hour => time.hour().into(),
        TimePart::Day => time.day().into(),
        TimePart::Week => time.date().iso_week_date().week().into(),
        TimePart::Month => time.month().into(),
        TimePart::Year => time.year(),
    }))
}
