//! What a bulk request came to, alert by alert.
//!
//! Enters: the answer of `_bulk`. Leaves: for each item whether it is there, was there, is to be sent again, or will never be
//! taken. Only what is wrong with the alert itself is its fault; what is wrong with the server or an index may end.

use serde::Deserialize;

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// An earlier attempt delivered it.
    Duplicate,
    /// The server cannot take it now.
    Again(String),
    /// The server failed at it, by chance or for its sake.
    Broken(String),
    /// It will not take it in this form.
    Rejected(String),
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    status: u16,
    error: Option<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    caused_by: Option<Box<Cause>>,
}

/// Faults with status 400 that are the index's or the cluster's, not the alert's.
const NOT_ITS_OWN: [&str; 4] = [
    "index_closed_exception",
    "index_create_block_exception",
    "no_shard_available_action_exception",
    "validation_exception",
];

/// The fates of `count` items, in their order.
pub(super) fn fates(body: &[u8], count: usize) -> Result<Vec<Fate>, String> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("not an answer of _bulk: {error}"))?;
    if answer.items.len() != count {
        return Err(format!("{} items were sent, {} are answered", count, answer.items.len()));
    }
    Ok(answer.items.iter().map(|item| fate(&item.create)).collect())
}

fn fate(created: &Created) -> Fate {
    let reason = || created.error.as_ref().map_or_else(|| format!("status {}", created.status), Cause::text);
    let kind = created.error.as_ref().map(|cause| cause.kind.as_str()).unwrap_or_default();
    match created.status {
        200..=299 => Fate::Delivered,
        409 => Fate::Duplicate,
        // No such index, no right, an index closed for writing: the operator's to mend, and then it goes on.
        401 | 403 | 404 | 429 | 501.. => Fate::Again(reason()),
        500 => Fate::Broken(reason()),
        400 if NOT_ITS_OWN.contains(&kind) => Fate::Again(reason()),
        _ => Fate::Rejected(reason()),
    }
}

impl Cause {
    /// The reason, and the one that lies deepest below it.
    fn text(&self) -> String {
        let own = |cause: &Cause| match &cause.reason {
            Some(reason) => format!("{}: {reason}", cause.kind),
            None => cause.kind.clone(),
        };
        let mut deepest = self;
        while let Some(below) = &deepest.caused_by {
            deepest = below;
        }
        let (first, last) = (own(self), own(deepest));
        if std::ptr::eq(self, deepest) { first } else { format!("{first}; {last}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_has_its_own_fate() {
        let body = br#"{"errors":true,"items":[
            {"create":{"status":201}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}},
            {"create":{"status":429,"error":{"type":"rejected_execution_exception","reason":"full"}}},
            {"create":{"status":503,"error":{"type":"unavailable_shards_exception","reason":null}}},
            {"create":{"status":500,"error":{"type":"null_pointer_exception"}}},
            {"create":{"status":403,"error":{"type":"cluster_block_exception","reason":"read-only"}}},
            {"create":{"status":400,"error":{"type":"validation_exception","reason":"maximum shards open"}}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse",
                "caused_by":{"type":"a","reason":"b","caused_by":{"type":"illegal_argument_exception","reason":"empty"}}}}},
            {"create":{"status":413}}]}"#;
        let again = |reason: &str| Fate::Again(reason.to_owned());
        let expected = [
            Fate::Delivered,
            Fate::Duplicate,
            again("rejected_execution_exception: full"),
            again("unavailable_shards_exception"),
            Fate::Broken("null_pointer_exception".to_owned()),
            again("cluster_block_exception: read-only"),
            again("validation_exception: maximum shards open"),
            Fate::Rejected(
                "mapper_parsing_exception: failed to parse; illegal_argument_exception: empty".to_owned(),
            ),
            Fate::Rejected("status 413".to_owned()),
        ];
        assert_eq!(fates(body, 9).unwrap(), expected);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_none() {
        assert!(fates(b"<html>", 1).unwrap_err().contains("not an answer"));
        assert!(fates(br#"{"items":[]}"#, 1).unwrap_err().contains("1 items were sent, 0"));
    }
}
