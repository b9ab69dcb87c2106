//! The slow oracle: decides about an event in the most direct way, to check the engine against.
//!
//! Enters: a rule tree and an event as the reference receives it, in its envelope. Leaves: decoder, rule and fields.
//! It shares the leaf matchers and the intermediate form with the engine and nothing else: no mappings, no binding of
//! paths, no indexes. It decodes everything and tries every rule in order. For tests and benches only.

mod envelope;
mod flatten;
pub mod json;
#[cfg(test)]
mod tests;

pub use envelope::envelope;

use crate::expr::Matcher;
use crate::ir::{Category, NodeIndex, Rule, RuleIndex, RuleTree, Subject};
use flatten::Fields;
use json::Json;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NaiveVerdict {
    /// The decoder that took it.
    pub decoder: Option<String>,
    /// The rule that matched, level-0 rules included.
    pub rule: Option<RuleIndex>,
    /// Static fields under their own names, then dynamic fields in order, repeats included.
    pub fields: Vec<(String, String)>,
}

/// Decides about one event.
#[must_use]
pub fn evaluate(tree: &RuleTree, event: &[u8]) -> NaiveVerdict {
    Naive::new(tree).evaluate(event)
}

/// A rule tree with its patterns compiled, for many events.
pub struct Naive<'t> {
    tree: &'t RuleTree,
    /// Per rule, its conditions' matchers; a pattern that does not compile never matches.
    matchers: Vec<Vec<Option<Matcher>>>,
}

impl<'t> Naive<'t> {
    /// Compiles the patterns.
    #[must_use]
    pub fn new(tree: &'t RuleTree) -> Self {
        let compile = |rule: &Rule| {
            rule.conditions.iter().map(|condition| Matcher::new(&condition.test).ok()).collect()
        };
        Self { tree, matchers: tree.rules.iter().map(compile).collect() }
    }

    /// Decides about one event.
    #[must_use]
    pub fn evaluate(&self, event: &[u8]) -> NaiveVerdict {
        let log = event.split(|byte| *byte == 0).next().unwrap_or_default();
        let (decoder, fields) = decode(log);
        let rule = self.find(&Event { log, decoder, fields: &fields });
        let fixed = fields.fixed.into_iter().map(|(name, value)| (name.to_owned(), value));
        NaiveVerdict {
            decoder: decoder.map(str::to_owned),
            rule,
            fields: fixed.chain(fields.dynamic).collect(),
        }
    }

    /// The deepest match along the first matching branch. A rule with `noalert` is no result itself: without a result
    /// below it, the search goes on beside it.
    fn find(&self, event: &Event<'_>) -> Option<RuleIndex> {
        let mut lists: Vec<(&[NodeIndex], Option<RuleIndex>)> = vec![(&self.tree.roots, None)];
        while let Some((list, owner)) = lists.last_mut() {
            let owner = *owner;
            let Some((node, rest)) = list.split_first() else {
                lists.pop();
                match owner.and_then(|owner| self.tree.rules.get(owner as usize)) {
                    Some(rule) if !rule.noalert => return owner,
                    _ => continue,
                }
            };
            *list = rest;
            let is_root = lists.len() == 1;
            let Some(node) = self.tree.nodes.get(*node as usize) else { continue };
            if self.matches(node.rule, is_root, event) {
                lists.push((&node.children, Some(node.rule)));
            }
        }
        None
    }

    fn matches(&self, index: RuleIndex, is_root: bool, event: &Event<'_>) -> bool {
        let (Some(rule), Some(matchers)) =
            (self.tree.rules.get(index as usize), self.matchers.get(index as usize))
        else {
            return false;
        };
        // All decoders known here have the type syslog, and so has an event without one.
        if is_root && rule.category != Category::Syslog {
            return false;
        }
        if rule.decoded_as.as_deref().is_some_and(|name| event.decoder != Some(name)) {
            return false;
        }
        if rule.maxsize.is_some_and(|size| event.log.len() < size as usize) {
            return false;
        }
        rule.conditions.iter().zip(matchers).all(|(condition, matcher)| {
            let text = match &condition.subject {
                Subject::Log => Some(event.log),
                Subject::Field(name) => event.fields.get(name).map(str::as_bytes),
                _ => None,
            };
            let matched = text.zip(matcher.as_ref()).map(|(text, matcher)| matcher.is_match(text));
            matched.is_some_and(|matched| matched != condition.negate)
        })
    }
}

/// An event as rules see it.
struct Event<'e> {
    log: &'e [u8],
    decoder: Option<&'static str>,
    fields: &'e Fields,
}

/// The decoders of JSON and of tagged lines from storage, in the reference's order.
fn decode(log: &[u8]) -> (Option<&'static str>, Fields) {
    let json =
        |discard_null| Json::parse(log).map(|json| flatten::flatten(&json, discard_null)).unwrap_or_default();
    if contains_ignoring_case(log, b"\"integration\":\"ms-graph\"") {
        (Some("json-msgraph"), json(true))
    } else if looks_like_json(log) {
        (Some("json"), json(false))
    } else if let Some(rest) = after_prefix(log, b"azure_tag: azure-storage. ") {
        (Some("azure-storage"), storage_tag(rest))
    } else {
        (None, Fields::default())
    }
}

/// A brace, blanks, a quote.
fn looks_like_json(log: &[u8]) -> bool {
    let inside = log.strip_prefix(b"{");
    inside.and_then(|rest| rest.iter().find(|byte| **byte != b' ')).is_some_and(|byte| *byte == b'"')
}

fn contains_ignoring_case(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

fn after_prefix<'t>(text: &'t [u8], prefix: &[u8]) -> Option<&'t [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// `azure_storage_tag: ` and the word after it.
fn storage_tag(rest: &[u8]) -> Fields {
    let word =
        after_prefix(rest, b"azure_storage_tag: ").and_then(|rest| rest.split(|byte| *byte == b' ').next());
    let tag = word.filter(|word| !word.is_empty()).map(|word| String::from_utf8_lossy(word).into_owned());
    Fields { dynamic: tag.map(|tag| ("tag".to_owned(), tag)).into_iter().collect(), fixed: Vec::new() }
}
