//! The zone that `<time>` and `<weekday>` of rules mean.
//!
//! Enters: the name of a zone. Leaves: for each event the seconds of its own day there: whether it is summer there is asked of
//! the event's time, not of the clock. The zones are those of the system, which it keeps up to date; where it has none,
//! as in a container that holds nothing but this binary, they are those that are built in.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// See the module; UTC, if nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// The zone of this IANA name, for example `Europe/Berlin`.
    ///
    /// # Errors
    /// Why there is none, in words: the system's folder of zones has files that are none of those names, too.
    pub fn named(name: &str) -> Result<Self, &'static str> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if ["localtime", "local", "posixrules"].iter().any(|other| is(other)) {
            return Err(
                "this is no zone but what this machine is set to, and the next one may be set otherwise",
            );
        }
        let folder = name.split_once('/').map_or("", |(folder, _)| folder);
        let is_variant = ["posix", "right"].iter().any(|other| folder.eq_ignore_ascii_case(other));
        if is_variant || is("factory") {
            return Err("this is a file beside the time zones and no name of one");
        }
        TimeZone::get(name).map(Self).map_err(|_| "there is no such time zone")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What a clock on the wall shows there at that many seconds since 1970, as seconds since the beginning of 1970 there.
    /// Times that no calendar has are taken as they are.
    pub(crate) fn local_seconds(&self, seconds: i64) -> i64 {
        let offset = Timestamp::from_second(seconds).map(|time| self.0.to_offset(time).seconds());
        seconds.saturating_add(i64::from(offset.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn summer_time_is_that_of_the_event() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(berlin.name(), "Europe/Berlin");
        for (time, shown) in [
            ("2025-01-15T07:30:00Z", "2025-01-15T08:30:00Z"),
            ("2025-07-15T07:30:00Z", "2025-07-15T09:30:00Z"),
            // The last second of winter, and the first of summer.
            ("2025-03-30T00:59:59Z", "2025-03-30T01:59:59Z"),
            ("2025-03-30T01:00:00Z", "2025-03-30T03:00:00Z"),
            // The hour that comes twice.
            ("2025-10-26T00:30:00Z", "2025-10-26T02:30:00Z"),
            ("2025-10-26T01:30:00Z", "2025-10-26T02:30:00Z"),
        ] {
            assert_eq!(berlin.local_seconds(seconds(time)), seconds(shown), "{time}");
        }
        let chatham = Zone::named("pacific/chatham").unwrap();
        assert_eq!(chatham.local_seconds(0), 12 * 3600 + 45 * 60);
    }

    #[test]
    fn nothing_said_is_utc_and_times_beyond_calendars_do_no_harm() {
        for time in [i64::MIN, -1, 0, 1_752_564_600, i64::MAX] {
            assert_eq!(Zone::default().local_seconds(time), time);
        }
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!((berlin.local_seconds(i64::MIN), berlin.local_seconds(i64::MAX)), (i64::MIN, i64::MAX));
        assert_eq!((Zone::default().name(), Zone::named("UTC").unwrap().local_seconds(7)), ("UTC", 7));
        for none in ["", "Europe/Nowhere", "../../etc/passwd", "+01:00", "CET-1CEST"] {
            assert_eq!(Zone::named(none), Err("there is no such time zone"), "{none}");
        }
    }

    /// Most systems have files of all these names beside those of the zones.
    #[test]
    fn the_setting_of_a_machine_is_no_zone() {
        for none in ["localtime", "LocalTime", "local", "posixrules"] {
            let reason = Zone::named(none).unwrap_err();
            assert!(reason.contains("what this machine is set to"), "{none}: {reason}");
        }
        for none in ["Factory", "posix/Europe/Berlin", "right/Europe/Berlin"] {
            let reason = Zone::named(none).unwrap_err();
            assert!(reason.contains("beside the time zones"), "{none}: {reason}");
        }
    }
}
