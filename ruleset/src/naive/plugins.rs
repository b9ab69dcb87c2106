//! The decoders that the reference has in code, JSON aside.
//!
//! Enters: an event. Leaves: it with the fields that its log has, and where a plugin decides about it, its type.

use super::event::Event;
use crate::expr::OsRegex;
use crate::ir::{Category, StaticField};

/// Splits at the first occurrence of `separator`, which is in neither part.
fn cut<'t>(text: &'t [u8], separator: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

/// `… rule 2/0(match): pass in on em0: 10.0.0.1.53 > 10.0.0.2.4096: UDP`
pub(super) fn pf(event: &mut Event) {
    let log = event.log.clone();
    let Some((_, rest)) = cut(&log, b") ") else { return };
    let action: &[u8] = match rest.first() {
        Some(b'p') => b"pass",
        Some(b'b') => b"block",
        _ => return,
    };
    event.fields.set(StaticField::Action, action);
    let Some((_, rest)) = cut(rest, b": ") else { return };
    let Some((source, rest)) = cut(rest, b" ") else { return };
    set_address(event, source, StaticField::SrcIp, StaticField::SrcPort);
    let Some(rest) = rest.strip_prefix(b"> ") else { return };
    let Some((destination, rest)) = cut(rest, b":") else { return };
    set_address(event, destination, StaticField::DstIp, StaticField::DstPort);
    let protocol: &[u8] = match rest.iter().find(|byte| **byte != b' ') {
        Some(b'u') => b"UDP",
        Some(b'i') => b"ICMP",
        Some(_) => b"TCP",
        None => return,
    };
    event.fields.set(StaticField::Protocol, protocol);
}

/// `10.0.0.1.53`: a fifth part is the port.
fn set_address(event: &mut Event, text: &[u8], address: StaticField, port: StaticField) {
    let dots: Vec<usize> = (0..text.len()).filter(|at| text.get(*at) == Some(&b'.')).collect();
    let end = dots.get(3).copied().unwrap_or(text.len());
    event.fields.set(address, text.get(..end).unwrap_or_default());
    if dots.len() > 3 {
        event.fields.set(port, text.get(end + 1..).unwrap_or_default());
    }
}

/// `20070717,73614,1=5,11=10.0.0.1,60=http://…,10=user,2=27`: what stands before the first comma has no number.
pub(super) fn symantec_web_security(event: &mut Event) {
    let log = event.log.clone();
    let mut rest = log.as_slice();
    let mut found: Vec<(StaticField, &[u8])> = Vec::new();
    while let Some((_, item)) = cut(rest, b",") {
        rest = item;
        let up_to_comma = |from: usize, longest: usize| {
            let value = item.get(from..).unwrap_or_default();
            let value = value.split(|byte| *byte == b',').next().unwrap_or_default();
            value.get(..longest).unwrap_or(value)
        };
        let (field, value, length) = if item.starts_with(b"10=") {
            (StaticField::DstUser, up_to_comma(3, 128), 3)
        } else if item.starts_with(b"11=") {
            (StaticField::SrcIp, up_to_comma(3, 128), 3)
        } else if item.starts_with(b"60=") {
            (StaticField::Url, up_to_comma(3, 1024), 3)
        } else if item.starts_with(b"3=") || item.starts_with(b"2=") {
            // Kept with its number, commas included.
            (StaticField::Id, item.get(..9).unwrap_or(item), 0)
        } else {
            continue;
        };
        rest = item.get(length + value.len()..).unwrap_or_default();
        if !found.iter().any(|(known, _)| *known == field) {
            found.push((field, value));
        }
    }
    for (field, value) in found {
        event.fields.set(field, value);
    }
}

/// The groups of an OSRegex in `text`, and what follows the match.
fn groups<'t>(pattern: &str, text: &'t [u8]) -> Option<(Vec<&'t [u8]>, &'t [u8])> {
    let mut ranges = Vec::new();
    let rest = OsRegex::new(pattern).ok()?.captures(text, &mut ranges)?;
    let groups = ranges.iter().map(|(from, to)| text.get(*from..*to).unwrap_or_default()).collect();
    Some((groups, text.get(rest..).unwrap_or_default()))
}

