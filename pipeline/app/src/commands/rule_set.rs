//! The rules of a command: files and folders on disk become texts, the texts a program.
//!
//! Enters: the paths of `--rules` or `rules.paths`, and the folder of an installation. Leaves: the compiled program, with warnings on stderr; or all
//! faults on stderr and an error. Reading files is here and not in the ruleset crate, which does no input or output.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use threatlockdown_event::Millis;
use threatlockdown_ruleset::correlate::{Memory, MemoryOptions, Zone};
use threatlockdown_ruleset::diagnostic::{Diagnostic, Severity};
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::suppress;
use threatlockdown_ruleset::{Texts, load};

use super::home::{self, Pipes};
use super::rule_files::RuleFiles;
use super::{compiled, counted, report_faults};
use crate::cli::RuleArgs;
use crate::config::Rules;

/// What rules a command works with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection<'a> {
    /// Files, or folders of `*.xml` and Sigma's `*.yml`.
    pub(super) paths: &'a [PathBuf],
    /// Folder of an installation; the paths come on top of it.
    pub(super) home: Option<&'a Path>,
    pub(super) builtin: bool,
    /// A compiled set, instead of all others.
    pub(super) compiled: Option<&'a Path>,
    /// What the paths named when they were read first, if this is not the first time.
    pub(super) before: Option<Named<'a>>,
}

/// What paths named once. They must name the same again, for what is no longer there would silently be missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    /// Those of [`Selection::paths`] that were folders.
    pub(super) folders: &'a BTreeSet<PathBuf>,
}

impl Selection<'_> {
    /// A pipe can be read only once.
    pub(super) fn pipes(&self) -> Pipes {
        if self.before.is_some() { Pipes::Refused } else { Pipes::Wanted }
    }
}

impl<'a> From<&'a RuleArgs> for Selection<'a> {
    fn from(args: &'a RuleArgs) -> Self {
        Self {
            paths: &args.paths,
            home: args.home.as_deref(),
            builtin: !args.no_builtin,
            compiled: args.compiled.as_deref(),
            before: None,
        }
    }
}

impl<'a> From<&'a Rules> for Selection<'a> {
    fn from(rules: &'a Rules) -> Self {
        Self {
            paths: &rules.paths,
            home: rules.home.as_deref(),
            builtin: rules.builtin,
            compiled: None,
            before: None,
        }
    }
}

/// What came of loading: the program, unless there are errors.
pub(super) struct Loaded {
    pub(super) program: Option<Arc<Program>>,
    /// What it was compiled from.
    pub(super) set: RuleSet,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// What a selection is on disk, read and not yet looked into.
pub(super) struct Material {
    pub(super) source: Source,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Every file and folder that was looked at, whether it is there or not.
    pub(super) looked_at: Vec<PathBuf>,
}

/// What rules are made of.
pub(super) enum Source {
    Texts(Texts),
    Compiled(PathBuf, std::io::Result<Vec<u8>>),
}

impl Material {
    /// Reads all texts of a selection, the product's own beneath the user's; or its compiled set. An installation that
    /// brings the reference's rules and decoders stands alone, since both sets define the same names.
    pub(super) fn read(selection: Selection<'_>) -> Self {
        if let Some(file) = selection.compiled {
            let source = Source::Compiled(file.to_path_buf(), compiled::read(file, selection.pipes()));
            return Self { source, diagnostics: Vec::new(), looked_at: vec![file.to_path_buf()] };
        }
        let mut texts = match selection.builtin {
            true => Texts::builtin(),
            false => Texts::builtin_decoders(),
        };
        let (mut diagnostics, mut looked_at) = (Vec::new(), Vec::new());
        if let Some(folder) = selection.home {
            let home = home::read(folder, &texts);
            if home.is_complete {
                texts = Texts::default();
            }
            texts.rules.extend(home.texts.rules);
            texts.decoders.extend(home.texts.decoders);
            texts.lists.extend(home.texts.lists);
            diagnostics.extend(home.diagnostics);
            looked_at.extend(home.looked_at);
        }
        let RuleFiles { texts: files, faults, folders, .. } = RuleFiles::read(&selection);
        looked_at.extend(selection.paths.iter().cloned());
        looked_at.extend(folders);
        looked_at.extend(files.iter().map(|file| PathBuf::from(&*file.path)));
        looked_at.extend(faults.iter().map(|fault| PathBuf::from(&*fault.place.file)));
        files.into_iter().for_each(|file| texts.add(file));
        diagnostics.extend(faults);
        Self { source: Source::Texts(texts), diagnostics, looked_at }
    }

