//! The time that a text line's header tells.
//!
//! Enters: the header's timestamp as it is written, and when the line was received. Leaves: milliseconds since 1970, or
//! nothing where the shape is another one. Stamps without a year are of the latest year that does not put them more than
//! a day after the day of the receipt; stamps without a zone are UTC.

use jiff::civil::{Date, DateTime};
use threatlockdown_event::Millis;

const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// Reads a timestamp.
pub(crate) fn read(timestamp: &[u8], received: Millis) -> Option<Millis> {
    let text = std::str::from_utf8(timestamp).ok()?.trim();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words.as_slice() {
        [month, day, time] if month.len() >= 3 && month.as_bytes()[0].is_ascii_alphabetic() => {
            latest_year(month_number(month)?, day.parse().ok()?, time, received)
        }
        [year, month, day, time] => at(year.parse().ok()?, month_number(month)?, day.parse().ok()?, time),
        [_, month, day, time, year] => at(year.parse().ok()?, month_number(month)?, day.parse().ok()?, time),
        [date, time] => Millis::parse(&format!("{date}T{}", time.replace(',', "."))),
        [one] if one.starts_with(|first: char| first.is_ascii_digit()) && one.contains('T') => {
            Millis::parse(one)
        }
        [one] => seconds(one),
        _ => None,
    }
}

fn month_number(name: &str) -> Option<i8> {
    let folded = name.get(..3).unwrap_or(name).to_ascii_lowercase();
    // `Mär`, whose second letter takes two bytes.
    if name.starts_with("Mä") {
        return Some(3);
    }
    let index = MONTHS.iter().position(|month| *month == folded.as_bytes())?;
    i8::try_from(index + 1).ok()
}

fn at(year: i16, month: i8, day: i8, time: &str) -> Option<Millis> {
    let date = Date::new(year, month, day).ok()?;
    let time: jiff::civil::Time = time.parse().ok()?;
    millis(date.to_datetime(time))
}

fn millis(time: DateTime) -> Option<Millis> {
    let zoned = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Millis(zoned.timestamp().as_millisecond()))
}

/// Logs are older than their receipt, by half a year as well as by a day; a clock or a zone makes them newer by hours. Eight
/// years back there is a leap day again.
fn latest_year(month: i8, day: i8, time: &str, received: Millis) -> Option<Millis> {
    const DAY: i64 = 86_400_000;
    let year = jiff::Timestamp::from_millisecond(received.0).ok()?.to_zoned(jiff::tz::TimeZone::UTC).year();
    let limit = received.0.div_euclid(DAY).saturating_add(2).saturating_mul(DAY);
    let mut candidates = (year - 8..=year + 1).rev().filter_map(|year| at(year, month, day, time));
    candidates.find(|candidate| candidate.0 < limit)
}

/// Seconds since 1970 with a fraction.
fn seconds(text: &str) -> Option<Millis> {
    let seconds: f64 = text.parse().ok().filter(|seconds: &f64| seconds.is_finite())?;
    #[allow(clippy::cast_possible_truncation)] // saturates
    Some(Millis((seconds * 1000.0) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_of_headers() {
        let received = Millis::parse("2026-01-02T00:00:00Z").unwrap();
        for (text, expected) in [
            ("Dec 29 10:00:01", "2025-12-29T10:00:01Z"),
            ("Jan  2 10:00:01", "2026-01-02T10:00:01Z"),
            ("2015-04-16 21:51:02,805", "2015-04-16T21:51:02.805Z"),
            ("2015 Dec 29 10:00:01", "2015-12-29T10:00:01Z"),
            ("2021-04-21 10:16:09.404756-0700", "2021-04-21T17:16:09.404Z"),
            ("2019-11-05T15:48:55-04:00", "2019-11-05T19:48:55Z"),
            ("Fri Feb 11 18:06:35 2004", "2004-02-11T18:06:35Z"),
            ("1140804070.368", "2006-02-24T18:01:10.368Z"),
        ] {
            assert_eq!(read(text.as_bytes(), received), Millis::parse(expected), "{text}");
        }
        // Without a year: never more than a day ahead, however far back.
        let received = Millis::parse("2026-11-22T09:00:00Z").unwrap();
        for (text, expected) in [
            ("Mar 13 08:00:00", "2026-03-13T08:00:00Z"),
            ("Nov 23 23:59:59", "2026-11-23T23:59:59Z"),
            ("Nov 24 00:00:00", "2025-11-24T00:00:00Z"),
            ("Feb 29 10:00:00", "2024-02-29T10:00:00Z"),
        ] {
            assert_eq!(read(text.as_bytes(), received), Millis::parse(expected), "{text}");
        }
        for text in ["", "x", "Xyz 1 10:00:00", "Feb 30 10:00:00", "inf"] {
            assert_eq!(read(text.as_bytes(), received), None, "{text}");
        }
    }
}
