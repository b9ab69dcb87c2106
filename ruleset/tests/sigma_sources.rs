//! The mappings of Sigma fields against real records: what they lead to is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use threatlockdown_ruleset::decode::mapping::{self, Mapping};
use threatlockdown_ruleset::diagnostic::Severity;
use threatlockdown_ruleset::ir::sigma::SigmaSet;
use threatlockdown_ruleset::sigma::{self, Placeholders, SigmaText};
use threatlockdown_ruleset::{Origin, sigma_sources};

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

/// All rules of the folder; the placeholders that they leave to an installation have a value each.
fn published_rules(data: &Path) -> SigmaSet {
    let mut files = Vec::new();
    let mut folders = vec![data.join("sigma-rules")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml") {
                let text = std::fs::read(&path).unwrap();
                files.push(SigmaText { path: path.to_string_lossy().into(), text, origin: Origin::User });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut placeholders = Placeholders::default();
    for file in &files {
        let text = String::from_utf8_lossy(&file.text);
        for name in text.split('%').skip(1).step_by(2) {
            placeholders.set(name, vec!["of-this-installation".to_owned()]);
        }
    }
    let loaded = sigma::load(&files, &placeholders);
    let errors = loaded.diagnostics.iter().filter(|fault| fault.severity == Severity::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    assert_eq!(errors, Vec::<String>::new());
    loaded.set
}

/// Names something within a list of pairs, which is no field.
const CONSENT: &str = "9b2cc4c4-2ad4-416d-8e8e-ee6aa6f5035a";
/// Names a column of a portal page.
const LEGACY_PROTOCOLS: &str = "60f6535a-760f-42a9-be3f-c9a0a025906e";
/// Name the provider of a resource, which an export of the activity log does not have.
const ADFS_NEW_SERVER: &str = "288a39fc-4914-4831-9ada-270e9dc12cb4";
const ADFS_SERVICE_DELETE: &str = "48739819-8230-4ee3-a8ea-e0289d1fb0ff";

#[test]
fn of_the_published_rules_only_these_can_never_fire() {
    let Some(data) = data() else { return };
    let set = published_rules(&data);
    assert_eq!(set.rules.len(), 308);
    let reach = sigma_sources::check(&set, &mapping::builtin().unwrap());
    assert_eq!(reach.homeless, Vec::<u32>::new());
    let silent: BTreeSet<(String, String, String, bool)> = reach
        .silent
        .iter()
        .map(|silent| {
            let id = set.rules[silent.rule as usize].head.id.clone();
            (id, silent.source.to_string(), silent.missing.join(","), silent.elsewhere)
        })
        .collect();
    let mut expected = BTreeSet::new();
    for source in ["azure.graph", "azure.log_analytics", "azure.storage", "ms_graph"] {
        for (id, field) in [(CONSENT, "ConsentContext.IsAdminConsent"), (LEGACY_PROTOCOLS, "ActivityDetails")]
        {
            expected.insert((id.to_owned(), source.to_owned(), field.to_owned(), false));
        }
    }
    for id in [ADFS_NEW_SERVER, ADFS_SERVICE_DELETE] {
        let field = "ResourceProviderValue".to_owned();
        expected.insert((id.to_owned(), "azure.storage".to_owned(), field, true));
    }
    assert_eq!(silent, expected);
}

/// Every field of the published rules is either mapped or the provider's own name: without the mappings most rules for
/// these sources could never fire.
#[test]
fn without_mapped_fields_many_rules_can_never_fire() {
    let Some(data) = data() else { return };
    let set = published_rules(&data);
    let mut mappings = mapping::builtin().unwrap();
    for mapping in &mut mappings {
        mapping.sigma.fields.clear();
    }
    let reach = sigma_sources::check(&set, &mappings);
    let nowhere: BTreeSet<u32> =
        reach.silent.iter().filter(|silent| !silent.elsewhere).map(|silent| silent.rule).collect();
    assert!(nowhere.len() > 50, "{}", nowhere.len());
}
