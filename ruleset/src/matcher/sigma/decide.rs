//! Tests of Sigma fields that are no patterns, and tests over several values.
//!
//! Enters: a test and the values of its field. Leaves: whether it holds. One value that passes is enough. A field that is
//! missing or null passes the tests for just that and no others; a list without any value but null is as good as null.

use threatlockdown_event::Millis;

use super::Search;
use crate::decode::lists::Value;
use crate::ir::sigma::{Comparison, ReferenceSite, TimePart};
use crate::program::{SigmaPredicate, SigmaSubjectIndex};

impl Search<'_> {
    /// Whether a text of the field passes.
    pub(super) fn any_text(&mut self, subject: SigmaSubjectIndex, mut test: impl FnMut(&[u8]) -> bool) -> bool {
        let mut holds = false;
        self.each(subject, &mut |value| {
            if let Value::Text(text) = value {
                holds = holds || test(text);
            }
        });
        holds
    }

    fn each(&mut self, subject: SigmaSubjectIndex, visit: &mut dyn FnMut(Value<'_>)) {
        let mut room = std::mem::take(&mut self.marks.text);
        self.event.visit(subject, &mut room, visit);
        self.marks.text = room;
    }

    /// What is neither literal nor pattern.
    pub(super) fn decide(&mut self, subject: SigmaSubjectIndex, test: &SigmaPredicate) -> bool {
        match test {
            SigmaPredicate::Null => {
                let mut is_null = true;
                self.each(subject, &mut |value| is_null &= value == Value::Null);
                is_null
            }
            SigmaPredicate::Exists(wanted) => self.exists(subject) == *wanted,
            SigmaPredicate::Compare(comparison, number) => {
                self.any_text(subject, |text| {
                    read_number(text).is_some_and(|value| compares(value, *comparison, *number))
                })
            }
            SigmaPredicate::TimePart(part, number) => {
                self.any_text(subject, |text| time_part(text, *part) == Some(i64::from(*number)))
            }
            SigmaPredicate::Same { other, site, cased, negated } => {
                let mut others: Vec<Vec<u8>> = Vec::new();
                self.each(*other, &mut |value| {
                    if let Value::Text(text) = value {
                        others.push(fold(text, *cased));
                    }
                });
                let is_same = |text: &[u8]| {
                    let text = fold(text, *cased);
                    others.iter().any(|other| stands(&text, other, *site))
                };
                !others.is_empty() && self.any_text(subject, |text| is_same(text) != *negated)
            }
            SigmaPredicate::Literal | SigmaPredicate::Candidate { .. } | SigmaPredicate::Alone(_) => false,
        }
    }

    /// A list on the way may have it in none of its elements.
    fn exists(&mut self, subject: SigmaSubjectIndex) -> bool {
        self.event.is_present(subject) && (self.event.ends_in_slot(subject) || {
            let mut exists = false;
            self.each(subject, &mut |_| exists = true);
            exists
        })
    }
}

fn fold(text: &[u8], cased: bool) -> Vec<u8> {
    if cased { text.to_vec() } else { text.to_ascii_lowercase() }
}

/// Whether `text` has `other` there.
pub(crate) fn stands(text: &[u8], other: &[u8], site: ReferenceSite) -> bool {
    match site {
        ReferenceSite::Whole => text == other,
        ReferenceSite::Start => text.starts_with(other),
        ReferenceSite::End => text.ends_with(other),
        ReferenceSite::Anywhere => memchr::memmem::find(text, other).is_some(),
    }
}

/// A number as JSON or a log writes it: digits, not the words that a library may take for numbers.
pub(crate) fn read_number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    if !text.bytes().all(is_part) {
        return None;
    }
    text.parse().ok()
}

/// Whether the comparison holds.
#[allow(clippy::float_cmp)] // equal means equal
pub(crate) fn compares(value: f64, comparison: Comparison, number: f64) -> bool {
    match comparison {
        Comparison::Less => value < number,
        Comparison::LessOrEqual => value <= number,
        Comparison::Greater => value > number,
        Comparison::GreaterOrEqual => value >= number,
        Comparison::Equal => value == number,
        Comparison::NotEqual => value != number,
    }
}

/// The part of the time that the text tells, in UTC; weeks are those of ISO 8601.
pub(crate) fn time_part(text: &[u8], part: TimePart) -> Option<i64> {
    let time = Millis::parse(std::str::from_utf8(text).ok()?)?;
    let minutes = time.0.div_euclid(60_000);
    match part {
        TimePart::Minute => Some(minutes.rem_euclid(60)),
        TimePart::Hour => Some(minutes.div_euclid(60).rem_euclid(24)),
        // `YYYY-MM-DD…`
        TimePart::Day => number_at(time, 8..10),
        TimePart::Month => number_at(time, 5..7),
        TimePart::Year => number_at(time, 0..4),
        TimePart::Week => iso_week(time),
    }
}

fn number_at(time: Millis, range: std::ops::Range<usize>) -> Option<i64> {
    time.rfc3339().get(range)?.parse().ok()
}

/// The week that holds the Thursday of the time's week, counted from the first Thursday of the Thursday's year.
fn iso_week(time: Millis) -> Option<i64> {
    const DAY: i64 = 86_400_000;
    let day = time.0.div_euclid(DAY);
    // 1970-01-01 was a Thursday: days since Monday.
    let weekday = (day + 3).rem_euclid(7);
    let thursday = day - weekday + 3;
    let year = number_at(Millis(thursday * DAY), 0..4)?;
    let first = Millis::parse(&format!("{year:04}-01-01T00:00:00Z"))?.0.div_euclid(DAY);
    Some((thursday - first) / 7 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (date, week) in
            [("2024-12-30", 1), ("2021-01-03", 53), ("2020-12-31", 53), ("2023-01-01", 52), ("2026-11-22", 47)]
        {
            let text = format!("{date}T12:30:00Z");
            assert_eq!(time_part(text.as_bytes(), TimePart::Week), Some(week), "{date}");
        }
    }

    #[test]
    fn parts_of_a_time_are_those_of_utc() {
        let part = |part| time_part(b"2024-03-02T00:15:11+02:00", part);
        let parts = [TimePart::Minute, TimePart::Hour, TimePart::Day, TimePart::Month, TimePart::Year];
        assert_eq!(parts.map(part), [15, 22, 1, 3, 2024].map(Some));
        assert_eq!(time_part(b"noon", TimePart::Hour), None);
    }

    #[test]
    fn words_are_no_numbers() {
        for (text, number) in [("5", Some(5.0)), ("-1.5e3", Some(-1500.0)), ("inf", None), ("NaN", None), ("", None), (" 5", None)] {
            assert_eq!(read_number(text.as_bytes()), number, "{text:?}");
        }
    }
}