/// `… pri=6 c=1024 m=537 … src=10.0.0.1:53:X0 dst=10.0.0.2:4096:X1 proto=tcp/https …`
pub(super) fn sonic_wall(event: &mut Event) {
    event.category = Some(Category::Syslog);
    let log = event.log.clone();
    let Some((first, rest)) = groups(r"pri=(\d) c=(\d+) m=(\d+) ", &log) else { return };
    let [status, category, id] = first[..] else { return };
    event.fields.set(StaticField::Status, status);
    event.fields.set(StaticField::Id, id);
    let addresses = r"src=(\d+.\d+.\d+.\d+):(\d+):\S+ dst=(\d+.\d+.\d+.\d+):(\d+):";
    let Some((second, rest)) = groups(addresses, rest) else { return };
    let [source, source_port, destination, destination_port] = second[..] else { return };
    event.fields.set(StaticField::SrcIp, source);
    event.fields.set(StaticField::SrcPort, source_port);
    event.fields.set(StaticField::DstIp, destination);
    event.fields.set(StaticField::DstPort, destination_port);
    // The protocol is what follows the next blank, or it is nowhere.
    let rest = cut(rest, b" ").map(|(_, rest)| rest).unwrap_or_default();
    if let Some(after) = rest.strip_prefix(b"proto=") {
        let protocol = after.split(|byte| *byte == b'/' || *byte == b' ').next().unwrap_or_default();
        event.fields.set(StaticField::Protocol, protocol.get(..6).unwrap_or(protocol));
    }
    let firewall = |event: &mut Event, action: &[u8]| {
        event.category = Some(Category::Firewall);
        event.fields.set(StaticField::Action, action);
    };
    match (category, id) {
        (b"32", _) => event.category = Some(Category::Ids),
        (_, b"98" | b"597" | b"598") => firewall(event, b"pass"),
        (_, b"36" | b"37" | b"38" | b"173" | b"174") => firewall(event, b"drop"),
        (_, b"537") => firewall(event, b"close"),
        (_, b"97") => {
            event.category = Some(Category::Squid);
            let Some((third, _)) = groups(r"result=(\d+) dstname=(\S+) arg=(\S+)$", rest) else { return };
            let [result, host, path] = third[..] else { return };
            event.fields.set(StaticField::Id, result);
            event.fields.set(StaticField::Url, &[host, path].concat());
        }
        _ => {}
    }
}

