//! A multiple of the built-in rules, made from their text: copies under other ids that look for other literals.
//!
//! Enters: how many times. Leaves: texts with the built-in rules and their copies. A copy that looks for a literal hangs
//! below the same parent as its original, as one more sibling that comes into question for the same events; one that
//! looks for none hangs below the copy of its parent. So every event gets the verdict that it gets from the built-in
//! rules alone.

use std::fmt::Write as _;
use std::sync::Arc;

use threatlockdown_ruleset::{RuleText, Texts};

/// Ids from here on have copies; those below are the roots.
const FIRST_COPIED: u32 = 80_000;
/// Ids of one copy.
const ROOM: u32 = 20_000;
/// Words shorter than that are mostly parts of patterns.
const SHORTEST_LITERAL: usize = 4;

/// The built-in rules, `times` times.
#[must_use]
pub fn times(times: u32) -> Texts {
    let mut texts = Texts::builtin();
    let originals: Vec<RuleText> =
        texts.rules.iter().filter(|file| !file.path.contains("0010-roots")).cloned().collect();
    // Files load in the order of their names: a copy after the original, in which its parents are.
    for copy in 1..times {
        texts.rules.extend(originals.iter().map(|file| RuleText {
            path: Arc::from(file.path.replace(".xml", &format!("_{copy}.xml"))),
            text: copied(&String::from_utf8_lossy(&file.text), copy).into_bytes(),
            origin: file.origin,
        }));
    }
    texts
}

/// All rules of a file as copies.
fn copied(text: &str, copy: u32) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<rule ") {
        let (rule, behind) = after.split_once("</rule>").unwrap_or((after, ""));
        out.push_str(before);
        let changed = with_other_literals(rule, copy);
        if changed != rule || rule.contains("<if_sid>") {
            let (head, body) = changed.split_once('>').unwrap_or((&changed, ""));
            let body = match changed == rule {
                true => with_other_ids(body, copy),
                false => body.to_owned(),
            };
            let _ = write!(out, "<rule {}>{body}</rule>", with_other_ids(head, copy));
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The rule with a mark on every word of what it looks for, so that it looks for something else.
fn with_other_literals(rule: &str, copy: u32) -> String {
    let mut out = String::with_capacity(rule.len() + 64);
    let mut rest = rule;
    while let Some(at) = ["<field ", "<regex "].iter().filter_map(|tag| rest.find(tag)).min() {
        let content = rest[at..].find('>').map_or(rest.len(), |end| at + end + 1);
        let end = rest[content..].find('<').map_or(rest.len(), |end| content + end);
        out.push_str(&rest[..content]);
        match rest[at..content].contains("negate=\"yes\"") {
            true => out.push_str(&rest[content..end]),
            false => mark_words(&rest[content..end], copy, &mut out),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn mark_words(pattern: &str, copy: u32, out: &mut String) {
    let bytes = pattern.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let end =
            (at..bytes.len()).find(|index| !bytes[*index].is_ascii_alphanumeric()).unwrap_or(bytes.len());
        let escaped = at > 0 && bytes[at - 1] == b'\\';
        out.push_str(&pattern[at..end]);
        if end - at - usize::from(escaped && end > at) >= SHORTEST_LITERAL {
            let _ = write!(out, "Q{copy}");
        }
        let next =
            (end + 1..=bytes.len()).find(|index| pattern.is_char_boundary(*index)).unwrap_or(bytes.len());
        out.push_str(&pattern[end..next]);
        at = next;
    }
}

/// The text with every id of the built-in detections replaced by that of its copy.
fn with_other_ids(text: &str, copy: u32) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits = String::new();
    for char in text.chars().chain(['\0']) {
        if char.is_ascii_digit() {
            digits.push(char);
            continue;
        }
        match digits.parse::<u32>() {
            Ok(id) if digits.len() == 5 && id >= FIRST_COPIED => {
                let _ = write!(out, "{}", FIRST_COPIED + ROOM * copy + (id - FIRST_COPIED));
            }
            _ => out.push_str(&digits),
        }
        digits.clear();
        if char != '\0' {
            out.push(char);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_looks_for_other_words_below_the_same_parent() {
        let rule = r#"<group name="a,"><rule id="97010" level="12"><if_sid>80202</if_sid><field name="aws.eventName" type="pcre2">^(?:StopLogging|Put[A-Za-z0-9_]*)$</field><field name="x" negate="yes">Other</field></rule></group>"#;
        let expected = rule.replace("97010", "137010").replace("StopLogging", "StopLoggingQ2");
        assert_eq!(copied(rule, 2), expected);
    }

    #[test]
    fn a_copy_without_words_hangs_below_the_copy_of_its_parent() {
        let rule = r#"<rule id="80203" level="4"><if_sid>80202</if_sid><field name="aws.errorCode">\.+</field></rule>"#;
        assert_eq!(copied(rule, 1), rule.replace("80203", "100203").replace("80202", "100202"));
    }

    #[test]
    fn ten_times_the_rules_load() {
        let once = threatlockdown_ruleset::load(times(1)).program.map(|program| program.rules().len());
        let loaded = threatlockdown_ruleset::load(times(10));
        assert_eq!(loaded.diagnostics.first(), None);
        let ten = loaded.program.map(|program| program.rules().len());
        assert!(ten > once.map(|rules| rules * 9), "{once:?} {ten:?}");
    }

    #[test]
    fn copies_change_no_verdict() {
        use threatlockdown_event::Millis;
        use threatlockdown_ruleset::matcher::{Input, Scratch};
        let context = crate::context("aws.cloudtrail");
        let corpus = crate::cloudtrail::lines(5, 3_000);
        let verdicts = |times: u32| -> Vec<Option<String>> {
            let program = threatlockdown_ruleset::load(super::times(times)).program.unwrap();
            let mut scratch = Scratch::new(&program);
            let binding = program.binding("aws.cloudtrail");
            let judge = |line: &str| {
                let record = line.as_bytes();
                let input = Input { binding, record, context: &context, received: Millis(0) };
                let id = |rule: &threatlockdown_ruleset::program::Rule| rule.id.clone();
                program.evaluate(&mut scratch, &input, |verdict| verdict.rule().map(id)).unwrap()
            };
            corpus.lines().map(judge).collect()
        };
        let once = verdicts(1);
        assert!(once.iter().flatten().any(|id| id != "80200"), "some events meet a detection");
        assert_eq!(once, verdicts(4));
    }
}
