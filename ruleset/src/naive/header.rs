//! Headers of text lines, after the table of formats in the order in which it is written.
//!
//! Enters: a message. Leaves: host, program and what is left. Positions are those of fixed bytes; a column of the table
//! is a function call here.

/// A message without its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut<'m> {
    /// The host.
    pub hostname: Option<&'m [u8]>,
    /// The program.
    pub program_name: Option<&'m [u8]>,
    /// What is left.
    pub log: &'m [u8],
}

/// Cuts the header off.
#[must_use]
pub fn cut(message: &[u8]) -> Cut<'_> {
    let bare = |log| Cut { hostname: None, program_name: None, log };
    // "len" counts the byte that ends a text.
    let length = message.len() + 1;
    let from = |at: usize| message.get(at..).unwrap_or_default();
    // Pairs of a position and the byte there.
    let has = |pairs: &[(usize, u8)]| pairs.iter().all(|(at, byte)| message.get(*at) == Some(byte));
    let digit = |at: usize| message.get(at).is_some_and(u8::is_ascii_digit);

    if length > 17 && has(&[(3, b' '), (6, b' '), (9, b':'), (12, b':'), (15, b' ')]) {
        return host_and_program(from(16));
    }
    // A month of three characters and four bytes.
    if length > 18 && has(&[(1, 0xc3), (2, 0xa4), (4, b' '), (7, b' '), (10, b':'), (13, b':'), (16, b' ')]) {
        return host_and_program(from(17));
    }
    if length > 24 && has(&[(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':'), (19, b',')]) {
        return host_and_program(from(24));
    }
    if length > 33 && has(&[(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]) {
        if has(&[(22, b':'), (25, b' ')]) {
            return host_and_program(from(26));
        }
        if has(&[(19, b'.'), (26, b':')]) {
            return host_and_program(from(30));
        }
        if has(&[(19, b'.'), (29, b':')]) {
            return host_and_program(from(33));
        }
        if has(&[(19, b'.')]) {
            return host_and_program(from(32));
        }
    }
    if length > 21 && digit(0) && has(&[(4, b' '), (8, b' '), (11, b' '), (20, b' '), (14, b':'), (17, b':')])
    {
        return host_and_program(from(21));
    }
    if length > 33
        && digit(0)
        && has(&[(4, b'-'), (7, b'-'), (10, b' '), (31, b' '), (13, b':'), (16, b':'), (19, b'.')])
        && (has(&[(26, b'+')]) || has(&[(26, b'-')]))
    {
        return host_and_program(from(32));
    }
    let blanks = [(3, b' '), (7, b' '), (10, b' '), (19, b' '), (24, b' '), (26, b' ')];
    if length > 28 && has(&blanks) && has(&[(13, b':'), (16, b':')]) {
        return bare(from(25));
    }
    if length > 24 && has(&[(2, b'/'), (5, b'-'), (8, b':'), (11, b':'), (14, b'.'), (21, b' ')]) {
        return bare(from(23));
    }
    let suricata = [(2, b'/'), (5, b'/'), (10, b'-'), (13, b':'), (16, b':'), (19, b'.'), (26, b' ')];
    if length > 28 && has(&suricata) {
        return bare(from(28));
    }
    let apache = [(4, b' '), (8, b' '), (11, b' '), (20, b' '), (14, b':'), (17, b':')];
    if length > 27 && has(&[(0, b'['), (25, b']')]) && has(&apache) {
        return bare(from(27));
    }
    let apple = [(0, b'['), (1, b'T'), (5, b' '), (16, b' '), (10, b'.'), (13, b'.'), (19, b':')];
    if length > 26 && has(&apple) {
        return apple_groups(from(25));
    }
    if length > 32
        && has(&[(0, b'1'), (10, b'.'), (14, b' ')])
        && [1, 2, 3, 13].into_iter().all(digit)
        && (has(&[(21, b' ')]) || has(&[(22, b' ')]))
    {
        return bare(from(14).trim_ascii_start_blanks());
    }
    bare(message)
}

trait TrimBlanks {
    fn trim_ascii_start_blanks(&self) -> &Self;
}

impl TrimBlanks for [u8] {
    fn trim_ascii_start_blanks(&self) -> &Self {
        let blanks = self.iter().take_while(|byte| **byte == b' ').count();
        self.get(blanks..).unwrap_or_default()
    }
}

/// Splits after the bytes at the front that satisfy `is_part`.
fn split(text: &[u8], is_part: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| is_part(**byte)).count())
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"()-./@_".contains(&byte)
}

fn host_and_program(after_time: &[u8]) -> Cut<'_> {
    let text = after_time.strip_prefix(b" ").unwrap_or(after_time);
    let (host, rest) = split(text, is_host_byte);
    if let Some(log) = rest.strip_prefix(b": ") {
        return Cut { hostname: None, program_name: Some(host), log: without_message_id(log) };
    }
    let Some(text) = rest.strip_prefix(b" ") else {
        return Cut { hostname: None, program_name: None, log: text };
    };
    match program(text) {
        Some((name, log)) => {
            Cut { hostname: Some(host), program_name: Some(name), log: without_message_id(log) }
        }
        None => Cut { hostname: Some(host), program_name: None, log: text },
    }
}

