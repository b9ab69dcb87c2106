//! Tests of Sigma fields that are no patterns, and tests over several values.
//!
//! Enters: a test and the values of its field. Leaves: whether it holds. One value that passes is enough. A field that is
//! missing or null passes the tests for just that and no others; a list without any value but null is as good as null.

use threatlockdown_event::Millis;

use super::Search;
use super::values::Only;
use crate::decode::lists::Value;
use crate::ir::sigma::{Comparison, ReferenceSite, TimePart};
use crate::program::{SigmaPredicate, SigmaSubjectIndex};

/// Of lists on both sides of a comparison, so many values count: each is compared with each.
const COMPARED: usize = 1_024;

impl Search<'_> {
    /// Whether a text of the field passes.
    pub(super) fn any_text(
        &mut self,
        subject: SigmaSubjectIndex,
        mut test: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        match self.event.only(subject) {
            Only::Nothing => return false,
            Only::Text(text) => return test(text),
            Only::Look => {}
        }
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

    fn each_kind(&mut self, subject: SigmaSubjectIndex, visit: &mut dyn FnMut(Value<'_>)) {
        let mut room = std::mem::take(&mut self.marks.text);
        self.event.visit_kinds(subject, &mut room, visit);
        self.marks.text = room;
    }

    /// What is neither literal nor pattern.
    pub(super) fn decide(&mut self, subject: SigmaSubjectIndex, test: &SigmaPredicate) -> bool {
        match test {
            SigmaPredicate::Null => {
                let mut is_null = true;
                self.each_kind(subject, &mut |value| is_null &= matches!(value, Value::Null | Value::List));
                is_null
            }
            SigmaPredicate::Exists(wanted) => self.exists(subject) == *wanted,
            SigmaPredicate::Compare(comparison, number) => self.any_text(subject, |text| {
                read_number(text).is_some_and(|value| compares(value, *comparison, *number))
            }),
            SigmaPredicate::TimePart(part, number) => {
                self.any_text(subject, |text| time_part(text, *part) == Some(i64::from(*number)))
            }
            SigmaPredicate::Same { other, site, cased, negated } => {
                self.same(subject, *other, *cased, |text, other| stands(text, other, *site), *negated)
            }
            SigmaPredicate::Literal { .. } | SigmaPredicate::Candidate { .. } | SigmaPredicate::Alone(_) => {
                false
            }
        }
    }

    /// Whether a value of a field has one of another field's, or has none of them, there. Without a value on either side
    /// neither holds.
    fn same(
        &mut self,
        subject: SigmaSubjectIndex,
        other: SigmaSubjectIndex,
        cased: bool,
        stands: impl Fn(&[u8], &[u8]) -> bool,
        negated: bool,
    ) -> bool {
        // Kept from event to event: the other's values one behind the other with their ends before, and this one's.
        let mut others = std::mem::take(&mut self.marks.values);
        let mut own = std::mem::take(&mut self.marks.key);
        others.clear();
        let (mut left, mut own_left) = (COMPARED, COMPARED);
        self.each(other, &mut |value| {
            if let Value::Text(text) = value
                && take(&mut left)
            {
                others.extend_from_slice(&text.len().to_le_bytes());
                append(text, cased, &mut others);
            }
        });
        let holds = !others.is_empty()
            && self.any_text(subject, |text| {
                own.clear();
                append(text, cased, &mut own);
                take(&mut own_left) && pieces(&others).any(|other| stands(&own, other)) != negated
            });
        (self.marks.values, self.marks.key) = (others, own);
        holds
    }

    /// A list on the way may have it in none of its elements.
    fn exists(&mut self, subject: SigmaSubjectIndex) -> bool {
        let mut exists = false;
        self.each_kind(subject, &mut |_| exists = true);
        exists
    }
}

/// Whether there is one left.
fn take(left: &mut usize) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

/// Appends a text, in lower case where case does not count.
fn append(text: &[u8], cased: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    if !cased {
        out[start..].make_ascii_lowercase();
    }
}

/// Texts that stand one behind the other, each after its length.
fn pieces(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (piece, after) = after.split_at_checked(usize::from_le_bytes(*length))?;
        rest = after;
        Some(piece)
    })
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
        TimePart::Year => Some(time.date().0),
        TimePart::Month => Some(time.date().1),
        TimePart::Day => Some(time.date().2),
        TimePart::Week => Some(iso_week(time)),
    }
}

/// The week that holds the Thursday of the time's week, counted from the first Thursday of the Thursday's year.
fn iso_week(time: Millis) -> i64 {
    const DAY: i64 = 86_400_000;
    let day = time.0.div_euclid(DAY);
    // 1970-01-01 was a Thursday: days since Monday.
    let weekday = (day + 3).rem_euclid(7);
    let thursday = Millis((day - weekday + 3) * DAY);
    let (_, month, of_month) = thursday.date();
    let mut of_year = of_month - 1;
    let mut at = Millis(thursday.0 - of_month * DAY);
    for _ in 1..month {
        let (_, _, last) = at.date();
        of_year += last;
        at = Millis(at.0 - last * DAY);
    }
    of_year / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (date, week) in [
            ("2024-12-30", 1),
            ("2021-01-03", 53),
            ("2020-12-31", 53),
            ("2023-01-01", 52),
            ("2026-11-22", 47),
        ] {
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
        for (text, number) in [
            ("5", Some(5.0)),
            ("-1.5e3", Some(-1500.0)),
            ("inf", None),
            ("NaN", None),
            ("", None),
            (" 5", None),
        ] {
            assert_eq!(read_number(text.as_bytes()), number, "{text:?}");
        }
    }
}
