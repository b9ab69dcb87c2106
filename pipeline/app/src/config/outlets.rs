//! Sinks beyond this machine, as the configuration has them: topics for subscribers, webhooks.
//!
//! Enters: the fields of an item of `sinks`. Leaves: its kind.

use std::time::Duration;

use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_sinks::{AlertFilter, Renewable};

use super::fields::{Faults, Fields, duration, number, pairs, text, texts};
use super::tree::Node;
use super::{Secret, SinkKind, Webhook};

/// Highest level that a rule can have.
const MAX_LEVEL: u64 = 16;
const MAX_BATCH: u64 = 1000;
const TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

pub(super) const TOPIC_KEYS: [&str; 4] = ["name", "type", "min_level", "groups"];
pub(super) const WEBHOOK_KEYS: [&str; 8] =
    ["name", "type", "url", "headers", "batch", "timeout", "min_level", "groups"];

/// A topic for a subscriber.
pub(super) fn topic(fields: &Fields<'_>, faults: &mut Faults) -> SinkKind {
    SinkKind::Topic { filter: filter(fields, faults) }
}

/// An HTTP address.
pub(super) fn webhook(fields: &Fields<'_>, node: &Node, faults: &mut Faults) -> Option<SinkKind> {
    let help = "say where alerts are sent: url: https://hooks.example.com/alerts";
    let url = fields.require("url", node, help, faults).and_then(|node| url(node, faults));
    let headers = fields.get("headers").map(|node| headers(node, faults)).unwrap_or_default();
    let headers = Renewable::new(headers);
    let batch = fields.get("batch").and_then(|node| number(node, 1..=MAX_BATCH, faults)).unwrap_or(1);
    let timeout = fields.get("timeout").and_then(|node| timeout(node, faults)).unwrap_or(TIMEOUT);
    let filter = filter(fields, faults);
    let batch = usize::try_from(batch).unwrap_or(1);
    Some(SinkKind::Webhook(Webhook { url: Secret::new(url?), headers, batch, timeout, filter }))
}

fn filter(fields: &Fields<'_>, faults: &mut Faults) -> AlertFilter {
    let level = fields.get("min_level").and_then(|node| number(node, 0..=MAX_LEVEL, faults));
    let groups = fields.get("groups").map(|node| texts(node, "rule groups", faults)).unwrap_or_default();
    AlertFilter { min_level: level.and_then(|level| u8::try_from(level).ok()).unwrap_or_default(), groups }
}

/// It may hold a key, so it is never quoted.
fn url(node: &Node, faults: &mut Faults) -> Option<String> {
    let first = faults.len();
    let url = text(node, "an address", faults);
    faults[first..].iter_mut().for_each(|fault| fault.text.clear());
    let url = url?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_valid = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && url.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_valid {
        let help = "write for example https://hooks.example.com/alerts";
        faults.push(Diagnostic::error(node.place.clone(), "", "expected an address of http or https", help));
        return None;
    }
    Some(url)
}

/// Values may be secret, so they are never quoted.
fn headers(node: &Node, faults: &mut Faults) -> Vec<(String, String)> {
    let first = faults.len();
    let found = pairs(node, "headers", faults);
    faults[first..].iter_mut().for_each(|fault| fault.text.clear());
    let is_token =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    for (name, value) in &found {
        if !is_token(name) {
            let message = "the name of a header may hold letters, digits, `-` and `_` only";
            let help = "write for example headers: {Authorization: \"Bearer ${env:TOKEN}\"}";
            faults.push(Diagnostic::error(node.place.clone(), name, message, help));
        }
        if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            let message = format!("the value of {name} has characters that a header cannot have");
            let help = "a line end in a ${file:…}? Only visible ASCII characters can be sent";
            faults.push(Diagnostic::error(node.place.clone(), "", message, help));
        }
    }
    found
}

fn timeout(node: &Node, faults: &mut Faults) -> Option<Duration> {
    let timeout = duration(node, faults)?;
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        let message = "expected a duration from 1ms to 5m";
        let help = "write for example 30s: what has no answer by then is sent again";
        faults.push(Diagnostic::error(node.place.clone(), "", message, help));
        return None;
    }
    Some(timeout)
}
