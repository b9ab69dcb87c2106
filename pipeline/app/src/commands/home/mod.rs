//! The folder of an installation as it lies on disk: its rules, decoders and lists become texts.
//!
//! Enters: the folder, or a copy of it. Leaves: the texts that its `etc/ossec.conf` names, or those in the usual folders
//! where it has none, and faults. What is missing is a warning, as there; what is there but cannot be read is an error.
//! Only regular files are opened, no folder is read twice and everything has a limit, so that nothing on disk can hang
//! the start.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Error, ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::Place;
use threatlockdown_ruleset::sigma::is_placeholders;
use threatlockdown_ruleset::suppress::is_suppressions;
use threatlockdown_ruleset::wazuh::home::{Folder, Ruleset};
use threatlockdown_ruleset::{ListText, Origin, RuleText, Texts};

/// Where installations lie; paths below it mean the folder that is read.
const PREFIX: &str = "/var/ossec";
const CONFIGURATION: &str = "etc/ossec.conf";
const LISTS: &str = "etc/lists";

/// A rule or decoder file may be this long.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 20;
const MAX_LIST_BYTES: u64 = 256 << 20;
/// Entries of one folder.
const MAX_ENTRIES: usize = 20_000;
/// Folders inside each other below the folder of the lists.
const MAX_DEPTH: usize = 8;

/// What a folder holds.
pub(super) struct Home {
    /// What is to be loaded; without what ships with the product.
    pub(super) texts: Texts,
    /// It has rules and decoders of the reference itself: nothing of the product's is wanted beneath.
    pub(super) is_complete: bool,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Every file and folder that was looked at, whether it is there or not.
    pub(super) looked_at: Vec<PathBuf>,
}

/// Reads a folder; `beneath` is what is loaded with it when it is not complete.
pub(super) fn read(folder: &Path, beneath: &Texts) -> Home {
    let is_complete = folder.join("ruleset").is_dir();
    let mut reader = Reader {
        folder,
        is_complete,
        taken: HashSet::new(),
        looked_at: vec![folder.to_path_buf()],
        texts: Texts::default(),
        faults: Vec::new(),
    };
    if let Err(error) = std::fs::read_dir(folder) {
        reader.unreadable(folder, &error);
    } else if !(is_complete || folder.join("etc").is_dir()) {
        let help = "name the folder that holds etc/ and ruleset/, mostly /var/ossec, or a copy of it";
        reader.faults.push(Diagnostic::error(
            place(folder),
            "",
            "there is neither etc/ nor ruleset/ in it",
            help,
        ));
    } else {
        let set = reader.configuration();
        reader.decoders(&set);
        reader.lists(set.lists.as_deref(), if is_complete { &[] } else { &beneath.lists });
        reader.rules(&set);
    }
    let Reader { texts, faults, looked_at, .. } = reader;
    Home { texts, is_complete, diagnostics: faults, looked_at }
}

