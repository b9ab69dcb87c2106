//! Times as milliseconds since 1970-01-01T00:00:00Z.
//!
//! Enters: the clock, or a provider's time text. Leaves: milliseconds, or RFC 3339 text with milliseconds. Providers
//! write ISO 8601 in a handful of shapes; [`Millis::parse`] takes those that occur, and nothing else.

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

    /// `2024-03-02T08:01:11.123Z`; always UTC, always three decimals.
    #[must_use]
    pub fn rfc3339(self) -> String {
        match Timestamp::from_millisecond(self.0) {
            Ok(time) => format!("{time:.3}"),
            Err(_) => String::from("0000-00-00T00:00:00.000Z"),
        }
    }

    /// `2024-03-02T08:01:11.123+0000`: the form of an alert's `timestamp`.
    #[must_use]
    pub fn alert_timestamp(self) -> String {
        let mut text = self.rfc3339();
        text.pop();
        text.push_str("+0000");
        text
    }

    /// A provider's ISO 8601 time. Without a zone it is UTC, as Office 365 writes it; digits beyond nanoseconds
    /// (Azure writes seven, some services more) are cut.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(Self(time.as_millisecond()));
        }
        let civil: jiff::civil::DateTime = text.trim_end_matches(['Z', 'z']).parse().ok()?;
        let time = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Self(time.as_millisecond()))
    }
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
        for text in ["", "yesterday", "2024-13-02T08:01:11Z", "1709366471"] {
            assert_eq!(Millis::parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_milliseconds_always() {
        assert_eq!(Millis(1_709_366_471_000).rfc3339(), "2024-03-02T08:01:11.000Z");
        assert_eq!(Millis(1_709_366_471_120).alert_timestamp(), "2024-03-02T08:01:11.120+0000");
    }
}
