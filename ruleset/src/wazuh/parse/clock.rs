//! `<time>` and `<weekday>` (SEMANTICS 7.5).

use crate::ir::{TimeOfDay, Weekdays};

const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const WEEKEND: u8 = 0b100_0001;
const WEEK: u8 = 0b11_1110;

/// `[!] hh[:mm] [am|pm] - hh[:mm] [am|pm]`. A span that ends before it begins is what lies outside the span between
/// its ends, and its `!` is lost.
pub(super) fn time(text: &str) -> Option<TimeOfDay> {
    let text = text.trim_ascii();
    let (outside, span) = text.strip_prefix('!').map_or((false, text), |span| (true, span));
    let (from, to) = span.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    Some(match from > to {
        true => TimeOfDay { from: to, to: from, outside: true },
        false => TimeOfDay { from, to, outside },
    })
}

fn minute(text: &str) -> Option<u16> {
    let text = text.trim_ascii().to_ascii_lowercase();
    let half = ["am", "pm"].into_iter().find(|half| text.ends_with(half));
    let digits = half.and_then(|half| text.strip_suffix(half)).unwrap_or(&text).trim_ascii_end();
    let (hour, minute) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hour, minute) = (number(hour)?, number(minute)?);
    let hour = match half {
        None => hour,
        Some(_) if hour > 12 => return None,
        Some("am") => hour % 12,
        Some(_) => hour % 12 + 12,
    };
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn number(text: &str) -> Option<u16> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Names of days, their first three letters, `weekdays`, `weekends`, with blanks or commas between.
pub(super) fn weekday(text: &str) -> Option<Weekdays> {
    let mut days = 0;
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let word = word.to_ascii_lowercase();
        let position = DAYS.iter().position(|day| *day == word || day.get(..3) == Some(&word));
        days |= match (word.as_str(), position) {
            ("weekdays", _) => WEEK,
            ("weekends", _) => WEEKEND,
            (_, Some(day)) => 1 << day,
            _ => return None,
        };
    }
    (days != 0).then_some(Weekdays(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Option<(u16, u16, bool)> {
        time(text).map(|time| (time.from, time.to, time.outside))
    }

    #[test]
    fn times_of_day() {
        for (text, expected) in [
            ("9-17", (540, 1020, false)),
            (" 9:05 am - 5:30 PM ", (545, 1050, false)),
            ("! 09:00 - 17:00", (540, 1020, true)),
            ("12am-12pm", (0, 720, false)),
            ("6 pm - 8:30 am", (510, 1080, true)),
            ("!6 pm - 8:30 am", (510, 1080, true)),
            ("23:59-0", (0, 1439, true)),
            ("8-8", (480, 480, false)),
        ] {
            assert_eq!(span(text), Some(expected), "{text}");
        }
        for text in
            ["", "8", "8-", "24-1", "8:60-9", "13 pm - 14", "8-9-10", "8:000-9", "a-b", "8 - 9 !", "+8-9"]
        {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn days_of_the_week() {
        let days = |text: &str| weekday(text).map(|days| days.0);
        assert_eq!(days("monday"), Some(0b10));
        assert_eq!(days("Sun, SAT"), Some(0b100_0001));
        assert_eq!(days("weekends,wed"), Some(0b100_1001));
        assert_eq!(days("weekdays"), Some(0b11_1110));
        for text in ["", " ,", "!monday", "mo", "mondays", "weekday", "mon;tue"] {
            assert_eq!(days(text), None, "{text}");
        }
    }
}