struct Reader<'f> {
    folder: &'f Path,
    is_complete: bool,
    /// Files that belong to the set already: a file can be named besides its folder.
    taken: HashSet<PathBuf>,
    looked_at: Vec<PathBuf>,
    texts: Texts,
    faults: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn configuration(&mut self) -> Ruleset {
        let path = self.folder.join(CONFIGURATION);
        self.looked_at.push(path.clone());
        match read_bounded(&path, MAX_FILE_BYTES, Pipes::Refused) {
            Ok(text) => {
                let (set, faults) = Ruleset::read(&path.to_string_lossy().into(), &text);
                self.faults.extend(faults);
                return set;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.unreadable(&path, &error),
        }
        Ruleset::conventional()
    }

    fn decoders(&mut self, set: &Ruleset) {
        let leaves_out = |path: &str| set.leaves_out_decoders(path);
        let files = self.files(&set.decoder_folders, &set.decoder_files, &leaves_out);
        self.texts.decoders = files;
    }

    fn rules(&mut self, set: &Ruleset) {
        let leaves_out = |path: &str| set.leaves_out_rules(path);
        let files = self.files(&set.rule_folders, &set.rule_files, &leaves_out);
        self.texts.rules = files;
    }

    /// The files of some folders, and some more.
    fn files(
        &mut self,
        folders: &[Folder],
        more: &[String],
        leaves_out: &dyn Fn(&str) -> bool,
    ) -> Vec<RuleText> {
        let mut texts = Vec::new();
        for folder in folders {
            let written = folder.path.trim_end_matches('/');
            for name in self.names(&self.locate(written), written) {
                let path = format!("{written}/{name}");
                if folder.takes(&path) && !leaves_out(&path) {
                    texts.extend(self.file(&self.locate(&path)));
                }
            }
        }
        for written in more.iter().filter(|path| !leaves_out(path)) {
            texts.extend(self.file(&self.locate(written)));
        }
        texts
    }

    /// A path of the configuration on this disk.
    fn locate(&self, written: &str) -> PathBuf {
        let path = Path::new(written);
        if path.starts_with(self.folder) && path.is_absolute() {
            return path.to_path_buf();
        }
        match path.strip_prefix(PREFIX) {
            Ok(below) => self.folder.join(below),
            // An absolute path stays as it is.
            Err(_) => self.folder.join(path),
        }
    }

    /// The names of a folder's entries in order.
    fn names(&mut self, path: &Path, written: &str) -> Vec<String> {
        let mut names = Vec::new();
        self.looked_at.push(path.to_path_buf());
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A home without the stock files is one whose owner wants the built-in ones.
                let is_stock =
                    written.trim_start_matches(PREFIX).trim_start_matches('/').starts_with("ruleset");
                let conventional = !self.folder.join(CONFIGURATION).exists();
                if !(conventional || is_stock && !self.is_complete) {
                    self.missing(path, "the folder is not there, its files are left out");
                }
                return names;
            }
            Err(error) => {
                self.unreadable(path, &error);
                return names;
            }
        };
        for entry in entries {
            match entry {
                Ok(_) if names.len() == MAX_ENTRIES => {
                    self.unreadable(
                        path,
                        &Error::other(format!("the folder has more than {MAX_ENTRIES} entries")),
                    );
                    break;
                }
                Ok(entry) => names.push(entry.file_name().to_string_lossy().into_owned()),
                Err(error) => self.unreadable(path, &error),
            }
        }
        names.sort();
        names
    }

    fn file(&mut self, path: &Path) -> Option<RuleText> {
        // Folders for something else may lie beside rule files, but none that is named like one.
        let is_other = path.is_dir() && !is_named_like_rules(path);
        if is_other || !self.taken.insert(normal(path)) {
            return None;
        }
        self.looked_at.push(path.to_path_buf());
        match read_bounded(path, MAX_FILE_BYTES, Pipes::Refused) {
            Ok(text) => Some(RuleText { path: path.to_string_lossy().into(), text, origin: Origin::Home }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.missing(path, "the file is not there, it is left out");
                None
            }
            Err(error) => {
                self.unreadable(path, &error);
                None
            }
        }
    }

    fn lists(&mut self, written: Option<&[String]>, beneath: &[ListText]) {
        let found = match written {
            Some(names) => names.to_vec(),
            None => self.all_lists(),
        };
        for name in found {
            let path = self.locate(&name);
            self.looked_at.push(path.clone());
            match read_bounded(&path, MAX_LIST_BYTES, Pipes::Refused) {
                Ok(text) => {
                    let path = path.to_string_lossy().into();
                    self.texts.lists.push(ListText { name: name.as_str().into(), path, text });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if !beneath.iter().any(|list| *list.name == *name) {
                        self.missing(&path, "the list is not there: rules that look into it are left out");
                    }
                }
                Err(error) => self.unreadable(&path, &error),
            }
        }
    }

    /// All files below the folder of the lists but compiled ones, by the names that rules use.
    fn all_lists(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut waiting = vec![(LISTS.to_owned(), 0)];
        while let Some((written, depth)) = waiting.pop() {
            let path = self.folder.join(&written);
            // Links can form a ring: each folder is read once, whatever leads to it.
            if depth > MAX_DEPTH
                || !seen.insert(std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone()))
            {
                continue;
            }
            for name in self.names(&path, &written) {
                let written = format!("{written}/{name}");
                let path = self.folder.join(&written);
                let is_list = path.is_file() && !name.ends_with(".cdb") && !name.starts_with('.');
                if path.is_dir() {
                    waiting.push((written, depth + 1));
                } else if is_list && found.len() < MAX_ENTRIES {
                    found.push(written);
                }
            }
        }
        found.sort();
        found
    }

    fn missing(&mut self, path: &Path, message: &str) {
        let help = format!("put it there, or take it out of <ruleset> in {CONFIGURATION}");
        self.faults.push(Diagnostic::warning(place(path), "", message, help));
    }

    fn unreadable(&mut self, path: &Path, error: &Error) {
        self.faults.push(unreadable(path, error));
    }
}

/// Whether a path may name a pipe or a device, which is read until its other end closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pipes {
    /// The user has named it and fills it.
    Wanted,
    /// Nobody may be at the other end: to open it would be to wait for ever.
    Refused,
}

/// Opens a file. What is refused is not opened at all.
pub(super) fn open(path: &Path, pipes: Pipes) -> std::io::Result<File> {
    if pipes == Pipes::Refused && !std::fs::metadata(path)?.is_file() {
        return Err(Error::other("it is not a regular file"));
    }
    File::open(path)
}

/// The whole of a file.
pub(super) fn read_bounded(path: &Path, limit: u64, pipes: Pipes) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open(path, pipes)?.take(limit + 1).read_to_end(&mut text)?;
    if text.len() as u64 > limit {
        return Err(Error::other(format!("the file is larger than {} MiB", limit >> 20)));
    }
    Ok(text)
}

pub(super) fn unreadable(path: &Path, error: &Error) -> Diagnostic {
    Diagnostic::error(place(path), "", format!("cannot read: {error}"), "check the path and its permissions")
}

/// Whether the name ends as those of rule files do.
pub(super) fn is_named_like_rules(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
        || is_suppressions(&path.to_string_lossy())
        || is_placeholders(&path.to_string_lossy())
}

pub(super) fn place(path: &Path) -> Place {
    Place::new(&path.to_string_lossy().into(), 1, 1)
}

/// The path without `.` in it, for comparison.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

#[cfg(test)]
mod tests;
