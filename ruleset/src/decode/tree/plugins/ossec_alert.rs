//! Alerts of another instance, sent as lines.
//!
//! `Alert Level: 3; Rule: 5501 - Login.; Location: (web1) 192.0.2.1->/var/log/auth.log; srcip: 192.0.2.9;  the log`

use super::cursor::Cursor;
use crate::decode::tree::{Sink, static_field};
use crate::ir::StaticField;

/// The most bytes that are kept of the log in the alert.
const LONGEST_LOG: usize = 4094;

/// Reads an alert and tells which rule made it; `None`: it is not complete, and no rule takes it.
pub(in crate::decode::tree) fn ossec_alert(log: &[u8], sink: &mut impl Sink) -> Option<u32> {
    if !log.starts_with(b"Alert Level:") && !log.starts_with(b"ossec: Alert Level") {
        return None;
    }
    let mut cursor = Cursor::new(log, 0);
    cursor.until(b';')?;
    cursor.until(b':')?;
    cursor.skip(b" ")?;
    let (start, end) = cursor.until(b' ')?;
    let rule = rule_id(&log[start..end]).filter(|&id| sink.knows_rule(id))?;
    // The blank may be the one before a `;`.
    cursor.at = end;
    cursor.until(b';')?;
    cursor.skip(b" Location: ")?;
    let (start, end) = cursor.until(b';')?;
    sink.relocate(start, end);
    // A second blank ends the list of values.
    while cursor.peek() == Some(b' ') && cursor.rest().get(1) != Some(&b' ') {
        cursor.skip(b" ")?;
        let (start, end) = cursor.until(b';')?;
        let value = &log[start..end];
        for (key, field) in [(&b"srcip: "[..], StaticField::SrcIp), (b"user: ", StaticField::DstUser)] {
            if value.starts_with(key) {
                sink.capture(static_field(field), start + key.len(), end);
            }
        }
    }
    cursor.skip_blanks();
    sink.replace_log(cursor.at, log.len().min(cursor.at + LONGEST_LOG));
    Some(rule)
}

/// As rules are named: digits without leading zeros.
fn rule_id(text: &[u8]) -> Option<u32> {
    let plain = text.iter().all(u8::is_ascii_digit) && (text == b"0" || !text.starts_with(b"0"));
    std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()
}
