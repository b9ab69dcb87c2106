//! Times as milliseconds since 1970-01-01T00:00:00Z.
//!
//! Enters: the clock, or a provider's time text. Leaves: milliseconds, or RFC 3339 text with milliseconds. Providers
//! write ISO 8601 in a handful of shapes, or count since 1970; [`Millis::parse`] takes those that occur, and nothing else.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub i64);

impl Millis {
    /// The clock of this machine.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// `2024-03-02T08:01:11.123Z`; always UTC, always three decimals. Written here and not by the time library because
    /// each alert has three of them.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let (days, of_day) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        if !(0..=9999).contains(&year) {
            return String::from("0000-00-00T00:00:00.000Z");
        }
        let (seconds, millis) = (of_day / 1000, of_day % 1000);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let fields = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, seconds / 3600),
            (14, 2, seconds / 60 % 60),
            (17, 2, seconds % 60),
            (20, 3, millis),
        ];
        for (at, width, value) in fields {
            let mut rest = value;
            for place in text[at..at + width].iter_mut().rev() {
                *place = b'0' + u8::try_from(rest % 10).unwrap_or_default();
                rest /= 10;
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// `2024-03-02T08:01:11.123+0000`: the form of an alert's `timestamp`.
    #[must_use]
    pub fn alert_timestamp(self) -> String {
        let mut text = self.rfc3339();
        text.pop();
        text.push_str("+0000");
        text
    }

    /// Year, month and day, in UTC.
    #[must_use]
    pub fn date(self) -> (i64, i64, i64) {
        civil(self.0.div_euclid(86_400_000))
    }

    /// A provider's ISO 8601 time. Without a zone it is UTC, as Office 365 writes it; digits beyond nanoseconds
    /// (Azure writes seven, some services more) are cut.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(time) = Self::since_epoch(text) {
            return Some(time);
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(Self(time.as_millisecond()));
        }
        let civil: jiff::civil::DateTime = text.trim_end_matches(['Z', 'z']).parse().ok()?;
        let time = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Self(time.as_millisecond()))
    }

    /// A count since the Unix epoch: of seconds, or when that would be too late, of milli-, micro- or nanoseconds.
    fn since_epoch(text: &str) -> Option<Self> {
        /// The year 1973 in seconds.
        const LEAST: f64 = 1e8;
        /// The year 5138 in seconds, 1973 in milliseconds.
        const MOST: f64 = 1e11;
        if text.len() > 32 || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        let mut millis = text.parse::<f64>().ok().filter(|count| *count >= LEAST)?;
        let is_seconds = millis < MOST;
        while millis >= MOST * 1000.0 {
            millis /= 1000.0;
        }
        if is_seconds {
            millis *= 1000.0;
        }
        #[allow(clippy::cast_possible_truncation)] // the loop bounds it
        Some(Self(millis.round() as i64))
    }
}

/// Year, month and day of the day that is `days` after 1970-01-01, in the proleptic Gregorian calendar: eras of 400 years
/// that begin on the first of March, so that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_shapes_that_providers_write() {
        let expected = Some(Millis(1_709_366_471_000));
        for text in [
            "2024-03-02T08:01:11Z",
            "2024-03-02T08:01:11",
            "2024-03-02T09:01:11+01:00",
            "2024-03-02 08:01:11",
        ] {
            assert_eq!(Millis::parse(text), expected, "{text}");
        }
        assert_eq!(Millis::parse("2024-03-02T08:01:11.1234567Z"), Some(Millis(1_709_366_471_123)));
        for text in ["", "yesterday", "2024-13-02T08:01:11Z", "2024", "1.2.3", "-1709366471"] {
            assert_eq!(Millis::parse(text), None, "{text}");
        }
    }

    #[test]
    fn reads_counts_since_the_epoch() {
        for (text, millis) in [
            ("1709366471", 1_709_366_471_000),
            ("1709366471.5", 1_709_366_471_500),
            ("1709366471123", 1_709_366_471_123),
            ("1709366471123.000000", 1_709_366_471_123),
            ("1709366471123456", 1_709_366_471_123),
            ("1709366471123456789", 1_709_366_471_123),
        ] {
            assert_eq!(Millis::parse(text), Some(Millis(millis)), "{text}");
        }
        assert_eq!(Millis::parse(&"9".repeat(400)), None);
    }

    #[test]
    fn agrees_with_the_time_library() {
        let mut time = -62_167_219_200_000_i64;
        while time < 253_402_300_800_000 {
            let expected = format!("{:.3}", Timestamp::from_millisecond(time).unwrap());
            assert_eq!(Millis(time).rfc3339(), expected);
            time += 6_373_911_117_643 / 977;
        }
        assert_eq!(Millis(i64::MAX).rfc3339(), "0000-00-00T00:00:00.000Z");
    }

    #[test]
    fn writes_milliseconds_always() {
        assert_eq!(Millis(1_709_366_471_000).rfc3339(), "2024-03-02T08:01:11.000Z");
        assert_eq!(Millis(1_709_366_471_120).alert_timestamp(), "2024-03-02T08:01:11.120+0000");
    }
}
