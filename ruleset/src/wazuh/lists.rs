//! List files: lines of `key:value` → keys with values.
//!
//! Enters: the texts of list files. Leaves: one list for each name, and what is probably a mistake in them. Nothing is an
//! error: the reference takes any text. There are no comments and no trimming, so a blank or `#` that somebody meant as
//! layout becomes part of a key that never matches, in silence; here that is a warning.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use super::ListText;
use super::source::shorten;
use crate::diagnostic::Diagnostic;
use crate::ir::{List, Place};

/// Faults told for one list: a list with more is of another format.
const MAX_FAULTS: usize = 20;
/// A list file may be this long.
const MAX_FILE_BYTES: usize = 256 << 20;

/// Reads all lists; of two with the same name the later one counts, so that an own list replaces a built-in one.
pub(super) fn load(texts: &[ListText]) -> (Vec<List>, Vec<Diagnostic>) {
    let mut lists: Vec<List> = Vec::new();
    let mut positions: FxHashMap<&str, usize> = FxHashMap::default();
    let mut diagnostics = Vec::new();
    for text in texts {
        let (list, faults) = read(text);
        diagnostics.extend(faults);
        match positions.get(&*text.name).and_then(|at| lists.get_mut(*at)) {
            Some(known) => *known = list,
            None => {
                positions.insert(&text.name, lists.len());
                lists.push(list);
            }
        }
    }
    (lists, diagnostics)
}

fn read(text: &ListText) -> (List, Vec<Diagnostic>) {
    let mut reader = Reader { text, faults: Vec::new(), hidden: 0, line: 0 };
    let mut list = List { name: text.name.to_string(), entries: Vec::new() };
    if text.text.len() > MAX_FILE_BYTES {
        let message = format!("the list has {} bytes, the limit is {MAX_FILE_BYTES}", text.text.len());
        let place = Place::new(&text.path, 1, 1);
        return (list, vec![Diagnostic::error(place, "", message, "split it into several lists")]);
    }
    let mut known: FxHashSet<Vec<u8>> = FxHashSet::default();
    for line in text.text.split(|byte| *byte == b'\n') {
        reader.line += 1;
        let line = without_returns(line);
        let Some((key, value)) = reader.entry(&line) else { continue };
        if known.insert(key.to_vec()) {
            list.entries.push((key.to_vec(), value.to_vec()));
        } else {
            reader.warn(
                key,
                "the key stands in an earlier line already, the first one counts",
                "remove one of them",
            );
        }
    }
    if list.entries.is_empty() && reader.faults.is_empty() {
        reader.line = 1;
        reader.warn(
            b"",
            "the list has no entries",
            "write one key:value in each line, or key: without a value",
        );
    }
    reader.finish(list)
}

/// CR is removed wherever it stands, LF has been.
fn without_returns(line: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'\r', line) {
        None => Cow::Borrowed(line),
        Some(_) => Cow::Owned(line.iter().copied().filter(|byte| *byte != b'\r').collect()),
    }
}

struct Reader<'t> {
    text: &'t ListText,
    faults: Vec<Diagnostic>,
    hidden: usize,
    line: u32,
}

