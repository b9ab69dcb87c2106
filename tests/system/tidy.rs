//! The house: sizes and names of files, first lines, words that are not left behind, and that crates use only those that
//! ARCHITECTURE.md allows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::repository;

/// A file should stay below the first, and has to stay below the second.
const LINES: (usize, usize) = (500, 800);
/// Members of the workspace, with the folders that hold their code.
const MEMBERS: [&str; 10] = [
    "pipeline/event",
    "tests/services",
    "pipeline/topics",
    "ruleset",
    "connectors",
    "pipeline/analysis",
    "pipeline/sinks",
    "pipeline/app",
    "tests",
    "benches",
];

/// All `.rs` files of the repository, with their texts; paths from its root.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for member in MEMBERS {
        walk(&repository().join(member), &mut files);
    }
    // One member lies in the folder of another.
    files.sort();
    files.dedup();
    assert!(files.len() > 100, "{}", files.len());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned(), text)
    };
    files.into_iter().map(read).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn expect_none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n{}", faults.join("\n"));
}

#[test]
fn files_have_a_size_that_can_be_read() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES.1 {
            faults.push(format!("{path}: {lines}"));
        } else if lines > LINES.0 {
            println!("{path}: {lines} lines, cut it soon");
        }
    }
    expect_none(&faults, &format!("more than {} lines", LINES.1));
}

#[test]
fn files_say_what_they_are_for() {
    // The tests of one module, beside it, need no more than its name.
    let is_silent = |path: &str, text: &str| !text.starts_with("//! ") && !path.ends_with("/tests.rs");
    let silent = sources().into_iter().filter(|(path, text)| is_silent(path, text));
    let faults: Vec<String> = silent.map(|(path, _)| path).collect();
    expect_none(&faults, "a file begins with `//!`: what enters, what leaves, why it is this way");
}

#[test]
fn names_come_from_the_domain() {
    const NONE: [&str; 9] =
        ["util", "utils", "helper", "helpers", "common", "manager", "misc", "shared", "stuff"];
    let is_one = |path: &str| path.split(['/', '.']).any(|part| NONE.contains(&part));
    let faults: Vec<String> =
        sources().into_iter().map(|(path, _)| path).filter(|path| is_one(path)).collect();
    expect_none(&faults, "a name that says nothing");
}

#[test]
fn nothing_is_left_to_be_done() {
    // Put together here, so that this file does not name them.
    let words: Vec<String> =
        ["todo!", "unimplemented!", "dbg!"].iter().map(|word| format!("{word}(")).collect();
    let notes = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "XX".to_owned() + "X:"];
    let mut faults = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let named = path.ends_with("tests/system/tidy.rs");
            let left = words.iter().any(|word| line.contains(word)) && !named;
            if left || notes.iter().any(|note| line.contains(note)) {
                faults.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    expect_none(&faults, "unfinished");
}

#[test]
fn no_code_is_unsafe() {
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| {
            text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                ["unsafe {", "unsafe fn", "unsafe impl"]
                    .iter()
                    .any(|word| code.contains(word) && !code.contains('"'))
            })
        })
        .map(|(path, _)| path)
        .collect();
    expect_none(&faults, "unsafe code");
    let workspace = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    for member in MEMBERS {
        let manifest = fs::read_to_string(repository().join(member).join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{member} does not use the workspace's lints"
        );
    }
}

#[test]
fn the_changelog_has_a_place_for_the_next_change() {
    let text = fs::read_to_string(repository().join("CHANGELOG.md")).unwrap();
    assert!(text.lines().any(|line| line.starts_with("## ") && line.contains("Unreleased")));
}

#[test]
fn the_workspace_has_these_members() {
    let text = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let members = text.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let members: Vec<&str> = members.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let members: Vec<&str> = members.into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(members, MEMBERS);
}

/// What a row of the table in ARCHITECTURE.md allows.
struct Row {
    may: BTreeSet<String>,
    owns: BTreeSet<String>,
    never: BTreeSet<String>,
}

/// The table of crates, by folder.
fn table() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let section = text.split_once("\n## Crates\n").expect("a section `Crates`").1;
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let words = |cell: &str| -> BTreeSet<String> {
        cell.split([',', '(', ')', ' ']).map(str::to_owned).filter(|word| !word.is_empty()).collect()
    };
    let mut table = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, may, owns, never] = cells[..] else { panic!("four cells: {row}") };
        let row = Row { may: words(may), owns: words(owns), never: words(never) };
        table.insert(name.trim_matches('`').to_owned(), row);
    }
    table
}

/// Names of the dependencies of a member; with those of tests and benchmarks where `all`.
fn dependencies(member: &str, all: bool) -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join(member).join("Cargo.toml")).unwrap();
    let mut names = BTreeSet::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if (section == "dependencies" || (all && section.ends_with("dependencies")))
            && !line.starts_with('#')
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
        {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn crates_use_only_those_that_the_architecture_allows() {
    let table = table();
    let mut faults = Vec::new();
    assert_eq!(table.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(MEMBERS));
    for (member, row) in &table {
        for name in dependencies(member, true) {
            let Some(ours) = name.strip_prefix("threatlockdown-") else {
                if row.never.contains(&name) {
                    faults.push(format!("{member} must never use {name}"));
                }
                continue;
            };
            if !row.may.contains("all") && !row.may.contains(ours) {
                faults.push(format!("{member} may not use {ours}"));
            }
        }
    }
    for (owner, row) in &table {
        for owned in &row.owns {
            for member in MEMBERS {
                // Tests and benchmarks look at things from outside and may use what they like.
                let other = member != owner && !matches!(member, "tests" | "benches");
                if other && dependencies(member, false).contains(owned) {
                    faults.push(format!("{member} uses {owned}, which is the affair of {owner} alone"));
                }
            }
        }
    }
    expect_none(&faults, "against the table in ARCHITECTURE.md");
}

#[test]
fn the_product_names_its_own_repository_only() {
    // Names of workplaces have no business in what is shipped.
    let words = ["/".to_owned() + "work/", "/".to_owned() + "farm", "/".to_owned() + "root/"];
    let mut faults = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    expect_none(&faults, "a path of somebody's machine");
}
