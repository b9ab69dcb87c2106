//! Indices older than the retention are deleted: by the server's index state management where it has that, else by us.
//!
//! Enters: the server's indices. Leaves: those that are young enough. Ours are only those whose name is exactly the prefix and
//! a day. Index state management counts from the making of an index, we from the end of its day.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use threatlockdown_event::Millis;

use super::client::{Client, Content};
use crate::sink::SinkError;

const DAY_MS: i64 = 86_400_000;

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// The server does it.
    Policy,
    /// So many indices were deleted.
    Deleted(usize),
}

/// Sees to the retention once.
pub(super) fn apply(
    client: &mut Client,
    prefix: &str,
    retention: Duration,
    now: Millis,
) -> Result<Done, SinkError> {
    if policy(client, prefix, retention)? {
        return Ok(Done::Policy);
    }
    let mut deleted = 0;
    for index in indices(client, prefix)? {
        if !is_over(&index, prefix, retention, now) {
            continue;
        }
        let reply = client.request("DELETE", &format!("/{index}"), Content::None)?;
        // Another copy may have been faster.
        if !reply.is_success() && reply.status != 404 {
            return Err(client.refusal(&format!("cannot delete the index {index}"), &reply));
        }
        tracing::info!(index, "deleted an index that is older than the retention");
        deleted += 1;
    }
    Ok(Done::Deleted(deleted))
}

/// Whether the index is one of ours and its day ended so long ago.
fn is_over(index: &str, prefix: &str, retention: Duration, now: Millis) -> bool {
    let day = index.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    let Some(day) =
        day.filter(|day| day.len() == 10 && day.bytes().filter(|&byte| byte == b'.').count() == 2)
    else {
        return false;
    };
    let Some(Millis(begin)) = Millis::parse(&format!("{}T00:00:00Z", day.replace('.', "-"))) else {
        return false;
    };
    let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    begin.saturating_add(DAY_MS).saturating_add(retention) <= now.0
}

fn indices(client: &mut Client, prefix: &str) -> Result<Vec<String>, SinkError> {
    #[derive(Deserialize)]
    struct Resolved {
        indices: Vec<Index>,
    }
    #[derive(Deserialize)]
    struct Index {
        name: String,
    }
    let reply =
        client.request("GET", &format!("/_resolve/index/{prefix}-*?expand_wildcards=all"), Content::None)?;
    if !reply.is_success() {
        return Err(client.refusal("cannot list the indices", &reply));
    }
    let resolved: Resolved = serde_json::from_slice(&reply.body).map_err(|error| SinkError::Refused {
        target: client.target(),
        reason: format!("cannot list the indices: {error}"),
    })?;
    Ok(resolved.indices.into_iter().map(|index| index.name).collect())
}

/// Makes or changes the policy; false where the server has no index state management.
fn policy(client: &mut Client, prefix: &str, retention: Duration) -> Result<bool, SinkError> {
    let path = format!("/_plugins/_ism/policies/{prefix}-retention");
    let wanted = wanted(prefix, retention);
    let reply = client.request("GET", &path, Content::None)?;
    let found: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let place = match reply.status {
        404 => path,
        200 if found["policy"]["description"] == wanted["policy"]["description"] => return Ok(true),
        200 => {
            let number = |name: &str| found[name].as_u64().unwrap_or_default();
            format!("{path}?if_seq_no={}&if_primary_term={}", number("_seq_no"), number("_primary_term"))
        }
        // Without the plugin nothing is known of this path.
        400 | 405 => return Ok(false),
        _ => return Err(client.refusal("cannot read the retention policy", &reply)),
    };
    let reply = client.request("PUT", &place, Content::Json(wanted.to_string().as_bytes()))?;
    // 409: another copy has just done the same.
    if !reply.is_success() && reply.status != 409 {
        return Err(client.refusal("cannot install the retention policy", &reply));
    }
    Ok(true)
}

fn wanted(prefix: &str, retention: Duration) -> Value {
    let age = format!("{}h", retention.as_secs().div_ceil(3600).max(1));
    json!({"policy": {
        "description": format!("by threatlockdown: alerts are deleted after {age}"),
        "default_state": "kept",
        "states": [
            {"name": "kept", "actions": [], "transitions": [{"state_name": "deleted", "conditions": {"min_index_age": age}}]},
            {"name": "deleted", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": [format!("{prefix}-*.*.*")], "priority": 100}],
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_days_of_ours_that_are_old_enough_are_over() {
        let now = Millis::parse("2024-03-10T12:00:00Z").unwrap();
        let over = |index: &str| is_over(index, "p", Duration::from_secs(2 * 86_400), now);
        assert!(over("p-2024.03.07") && over("p-1999.12.31"));
        for kept in [
            "p-2024.03.08",
            "p-2024.03.10",
            "p-2024.03.07.1",
            "p-2024.03.07-old",
            "q-2024.03.07",
            "p2024.03.07",
            "p-2024.13.01",
            "p-2024-03-07",
            "p-latest",
            "p-",
            "p",
            "pp-2024.03.07",
            "p-2024.3.007",
            "p-x-2024.03.07",
        ] {
            assert!(!over(kept), "{kept}");
        }
    }
}
