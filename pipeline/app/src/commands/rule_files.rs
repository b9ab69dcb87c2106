//! The rule files that a user names: files and folders become texts.
//!
//! Enters: paths. Leaves: the texts of the files, those of folders by their bare names, with everything that cannot be read
//! as a fault. Of folders, and of those in them, what counts is `*.xml`, and `*.yml` or `*.yaml` that hold Sigma rules, values for their placeholders, or suppressions;
//! tests of rules (`x.tests.yaml`) and other YAML are told apart by name and by content.

use std::collections::HashSet;
use std::io::Error;
use std::path::{Path, PathBuf};

use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::sigma::{self, is_placeholders};
use threatlockdown_ruleset::suppress::{has_suppressions, is_suppressions};
use threatlockdown_ruleset::{Origin, RuleText, wazuh};

use super::counted;
use super::home::{self, MAX_FILE_BYTES, Pipes, place, unreadable};
use super::rule_set::Selection;

/// Folders within folders.
const MAX_DEPTH: usize = 32;
/// Files and folders below one that is named.
const MAX_ENTRIES: usize = 200_000;

/// What the paths hold.
#[derive(Debug, Default)]
pub(super) struct RuleFiles {
    pub(super) texts: Vec<RuleText>,
    pub(super) faults: Vec<Diagnostic>,
    /// The folders that were looked into, named or not.
    pub(super) folders: Vec<PathBuf>,
    /// Regular files that were read, by whatever name; none is read twice.
    seen: HashSet<PathBuf>,
}

impl RuleFiles {
    pub(super) fn read(selection: &Selection<'_>) -> Self {
        let mut read = Self::default();
        for path in selection.paths {
            match is_folder(selection, path) {
                Ok(true) => read.folder(path),
                Ok(false) if is_tests(path) => {
                    let help = "name the rule file; `rules test` runs the tests beside it";
                    let fault =
                        Diagnostic::error(place(path), "", "these are tests of rules, not rules", help);
                    read.faults.push(fault);
                }
                Ok(false) => read.file(path, selection.pipes()),
                Err(error) => read.faults.push(unreadable(path, &error)),
            }
        }
        read
    }

    fn file(&mut self, path: &Path, pipes: Pipes) {
        if path.is_file()
            && let Ok(real) = path.canonicalize()
            && !self.seen.insert(real)
        {
            return;
        }
        match home::read_bounded(path, MAX_FILE_BYTES, pipes) {
            Ok(text) => {
                let path = path.to_string_lossy().into();
                self.texts.push(RuleText { path, text, origin: Origin::User });
            }
            Err(error) => self.faults.push(unreadable(path, &error)),
        }
    }

    fn folder(&mut self, path: &Path) {
        let (texts, faults) = (self.texts.len(), self.faults.len());
        let mut files = Vec::new();
        let mut room = MAX_ENTRIES;
        self.collect(path, 0, &mut room, &mut files);
        files.sort_by(|a, b| (a.file_name(), a).cmp(&(b.file_name(), b)));
        let is_empty = files.is_empty();
        let mut strangers = Vec::new();
        for file in files {
            // What only lies in a folder is no pipe that somebody fills.
            self.file(&file, Pipes::Refused);
            let is_stranger = |text: &RuleText| {
                wazuh::is_yaml(&text.path)
                    && !is_suppressions(&text.path)
                    && !is_placeholders(&text.path)
                    && !sigma::is_sigma(&text.text)
            };
            if self.texts.len() > texts
                && let Some(stranger) = self.texts.pop_if(|text| is_stranger(text))
            {
                if has_suppressions(&stranger.text) {
                    let message = "these are probably suppressions; they are left out";
                    let help = "give the file a name like NAME.suppressions.yaml";
                    self.faults.push(Diagnostic::warning(place(&file), "", message, help));
                } else {
                    strangers.push(file);
                }
            }
        }
        if let Some(first) = strangers.first() {
            let (files, are) =
                (counted(strangers.len(), "YAML file"), if strangers.len() == 1 { "is" } else { "are" });
            let message = format!(
                "{files} of this folder {are} no Sigma rules and left out, first {}",
                first.display()
            );
            let help = "a rule has `detection:`, a correlation `correlation:`, a filter `filter:` at the start of a line";
            self.faults.push(Diagnostic::warning(place(path), "", message, help));
        } else if is_empty && self.faults.len() == faults {
            let message = "no *.xml, *.yml or *.yaml with rules in this folder";
            let help = "put rule files into it, or name a file";
            self.faults.push(Diagnostic::warning(place(path), "", message, help));
        }
    }