impl Reader<'_> {
    /// Key and value of a line; `None` for one without a colon.
    fn entry<'l>(&mut self, line: &'l [u8]) -> Option<(&'l [u8], &'l [u8])> {
        let Some(colon) = memchr::memchr(b':', line) else {
            if !(line.trim_ascii().is_empty() || line.starts_with(b"#")) {
                self.warn(
                    line,
                    "the line has no colon and is left out",
                    "write key:value, or key: without a value",
                );
            }
            return None;
        };
        let (key, value) = match quoted_key(line) {
            Some(entry) => entry,
            None => (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default()),
        };
        let quoted = quoted_key(line).is_some();
        let value = unquoted(value).unwrap_or(value);
        self.look_at(line, key, quoted);
        Some((key, value))
    }

    /// What was probably not meant.
    fn look_at(&mut self, line: &[u8], key: &[u8], quoted: bool) {
        if quoted {
            return;
        }
        if line.starts_with(b"#") {
            let message = "lists have no comments: the line is an entry whose key begins with #";
            self.warn(line, message, "remove the line, or its colon");
        } else if key.is_empty() {
            self.warn(line, "the key is empty", "write key:value");
        } else if key.trim_ascii().len() != key.len() {
            let message = "the blanks around the key are part of it: only the same text with blanks matches";
            self.warn(line, message, "write key:value without blanks");
        } else if key.starts_with(b"\"") {
            let message = "the quotes around the key are not closed before the colon and are part of it";
            self.warn(line, message, "write \"key\":value");
        } else if looks_like_ipv6(line) {
            let message = "the key ends at the first colon, in the middle of the address";
            self.warn(line, message, "put the address into quotes: \"2001:db8::1\":");
        }
    }

    fn warn(&mut self, text: &[u8], message: &str, help: &str) {
        if self.faults.len() == MAX_FAULTS {
            self.hidden += 1;
            return;
        }
        let place = Place::new(&self.text.path, self.line, 1);
        let text = String::from_utf8_lossy(text.get(..512).unwrap_or(text));
        self.faults.push(Diagnostic::warning(place, shorten(&text), message, help));
    }

    fn finish(mut self, list: List) -> (List, Vec<Diagnostic>) {
        if self.hidden > 0 {
            let message =
                format!("{} more lines of the list look like mistakes, they are not shown", self.hidden);
            let place = Place::new(&self.text.path, self.line, 1);
            let help = "mend the first ones; a list has one key:value in each line";
            self.faults.push(Diagnostic::warning(place, "", message, help));
        }
        (list, self.faults)
    }
}

/// `"key":value`, where the key may hold colons.
fn quoted_key(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', rest)?;
    let value = rest.get(end + 1..)?.strip_prefix(b":")?;
    Some((rest.get(..end)?, value))
}

