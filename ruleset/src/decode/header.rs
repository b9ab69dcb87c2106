//! Headers of text lines: time, host and program, cut from the message before anything else looks at it.
//!
//! Enters: a message. Leaves: its parts, borrowed. Formats are told apart by fixed byte positions, as the reference does
//! it, because decoders were written for what that leaves: a format that it does not know (`<13>…`, RFC 5424,
//! `2021-04-21T10:16:09Z`) stays whole here, too, and one that it cuts in the wrong place is cut there.

/// A message taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The time as it is written.
    pub timestamp: Option<&'a [u8]>,
    /// The host.
    pub hostname: Option<&'a [u8]>,
    /// The program, without its process id.
    pub program_name: Option<&'a [u8]>,
    /// What is left.
    pub log: &'a [u8],
}

/// Takes a message apart.
#[must_use]
pub fn parse(message: &[u8]) -> Header<'_> {
    let whole = Header { timestamp: None, hostname: None, program_name: None, log: message };
    // `Mär` in UTF-8 is one byte longer than the other months.
    if message.get(1..3) == Some("ä".as_bytes()) && ROWS[0].fits(&message[1..]) {
        return cut_syslog(message, 17);
    }
    match ROWS.iter().find(|row| row.fits(message)).map(|row| &row.cut) {
        None => whole,
        Some(&Cut::Syslog(cut)) => cut_syslog(message, cut),
        Some(&Cut::Time { cut, from, to }) => {
            Header { timestamp: Some(&message[from..to]), log: &message[cut..], ..whole }
        }
        Some(Cut::Squid) => {
            let blanks = message[14..].iter().take_while(|&&byte| byte == b' ').count();
            let cut = 14 + blanks;
            Header { timestamp: Some(&message[..cut - 1]), log: &message[cut..], ..whole }
        }
        Some(Cut::AppleLog) => bracket_groups(Header { log: &message[25..], ..whole }),
    }
}

/// One format.
struct Row {
    shortest: usize,
    bytes: &'static [(usize, u8)],
    digits: &'static [usize],
    cut: Cut,
}

enum Cut {
    /// A time of that length, its last byte a blank; host and program follow.
    Syslog(usize),
    /// A time at `from..to`; the log begins at `cut`.
    Time { cut: usize, from: usize, to: usize },
    /// Seconds and milliseconds, filled up with blanks.
    Squid,
    /// `[Time …] [Key value] …`
    AppleLog,
}

