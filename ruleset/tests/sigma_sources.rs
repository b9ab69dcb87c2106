//! The mappings of Sigma fields against real records: what they lead to is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use threatlockdown_ruleset::decode::mapping::{self, Mapping};

/// The folder of recorded logs; `None` where it is not there.
fn data() -> Option<PathBuf> {
    let folder = match std::env::var_os("THREATLOCKDOWN_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    };
    folder.is_dir().then_some(folder)
}

/// Sources with the folders of their samples and the files of their labelled records.
const RECORDS: &[(&str, &[&str], &[&str])] = &[
    ("aws.cloudtrail", &["aws_cloudtrail", "aws_kms"], &["aws_cloudtrail"]),
    ("aws.guardduty", &["aws_guardduty"], &[]),
    ("azure.activity", &["azure_activity"], &["azure_activity"]),
    ("azure.graph", &["entra_graph_audit", "entra_graph_signin"], &[]),
    ("azure.storage", &["entra_diagnostic", "azure_activity"], &["entra_signin_audit", "azure_activity"]),
    ("docker", &["docker_events"], &[]),
    ("gcp.pubsub", &["gcp_audit"], &["gcp_audit"]),
    ("github", &["github_audit"], &["github_audit"]),
    ("k8s.audit", &["k8s_audit"], &["k8s_audit"]),
    ("ms_graph", &["entra_graph_audit", "entra_graph_signin"], &[]),
    ("office365", &["o365"], &["o365"]),
    ("okta", &["okta"], &["okta"]),
];

/// Fields that no sample has: what the interface's preview version adds to sign-ins, risk detections and alerts about
/// privileged identities. They are from the provider's reference.
const WITHOUT_SAMPLE: &[(&str, &[&str])] = &[
    ("azure.graph", &["properties.authenticationRequirement", "NetworkLocationDetails", "riskEventType"]),
    ("ms_graph", &["properties.authenticationRequirement", "NetworkLocationDetails", "riskEventType"]),
];

/// Adds every path of a record in lower case; elements of lists have the list's.
fn paths(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                let below = format!("{path}{dot}{}", key.to_ascii_lowercase());
                paths(member, &below, out);
                out.insert(below);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, path, out)),
        _ => {}
    }
}

fn paths_of_samples(data: &Path, folders: &[&str], labelled: &[&str]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for folder in folders {
        for entry in std::fs::read_dir(data.join("samples").join(folder)).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "jsonl") {
                for line in std::fs::read_to_string(file).unwrap().lines() {
                    paths(&serde_json::from_str(line).unwrap(), "", &mut out);
                }
            }
        }
    }
    for name in labelled {
        let file = data.join("labelled").join(format!("{name}.jsonl"));
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            paths(&case["log"], "", &mut out);
        }
    }
    out
}

fn of_source<'a>(mappings: &'a [Mapping], source: &str) -> &'a Mapping {
    mappings.iter().find(|mapping| &*mapping.source == source).unwrap()
}

#[test]
fn every_mapped_field_is_in_a_record() {
    let Some(data) = data() else { return };
    let mappings = mapping::builtin().unwrap();
    for (source, folders, labelled) in RECORDS {
        let found = paths_of_samples(&data, folders, labelled);
        assert!(found.len() > 5, "{source}: {found:?}");
        let sigma = &of_source(&mappings, source).sigma;
        let is_there = |path: &String| found.contains(&path.to_ascii_lowercase());
        let missing = sigma.fields.iter().filter(|(_, paths)| !paths.iter().any(is_there));
        let missing: Vec<&str> = missing.map(|(field, _)| field.as_str()).collect();
        let known = WITHOUT_SAMPLE.iter().find(|(known, _)| known == source);
        let mut known = known.map_or(Vec::new(), |(_, fields)| fields.to_vec());
        let mut missing = missing;
        known.sort_unstable();
        missing.sort_unstable();
        assert_eq!(missing, known, "{source}");
    }
}

/// What the samples of a source have at the top is known of it: the list of paths would otherwise say that a rule can
/// never fire which can.
#[test]
fn what_records_have_is_known() {
    let Some(data) = data() else { return };
    let mappings = mapping::builtin().unwrap();
    for (source, folders, _) in RECORDS {
        // Two layouts of one log, and rows of a search index that were made from the records.
        let other: &[&str] = match *source {
            "azure.storage" => &["entra_diagnostic"],
            _ => folders,
        };
        let sigma = &of_source(&mappings, source).sigma;
        let found = paths_of_samples(&data, other, &[]);
        let unknown: Vec<&String> = found.iter().filter(|path| !sigma.has_path(path)).collect();
        let added = |path: &&&String| {
            let shipper = ["@timestamp", "@version", "protopayload_auditlog", "properties.__udi"];
            !shipper.iter().any(|prefix| path.starts_with(prefix))
        };
        let unknown: Vec<_> = unknown.iter().filter(added).collect();
        assert!(unknown.is_empty(), "{source}: {unknown:?}");
    }
}
