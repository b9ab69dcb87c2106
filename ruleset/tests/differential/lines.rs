//! Random lines of text and flat records for sequences: few values, so that events have something in common.

use std::fmt::Write as _;

use crate::rng::Rng;

pub(crate) const USERS: [&str; 3] = ["alpha", "Beta", "be"];
pub(crate) const ADDRESSES: [&str; 5] = ["10.0.0.1", "10.0.1.9", "203.0.113.9", "2001:db8::1", "none"];
pub(crate) const PORTS: [&str; 2] = ["22", "443"];

/// A line or a record.
pub(crate) fn event(rng: &mut Rng) -> String {
    if rng.one_in(4) { flat(rng) } else { line(rng) }
}

fn line(rng: &mut Rng) -> String {
    let mut line = rng
        .pick(&[
            "",
            "",
            "Dec 29 10:00:01 host app[12]: ",
            "Dec 29 10:00:01 host app: ",
            "Dec 29 10:00:01 other other: ",
        ])
        .to_owned();
    line.push_str(rng.pick(&["login ", "login ", "", "GetObject "]));
    for _ in 0..1 + rng.below(4) {
        let _ = match rng.below(6) {
            0 | 1 => write!(line, "u={} ", rng.pick(&USERS)),
            2 => write!(line, "ip={} ", rng.pick(&ADDRESSES)),
            3 => write!(line, "p={} ", rng.pick(&PORTS)),
            4 => write!(line, "id={} ", rng.pick(&["1", "10", "1234567890"])),
            _ => write!(line, "w={} ", rng.pick(&["x", "alpha", "posture"])),
        };
    }
    line.truncate(line.trim_end().len());
    line
}

fn flat(rng: &mut Rng) -> String {
    let mut members: Vec<String> = Vec::new();
    for _ in 0..1 + rng.below(6) {
        let (name, value) = match rng.below(8) {
            0 => (rng.pick(&["user", "dstuser", "srcuser"]), rng.pick(&USERS)),
            1 => (rng.pick(&["srcip", "dstip"]), rng.pick(&ADDRESSES)),
            2 => (rng.pick(&["srcport", "dstport"]), rng.pick(&PORTS)),
            3 => ("id", rng.pick(&["1", "10", "1234567890"])),
            4 => (
                rng.pick(&["status", "protocol", "extra_data", "data", "systemname", "url"]),
                rng.pick(&["a", "be", "x"]),
            ),
            5 => ("word", rng.pick(&["alpha", "x", "22"])),
            _ => (rng.pick(&["a", "A.b", "k", "eventName"]), rng.pick(&["alpha", "Beta", "GetObject", "1"])),
        };
        members.push(format!("\"{name}\":\"{value}\""));
    }
    format!("{{{}}}", members.join(","))
}

/// Seconds between two events: mostly few, sometimes beyond every timeframe.
pub(crate) fn pause(rng: &mut Rng) -> i64 {
    match rng.below(20) {
        0 => 60 + rng.below(600) as i64,
        1 => 3600 * (1 + rng.below(30) as i64),
        2..=8 => 0,
        _ => 1 + rng.below(10) as i64,
    }
}
