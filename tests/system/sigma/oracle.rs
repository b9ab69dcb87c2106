//! Runs the script and reads what it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::repository;

/// What the script says.
pub(super) struct Report {
    /// By the product's name of the source.
    pub(super) sources: BTreeMap<String, Part>,
    /// Rules that the script cannot evaluate, with the reason.
    pub(super) skipped: BTreeMap<String, String>,
}

/// The records of one source and the verdicts on them.
pub(super) struct Part {
    pub(super) file: PathBuf,
    pub(super) lines: Vec<String>,
    /// For each rule that looks at the source the numbers of the lines that match.
    pub(super) matches: BTreeMap<String, BTreeSet<usize>>,
    /// Rules that match every record or none.
    pub(super) blind: Vec<String>,
}

/// Where the script lies.
pub(super) fn folder() -> PathBuf {
    repository().join("tests/sigma_oracle")
}

/// Has records made and judged.
#[track_caller]
pub(super) fn judge(python: &Path, rules: &[PathBuf], out: &Path) -> Report {
    let mut command = Command::new(python);
    command.arg("-B").arg(folder().join("main.py")).args(rules);
    command.arg("--mappings").arg(repository().join("ruleset/mappings")).arg("--out").arg(out);
    let output = command.output().unwrap();
    assert!(output.status.success(), "the script fails:\n{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(out.join("expected.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let sources = entries(&report["sources"]).map(|(name, part)| (name, read(out, part)));
    let reason = |value: &Value| value.as_str().expect("a text").to_owned();
    Report {
        sources: sources.collect(),
        skipped: entries(&report["skipped"]).map(|(rule, value)| (rule, reason(value))).collect(),
    }
}

fn read(out: &Path, part: &Value) -> Part {
    let file = out.join(part["file"].as_str().expect("a text"));
    let lines = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    let number = |value: &Value| usize::try_from(value.as_u64().expect("a number")).unwrap();
    let matches = entries(&part["matches"]).map(|(rule, lines)| (rule, list(lines).map(number).collect()));
    let blind = list(&part["blind"]).map(|rule| rule.as_str().expect("a text").to_owned()).collect();
    Part { lines, matches: matches.collect(), blind, file }
}

fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), value))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}
