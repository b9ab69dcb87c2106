//! The time inside a corpus: it moves with the events, never with the machine's clock.
//!
//! Enters: milliseconds to move on by. Leaves: the time in the shapes that logs write. A corpus begins on 20 November
//! 2026 at midnight, UTC.

use std::fmt::Write as _;

/// 2026-11-20T00:00:00Z in seconds since 1970.
const START: u64 = 1_795_132_800;
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 31),
    ("Feb", 28),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];

/// A point in a corpus's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock(u64);

impl Clock {
    /// Moves on.
    pub fn advance(&mut self, milliseconds: u64) {
        self.0 += milliseconds;
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> u64 {
        START * 1000 + self.0
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.millis() / 1000
    }

    /// `2026-11-20T00:00:00.000`, without a zone.
    pub fn write_iso(self, out: &mut String) {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        let milliseconds = self.0 % 1000;
        let _ = write!(
            out,
            "{year}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}",
            month + 1
        );
    }

    /// `2026-11-20T00:00:00.000`, without a zone.
    #[must_use]
    pub fn iso(self) -> String {
        let mut out = String::new();
        self.write_iso(&mut out);
        out
    }

    /// `Nov 20 00:00:00`, as syslog headers have it.
    pub fn write_syslog(self, out: &mut String) {
        let (_, month, day) = self.date();
        let (hour, minute, second) = self.time();
        let _ = write!(out, "{} {day:>2} {hour:02}:{minute:02}:{second:02}", MONTHS[month].0);
    }

    fn time(self) -> (u64, u64, u64) {
        let seconds = self.0 / 1000;
        (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
    }

    /// Leap years are left out: a corpus does not reach them.
    fn date(self) -> (u64, usize, u64) {
        let (mut year, mut month, mut day) = (2026, 10, 20 + self.0 / 86_400_000);
        while day > MONTHS[month].1 {
            day -= MONTHS[month].1;
            month = (month + 1) % 12;
            year += u64::from(month == 0);
        }
        (year, month, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_over_the_ends_of_months_and_years() {
        let mut clock = Clock::default();
        clock.advance(12_345);
        assert_eq!(clock.iso(), "2026-11-20T00:00:12.345");
        clock.advance(42 * 86_400_000);
        assert_eq!(clock.iso(), "2027-01-01T00:00:12.345");
        let mut out = String::new();
        clock.write_syslog(&mut out);
        assert_eq!(out, "Jan  1 00:00:12");
        assert_eq!(clock.seconds(), 1_798_761_612);
    }
}