/// `Alert Level: 3; Rule: 100 - text; Location: here; srcip: 10.0.0.1; user: u;  log`
pub(super) fn ossec_alert(event: &mut Event, knows_rule: impl Fn(u32) -> bool) {
    // No rule root takes this type: the named rule is the result, or nothing is.
    event.category = None;
    let log = event.log.clone();
    if !log.starts_with(b"Alert Level:") && !log.starts_with(b"ossec: Alert Level") {
        return;
    }
    let Some((_, rest)) = cut(&log, b";") else { return };
    let Some(rest) = rest.strip_prefix(b" Rule: ") else { return };
    let Some((id, rest)) = cut(rest, b" ") else { return };
    let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) else { return };
    if !knows_rule(id) {
        return;
    }
    let Some((_, rest)) = cut(rest, b";") else { return };
    let Some(rest) = rest.strip_prefix(b" Location: ") else { return };
    let Some((location, mut rest)) = cut(rest, b";") else { return };
    event.location = [event.location.as_slice(), b"|", location].concat();
    // A second blank ends the list of values.
    while rest.first() == Some(&b' ') && rest.get(1) != Some(&b' ') {
        let Some((value, after)) = rest.get(1..).and_then(|rest| cut(rest, b";")) else { return };
        if let Some(address) = value.strip_prefix(b"srcip: ") {
            event.fields.set(StaticField::SrcIp, address);
        } else if let Some(user) = value.strip_prefix(b"user: ") {
            event.fields.set(StaticField::DstUser, user);
        }
        rest = after;
    }
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    event.log = rest.get(blanks..).unwrap_or_default().to_owned();
    event.decided = Some(id);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive::NaiveEvent;

    fn after(log: &str, plugin: impl Fn(&mut Event)) -> (Option<Category>, Vec<(&'static str, String)>) {
        let mut event = Event::new(&NaiveEvent::new(log.as_bytes()));
        plugin(&mut event);
        let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
        let fields = event.fields.fixed.into_iter().map(|(field, value)| (field.name(), text(value)));
        (event.category, fields.collect())
    }

    fn pairs(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    #[test]
    fn packet_filter() {
        let (_, fields) = after("rule 4/(match) block in on lo0: 192.0.2.1.4 > 192.0.2.2: icmp", pf);
        let expected = [
            ("action", "block"),
            ("srcip", "192.0.2.1"),
            ("srcport", "4"),
            ("dstip", "192.0.2.2"),
            ("protocol", "ICMP"),
        ];
        assert_eq!(fields, pairs(&expected));
        assert_eq!(after("rule 4/(match) match in on lo0: 192.0.2.1 > 192.0.2.2: x", pf).1, []);
    }

    #[test]
    fn symantec() {
        let (_, fields) =
            after("2007,1=5,11=192.0.2.4,60=http://a/,10=anna,11=no,2=27", symantec_web_security);
        let expected = [("srcip", "192.0.2.4"), ("url", "http://a/"), ("dstuser", "anna"), ("id", "2=27")];
        assert_eq!(fields, pairs(&expected));
    }

    #[test]
    fn sonic_wall_sets_the_type() {
        let line = |category, id| {
            format!(
                "id=fw pri=6 c={category} m={id} msg=\"x\" n=2 src=192.0.2.2:36:WAN dst=192.0.2.1:443:LAN proto=tcp/https"
            )
        };
        let (category, fields) = after(&line(1024, 98), sonic_wall);
        assert_eq!(category, Some(Category::Firewall));
        let expected = [
            ("status", "6"),
            ("id", "98"),
            ("srcip", "192.0.2.2"),
            ("srcport", "36"),
            ("dstip", "192.0.2.1"),
            ("dstport", "443"),
            ("protocol", "tcp"),
            ("action", "pass"),
        ];
        assert_eq!(fields, pairs(&expected));
        assert_eq!(after(&line(32, 98), sonic_wall).0, Some(Category::Ids));
        assert_eq!(after(&line(1, 7), sonic_wall).0, Some(Category::Syslog));
        let page = format!("{} result=200 dstname=h.example arg=/p", line(1, 97));
        let (category, fields) = after(&page, sonic_wall);
        assert_eq!(category, Some(Category::Squid));
        assert!(fields.contains(&("url", "h.example/p".into())), "{fields:?}");
        assert!(fields.contains(&("id", "200".into())), "{fields:?}");
    }

    #[test]
    fn alerts_name_their_rule() {
        let decided = |log: &str| {
            let mut event = Event::new(&NaiveEvent::new(log.as_bytes()));
            ossec_alert(&mut event, |id| id == 100);
            (event.decided, event.category, String::from_utf8(event.log).unwrap())
        };
        let line = "Alert Level: 3; Rule: 100 - x.; Location: h->f; srcip: 10.0.0.1; user: u;  the log";
        assert_eq!(decided(line), (Some(100), None, "the log".into()));
        let (_, fields) = after(line, |event| ossec_alert(event, |id| id == 100));
        assert_eq!(fields, pairs(&[("srcip", "10.0.0.1"), ("dstuser", "u")]));
        let unknown = "Alert Level: 3; Rule: 101 - x.; Location: h->f;  the log";
        assert_eq!(decided(unknown), (None, None, unknown.into()));
    }
}
