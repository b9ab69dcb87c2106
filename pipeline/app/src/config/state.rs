//! What is remembered between events, as the configuration has it: the keys `composites` and `state`.
//!
//! Enters: their nodes. Leaves: a typed [`State`].

use std::collections::HashMap;
use std::time::Duration;

use threatlockdown_analysis::Composites;
use threatlockdown_ruleset::diagnostic::Diagnostic;

use super::fields::{Faults, Fields, choice, duration, size, text};
use super::is_source_name;
use super::tree::{Node, Value};

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const LEAST_IDLE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// What becomes of the alert of an event that also completes a count.
    pub(crate) composites: Composites,
    /// What rules may remember, and what may wait to be counted, in memory.
    pub(crate) max_bytes: u64,
    /// By log source, how much later than younger ones an event may come and still be counted in its place.
    pub(crate) lateness: HashMap<String, Duration>,
    /// After so long a silence, beyond its lateness, a stream holds up no other.
    pub(crate) idle: Duration,
    /// So long at most counting waits at the start for what was there already to be read.
    pub(crate) catch_up: Duration,
}

impl Default for State {
    fn default() -> Self {
        Self {
            composites: Composites::default(),
            max_bytes: 256 * MIB,
            lateness: HashMap::new(),
            idle: Duration::from_millis(500),
            catch_up: Duration::from_secs(600),
        }
    }
}

/// The value of `composites`.
pub(super) fn composites(node: &Node, faults: &mut Faults) -> Option<Composites> {
    choice(node, &[("add", Composites::Add), ("replace", Composites::Replace)], faults)
}

/// The value of `state`.
pub(super) fn state(node: &Node, mut state: State, faults: &mut Faults) -> State {
    let keys = ["max_bytes", "lateness", "idle", "catch_up"];
    let Some(fields) = Fields::open(node, "state", &keys, faults) else { return state };
    if let Some(bytes) = fields.get("max_bytes").and_then(|node| size(node, 16 * MIB..=TIB, faults)) {
        state.max_bytes = bytes;
    }
    if let Some(node) = fields.get("lateness") {
        state.lateness = lateness(node, faults);
    }
    if let Some(idle) = fields.get("idle").and_then(|node| idle(node, faults)) {
        state.idle = idle;
    }
    if let Some(catch_up) = fields.get("catch_up").and_then(|node| duration(node, faults)) {
        state.catch_up = catch_up;
    }
    state
}

/// Shorter ones would call every pause a silence.
fn idle(node: &Node, faults: &mut Faults) -> Option<Duration> {
    let idle = duration(node, faults)?;
    if idle < LEAST_IDLE {
        let shown = node.as_scalar().map(|scalar| scalar.written.clone()).unwrap_or_default();
        let help = "write for example 5s: after so long a silence a stream holds up no other";
        faults.push(Diagnostic::error(node.place.clone(), shown, "expected a duration from 100ms on", help));
        return None;
    }
    Some(idle)
}

fn lateness(node: &Node, faults: &mut Faults) -> HashMap<String, Duration> {
    const HELP: &str = "write {aws.cloudtrail: 15m, syslog: 2s}";
    let Value::Mapping(entries) = &node.value else {
        let message =
            format!("lateness must be a mapping of log sources to durations, found {}", node.kind());
        faults.push(Diagnostic::error(node.place.clone(), "", message, HELP));
        return HashMap::new();
    };
    let mut found = HashMap::new();
    for (key, value) in entries {
        let source = text(key, "a log source", faults);
        let (Some(source), Some(late)) = (source, duration(value, faults)) else { continue };
        let fault = if !is_source_name(&source) {
            "a log source may hold letters, digits, `.`, `_` and `-` only"
        } else if found.insert(source.clone(), late).is_some() {
            "the log source stands twice in lateness"
        } else {
            continue;
        };
        faults.push(Diagnostic::error(key.place.clone(), source, fault, HELP));
    }
    found
}
