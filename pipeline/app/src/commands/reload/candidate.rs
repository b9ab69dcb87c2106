//! Rules on disk that may come into force.
//!
//! Enters: a selection. Leaves: the program with its warnings, if everything about it is right, else every fault. The
//! tests beside rule files are run for rules that are new or changed, and where the tests themselves are: what failed
//! before and has not been touched is no reason to hold back a change elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use threatlockdown_event::identity::hash;
use threatlockdown_ruleset::diagnostic::{Diagnostic, Severity};
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::testing::{Test, read_rule_tests, run};
use threatlockdown_ruleset::{Origin, Texts};

use super::compare::Known;
use super::in_a_line;
use crate::commands::home::{MAX_FILE_BYTES, Pipes, read_bounded};
use crate::commands::rule_set::{Loaded, Material, Selection, Source};

/// See the module.
pub(super) struct Candidate {
    pub(super) material: Material,
    /// The tests beside rule files, or why they cannot be read.
    pub(super) tests: BTreeMap<PathBuf, Result<Vec<u8>, String>>,
    /// Where tests could be.
    beside: BTreeSet<PathBuf>,
}

/// Fit to come into force.
pub(super) struct Ready {
    pub(super) program: Arc<Program>,
    /// What the program was compiled from.
    pub(super) set: RuleSet,
    pub(super) known: Known,
    pub(super) warnings: Vec<Diagnostic>,
    /// How many tests were run.
    pub(super) tests: usize,
}

/// Rules that copies elsewhere may be given.
pub(in crate::commands) struct Fit {
    pub(in crate::commands) program: Arc<Program>,
    /// What the program was compiled from …
    pub(in crate::commands) set: RuleSet,
    /// … and what that was read from.
    pub(in crate::commands) texts: Texts,
    pub(in crate::commands) warnings: Vec<Diagnostic>,
    /// How many tests were run.
    pub(in crate::commands) tests: usize,
}

/// Not fit.
pub(super) struct Refused {
    /// Each in one line, with file and line.
    pub(super) faults: Vec<String>,
}

impl Candidate {
    pub(super) fn read(selection: Selection<'_>) -> Self {
        let material = Material::read(selection);
        let beside = match &material.source {
            // Whoever compiled a set has tested it.
            Source::Compiled(..) => BTreeSet::new(),
            Source::Texts(texts) => beside(texts),
        };
        let read = |path: &PathBuf| match read_bounded(path, MAX_FILE_BYTES, Pipes::Refused) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            text => Some((path.clone(), text.map_err(|error| error.to_string()))),
        };
        Self { tests: beside.iter().filter_map(read).collect(), material, beside }
    }

    /// Every file and folder that it is made of, or would be if it were there.
    pub(super) fn looked_at(&self) -> BTreeSet<PathBuf> {
        self.material.looked_at.iter().chain(&self.beside).cloned().collect()
    }

    /// A hash over all that was read.
    pub(super) fn digest(&self) -> [u8; 16] {
        let mut parts: Vec<[u8; 16]> = Vec::new();
        let mut add = |kind: &str, name: &str, text: &[u8]| {
            parts.push(hash(&[kind.as_bytes(), name.as_bytes(), text]));
        };
        match &self.material.source {
            Source::Compiled(_, Ok(bytes)) => add("compiled", "", bytes),
            Source::Compiled(_, Err(error)) => add("unreadable", "", error.to_string().as_bytes()),
            Source::Texts(texts) => {
                texts.decoders.iter().for_each(|file| add("decoders", &file.path, &file.text));
                texts.rules.iter().for_each(|file| add("rules", &file.path, &file.text));
                texts.lists.iter().for_each(|list| add("list", &list.name, &list.text));
                texts.sigma.iter().for_each(|file| add("sigma", &file.path, &file.text));
                let values = &texts.placeholder_files;
                values.iter().for_each(|file| add("placeholders", &file.path, &file.text));
                texts.suppressions.iter().for_each(|file| add("suppressions", &file.path, &file.text));
                for (name, values) in texts.placeholders.iter() {
                    values.iter().for_each(|value| add("placeholder", name, value.as_bytes()));
                }
            }
        }
        for fault in &self.material.diagnostics {
            add("fault", &fault.place.file, fault.message.as_bytes());
        }
        for (path, text) in &self.tests {
            let text = text.as_deref().unwrap_or_else(|error| error.as_bytes());
            add("tests", &path.to_string_lossy(), text);
        }
        hash(&[parts.as_flattened()])
    }

    /// Compiles and tests it, as a successor of `before`.
    pub(super) fn prepare(self, before: &Known, known: Known) -> Result<Ready, Refused> {
        let Self { material, tests, .. } = self;
        let Loaded { program, set, diagnostics } = material.load();
        let Some(program) = program else {
            let errors = diagnostics.iter().filter(|fault| fault.severity == Severity::Error);
            return Err(Refused { faults: errors.map(in_a_line).collect() });
        };
        let known = known.with_rules(&set);
        let news = known.news(before);
        let mut faults = Vec::new();
        let mut wanted = Vec::new();
        for (path, text) in &tests {
            let is_new = known.tests.get(path) != before.tests.get(path);
            match parse(path, text) {
                Ok(tests) => wanted.extend(tests.into_iter().filter(|test| is_new || is_of(test, &news))),
                Err(found) if is_new => faults.extend(found),
                Err(_) => {}
            }
        }
        faults.extend(run(&program, &wanted).iter().map(|failure| format!("test failed: {failure}")));
        if faults.is_empty() {
            return Ok(Ready { program, set, known, warnings: diagnostics, tests: wanted.len() });
        }
        Err(Refused { faults })
    }
}

/// Reads, compiles and tests a selection as a reload does, as if all of it were new; every fault in one line.
pub(in crate::commands) fn check(selection: Selection<'_>) -> Result<Fit, Vec<String>> {
    let candidate = Candidate::read(selection);
    let texts = candidate.material.texts().cloned().unwrap_or_default();
    let known = Known::of(&candidate);
    match candidate.prepare(&Known::default(), known) {
        Ok(Ready { program, set, warnings, tests, .. }) => Ok(Fit { program, set, texts, warnings, tests }),
        Err(Refused { faults }) => Err(faults),
    }
}

/// Where tests of the user's rule files are, if there are any.
fn beside(texts: &Texts) -> BTreeSet<PathBuf> {
    let rules = texts.rules.iter().map(|file| (&file.path, file.origin));
    let files = rules.chain(texts.sigma.iter().map(|file| (&file.path, file.origin)));
    let own = files.filter(|(_, origin)| *origin != Origin::Builtin);
    own.map(|(path, _)| Path::new(&**path).with_extension("tests.yaml")).collect()
}

fn parse(path: &Path, text: &Result<Vec<u8>, String>) -> Result<Vec<Test>, Vec<String>> {
    let shown = path.to_string_lossy();
    match text {
        Ok(text) => read_rule_tests(&shown, text).map_err(|faults| faults.iter().map(in_a_line).collect()),
        Err(error) => Err(vec![format!("{shown}:1:1: cannot read: {error}")]),
    }
}

/// Whether it is a test of one of these rules: its id begins with the rule's.
fn is_of(test: &Test, rules: &BTreeSet<String>) -> bool {
    test.id.split(' ').next().is_some_and(|rule| rules.contains(&rule.to_lowercase()))
}