fn unquoted(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn looks_like_ipv6(line: &[u8]) -> bool {
    let text = std::str::from_utf8(line).unwrap_or_default();
    let text = text.trim_end_matches(':');
    text.len() <= 64 && (text.parse::<std::net::Ipv6Addr>().is_ok() || line.starts_with(b"::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let text = ListText { name: "l".into(), path: "l.txt".into(), text: text.into() };
        let (list, faults) = read(&text);
        let show = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let entries = list.entries.into_iter().map(|(key, value)| (show(key), show(value))).collect();
        (entries, faults.iter().map(|fault| fault.to_string().lines().next().unwrap().to_owned()).collect())
    }

    fn entries(text: &str) -> Vec<(String, String)> {
        let (entries, faults) = list(text);
        assert_eq!(faults, Vec::<String>::new());
        entries
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn a_line_is_a_key_and_a_value() {
        assert_eq!(entries("a:1\nb:\nc:x:y\n"), [pair("a", "1"), pair("b", ""), pair("c", "x:y")]);
        assert_eq!(entries("a:1\r\nb: 2 \r\n\r\n"), [pair("a", "1"), pair("b", " 2 ")]);
        assert_eq!(entries("last:without line end"), [pair("last", "without line end")]);
    }

    #[test]
    fn quotes_keep_colons_in_keys() {
        let quoted = "\"2001:db8::1\":bad\n\"a b\":\"c:d\"\nk:\"v\"\n\" x\":\n";
        let expected = [pair("2001:db8::1", "bad"), pair("a b", "c:d"), pair("k", "v"), pair(" x", "")];
        assert_eq!(entries(quoted), expected);
        assert_eq!(entries("k:\"\nl:a\"b\n"), [pair("k", "\""), pair("l", "a\"b")]);
    }

    #[test]
    fn what_is_probably_a_mistake_is_told() {
        for (text, key, said) in [
            ("a:1\nb:2\na:3\n", Some("b"), "l.txt:3:1: warning: the key stands in an earlier line already"),
            ("a:1\nword\n", Some("a"), "l.txt:2:1: warning: the line has no colon"),
            ("# see: wiki\n", Some("# see"), "l.txt:1:1: warning: lists have no comments"),
            (" a:1\n", Some(" a"), "l.txt:1:1: warning: the blanks around the key"),
            ("a : 1\n", Some("a "), "l.txt:1:1: warning: the blanks around the key"),
            (":1\n", Some(""), "l.txt:1:1: warning: the key is empty"),
            ("\"a:1\n", Some("\"a"), "l.txt:1:1: warning: the quotes around the key"),
            ("2001:db8::1:\n", Some("2001"), "l.txt:1:1: warning: the key ends at the first colon"),
            ("", None, "l.txt:1:1: warning: the list has no entries"),
        ] {
            let (entries, faults) = list(text);
            assert_eq!(entries.last().map(|(key, _)| key.as_str()), key, "{text}");
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
            assert!(faults[0].starts_with(said), "{text}: {faults:?}");
        }
    }

    #[test]
    fn the_first_definition_of_a_key_counts_and_the_last_list_of_a_name() {
        assert_eq!(list("a:1\na:2\n").0, [pair("a", "1")]);
        let text =
            |name: &str, text: &str| ListText { name: name.into(), path: name.into(), text: text.into() };
        let (lists, faults) = load(&[text("x", "a:1"), text("y", "b:1"), text("x", "c:1")]);
        let keys: Vec<_> =
            lists.iter().map(|list| (list.name.as_str(), list.entries[0].0.as_slice())).collect();
        assert_eq!(keys, [("x", &b"c"[..]), ("y", b"b")]);
        assert_eq!(faults, []);
    }

    #[test]
    fn a_list_of_another_format_gives_few_faults() {
        let (entries, faults) = list(&"no colon\n".repeat(1000));
        assert!(entries.is_empty());
        assert_eq!(faults.len(), MAX_FAULTS + 1);
        assert!(faults[MAX_FAULTS].contains("980 more lines"), "{faults:?}");
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let text = ListText { name: "l".into(), path: "l".into(), text: b"\xff:\xfe\n".to_vec() };
        let (list, faults) = read(&text);
        assert_eq!((list.entries, faults), (vec![(b"\xff".to_vec(), b"\xfe".to_vec())], vec![]));
    }

    /// The built-in list of calls that change something: a rule that hangs below the look-up must be able to match.
    #[test]
    fn the_built_in_event_names_cover_the_rules_below_them() {
        use crate::expr::Matcher;
        use crate::ir::{Node, Subject};

        let set = crate::wazuh::load_set(&crate::wazuh::Texts::builtin()).set;
        let list = set.lists.iter().find(|list| list.name == "etc/lists/amazon/aws-eventnames").unwrap();
        let keys: Vec<&[u8]> = list.entries.iter().map(|(key, _)| key.as_slice()).collect();
        assert!(keys.is_sorted() && keys.len() > 1000);
        assert!(list.entries.iter().all(|(_, value)| value.is_empty()));
        let rule = |node: &Node| &set.tree.rules[node.rule as usize];
        let parent = set.tree.nodes.iter().find(|node| rule(node).id == 80202).unwrap();
        let mut tested = 0;
        for child in &parent.children {
            let child = rule(&set.tree.nodes[*child as usize]);
            let of_name = child.conditions.iter().filter(|condition| {
                condition.subject == Subject::Field("aws.eventname".into()) && !condition.negate
            });
            for condition in of_name {
                let matcher = Matcher::new(&condition.test).unwrap();
                assert!(keys.iter().any(|key| matcher.is_match(key)), "{} {condition:?}", child.id);
                tested += 1;
            }
        }
        assert!(tested > 30, "{tested}");
    }
}
