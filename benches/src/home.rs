//! Reads the rule set of an installation as it lies on disk: just enough to measure with it.
//!
//! Enters: the folder of an installation. Leaves: the texts of its rules, decoders and lists. The product's own reader,
//! which mends and explains, is the application's.

use std::path::Path;

use threatlockdown_ruleset::wazuh::home::Ruleset;
use threatlockdown_ruleset::{ListText, Origin, RuleText, Texts};

/// Reads the files that the installation's configuration names.
///
/// # Errors
/// A file that cannot be read, with its path.
pub fn read(home: &Path) -> Result<Texts, String> {
    let config = home.join("etc/ossec.conf");
    let set = match config.exists() {
        true => Ruleset::read(&shown(&config), &bytes(&config)?).0,
        false => Ruleset::conventional(),
    };
    let mut texts = Texts::default();
    for folder in &set.rule_folders {
        for name in names(home, &folder.path)? {
            if folder.takes(&name) && !set.leaves_out_rules(&name) {
                texts.rules.push(file(&home.join(&name))?);
            }
        }
    }
    for folder in &set.decoder_folders {
        for name in names(home, &folder.path)? {
            if folder.takes(&name) && !set.leaves_out_decoders(&name) {
                texts.decoders.push(file(&home.join(&name))?);
            }
        }
    }
    for name in set.lists.unwrap_or_default() {
        let path = home.join(&name);
        texts.lists.push(ListText { name: name.as_str().into(), path: shown(&path), text: bytes(&path)? });
    }
    Ok(texts)
}

/// The files of a folder, as paths below the home, in order.
fn names(home: &Path, folder: &str) -> Result<Vec<String>, String> {
    let path = home.join(folder);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let entries: Result<Vec<_>, _> = std::fs::read_dir(&path).map_err(failed)?.collect();
    let mut names: Vec<String> = entries
        .map_err(failed)?
        .iter()
        .map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
        .collect();
    names.sort();
    Ok(names)
}

fn file(path: &Path) -> Result<RuleText, String> {
    Ok(RuleText { path: shown(path), text: bytes(path)?, origin: Origin::Home })
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> std::sync::Arc<str> {
    path.to_string_lossy().as_ref().into()
}