/// In the order of trial: the first that fits wins.
const ROWS: &[Row] = &[
    // Dec 29 10:00:01
    Row::new(17, &[(3, b' '), (6, b' '), (9, b':'), (12, b':'), (15, b' ')], &[], Cut::Syslog(16)),
    // 2015-04-16 21:51:02,805
    Row::new(
        24,
        &[(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':'), (19, b',')],
        &[],
        Cut::Syslog(24),
    ),
    // 2015-04-16T15:48:55-04:00
    Row::new(
        33,
        &[(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (22, b':'), (25, b' ')],
        &[],
        Cut::Syslog(26),
    ),
    // 2015-04-16T15:48:55.288+00:00
    Row::new(
        33,
        &[(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b':')],
        &[],
        Cut::Syslog(30),
    ),
    // 2015-04-16T15:48:55.214994-07:00
    Row::new(
        33,
        &[(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (29, b':')],
        &[],
        Cut::Syslog(33),
    ),
    // 2015-04-16T15:48:55.214994-0700, and anything else with a fraction
    Row::new(
        33,
        &[(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.')],
        &[],
        Cut::Syslog(32),
    ),
    // 2015 Dec 29 10:00:01
    Row::new(
        21,
        &[(4, b' '), (8, b' '), (11, b' '), (14, b':'), (17, b':'), (20, b' ')],
        &[0],
        Cut::Syslog(21),
    ),
    // 2021-04-21 10:16:09.404756-0700
    Row::new(
        33,
        &[(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':'), (19, b'.'), (26, b'-'), (31, b' ')],
        &[0],
        Cut::Syslog(32),
    ),
    Row::new(
        33,
        &[(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':'), (19, b'.'), (26, b'+'), (31, b' ')],
        &[0],
        Cut::Syslog(32),
    ),
    // xferlog: Mon Apr 17 18:27:14 2006 1
    Row::new(
        28,
        &[(3, b' '), (7, b' '), (10, b' '), (13, b':'), (16, b':'), (19, b' '), (24, b' '), (26, b' ')],
        &[],
        Cut::Time { cut: 25, from: 0, to: 24 },
    ),
    // Snort: 01/28-09:13:16.240702
    Row::new(
        24,
        &[(2, b'/'), (5, b'-'), (8, b':'), (11, b':'), (14, b'.'), (21, b' ')],
        &[],
        Cut::Time { cut: 23, from: 0, to: 21 },
    ),
    // Suricata: 01/28/1979-09:13:16.240702
    Row::new(
        28,
        &[(2, b'/'), (5, b'/'), (10, b'-'), (13, b':'), (16, b':'), (19, b'.'), (26, b' ')],
        &[],
        Cut::Time { cut: 28, from: 0, to: 26 },
    ),
    // Apache: [Fri Feb 11 18:06:35 2004]
    Row::new(
        27,
        &[(0, b'['), (4, b' '), (8, b' '), (11, b' '), (14, b':'), (17, b':'), (20, b' '), (25, b']')],
        &[],
        Cut::Time { cut: 27, from: 1, to: 25 },
    ),
    // Apple: [Time 2006.12.28 15:53:55 UTC]
    Row::new(
        26,
        &[(0, b'['), (1, b'T'), (5, b' '), (10, b'.'), (13, b'.'), (16, b' '), (19, b':')],
        &[],
        Cut::AppleLog,
    ),
    // Squid: 1140804070.368  11623
    Row::new(32, &[(0, b'1'), (10, b'.'), (14, b' '), (21, b' ')], &[1, 2, 3, 13], Cut::Squid),
    Row::new(32, &[(0, b'1'), (10, b'.'), (14, b' '), (22, b' ')], &[1, 2, 3, 13], Cut::Squid),
];

impl Row {
    const fn new(shortest: usize, bytes: &'static [(usize, u8)], digits: &'static [usize], cut: Cut) -> Self {
        Self { shortest, bytes, digits, cut }
    }

    fn fits(&self, message: &[u8]) -> bool {
        message.len() >= self.shortest
            && self.bytes.iter().all(|&(at, byte)| message[at] == byte)
            && self.digits.iter().all(|&at| message[at].is_ascii_digit())
    }
}

/// Host and program after a time of `cut` bytes.
fn cut_syslog(message: &[u8], cut: usize) -> Header<'_> {
    let text = &message[cut..];
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let header =
        Header { timestamp: Some(&message[..cut - 1]), hostname: None, program_name: None, log: text };
    let (first, after) = split_name(text);
    // `time program: text`, as Solaris writes it: there is no host.
    if let Some(log) = after.strip_prefix(b": ") {
        return Header { program_name: Some(first), log: without_message_id(log), ..header };
    }
    let Some(text) = after.strip_prefix(b" ") else { return header };
    let header = Header { hostname: Some(first), log: text, ..header };
    match program(text) {
        Some((name, log)) => Header { program_name: Some(name), log: without_message_id(log), ..header },
        None => header,
    }
}

/// `name: text`, `name[1]: text`, `name[1] text` or AIX's `facility|name:level name[1]: text`.
fn program(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, after) = split_name(text);
    match after {
        [b':', log @ ..] => Some((name, log.strip_prefix(b" ").unwrap_or(log))),
        [b'[', ..] => match after_process_id(after)? {
            [b':', log @ ..] => Some((name, log.strip_prefix(b" ").unwrap_or(log))),
            [b' ', log @ ..] => Some((name, log)),
            _ => None,
        },
        [b'|', aix @ ..] if aix.first().is_some_and(u8::is_ascii_lowercase) => {
            let level = skip_alphanumeric(aix).strip_prefix(b":")?;
            let (name, after) = split_name(skip_alphanumeric(level).strip_prefix(b" ")?);
            let after = if after.starts_with(b"[") { after_process_id(after)? } else { after };
            Some((name, after.strip_prefix(b": ")?))
        }
        _ => None,
    }
}

/// Splits after the leading host characters.
fn split_name(text: &[u8]) -> (&[u8], &[u8]) {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"()-./@_".contains(byte);
    text.split_at(text.iter().take_while(|byte| is_name(byte)).count())
}

/// What follows `[digits]`.
fn after_process_id(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"[")?;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text[digits..].strip_prefix(b"]")
}

fn skip_alphanumeric(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()..]
}

/// Drops Solaris' `[ID 123 facility.level] `.
fn without_message_id(log: &[u8]) -> &[u8] {
    match log.iter().position(|&byte| byte == b']') {
        Some(close) if log.starts_with(b"[ID ") => log.get(close + 2..).unwrap_or_default(),
        _ => log,
    }
}

