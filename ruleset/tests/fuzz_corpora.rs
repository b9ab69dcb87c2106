//! The inputs that fuzzing kept, through the same functions, with an ordinary compiler.
//!
//! `fuzz/` holds targets and inputs; CONTRIBUTING.md says how to look for more.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[cfg(test)]
#[path = "../fuzz/src/lib.rs"]
mod targets;

#[cfg(test)]
use targets::{elements, events, harness, lines, rng, rules};

use std::path::{Path, PathBuf};

/// The inputs of a target.
fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs all inputs of a target; their number.
fn replay(target: &str, run: fn(&[u8])) -> usize {
    let files = inputs(target);
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        if std::panic::catch_unwind(|| run(&bytes)).is_err() {
            panic!("{}", file.display());
        }
    }
    println!("{target}: {} inputs", files.len());
    files.len()
}

macro_rules! targets {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            assert!(replay(stringify!($target), targets::$target::run) >= 10);
        }
    )*};
}

targets! { artefact header json_path matcher_vs_oracle osregex ossec_conf pcre2 rule_parser sigma }

/// Each target has its inputs, and no inputs lie about without a target.
#[test]
fn every_target_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |name: &str| {
        let entries = std::fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> =
            entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let replayed = [
        "artefact",
        "header",
        "json_path",
        "matcher_vs_oracle",
        "osregex",
        "ossec_conf",
        "pcre2",
        "rule_parser",
        "sigma",
    ];
    assert_eq!(names("fuzz_targets"), replayed);
    assert_eq!(names("corpus"), replayed);
}

/// Comparing shows nothing where no rule set loads and no event matches.
#[test]
fn the_sequences_match_rules() {
    let of = |file: &PathBuf| targets::matcher_vs_oracle::compare(&std::fs::read(file).unwrap());
    let (compared, matched) = inputs("matcher_vs_oracle")
        .iter()
        .map(of)
        .fold((0, 0), |(all, rules), (compared, matched)| (all + compared, rules + matched));
    println!("{compared} events, {matched} with a rule");
    assert!(compared > 500 && matched > 200);
}