    /// The files below a folder that may hold rules. Hidden ones are left out, and what a link leads to is looked at only
    /// when it is named: it may lead back here.
    fn collect(&mut self, folder: &Path, depth: usize, room: &mut usize, files: &mut Vec<PathBuf>) {
        self.folders.push(folder.to_path_buf());
        let entries = std::fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()
        });
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.faults.push(unreadable(folder, &error)),
        };
        entries.sort();
        for entry in entries {
            let Some(left) = room.checked_sub(1) else {
                let message = format!("more than {MAX_ENTRIES} files and folders");
                let help = "name the folders that hold rules";
                return self.faults.push(Diagnostic::error(place(folder), "", message, help));
            };
            *room = left;
            let is_hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if is_hidden {
                continue;
            }
            // A folder that is called like a rule file is not passed over: it may stand where a file was.
            if entry.is_dir() && !is_xml(&entry) {
                if depth < MAX_DEPTH && !entry.is_symlink() {
                    self.collect(&entry, depth + 1, room, files);
                }
            } else if may_hold_rules(&entry) {
                files.push(entry);
            }
        }
    }
}

/// Whether a path that the user names is a folder; an error when it is not what it was before.
fn is_folder(selection: &Selection<'_>, path: &Path) -> std::io::Result<bool> {
    let is_folder = std::fs::metadata(path)?.is_dir();
    match selection.before.map(|before| before.folders.contains(path)) {
        Some(true) if !is_folder => Err(Error::other("it was a folder and is one no longer")),
        Some(false) if is_folder => Err(Error::other("it was a file and is a folder now")),
        _ => Ok(is_folder),
    }
}

fn is_xml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

fn may_hold_rules(path: &Path) -> bool {
    is_xml(path) || (wazuh::is_yaml(&path.to_string_lossy()) && !is_tests(path))
}

fn is_tests(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.ends_with(".tests.yaml") || name.ends_with(".tests.yml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[&str]) {
        for name in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if name.contains("sigma") { "title: x\ndetection:\n" } else { name };
            std::fs::write(path, text).unwrap();
        }
    }

    fn read_all(paths: &[PathBuf]) -> RuleFiles {
        RuleFiles::read(&Selection { paths, home: None, builtin: true, compiled: None, before: None })
    }

    fn names(read: &RuleFiles) -> Vec<String> {
        let name = |text: &RuleText| text.path.rsplit('/').next().unwrap().to_owned();
        read.texts.iter().map(name).collect()
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_in_a_folder_is_a_fault_and_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.path().join("a.xml")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("round")).unwrap();
        std::fs::create_dir(folder.path().join("b.xml")).unwrap();
        let read = read_all(&[folder.path().to_path_buf()]);
        assert!(read.texts.is_empty());
        let faults: Vec<String> = read.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 2);
        for (fault, name) in faults.iter().zip(["a.xml", "b.xml"]) {
            let expected = format!("{name}:1:1: error: cannot read: it is not a regular file");
            assert!(fault.contains(&expected), "{fault}");
        }
    }

    #[test]
    fn a_file_is_read_once_however_often_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["a.xml", "b.xml"]);
        let (all, one) = (folder.path().to_path_buf(), folder.path().join("a.xml"));
        let read = read_all(&[one.clone(), folder.path().join("./a.xml"), all.clone(), all, one]);
        assert_eq!(names(&read), ["a.xml", "b.xml"]);
        assert_eq!(read.faults, []);
    }

    #[test]
    fn a_folder_gives_its_rule_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            "b.xml",
            "a.xml",
            "c.XML",
            "readme.txt",
            "z/0.sigma.yml",
            "z/y/b.sigma.YAML",
            "z/y/sigma.tests.yaml",
            ".git/sigma.yml",
            "x.tests.yaml",
        ];
        write(folder.path(), &files);
        std::fs::create_dir(folder.path().join("deeper")).unwrap();
        let read = read_all(&[folder.path().to_path_buf()]);
        assert_eq!(names(&read), ["0.sigma.yml", "a.xml", "b.sigma.YAML", "b.xml", "c.XML"]);
        assert_eq!(read.faults, []);
        assert_eq!(read.folders.len(), 4);
    }

    #[test]
    fn other_yaml_files_are_left_out_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["sigma.yml", "values.yaml", "chart.yml"]);
        let read = read_all(&[folder.path().to_path_buf()]);
        assert_eq!(names(&read), ["sigma.yml"]);
        let fault = read.faults[0].to_string();
        assert!(fault.contains("warning: 2 YAML files of this folder are no Sigma rules"), "{fault}");
        assert!(fault.contains("chart.yml") && read.faults.len() == 1, "{fault}");
        // A file that is named is what the user says it is.
        let read = read_all(&[folder.path().join("values.yaml")]);
        assert_eq!((names(&read), read.faults), (vec!["values.yaml".to_owned()], vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["good.xml", "x.tests.yaml"]);
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let paths = ["none.xml", "good.xml", "empty", "x.tests.yaml"].map(|name| folder.path().join(name));
        let read = read_all(&paths);
        assert_eq!(names(&read), ["good.xml"]);
        let faults: Vec<String> = read.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 3);
        assert!(faults[0].contains("none.xml:1:1: error: cannot read"), "{}", faults[0]);
        assert!(faults[1].contains("empty:1:1: warning: no *.xml"), "{}", faults[1]);
        assert!(faults[2].contains("x.tests.yaml:1:1: error: these are tests of rules"), "{}", faults[2]);
    }
}
