//! OpenBSD's packet filter.
//!
//! `rule 4/(match) block in on lo0: 192.0.2.1.48784 > 192.0.2.2.23: S 138152…`

use super::cursor::Cursor;
use crate::decode::tree::{Sink, static_field};
use crate::ir::StaticField;

/// Reads a line of the packet filter.
pub(in crate::decode::tree) fn pf(log: &[u8], sink: &mut impl Sink) {
    // What departs from the format ends the reading.
    let _ = read(log, sink);
}

fn read(log: &[u8], sink: &mut impl Sink) -> Option<()> {
    let mut cursor = Cursor::new(log, 0);
    cursor.until(b')')?;
    cursor.skip(b" ")?;
    let action = match cursor.peek()? {
        b'p' => "pass",
        b'b' => "block",
        _ => return None,
    };
    sink.constant(static_field(StaticField::Action), action);
    cursor.until(b':')?;
    cursor.skip(b" ")?;
    let source = cursor.until(b' ')?;
    address(log, source, [StaticField::SrcIp, StaticField::SrcPort], sink);
    cursor.skip(b"> ")?;
    let destination = cursor.until(b':')?;
    address(log, destination, [StaticField::DstIp, StaticField::DstPort], sink);
    cursor.skip_blanks();
    let protocol = match cursor.peek()? {
        b'u' => "UDP",
        b'i' => "ICMP",
        _ => "TCP",
    };
    sink.constant(static_field(StaticField::Protocol), protocol);
    Some(())
}

/// What follows the fourth dot is the port.
fn address(log: &[u8], (start, end): (usize, usize), fields: [StaticField; 2], sink: &mut impl Sink) {
    let [address, port] = fields.map(static_field);
    let fourth = memchr::memchr_iter(b'.', &log[start..end]).nth(3).map(|dot| start + dot);
    sink.capture(address, start, fourth.unwrap_or(end));
    if let Some(dot) = fourth {
        sink.capture(port, dot + 1, end);
    }
}
