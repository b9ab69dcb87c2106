//! What random rules of sequences have beside patterns on fields: demands on static fields, addresses, lists, the clock
//! and earlier events. The values are those of [`crate::lines`].

use std::fmt::Write as _;

use crate::lines::{PORTS, USERS};
use crate::rng::Rng;

/// Name of the list that the rules look into, and its entries.
pub(crate) const LIST: &str = "etc/lists/random";
pub(crate) const ENTRIES: &str = "alpha:GetObject\n10.0.:net\n203.0.113.9:host\n22:\n\"a:b\":x\n1:alpha\n";

/// Rules that many events match, for others to hang below and to count; gives their ids.
pub(crate) fn base(rng: &mut Rng, out: &mut String, groups: &mut Vec<String>) -> Vec<u32> {
    let words = ["u=", "ip=", "login", "GetObject", "srcip", "alpha"];
    let rule = |(id, word): (u32, &str)| {
        let level = rng.pick(&["0", "3", "5", "10"]);
        let group = format!("g{},", rng.below(3));
        let _ = writeln!(
            out,
            "<rule id=\"{id}\" level=\"{level}\"><match>{word}</match><group>{group}</group><description>d</description></rule>"
        );
        groups.push(group);
        id
    };
    (100_000..).zip(words).map(rule).collect()
}

/// Zero to two demands on the event itself.
pub(crate) fn conditions(rng: &mut Rng, out: &mut String) {
    if rng.one_in(6) {
        look_up(rng, out);
        return;
    }
    for _ in 0..rng.below(5) / 2 {
        let negate = rng.pick(&["", "", "", " negate=\"yes\""]);
        match rng.below(12) {
            0..=3 => pattern(rng, negate, out),
            4 | 5 => {
                let element = rng.pick(&["srcip", "dstip"]);
                let network = rng.pick(&[
                    "10.0.0.0/8",
                    "10.0.0.1",
                    "10.0.1.0/255.255.255.0",
                    "any",
                    "2001:db8::/32",
                    "!10.0.0.1",
                ]);
                let _ = write!(out, "<{element}{negate}>{network}</{element}>");
            }
            6 | 7 => look_up(rng, out),
            8 => {
                let time = rng.pick(&["12 am - 11:59 am", "6:00-18:30", "10 pm - 4 am", "!6:00-18:30"]);
                let _ = write!(out, "<time>{time}</time>");
            }
            9 => {
                let days = rng.pick(&["weekdays", "weekends", "monday, sat", "thursday"]);
                let _ = write!(out, "<weekday>{days}</weekday>");
            }
            10 => {
                let check = rng.pick(&["check_id_size", "comp_srcuser_dstuser", "is_simple_http_request"]);
                let _ = write!(out, "<compiled_rule>{check}</compiled_rule>");
            }
            _ => out.push_str(rng.pick(&["<if_fts />", "<check_diff />"])),
        }
    }
    if rng.one_in(2) {
        let words = rng.pick(&["login", "u=", "ip=", "alpha|", "GetObject|10"]);
        let _ = write!(out, "<match>{words}</match>");
    }
    if rng.one_in(10) {
        let list = rng.pick(&["ignore", "check_if_ignored"]);
        let parts = rng.pick(&["srcip", "user,srcip", "id", "name,location"]);
        let _ = write!(out, "<{list}>{parts}</{list}>");
    }
}

fn pattern(rng: &mut Rng, negate: &str, out: &mut String) {
    let (element, values): (_, &[&str]) = match rng.below(9) {
        0 | 1 => ("user", &USERS),
        2 => ("srcport", &PORTS),
        3 => ("dstport", &PORTS),
        4 => ("id", &["1", "^10$", "1|2"]),
        5 => ("program_name", &["^app", "other"]),
        6 => ("hostname", &["^host$", "no"]),
        7 => ("location", &["test", "^x"]),
        _ => (
            rng.pick(&["status", "protocol", "data", "extra_data", "system_name", "url"]),
            &["^a", "be", "!x"],
        ),
    };
    let value = rng.pick(values);
    let _ = write!(out, "<{element}{negate}>{value}</{element}>");
}

fn look_up(rng: &mut Rng, out: &mut String) {
    let field = rng.pick(&["srcip", "user", "srcport", "dstuser", "id", "word", "program_name"]);
    let lookups = [
        "match_key",
        "not_match_key",
        "match_key_value",
        "address_match_key",
        "not_address_match_key",
        "address_match_key_value",
    ];
    let lookup = rng.pick(&lookups);
    let value = if lookup.ends_with("value") {
        rng.pick(&[" check_value=\"net\"", " check_value=\"^GetO|alpha\""])
    } else {
        ""
    };
    let _ = write!(out, "<list field=\"{field}\" lookup=\"{lookup}\"{value}>{LIST}</list>");
}