    /// The texts, unless they are compiled already.
    pub(super) fn texts(&self) -> Option<&Texts> {
        match &self.source {
            Source::Texts(texts) => Some(texts),
            Source::Compiled(..) => None,
        }
    }

    /// Compiles; every fault is in the result.
    pub(super) fn load(self) -> Loaded {
        let Self { source, mut diagnostics, .. } = self;
        let loaded = match source {
            Source::Compiled(path, bytes) => {
                let mut loaded = compiled::load(&path, bytes);
                loaded.diagnostics.extend(suppress::expiry(&loaded.set, Millis::now()));
                return loaded;
            }
            Source::Texts(texts) => load(texts),
        };
        diagnostics.extend(loaded.diagnostics);
        diagnostics.extend(suppress::expiry(&loaded.set, Millis::now()));
        let failed = diagnostics.iter().any(|fault| fault.severity == Severity::Error);
        Loaded { program: loaded.program.filter(|_| !failed), set: loaded.set, diagnostics }
    }
}

/// Reads and compiles; every fault is in the result.
pub(super) fn load_all(selection: Selection<'_>) -> Loaded {
    Material::read(selection).load()
}

/// The program, or an error after the faults have been shown.
pub(super) fn program(selection: Selection<'_>) -> anyhow::Result<Arc<Program>> {
    program_and_set(selection).map(|(program, _)| program)
}

/// The same with what it was compiled from.
pub(super) fn program_and_set(selection: Selection<'_>) -> anyhow::Result<(Arc<Program>, RuleSet)> {
    load_all(selection).usable()
}

impl Loaded {
    /// The program with what it was compiled from, or an error, after the faults have been shown.
    pub(super) fn usable(self) -> anyhow::Result<(Arc<Program>, RuleSet)> {
        let Self { program, set, mut diagnostics } = self;
        report_faults(&mut diagnostics);
        match program {
            Some(program) => Ok((program, set)),
            None => bail!("the rules cannot be used: {}", summary(&diagnostics)),
        }
    }
}

/// What is remembered between events, as the reference's daemon does.
pub(super) fn memory(zone: &Zone) -> Arc<Memory> {
    Memory::new(memory_options(zone))
}

/// How such a memory behaves.
pub(super) fn memory_options(zone: &Zone) -> MemoryOptions {
    MemoryOptions { host: crate::host::host_name(), zone: zone.clone(), ..MemoryOptions::default() }
}

/// `2 errors, 1 warning`.
pub(super) fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|fault| fault.severity == Severity::Error).count();
    format!("{}, {}", counted(errors, "error"), counted(diagnostics.len() - errors, "warning"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    fn rule(id: u32, decoder: &str) -> String {
        format!(
            "<group name=\"own,\"><rule id=\"{id}\" level=\"3\"><decoded_as>{decoder}</decoded_as>\
             <description>d</description></rule></group>"
        )
    }

    const DECODER: &str = "<decoder name=\"shop\"><prematch>^shop: </prematch></decoder>";

    #[test]
    fn a_folder_may_hold_rules_and_decoders() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("a.xml", &rule(100_001, "shop")), ("b.xml", DECODER)]);
        let paths = [folder.path().to_path_buf()];
        let loaded =
            load_all(Selection { paths: &paths, home: None, builtin: true, compiled: None, before: None });
        assert!(loaded.program.is_some(), "{:?}", loaded.diagnostics);
        let paths = [folder.path().join("a.xml")];
        let loaded =
            load_all(Selection { paths: &paths, home: None, builtin: true, compiled: None, before: None });
        assert!(loaded.program.is_none() && loaded.diagnostics[0].message.contains("no decoder shop"));
    }

    #[test]
    fn sigma_rules_lie_beside_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let sigma = "title: t\nlogsource: {product: aws}\ndetection:\n  s: {eventName: X}\n  condition: s\n";
        write(folder.path(), &[("a.xml", &rule(100_001, "json")), ("cloud/b.yml", sigma)]);
        let paths = [folder.path().to_path_buf()];
        let load =
            || load_all(Selection { paths: &paths, home: None, builtin: true, compiled: None, before: None });
        let loaded = load();
        assert!(loaded.program.is_some(), "{:?}", loaded.diagnostics);
        assert_eq!(loaded.set.sigma.rules.len(), 1);
        write(folder.path(), &[("cloud/b.yml", &sigma.replace("condition: s", "condition: x"))]);
        let loaded = load();
        assert!(loaded.program.is_none());
        let fault = loaded.diagnostics[0].to_string();
        assert!(fault.contains("cloud/b.yml:5:14: error: there is no selection x"), "{fault}");
    }

    #[test]
    fn values_for_placeholders_lie_beside_the_rules() {
        let folder = tempfile::tempdir().unwrap();
        let sigma = "title: t\nlogsource: {product: aws}\ndetection:\n  s: {eventName|expand: '%calls%'}\n  condition: s\n";
        write(folder.path(), &[("cloud/b.yml", sigma)]);
        let paths = [folder.path().to_path_buf()];
        let load =
            || load_all(Selection { paths: &paths, home: None, builtin: true, compiled: None, before: None });
        let loaded = load();
        let fault = loaded.diagnostics[0].to_string();
        assert!(
            fault.contains("cloud/b.yml:4:25: warning: the placeholder %calls% has no values"),
            "{fault}"
        );
        assert!(fault.contains("`vars: {calls: [value, …]}` in a *.placeholders.yaml"), "{fault}");
        let mut versions = vec![loaded.program.unwrap().version().to_owned()];
        for value in ["DeleteTrail", "StopLogging"] {
            write(folder.path(), &[("own.placeholders.yaml", &format!("vars:\n  calls: [{value}]\n"))]);
            let loaded = load();
            assert_eq!(loaded.diagnostics, []);
            assert!(format!("{:?}", loaded.set.sigma.rules[0].expr).contains("Pattern"));
            versions.push(loaded.program.unwrap().version().to_owned());
        }
        versions.dedup();
        assert_eq!(versions.len(), 3);
        write(folder.path(), &[("own.placeholders.yaml", "vars:\n  calls: {}\n")]);
        let loaded = load();
        let fault = loaded.diagnostics[0].to_string();
        assert!(
            loaded.program.is_none() && fault.contains("own.placeholders.yaml:2:10: error: a value"),
            "{fault}"
        );
    }

    #[test]
    fn an_installation_stands_alone_or_on_the_built_in_rules_and_paths_come_on_top() {
        let folder = tempfile::tempdir().unwrap();
        let (home, own) = (folder.path().join("home"), folder.path().join("own.xml"));
        write(&home, &[("etc/rules/local.xml", &rule(100_001, "shop")), ("etc/decoders/d.xml", DECODER)]);
        write(folder.path(), &[("own.xml", &rule(100_002, "shop"))]);
        let paths = [own];
        let ids = |paths: &[PathBuf], builtin: bool| {
            let loaded =
                load_all(Selection { paths, home: Some(&home), builtin, compiled: None, before: None });
            let program = loaded.program.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
            let ids: Vec<u32> = program.rules().iter().map(|rule| rule.id.parse().unwrap()).collect();
            ids.into_iter().filter(|id| [80202, 100_001, 100_002].contains(id)).collect::<Vec<_>>()
        };
        assert_eq!(ids(&paths, true), [80202, 100_001, 100_002]);
        assert_eq!(ids(&[], false), [100_001]);
        // With the reference's own files nothing of the product's is beneath them.
        std::fs::create_dir_all(home.join("ruleset/rules")).unwrap();
        assert_eq!(ids(&paths, true), [100_001, 100_002]);
    }
}