fn program(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = split(text, is_host_byte);
    if let Some(log) = rest.strip_prefix(b":") {
        return Some((name, log.strip_prefix(b" ").unwrap_or(log)));
    }
    if rest.starts_with(b"[") {
        let rest = after_number(rest)?;
        if let Some(log) = rest.strip_prefix(b":") {
            return Some((name, log.strip_prefix(b" ").unwrap_or(log)));
        }
        return rest.strip_prefix(b" ").map(|log| (name, log));
    }
    let facility = rest.strip_prefix(b"|").filter(|rest| rest.first().is_some_and(u8::is_ascii_lowercase))?;
    let (_, rest) = split(facility, |byte| byte.is_ascii_alphanumeric());
    let (_, rest) = split(rest.strip_prefix(b":")?, |byte| byte.is_ascii_alphanumeric());
    let (name, rest) = split(rest.strip_prefix(b" ")?, is_host_byte);
    let rest = if rest.starts_with(b"[") { after_number(rest)? } else { rest };
    rest.strip_prefix(b": ").map(|log| (name, log))
}

/// What follows `[123]`.
fn after_number(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = split(text.strip_prefix(b"[")?, |byte| byte.is_ascii_digit());
    rest.strip_prefix(b"]")
}

fn without_message_id(log: &[u8]) -> &[u8] {
    if !log.starts_with(b"[ID ") {
        return log;
    }
    let close = log.iter().position(|byte| *byte == b']');
    close.map_or(log, |close| log.get(close + 2..).unwrap_or_default())
}

/// `[Key value]` groups.
fn apple_groups(text: &[u8]) -> Cut<'_> {
    let mut cut = Cut { hostname: None, program_name: None, log: text };
    let mut message = None;
    let mut rest = text;
    while let Some(open) = rest.iter().position(|byte| *byte == b'[') {
        let group = rest.get(open + 1..).unwrap_or_default();
        let (group, _) = split(group, |byte| byte != b']');
        rest = rest.get(open + 1..).unwrap_or_default();
        if let Some(sender) = group.strip_prefix(b"Sender ") {
            cut.program_name = cut.program_name.or(Some(sender));
        } else if let (Some(value), None) = (group.strip_prefix(b"Message "), message) {
            message = Some(value);
            rest = rest.get(group.len()..).unwrap_or_default();
        } else if let Some(host) = group.strip_prefix(b"Host ") {
            cut.hostname = Some(host);
            break;
        }
    }
    cut.log = message.unwrap_or(text);
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_the_engine(message: &[u8]) -> Cut<'_> {
        let header = crate::decode::header::parse(message);
        Cut { hostname: header.hostname, program_name: header.program_name, log: header.log }
    }

    /// Headers of every format, with what may follow them and what may not.
    fn line() -> impl Strategy<Value = String> {
        let time = prop::sample::select(vec![
            "",
            "Dec 29 10:00:01 ",
            "M\u{e4}r 29 10:00:01 ",
            "2015-04-16 21:51:02,805 ",
            "2015-04-16T15:48:55-04:00 ",
            "2015-04-16T15:48:55.288+00:00 ",
            "2015-04-16T15:48:55.214994-07:00 ",
            "2015-04-16T15:48:55.214994Z ",
            "2015 Dec 29 10:00:01 ",
            "2021-04-21 10:16:09.404756-0700 ",
            "2021-04-21 10:16:09.404756+0200 ",
            "Mon Apr 17 18:27:14 2006 1 ",
            "01/28-09:13:16.240702  ",
            "01/28/1979-09:13:16.240702  ",
            "[Fri Feb 11 18:06:35 2004] ",
            "[Time 2006.12.28 15:53:55 UTC] ",
            "1140804070.368  11623 ",
            "1140804070.368    162 ",
        ]);
        let host = " ?(h\u{f6}st|host|[a-z()@/._-]{0,3})?(: | |:|)";
        let program = "(app)?(\\[[0-9x]{0,3}\\]|\\|[a-z]{0,2}:[a-z]{0,2} b)?(: ?| |)";
        let rest =
            "(\\[ID [0-9]{0,3}(\\] ?)?|(\\[(Sender|Message|Host) [a-z\\[]{0,2}\\]? ?){0,4})[a-z ]{0,4}";
        (time, host, program, rest)
            .prop_map(|(time, host, program, rest)| format!("{time}{host}{program}{rest}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// Two readings of one table: this one and that of the engine.
        #[test]
        fn agrees_with_the_engines(
            message in line(),
            cut_at in 0..80_usize,
        ) {
            let message = message.as_bytes();
            prop_assert_eq!(cut(message), of_the_engine(message));
            let shorter = &message[..cut_at.min(message.len())];
            prop_assert_eq!(cut(shorter), of_the_engine(shorter));
        }
    }
}
