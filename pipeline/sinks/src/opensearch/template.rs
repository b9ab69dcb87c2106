//! The index template: how alerts are mapped in each day's index.
//!
//! Enters: the server as it is. Leaves: a server whose template is ours, or a newer one's. The members that every alert has are
//! typed (`mapping.json`). Of the event's own members, which anybody may write, texts, numbers and truth values all are
//! keywords, so that their kinds do not conflict; what lies deeper than three levels is one flat field; and the number
//! of fields is bounded.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Options;
use super::client::{Client, Content};
use crate::sink::SinkError;

/// Raised with each change of `mapping.json` or of the settings here: of two versions side by side the newer one's stays.
const VERSION: u64 = 1;
const MAPPING: &str = include_str!("mapping.json");
/// Above those that take any index.
const PRIORITY: u64 = 200;
/// Fields of one index; an alert that would add more is refused, and comes again in the form that adds none.
const FIELDS: u64 = 4_000;
const DEPTH: u64 = 20;

/// Installs the template, unless it is there.
pub(super) fn install(client: &mut Client, options: &Options) -> Result<(), SinkError> {
    let path = format!("/_index_template/{}", options.index_prefix);
    let wanted = template(options)?;
    let reply = client.request("GET", &path, Content::None)?;
    match reply.status {
        404 => {}
        200 => {
            let installed: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let installed = &installed["index_templates"][0]["index_template"];
            let version = installed["version"].as_u64().unwrap_or_default();
            let same = version == VERSION && installed["_meta"] == wanted["_meta"];
            if same || version > VERSION {
                return Ok(());
            }
        }
        _ => return Err(client.refusal("cannot read the index template", &reply)),
    }
    let body = wanted.to_string();
    let reply = client.request("PUT", &path, Content::Json(body.as_bytes()))?;
    if !reply.is_success() {
        return Err(client.refusal("cannot install the index template", &reply));
    }
    tracing::info!(template = options.index_prefix, version = VERSION, "installed the index template");
    Ok(())
}

fn template(options: &Options) -> Result<Value, SinkError> {
    let mappings: Value =
        serde_json::from_str(MAPPING).map_err(|error| SinkError::State(format!("mapping.json: {error}")))?;
    let mut settings = json!({
        "number_of_shards": options.shards,
        "refresh_interval": "5s",
        "mapping.total_fields.limit": FIELDS,
        "mapping.depth.limit": DEPTH,
    });
    match options.replicas {
        Some(replicas) => settings["number_of_replicas"] = replicas.into(),
        // A single node has nowhere to put a second copy.
        None => settings["auto_expand_replicas"] = "0-1".into(),
    }
    let template = json!({"settings": settings, "mappings": mappings});
    let digest = Sha256::digest(template.to_string().as_bytes());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({
        "index_patterns": [format!("{}-*.*.*", options.index_prefix)],
        "priority": PRIORITY,
        "version": VERSION,
        "_meta": {"by": "threatlockdown", "digest": digest},
        "template": template,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_stands_in_the_template_and_changes_its_digest() {
        let options = Options::new(vec![String::from("http://x")]);
        let usual = template(&options).unwrap();
        assert_eq!(usual["index_patterns"][0], "threatlockdown-alerts-*.*.*");
        assert_eq!(usual["template"]["settings"]["auto_expand_replicas"], "0-1");
        let more = template(&Options { replicas: Some(2), shards: 3, ..options }).unwrap();
        assert_eq!(more["template"]["settings"]["number_of_replicas"], 2);
        assert!(more["template"]["settings"].get("auto_expand_replicas").is_none());
        assert_ne!(more["_meta"], usual["_meta"]);
    }
}