/// Attributes and elements of a rule that counts the results of earlier ones.
pub(crate) fn counting(rng: &mut Rng, earlier: &[u32], groups: &[String]) -> Option<(String, String)> {
    // The rules of the base are results most often.
    let among = if rng.one_in(2) { earlier.len().min(6) } else { earlier.len() };
    let mut elements = match rng.below(6) {
        0..=2 => format!("<if_matched_sid>{}</if_matched_sid>", earlier.get(rng.below(among))?),
        3 | 4 => {
            let group = groups.get(rng.below(groups.len()))?.trim_end_matches(',');
            format!("<if_matched_group>{group}</if_matched_group>")
        }
        _ => rng
            .pick(&[
                "<if_matched_regex>u=\\w+</if_matched_regex>",
                "<if_matched_regex>alpha|ip=10</if_matched_regex>",
            ])
            .to_owned(),
    };
    for _ in 0..rng.below(6) / 3 {
        let what = rng.pick(&["srcip", "user", "srcuser", "srcport", "id", "location", "dstip", "field"]);
        let how = rng.pick(&["same", "same", "different"]);
        let _ = match what {
            "field" => {
                write!(elements, "<{how}_field>{}</{how}_field>", rng.pick(&["word", "a", "A.b", "srcip"]))
            }
            _ => write!(elements, "<{how}_{what} />"),
        };
    }
    if rng.one_in(4) {
        elements.push_str("<global_frequency />");
    }
    let frequency = 2 + rng.below(4);
    let timeframe = 1 + rng.below(60);
    Some((format!(" frequency=\"{frequency}\" timeframe=\"{timeframe}\""), elements))
}

/// Two to five roots, some with chains of children.
pub(crate) fn decoders(rng: &mut Rng) -> String {
    let mut out = String::new();
    for root in 0..2 + rng.below(4) {
        let name = format!("r{root}");
        let _ = writeln!(out, "<decoder name=\"{name}\">");
        if rng.one_in(2) {
            let program = rng.pick(&["^app", "other|app", "^a"]);
            let _ = writeln!(out, "<program_name>{program}</program_name>");
        }
        let prematch = rng.pick(&["^\\w+ ", "=", "^login ", "ip=", "u=\\w+ "]);
        let _ = writeln!(out, "<prematch>{prematch}</prematch>");
        let category = rng.pick(&["syslog", "syslog", "syslog", "ids", "firewall"]);
        let _ = writeln!(out, "<type>{category}</type>");
        let children = rng.below(4);
        if children == 0 {
            captures(rng, &["", " offset=\"after_prematch\""], &mut out);
        }
        if rng.one_in(2) {
            out.push_str(rng.pick(&["<fts>name, srcip</fts>\n", "<fts>srcuser, id, location</fts>\n"]));
        }
        if rng.one_in(4) {
            out.push_str("<accumulate />\n");
        }
        out.push_str("</decoder>\n");
        for child in 0..children {
            self::child(rng, &name, child, &mut out);
        }
    }
    out
}

/// A child, or a chain of several that go on from each other.
fn child(rng: &mut Rng, parent: &str, number: usize, out: &mut String) {
    let name = format!("{parent}c{number}");
    let prematch = rng.one_in(2);
    for link in 0..1 + rng.below(3) {
        let _ = writeln!(out, "<decoder name=\"{name}\">\n<parent>{parent}</parent>");
        let first = link == 0;
        if first && prematch {
            let offset = rng.pick(&["", " offset=\"after_parent\""]);
            let pattern = rng.pick(&["ip=", "\\w+=", "^u=", "login"]);
            let _ = writeln!(out, "<prematch{offset}>{pattern}</prematch>");
            if rng.one_in(2) {
                out.push_str("<use_own_name>true</use_own_name>\n");
            }
        }
        let offsets = match (first, prematch) {
            (true, true) => &["", " offset=\"after_parent\"", " offset=\"after_prematch\""][..],
            (true, false) => &["", " offset=\"after_parent\""],
            (false, _) => &["", " offset=\"after_parent\"", " offset=\"after_regex\""],
        };
        captures(rng, offsets, out);
        out.push_str("</decoder>\n");
    }
}

fn captures(rng: &mut Rng, offsets: &[&str], out: &mut String) {
    let offset = rng.pick(offsets);
    let (pattern, fields) = match rng.below(8) {
        0 => ("u=(\\S+)", rng.pick(&["user", "srcuser", "word"])),
        1 => ("ip=(\\S+)", rng.pick(&["srcip", "dstip"])),
        2 => ("id=(\\d+)", rng.pick(&["id", "status", "data"])),
        3 => ("p=(\\d+)|id=(\\d+)", rng.pick(&["srcport", "dstport"])),
        4 => ("w=(\\w+) \\w+=(\\S+)", rng.pick(&["word,extra_data", "word,word", "url,word"])),
        5 => ("(\\w+)=(\\S+)", rng.pick(&["protocol,srcuser", "word,id", "system_name"])),
        6 => ("u=(\\S+) ip=(\\S+)", "srcuser,srcip"),
        _ => {
            let _ = writeln!(
                out,
                "<regex type=\"pcre2\"{offset}>(?:u=(\\w+))?.*ip=([\\d.]+)(?: p=(\\d+))?</regex>\n<order>srcuser,srcip,srcport</order>"
            );
            return;
        }
    };
    let _ = writeln!(out, "<regex{offset}>{pattern}</regex>\n<order>{fields}</order>");
}
