//! SonicWALL firewalls.
//!
//! `… pri=6 c=262144 m=98 msg="Connection Opened" n=2 src=192.0.2.2:36701:WAN dst=192.0.2.1:443:LAN proto=tcp/https`

use crate::decode::tree::{Sink, Work, static_field};
use crate::expr::{ExprError, OsRegex};
use crate::ir::{Category, StaticField};

/// The most bytes that are kept of the protocol.
const LONGEST_PROTOCOL: usize = 6;

/// The plugin's patterns.
#[derive(Debug)]
pub(in crate::decode::tree) struct SonicWall {
    message: OsRegex,
    addresses: OsRegex,
    proxy: OsRegex,
}

impl SonicWall {
    pub(in crate::decode::tree) fn new() -> Result<Self, ExprError> {
        Ok(Self {
            message: OsRegex::new(r"pri=(\d) c=(\d+) m=(\d+) ")?,
            addresses: OsRegex::new(r"src=(\d+.\d+.\d+.\d+):(\d+):\S+ dst=(\d+.\d+.\d+.\d+):(\d+):")?,
            proxy: OsRegex::new(r"result=(\d+) dstname=(\S+) arg=(\S+)$")?,
        })
    }

    /// Reads a line and tells which rules it belongs to.
    pub(in crate::decode::tree) fn run(&self, log: &[u8], work: &mut Work, sink: &mut impl Sink) -> Category {
        self.read(log, work, sink).unwrap_or(Category::Syslog)
    }

    fn read(&self, log: &[u8], work: &mut Work, sink: &mut impl Sink) -> Option<Category> {
        let Work { groups, text, .. } = work;
        let rest = self.message.captures(log, groups)?;
        let &[status, category, id] = groups.as_slice() else { return None };
        sink.capture(static_field(StaticField::Status), status.0, status.1);
        sink.capture(static_field(StaticField::Id), id.0, id.1);
        let [category, id] = [category, id].map(|(start, end)| &log[start..end]);

        // The search goes on with the last byte of what was matched.
        let from = rest - 1;
        let rest = from + self.addresses.captures(&log[from..], groups)?;
        const FIELDS: [StaticField; 4] =
            [StaticField::SrcIp, StaticField::SrcPort, StaticField::DstIp, StaticField::DstPort];
        for (field, (start, end)) in FIELDS.into_iter().zip(&*groups).filter(|_| groups.len() == FIELDS.len())
        {
            sink.capture(static_field(field), from + start, from + end);
        }
        (groups.len() == FIELDS.len()).then_some(())?;
        let after_protocol = protocol(log, rest - 1, sink);

        let action = static_field(StaticField::Action);
        Some(match (category, id) {
            (b"32", _) => Category::Ids,
            (_, b"98" | b"597" | b"598") => {
                sink.constant(action, "pass");
                Category::Firewall
            }
            (_, b"36" | b"37" | b"38" | b"173" | b"174") => {
                sink.constant(action, "drop");
                Category::Firewall
            }
            (_, b"537") => {
                sink.constant(action, "close");
                Category::Firewall
            }
            (_, b"97") => {
                if let Some(from) = after_protocol {
                    self.page(log, from, groups, text, sink);
                }
                Category::Squid
            }
            _ => Category::Syslog,
        })
    }

    /// The answer's code as id, host and path as one address.
    fn page(
        &self,
        log: &[u8],
        from: usize,
        groups: &mut Vec<(usize, usize)>,
        text: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) {
        if self.proxy.captures(&log[from..], groups).is_none() {
            return;
        }
        if let Some((start, end)) = groups.first() {
            sink.capture(static_field(StaticField::Id), from + start, from + end);
        }
        if let [_, host, path] = **groups {
            text.clear();
            text.extend_from_slice(&log[from + host.0..from + host.1]);
            text.extend_from_slice(&log[from + path.0..from + path.1]);
            sink.text(static_field(StaticField::Url), text);
        }
    }
}

/// `proto=` behind the next blank, up to a slash or another byte that names do not have. Gives the place after it, or
/// after the blank; `None` without a blank.
fn protocol(log: &[u8], from: usize, sink: &mut impl Sink) -> Option<usize> {
    let blank = from + memchr::memchr(b' ', &log[from..])?;
    let Some(value) = log[blank + 1..].strip_prefix(b"proto=") else { return Some(blank + 1) };
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"()-.@_".contains(byte);
    let length = value.iter().take(LONGEST_PROTOCOL).take_while(is_name).count();
    let start = log.len() - value.len();
    sink.capture(static_field(StaticField::Protocol), start, start + length);
    Some(start + length)
}
