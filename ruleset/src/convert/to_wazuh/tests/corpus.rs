//! The community's rules for cloud logs: all are reported, what is written loads, and what is said to be equal is.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::equality::compare;
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

fn corpus() -> Option<Loaded> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("THREATLOCKDOWN_DATA").map_or(default, PathBuf::from).join("sigma-rules");
    if !folder.exists() {
        println!("skipped: no {}", folder.display());
        return None;
    }
    let mut paths = Vec::new();
    yaml_files(&folder, &mut paths);
    let text = |path: &PathBuf| SigmaText {
        path: path.to_string_lossy().into(),
        text: std::fs::read(path).unwrap(),
        origin: Origin::User,
    };
    let loaded = load(Texts { sigma: paths.iter().map(text).collect(), ..Texts::builtin() });
    assert!(!loaded.has_errors());
    Some(loaded)
}

#[test]
fn all_rules_are_reported_and_load() {
    let Some(loaded) = corpus() else { return };
    let conversion = to_wazuh(&loaded.set, &ToWazuh::default(), &|_| true);
    let ids: Vec<&str> = conversion.rules.iter().map(|rule| rule.id.as_str()).collect();
    let expected: Vec<&str> = loaded.set.sigma.rules.iter().map(|rule| rule.head.id.as_str()).collect();
    assert_eq!(ids, expected);
    for rule in &conversion.rules {
        let written = !rule.made.is_empty();
        assert_eq!(written, !matches!(rule.outcome, Outcome::Impossible(_)), "{rule:?}");
        assert_eq!(rule.outcome == Outcome::Converted, rule.outcome.remarks().is_empty());
    }
    let share = |name: &str| conversion.rules.iter().filter(|rule| rule.outcome.name() == name).count();
    println!(
        "together: {} converted, {} differ, {} impossible",
        share("converted"),
        share("differs"),
        share("impossible")
    );
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for rule in &conversion.rules {
        for remark in rule.outcome.remarks() {
            *counts
                .entry(format!("{} {}", rule.outcome.name(), remark.split('"').next().unwrap()))
                .or_default() += 1;
        }
    }
    counts.iter().for_each(|(remark, count)| println!("{count:4} {remark}"));
    if let Some(folder) = std::env::var_os("CONVERTED") {
        for file in &conversion.files {
            std::fs::write(Path::new(&folder).join(&file.name), &file.text).unwrap();
        }
    }
    reload(&conversion);
}

#[test]
fn converted_rules_match_the_same_events() {
    let Some(loaded) = corpus() else { return };
    let worded = sigma_sources::in_words_of(&loaded.set.sigma, &mapping::builtin().unwrap());
    let next = Mutex::new(0_usize);
    let faults = Mutex::new(Vec::<String>::new());
    let blind = Mutex::new(Vec::<String>::new());
    let shares = Mutex::new([0_usize; 3]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = {
                        let mut next = next.lock().unwrap();
                        *next += 1;
                        *next - 1
                    };
                    let Some(rule) = loaded.set.sigma.rules.get(at) else { return };
                    let alone = to_wazuh(&loaded.set, &ToWazuh::default(), &|head| head.id == rule.head.id);
                    match alone.rules[0].outcome {
                        Outcome::Converted => {
                            shares.lock().unwrap()[0] += 1;
                            let ask = |count| compare(&loaded, rule, &worded.rules[at].expr, count);
                            // What asks for much at once is hit seldom.
                            let asked = match ask(60) {
                                Ok(asked) if asked.matches == 0 => ask(4000),
                                asked => asked,
                            };
                            match asked {
                                Ok(asked) if asked.matches == 0 => {
                                    blind.lock().unwrap().push(rule.head.title.clone());
                                }
                                Ok(_) => {}
                                Err(fault) => faults.lock().unwrap().push(fault),
                            }
                        }
                        Outcome::Differs(_) => shares.lock().unwrap()[1] += 1,
                        Outcome::Impossible(_) => shares.lock().unwrap()[2] += 1,
                    }
                }
            });
        }
    });
    println!("alone: converted, differ, impossible: {:?}", shares.lock().unwrap());
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n\n"));
    // A rule that no event matches would be equal to anything.
    let blind = blind.into_inner().unwrap();
    assert!(blind.is_empty(), "no event matches {blind:?}");
}
