//! Where converted rules go: files of a folder, or stdout.
//!
//! Enters: the texts. Leaves: all files, each whole, or what was there before; nothing is written when one of them is there
//! already and may not be replaced.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;
use threatlockdown_ruleset::convert::OutputFile;

use crate::cli::{ConvertArgs, Language};
use crate::commands::{counted, print, report};

/// Files of one name from several folders get a number.
pub(super) fn tell_names_apart(files: &mut [OutputFile]) {
    let mut taken: HashSet<String> = HashSet::new();
    for file in files {
        let (stem, ending) = file.name.rsplit_once('.').map_or((file.name.as_str(), ""), |parts| parts);
        let (stem, ending) = (stem.to_owned(), ending.to_owned());
        let mut number = 2;
        while !taken.insert(file.name.clone()) {
            file.name = format!("{stem}-{number}.{ending}");
            number += 1;
        }
    }
}

/// Whether the files can be written there.
pub(super) fn check(folder: &Path, files: &[OutputFile], force: bool) -> anyhow::Result<()> {
    if folder.exists() && !folder.is_dir() {
        bail!("{} is no folder; name one, it is made where there is none", folder.display());
    }
    let mut there: Vec<&str> = Vec::new();
    for name in files.iter().map(|file| file.name.as_str()) {
        let path = folder.join(name);
        // A link is there even when it leads nowhere.
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() && !found.is_symlink() => bail!(
                "{} is neither a file nor a link, and is not replaced; name another folder",
                path.display()
            ),
            Ok(_) => there.push(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot look at {}", path.display())),
        }
    }
    if let (Some(first), false) = (there.first(), force) {
        let others = match there.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let path = folder.join(first);
        bail!("{}{others} is there already; name another folder, or use --force", path.display());
    }
    Ok(())
}

/// Writes all but the faulty ones.
pub(super) fn write(args: &ConvertArgs, files: &[OutputFile], faulty: &HashSet<&str>) -> anyhow::Result<()> {
    let files = files.iter().filter(|file| !faulty.contains(file.name.as_str()));
    let Some(folder) = &args.output else {
        let files: Vec<&OutputFile> = files.collect();
        return print(&joined(args.to, &files));
    };
    let texts: Vec<(&str, String)> = files.map(|file| (&*file.name, joined(args.to, &[file]))).collect();
    put(folder, &texts)?;
    report(&format!("{}: {} written", folder.display(), counted(texts.len(), "file")));
    Ok(())
}

/// Puts files into a folder. One that is not there comes with all of them at once; in one that is there, none gets its name
/// before all are on disk. So what is interrupted leaves no set behind that looks whole, but for the moment of renaming.
fn put(folder: &Path, texts: &[(&str, String)]) -> anyhow::Result<()> {
    let parent = folder.parent().filter(|_| folder.file_name().is_some());
    match parent {
        Some(parent) if !folder.exists() => make(folder, parent, texts),
        _ => replace(folder, texts),
    }
}

/// Makes the folder beside its place, with everything in it.
fn make(folder: &Path, parent: &Path, texts: &[(&str, String)]) -> anyhow::Result<()> {
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let everybody = std::fs::Permissions::from_mode(0o777);
    let make = || -> anyhow::Result<()> {
        std::fs::create_dir_all(parent)?;
        let arriving =
            tempfile::Builder::new().prefix(".arriving-").permissions(everybody).tempdir_in(parent)?;
        replace(arriving.path(), texts)?;
        std::fs::rename(arriving.path(), folder)?;
        // Under the old name there is nothing to be removed any more.
        let _ = arriving.keep();
        File::open(parent)?.sync_all()?;
        Ok(())
    };
    make().with_context(|| format!("cannot make {}", folder.display()))
}

/// Puts whole files in the place of what has their names in the folder: a link gives way and is not followed.
fn replace(folder: &Path, texts: &[(&str, String)]) -> anyhow::Result<()> {
    let arrive = |text: &str| -> io::Result<NamedTempFile> {
        let everybody = std::fs::Permissions::from_mode(0o666);
        let mut builder = tempfile::Builder::new();
        let mut arriving = builder.prefix(".arriving-").permissions(everybody).tempfile_in(folder)?;
        arriving.write_all(text.as_bytes())?;
        arriving.as_file().sync_all()?;
        Ok(arriving)
    };
    let mut arrived = Vec::with_capacity(texts.len());
    for (name, text) in texts {
        let path = folder.join(name);
        let file = arrive(text).with_context(|| format!("cannot write {}", path.display()))?;
        if std::fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_symlink()) {
            bail!("cannot write {}: neither a file nor a link is there", path.display());
        }
        arrived.push((path, file.into_temp_path()));
    }
    for (path, file) in arrived {
        file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())
}

