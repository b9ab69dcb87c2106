//! Verdicts of Sigma rules against an evaluator that is none of ours: pySigma's reading of the rules, run by SQLite.
//!
//! Enters: rules, ours and the published ones where they are at hand. A script (`tests/sigma_oracle/`) makes records from
//! the conditions of each rule, near misses among them, and says which rule matches which record. Leaves: every record on
//! which `scan` and the script differ. It needs Python with the packages that the script pins; without them the tests say
//! that they were skipped, and fail where `CI=true`.

mod correlations;
mod oracle;
mod python;
mod reload;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Site, Task, repository, skip};

/// Differences that are shown.
const SHOWN: usize = 60;

#[test]
fn own_rules_have_the_verdicts_of_another_evaluator() {
    let Some(python) = python::with_packages("own Sigma rules") else { return };
    let rules = oracle::folder().join("rules");
    let judged = compare(&python, &[rules]);
    assert_eq!(judged.skipped, BTreeMap::new(), "rules that the other evaluator cannot take");
    assert!(
        judged.rules > 130 && judged.records > 3_000,
        "{} rules, {} records",
        judged.rules,
        judged.records
    );
}

#[test]
fn published_rules_have_the_verdicts_of_another_evaluator() {
    let default = repository().join("../shared/data");
    let rules = std::env::var_os("THREATLOCKDOWN_DATA").map_or(default, PathBuf::from).join("sigma-rules");
    if !rules.is_dir() {
        return skip("published Sigma rules", "THREATLOCKDOWN_DATA names no folder with sigma-rules");
    }
    let Some(python) = python::with_packages("published Sigma rules") else { return };
    let judged = compare(&python, &[rules]);
    // What a placeholder stands for is for the user to say.
    let others = judged.skipped.values().filter(|reason| !reason.contains("placeholder"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(
        judged.rules > 250 && judged.records > 10_000,
        "{} rules, {} records",
        judged.rules,
        judged.records
    );
}

/// What was compared.
struct Judged {
    rules: usize,
    records: usize,
    skipped: BTreeMap<String, String>,
}

/// Compares all verdicts on all sources; fails with the differences.
#[track_caller]
fn compare(python: &Path, rules: &[PathBuf]) -> Judged {
    let site = Site::new();
    let report = oracle::judge(python, rules, &site.path("records"));
    let (mut differences, mut count) = (Vec::new(), 0);
    let (mut all, mut records) = (BTreeSet::new(), 0);
    for (source, part) in &report.sources {
        assert_eq!(part.blind, Vec::<String>::new(), "{source}: the records say nothing of these rules");
        records += part.lines.len();
        all.extend(part.matches.keys());
        let found = scan(source, part, rules);
        // Of another source, or with a placeholder that stands for nothing.
        let strangers: Vec<&String> = found.keys().filter(|rule| !part.matches.contains_key(*rule)).collect();
        assert_eq!(strangers, Vec::<&String>::new(), "{source}: rules that should not look at it");
        for (rule, expected) in &part.matches {
            let found = found.get(rule).cloned().unwrap_or_default();
            for line in expected.symmetric_difference(&found) {
                count += 1;
                let what = if expected.contains(line) { "should match" } else { "should not match" };
                let record = part.lines.get(*line).map_or("", String::as_str);
                differences.push(format!("{source}: {rule} {what}\n    {record}"));
            }
        }
    }
    differences.truncate(SHOWN);
    assert_eq!(count, 0, "differences, of which the first are:\n{}", differences.join("\n"));
    Judged { rules: all.len(), records, skipped: report.skipped }
}

/// For each rule the numbers of the lines that `scan` reports.
#[track_caller]
fn scan(source: &str, part: &oracle::Part, rules: &[PathBuf]) -> BTreeMap<String, BTreeSet<usize>> {
    let mut task = Task::new(["scan", "--source", source, "--no-builtin", "--stats", "json", "--level", "1"]);
    for path in rules {
        task = task.arg("--rules").arg(path);
    }
    let finished = task.arg(&part.file).run();
    assert!(finished.code < 2, "{source}: exit code {}\n{}", finished.code, finished.stderr);
    let stats = finished.stats();
    assert_eq!(stats["dead_letters"], 0, "{source}: records that cannot be read");
    assert_eq!(stats["events"], part.lines.len(), "{source}");
    let starts = starts(&part.file);
    let mut found: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for alert in finished.json() {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let origin = text(&alert["event"]["origin"]);
        let offset: usize = origin.rsplit(':').next().and_then(|offset| offset.parse().ok()).expect(&origin);
        let line = *starts.get(&offset).expect("an alert is of a record");
        found.entry(text(&alert["rule"]["id"])).or_default().insert(line);
    }
    found
}

/// Line numbers by the byte that each line begins at.
fn starts(file: &Path) -> BTreeMap<usize, usize> {
    let text = fs::read(file).unwrap();
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).enumerate().map(|(line, start)| (start, line)).collect()
}
