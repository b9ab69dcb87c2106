//! The test files of `rules test`.
//!
//! Enters: paths, or the program whose rule files have tests beside them. Leaves: tests in the order of the files, what
//! is left out, and every fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use threatlockdown_ruleset::builtin_tests;
use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::Place;
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::testing::{CaseOptions, Test, read_cases, read_rule_tests};

/// A test file beyond this is something else.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// See the module.
pub(super) struct Inputs {
    options: CaseOptions,
    pub(super) tests: Vec<Test>,
    /// Checks that are left out, by reason.
    pub(super) skipped: BTreeMap<String, usize>,
    pub(super) faults: Vec<Diagnostic>,
}

#[derive(Clone, Copy)]
enum Kind {
    RuleTests,
    Cases,
}

impl Inputs {
    pub(super) fn new(options: CaseOptions) -> Self {
        Self { options, tests: Vec::new(), skipped: BTreeMap::new(), faults: Vec::new() }
    }

    /// The tests beside the files of the rules that are loaded.
    pub(super) fn beside(&mut self, program: &Program) {
        let own = program.rules().iter().filter(|rule| !rule.builtin).map(|rule| &rule.place.file);
        let sigma = program.sigma().rules().iter().map(|rule| &rule.head);
        let sigma = sigma.filter(|head| !head.builtin).map(|head| &head.place.file);
        let files: BTreeSet<&Arc<str>> = own.chain(sigma).collect();
        let builtin: BTreeSet<String> = program
            .rules()
            .iter()
            .filter(|rule| rule.builtin)
            .map(|rule| rule.place.file.replace(".xml", ".tests.yaml"))
            .collect();
        for (path, text) in builtin_tests().into_iter().filter(|(path, _)| builtin.contains(path)) {
            self.read(&path, text.as_bytes(), Kind::RuleTests);
        }
        for file in files {
            let tests = Path::new(&**file).with_extension("tests.yaml");
            if tests.exists() {
                self.file(&tests, Kind::RuleTests);
            }
        }
    }

    /// A file or folder that the user named.
    pub(super) fn add(&mut self, path: &Path) {
        if path.is_dir() {
            let before = self.tests.len() + self.faults.len() + self.skipped.len();
            self.folder(path, 0);
            if self.tests.len() + self.faults.len() + self.skipped.len() == before {
                self.fault(path, "no tests in this folder", "name a folder with *.jsonl or *.tests.yaml");
            }
            return;
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("jsonl" | "json") => self.file(path, Kind::Cases),
            Some("yaml" | "yml") => self.file(path, Kind::RuleTests),
            _ => self.fault(path, "not a test file", "name *.jsonl, *.tests.yaml, or a folder with them"),
        }
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        let entries = match sorted(path) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        for entry in entries {
            let name =
                entry.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
            if entry.is_dir() {
                // What a link leads to is looked at only when it is named: it may lead back here.
                if depth < MAX_DEPTH && !entry.is_symlink() {
                    self.folder(&entry, depth + 1);
                }
            } else if name.ends_with(".jsonl") {
                self.file(&entry, Kind::Cases);
            } else if name.ends_with(".tests.yaml") || name.ends_with(".tests.yml") {
                self.file(&entry, Kind::RuleTests);
            }
        }
    }

    fn file(&mut self, path: &Path, kind: Kind) {
        match read_file(path) {
            Ok(text) => self.read(&path.to_string_lossy(), &text, kind),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn read(&mut self, path: &str, text: &[u8], kind: Kind) {
        let tests = match kind {
            Kind::RuleTests => read_rule_tests(path, text),
            Kind::Cases => read_cases(path, text, self.options).map(|cases| {
                for (why, checks) in cases.skipped {
                    *self.skipped.entry(why).or_default() += checks;
                }
                cases.tests
            }),
        };
        match tests {
            Ok(tests) => self.tests.extend(tests),
            Err(faults) => self.faults.extend(faults),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.fault(path, &format!("cannot read: {error}"), "check the path and its permissions");
    }

    fn fault(&mut self, path: &Path, message: &str, help: &str) {
        let place = Place::new(&Arc::from(path.to_string_lossy()), 1, 1);
        self.faults.push(Diagnostic::error(place, "", message, help));
    }
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
    entries.sort();
    Ok(entries)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("the file is larger than 1 GiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: &str = "- {rule: 80254, misses: [{source: json, event: '{}'}]}\n";
    const CASE: &str = r#"{"id":"a/1","events":["x"],"expect":{"decoder":null,"rule":null,"level":null}}"#;

    #[test]
    fn folders_give_their_test_files_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("b/cases.jsonl", CASE);
        write("a.tests.yaml", TESTS);
        write("other.yaml", "x: [");
        write("other.json", "{");
        let mut inputs = Inputs::new(CaseOptions::default());
        inputs.add(folder.path());
        assert_eq!(inputs.faults, []);
        let ids: Vec<&str> = inputs.tests.iter().map(|test| test.id.as_str()).collect();
        assert_eq!(ids, ["80254 misses #1", "a/1"]);
        inputs.add(&folder.path().join("other.yaml"));
        inputs.add(&folder.path().join("none.jsonl"));
        inputs.add(&folder.path().join("what.txt"));
        let faults: Vec<&str> = inputs.faults.iter().map(|fault| fault.message.as_str()).collect();
        assert!(faults[0].contains("not YAML") && faults[1].contains("cannot read"), "{faults:?}");
        assert_eq!(faults[2], "not a test file");
        let empty = tempfile::tempdir().unwrap();
        inputs.add(empty.path());
        assert_eq!(inputs.faults[3].message, "no tests in this folder");
    }
}