/// All files as one text of their language.
fn joined(to: Language, files: &[&OutputFile]) -> String {
    let mut text = String::new();
    for (at, file) in files.iter().enumerate() {
        match to {
            Language::Sigma if at > 0 => text.push_str("---\n"),
            Language::Wazuh if at > 0 => text.push('\n'),
            _ => {}
        }
        text.push_str(&file.text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> OutputFile {
        OutputFile { name: name.to_owned(), text: format!("title: {name}") }
    }

    #[test]
    fn files_of_one_name_are_told_apart() {
        let mut files = ["a.yml", "b.yml", "a.yml", "a-2.yml", "a.yml", "bare", "bare"].map(file);
        tell_names_apart(&mut files);
        let names: HashSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names.len(), files.len(), "{names:?}");
        assert!(["a.yml", "a-2.yml", "b.yml", "bare"].iter().all(|name| names.contains(name)), "{names:?}");
    }

    #[test]
    fn one_text_of_several_files_is_a_file_again() {
        let files = ["a.yml", "b.yml"].map(file);
        let files: Vec<&OutputFile> = files.iter().collect();
        assert_eq!(joined(Language::Sigma, &files), "title: a.yml\n---\ntitle: b.yml\n");
        assert_eq!(joined(Language::Wazuh, &files[..1]), "title: a.yml\n");
    }

    #[test]
    fn files_that_are_there_are_replaced_on_request_only() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.yml", "b.yml"].map(file);
        check(folder.path(), &files, false).unwrap();
        std::fs::write(folder.path().join("b.yml"), "mine").unwrap();
        let error = check(folder.path(), &files, false).unwrap_err().to_string();
        assert!(error.contains("b.yml is there already") && error.contains("--force"), "{error}");
        check(folder.path(), &files, true).unwrap();
        let error = check(&folder.path().join("b.yml"), &files, true).unwrap_err().to_string();
        assert!(error.contains("is no folder"), "{error}");
    }

    #[test]
    fn links_are_there_and_are_replaced_themselves() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (target, nowhere) = (outside.path().join("mine"), outside.path().join("none"));
        std::fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join("a.yml")).unwrap();
        std::os::unix::fs::symlink(&nowhere, folder.path().join("b.yml")).unwrap();
        for name in ["a.yml", "b.yml"] {
            let error = check(folder.path(), &[file(name)], false).unwrap_err().to_string();
            assert!(error.contains("is there already"), "{error}");
            check(folder.path(), &[file(name)], true).unwrap();
            put(folder.path(), &[(name, "new".to_owned())]).unwrap();
            assert!(folder.path().join(name).symlink_metadata().unwrap().is_file());
            assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), b"new");
        }
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
        assert!(!nowhere.exists());
        // Nothing is left of the temporary files.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_file_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("b.yml");
        let _open = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::create_dir(folder.path().join("a.yml")).unwrap();
        for name in ["a.yml", "b.yml"] {
            let error = check(folder.path(), &[file(name)], true).unwrap_err().to_string();
            assert!(error.contains("neither a file nor a link"), "{error}");
            assert!(put(folder.path(), &[("c.yml", "new".to_owned()), (name, "new".to_owned())]).is_err());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_comes_with_all_files_or_not_at_all() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new/sigma");
        let texts = ["a.yml", "b.yml"].map(|name| (name, format!("title: {name}")));
        // The second one cannot be written, for its folder is none.
        let faulty = [texts[0].clone(), ("none/b.yml", String::new())];
        assert!(put(&folder, &faulty).is_err() && !folder.exists());
        assert_eq!(std::fs::read_dir(folder.parent().unwrap()).unwrap().count(), 0);
        put(&folder, &texts).unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("b.yml")).unwrap(), "title: b.yml");
        // Others may look into it as into any folder that is made.
        let plain = parent.path().join("plain");
        std::fs::create_dir(&plain).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&folder), mode(&plain));
        // In a folder that is there, none of them is replaced when one cannot be.
        std::fs::write(folder.join("a.yml"), "mine").unwrap();
        std::fs::create_dir(folder.join("c.yml")).unwrap();
        assert!(put(&folder, &[texts[0].clone(), ("c.yml", String::new())]).is_err());
        assert_eq!(std::fs::read_to_string(folder.join("a.yml")).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
    }
}
