//! What a program says of its suppressions while it runs.
//!
//! Enters: a program that comes into force. Leaves: log lines that name the suppressions that hold alerts back, and those
//! that will not for long: nobody has to look for why an alert is not there.

use threatlockdown_event::Millis;
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::suppress::{Entry, SOON, Standing};

/// Names shown in one line.
const SHOWN: usize = 20;

/// Logs the suppressions of `program` as they stand at `now`.
pub(super) fn announce(program: &Program, now: Millis) {
    let entries = program.suppressions().entries();
    if entries.is_empty() {
        return;
    }
    let acting: Vec<&Entry> =
        entries.iter().filter(|entry| entry.standing(now) != Standing::Expired).collect();
    tracing::info!(
        active = acting.len(),
        expired = entries.len() - acting.len(),
        names = names(&acting),
        "suppressions hold alerts back; `threatlockdown rules suppressions` lists them"
    );
    for entry in acting.into_iter().filter(|entry| expires_soon(entry, now)) {
        let until = Millis(entry.head.until.unwrap_or_default()).rfc3339();
        let (suppression, reason) = (&entry.head.id, &entry.head.reason);
        tracing::warn!(suppression, until, reason, "a suppression expires within seven days");
    }
}

fn names(entries: &[&Entry]) -> String {
    let shown: Vec<&str> = entries.iter().take(SHOWN).map(|entry| entry.head.id.as_str()).collect();
    let mut names = shown.join(", ");
    if entries.len() > SHOWN {
        names.push_str(&format!(" and {} more", entries.len() - SHOWN));
    }
    names
}

fn expires_soon(entry: &Entry, now: Millis) -> bool {
    entry.head.until.is_some_and(|until| until > now.0 && until.saturating_sub(now.0) <= SOON)
}
