//! Symantec Web Security: numbered values, separated by commas.
//!
//! `20070717,73614,1=5,11=192.0.2.4,60=http://www.example.com/,10=anna,2=27`

use super::cursor::Cursor;
use crate::decode::tree::{Sink, static_field};
use crate::ir::StaticField;

/// Number, field, and the most bytes that are kept of the value.
const VALUES: [(&[u8], StaticField, usize); 3] = [
    (b"10=", StaticField::DstUser, 128),
    (b"11=", StaticField::SrcIp, 128),
    (b"60=", StaticField::Url, 1024),
];

/// The id is kept with its number and, unlike the others, does not end at a comma.
const LONGEST_ID: usize = 9;

/// Reads a line; of several values of one field the first counts.
pub(in crate::decode::tree) fn symantec(log: &[u8], sink: &mut impl Sink) {
    let mut cursor = Cursor::new(log, 0);
    let mut seen = 0_u32;
    let mut first = |field, start, end| {
        let field = static_field(field);
        if seen & 1 << field == 0 {
            sink.capture(field, start, end);
        }
        seen |= 1 << field;
    };
    while cursor.until(b',').is_some() {
        let rest = cursor.rest();
        if let Some((number, field, longest)) = VALUES.iter().find(|(number, ..)| rest.starts_with(number)) {
            let start = cursor.at + number.len();
            let value = &log[start..];
            let length = memchr::memchr(b',', value).unwrap_or(value.len()).min(*longest);
            first(*field, start, start + length);
            cursor.at = start + length;
        } else if rest.starts_with(b"3=") || rest.starts_with(b"2=") {
            let length = rest.len().min(LONGEST_ID);
            first(StaticField::Id, cursor.at, cursor.at + length);
            cursor.at += length;
        }
    }
}