/// `[Sender program] [Message log] [Host name]`: the first of each counts, the host ends the list.
fn bracket_groups(mut header: Header<'_>) -> Header<'_> {
    let mut text = header.log;
    let mut message_seen = false;
    while let Some(open) = text.iter().position(|&byte| byte == b'[') {
        text = &text[open + 1..];
        let value = |key: &[u8]| {
            let value = text.strip_prefix(key)?;
            // A value that is not closed runs to the end.
            Some(&value[..value.iter().position(|&byte| byte == b']').unwrap_or(value.len())])
        };
        if let Some(sender) = value(b"Sender ").filter(|_| header.program_name.is_none()) {
            header.program_name = Some(sender);
        } else if let Some(message) = value(b"Message ").filter(|_| !message_seen) {
            message_seen = true;
            header.log = message;
            // A bracket inside the message is none of ours: go on after it.
            text = &text[b"Message ".len() + message.len()..];
        } else if let Some(host) = value(b"Host ") {
            header.hostname = Some(host);
            return header;
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Time, host, program, log; `-` for a part that is not there.
    fn parts(message: &str) -> [String; 4] {
        let header = parse(message.as_bytes());
        let text =
            |part: Option<&[u8]>| part.map_or("-".into(), |part| String::from_utf8_lossy(part).into_owned());
        [text(header.timestamp), text(header.hostname), text(header.program_name), text(Some(header.log))]
    }

    fn check(cases: &[(&str, [&str; 4])]) {
        for (message, expected) in cases {
            assert_eq!(parts(message), *expected, "{message:?}");
        }
    }

    #[test]
    fn each_format_is_cut_where_its_row_says() {
        check(&[
            ("Dec 29 10:00:01 web1 sshd[42]: hello", ["Dec 29 10:00:01", "web1", "sshd", "hello"]),
            ("Dec 29 10:00:01 w", ["Dec 29 10:00:01", "-", "-", "w"]),
            ("Mär 29 10:00:01 web1 sshd: hello", ["Mär 29 10:00:01", "web1", "sshd", "hello"]),
            ("2015-04-16 21:51:02,805 web1 ftpd[42]: hi", ["2015-04-16 21:51:02,805", "web1", "ftpd", "hi"]),
            (
                "2015-04-16T15:48:55-04:00 web1 sshd: hello",
                ["2015-04-16T15:48:55-04:00", "web1", "sshd", "hello"],
            ),
            (
                "2015-04-16T15:48:55.288+00:00 web1 sshd: hi",
                ["2015-04-16T15:48:55.288+00:00", "web1", "sshd", "hi"],
            ),
            (
                "2015-04-16T15:48:55.214994-07:00 web1 sshd: hi",
                ["2015-04-16T15:48:55.214994-07:00", "web1", "sshd", "hi"],
            ),
            (
                "2015-04-16T15:48:55.214994-0700 web1 sshd: hi",
                ["2015-04-16T15:48:55.214994-0700", "web1", "sshd", "hi"],
            ),
            ("2015 Dec 29 10:00:01 web1 sshd: hi", ["2015 Dec 29 10:00:01", "web1", "sshd", "hi"]),
            (
                "2021-04-21 10:16:09.404756-0700 web1 sshd: hi",
                ["2021-04-21 10:16:09.404756-0700", "web1", "sshd", "hi"],
            ),
            (
                "2021-04-21 10:16:09.404756+0200 web1 sshd: hi",
                ["2021-04-21 10:16:09.404756+0200", "web1", "sshd", "hi"],
            ),
            (
                "Mon Apr 17 18:27:14 2006 1 host sshd: x",
                ["Mon Apr 17 18:27:14 2006", "-", "-", "1 host sshd: x"],
            ),
            ("01/28-09:13:16.240702  [**] a", ["01/28-09:13:16.240702", "-", "-", "[**] a"]),
            ("01/28/1979-09:13:16.240702  [**] a", ["01/28/1979-09:13:16.240702", "-", "-", "[**] a"]),
            ("[Fri Feb 11 18:06:35 2004] [warn] a", ["Fri Feb 11 18:06:35 2004", "-", "-", "[warn] a"]),
            (
                "1140804070.368  11623 192.0.2.1 TCP_MISS",
                ["1140804070.368 ", "-", "-", "11623 192.0.2.1 TCP_MISS"],
            ),
            (
                "1140804070.368    162 192.0.2.1 TCP_MISS",
                ["1140804070.368   ", "-", "-", "162 192.0.2.1 TCP_MISS"],
            ),
        ]);
    }

    #[test]
    fn unknown_formats_stay_whole() {
        for message in [
            "",
            "hello",
            "Dec 29 10:00:01 ",
            "<13>Dec 29 10:00:01 web1 sshd[42]: hello",
            "<13>1 2021-04-21T10:16:09Z web1 sshd 42 - - hello",
            "2021-04-21T10:16:09Z web1 sshd[42]: hello",
            "{\"eventVersion\":\"1.08\",\"eventSource\":\"s3\"}",
        ] {
            assert_eq!(parts(message), ["-", "-", "-", message]);
        }
    }

    #[test]
    fn a_fraction_with_z_loses_four_bytes_of_the_host() {
        let message = "2021-04-21T10:16:09.404756Z server1 sshd: hello";
        assert_eq!(parts(message), ["2021-04-21T10:16:09.404756Z ser", "er1", "sshd", "hello"]);
    }

    #[test]
    fn host_and_program() {
        const T: &str = "Dec 29 10:00:01";
        let cases = [
            // One more blank after the time is skipped.
            (" web1 sshd: x", ["web1", "sshd", "x"]),
            ("web1 su(pam_unix)[1]: x", ["web1", "su(pam_unix)", "x"]),
            ("web1 sshd[42]:x", ["web1", "sshd", "x"]),
            ("web1 sshd[42] x", ["web1", "sshd", "x"]),
            ("web1 sshd:x", ["web1", "sshd", "x"]),
            ("web1 sshd[4a]: x", ["web1", "-", "sshd[4a]: x"]),
            ("web1 sshd[42]x", ["web1", "-", "sshd[42]x"]),
            ("web1 hello world", ["web1", "-", "hello world"]),
            // Solaris: no host.
            ("sshd: x y", ["-", "sshd", "x y"]),
            ("sshd: [ID 800047 auth.info] x", ["-", "sshd", "x"]),
            ("web1 sshd[42]: [ID 800047 auth.info] x", ["web1", "sshd", "x"]),
            ("web1 sshd: [ID 800047]", ["web1", "sshd", ""]),
            ("web1 sshd: [ID x", ["web1", "sshd", "[ID x"]),
            // The host ends in something else than a blank.
            ("web1:sshd: x", ["-", "-", "web1:sshd: x"]),
            ("web1", ["-", "-", "web1"]),
            // AIX.
            ("web1 auth|security:info sshd[42]: x", ["web1", "sshd", "x"]),
            ("web1 auth|security:info sshd: x", ["web1", "sshd", "x"]),
            ("web1 auth|security:info sshd[42] x", ["web1", "-", "auth|security:info sshd[42] x"]),
            ("web1 auth|Security:info sshd: x", ["web1", "-", "auth|Security:info sshd: x"]),
            ("web1 auth|security info: x", ["web1", "-", "auth|security info: x"]),
        ];
        for (text, [host, program, log]) in cases {
            assert_eq!(parts(&format!("{T} {text}")), [T, host, program, log], "{text:?}");
        }
    }

    #[test]
    fn apple_groups() {
        check(&[
            (
                "[Time 2006.12.28 15:53:55 UTC] [Facility auth] [Sender sshd] [PID 483] [Message error: no] [Host mac1]",
                ["-", "mac1", "sshd", "error: no"],
            ),
            // Text that a user may have sent does not replace the message, and nothing counts after the host.
            (
                "[Time 2006.12.28 15:53:55 UTC] [Message one] [Message two] [Host mac1] [Sender x]",
                ["-", "mac1", "-", "one"],
            ),
            ("[Time 2006.12.28 15:53:55 UTC] nothing", ["-", "-", "-", " UTC] nothing"]),
            ("[Time 2006.12.28 15:53:55 UTC] [Message one", ["-", "-", "-", "one"]),
        ]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_without_panic(
            start in prop::sample::select(vec![
                "", "Dec 29 10:00:01 ", "2015-04-16T15:48:55.214994-07:0", "1140804070.368 ", "[Time 2006.12.28 15:53:55 ", "M\u{e4}r 29 10:00:01 ",
            ]),
            rest in "[a\\[\\]:| 0IDM.\u{e4}-]{0,24}",
        ) {
            let message = format!("{start}{rest}");
            let header = parse(message.as_bytes());
            prop_assert!(header.log.len() <= message.len());
            prop_assert!(header.program_name.is_none() || header.timestamp.is_some() || message.starts_with('['));
        }
    }
}
