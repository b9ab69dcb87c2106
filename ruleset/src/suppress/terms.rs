//! How much of what a suppression is about passes, and until when it acts.
//!
//! Enters: the values of `allow`, `quiet`, `per`, `until` and `permanent`. Leaves: an allowance and a time, or faults.

use threatlockdown_event::Millis;

use super::read::Reader;
use crate::ir::suppression::Allowance;
use crate::yaml::Node;

/// In `quiet`: ten years.
const MAX_QUIET: i64 = 10 * 366 * 24 * 60 * 60 * 1000;

impl Reader {
    pub(super) fn allowance(
        &mut self,
        entry: &Node,
        allow: Option<&Node>,
        quiet: Option<&Node>,
        per: Option<&Node>,
    ) -> Option<Allowance> {
        let Some(allow) = allow else {
            for (node, name) in [(quiet, "quiet"), (per, "per")] {
                if let Some(node) = node {
                    let message = format!("`{name}` is of no use without `allow`");
                    self.faults.add(&node.place, name, &message, "add `allow: N`: so many alerts pass first");
                }
            }
            return None;
        };
        let count = allow.text().and_then(|text| text.parse::<u32>().ok()).filter(|count| *count > 0);
        if count.is_none() {
            let help = "write how many alerts pass, 1 at least; without `allow` and `quiet` none does";
            self.faults.add(
                &allow.place,
                allow.text().unwrap_or_default(),
                "this is no number of alerts",
                help,
            );
        }
        let Some(quiet) = quiet else {
            let help = "add how long it is quiet, for example `quiet: 1h`";
            self.faults.add(&entry.place, "", "`allow` needs `quiet`", help);
            return None;
        };
        let length = quiet.text().and_then(duration);
        if length.is_none() {
            let help = "write a number and a unit: 90s, 15m, 1h, 7d; ten years at most";
            self.faults.add(
                &quiet.place,
                quiet.text().unwrap_or_default(),
                "this is no length of time",
                help,
            );
        }
        let per = per.map(|per| {
            let items = self.each(per, "`per`");
            items.iter().filter_map(|item| self.text(item, "a field")).collect()
        });
        Some(Allowance { allow: count?, quiet: length?, per: per.unwrap_or_default() })
    }

    /// When it ends. One without an allowance has to end, or to say that it does not.
    pub(super) fn until(
        &mut self,
        entry: &Node,
        until: Option<&Node>,
        permanent: Option<&Node>,
        has_allowance: bool,
    ) -> Option<i64> {
        let is_permanent = match permanent.map(|node| (node, node.text())) {
            Some((_, Some("true"))) => true,
            None | Some((_, Some("false"))) => false,
            Some((node, _)) => {
                self.faults.expected(node, "`permanent`", "true or false");
                return None;
            }
        };
        let Some(until) = until else {
            if !is_permanent && !has_allowance {
                let help = "add `until: 2027-01-31T00:00:00Z`, or `permanent: true` if it is never to end";
                self.faults.add(&entry.place, "", "`until` is missing", help);
            }
            return None;
        };
        if is_permanent {
            self.faults.add(&until.place, "until", "it cannot end and be permanent", "remove one of the two");
            return None;
        }
        let text = until.text().unwrap_or_default();
        let time = Some(text).filter(|text| has_zone(text)).and_then(Millis::parse);
        if time.is_none() {
            let help = "write date, time and zone as RFC 3339 has them: 2027-01-31T00:00:00Z";
            self.faults.add(&until.place, text, "this is no time", help);
        }
        time.map(|time| time.0)
    }
}

/// RFC 3339: a date, `T`, a time, and a zone, without which the same text would mean another time elsewhere.
fn has_zone(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else { return false };
    date.len() == 10 && (time.ends_with(['Z', 'z']) || time.rfind(['+', '-']).is_some())
}

/// `90s`, `15m`, `1h`, `7d`, in milliseconds.
fn duration(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let millis = match unit {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        'w' => 7 * 86_400_000,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    let length = digits.parse::<i64>().ok()?.checked_mul(millis)?;
    (1..=MAX_QUIET).contains(&length).then_some(length)
}
