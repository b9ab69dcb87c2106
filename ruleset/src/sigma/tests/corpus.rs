//! The community's rules for cloud logs load, each without an error.

use std::path::{Path, PathBuf};

use super::*;

fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            yaml_files(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "yml") {
            files.push(entry);
        }
    }
}

#[test]
fn all_rules_load() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("THREATLOCKDOWN_DATA").map_or(default, PathBuf::from);
    let folder = data.join("sigma-rules");
    if !folder.exists() {
        println!("skipped: no {}", folder.display());
        return;
    }
    let mut paths = Vec::new();
    yaml_files(&folder, &mut paths);
    let text = |path: &PathBuf| SigmaText {
        path: path.to_string_lossy().into(),
        text: std::fs::read(path).unwrap(),
        origin: Origin::User,
    };
    let texts: Vec<SigmaText> = paths.iter().map(text).collect();
    let Loaded { set, diagnostics } = load(&texts, &Placeholders::default());
    for fault in &diagnostics {
        println!("{fault}");
    }
    assert!(paths.len() >= 308);
    assert_eq!(set.rules.len(), paths.len());
    assert!(diagnostics.iter().all(|fault| fault.severity == Severity::Warning));
    // Nothing but placeholders without values is warned of.
    let odd: Vec<String> = diagnostics
        .iter()
        .filter(|fault| !fault.message.contains("placeholder"))
        .map(ToString::to_string)
        .collect();
    assert_eq!(odd, Vec::<String>::new());
}
