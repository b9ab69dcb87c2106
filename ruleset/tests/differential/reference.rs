//! The oracle against every recorded result of the reference, where a copy of them is at hand: what shows that the one
//! who judges the engine judges right. Rules, decoders and lists come through the product's own loaders.

use std::path::{Path, PathBuf};

use threatlockdown_ruleset::correlate::FrontEnd;
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::naive::json::Json;
use threatlockdown_ruleset::naive::{Naive, NaiveEvent};
use threatlockdown_ruleset::testing::{CaseOptions, View, read_cases, run_one};
use threatlockdown_ruleset::wazuh::home::Ruleset;
use threatlockdown_ruleset::{ListText, Origin, RuleText, Texts, build, load};

use crate::compat::folder;
use crate::harness::memory;

/// Decoder, rule and level.
type Triple = (Option<String>, Option<String>, Option<String>);

/// A case or a sequence.
struct Recorded {
    id: String,
    location: String,
    events: Vec<String>,
    /// Of each event; none for cases, which happen all at once.
    times: Vec<i64>,
    expect: Option<Triple>,
    negate: bool,
    scored: bool,
    /// After each event; none where nothing was recorded.
    observed: Vec<Triple>,
    /// Name of a list, key and value.
    extra_entries: Vec<(String, String, String)>,
}

fn text(json: Option<&Json>) -> Option<String> {
    match json? {
        Json::Text(text) | Json::Number(text) => Some(text.clone()),
        _ => None,
    }
}

fn triple(json: &Json) -> Triple {
    (text(json.get("decoder")), text(json.get("rule")), text(json.get("level")))
}

fn items<'j>(json: &'j Json, name: &str) -> &'j [Json] {
    match json.get(name) {
        Some(Json::Array(items)) => items,
        _ => &[],
    }
}

fn members(json: Option<&Json>) -> &[(String, Json)] {
    match json {
        Some(Json::Object(members)) => members,
        _ => &[],
    }
}

impl Recorded {
    fn read(line: &str) -> Self {
        let json = Json::parse(line.as_bytes()).unwrap();
        let lists = members(json.get("extra_list_entries")).iter();
        let extra_entries = lists.flat_map(|(list, entries)| {
            let entry =
                |(key, value): &(String, Json)| (list.clone(), key.clone(), text(Some(value)).unwrap());
            members(Some(entries)).iter().map(entry).collect::<Vec<_>>()
        });
        Self {
            id: text(json.get("id")).unwrap(),
            location: text(json.get("location")).unwrap(),
            events: items(&json, "events").iter().map(|event| text(Some(event)).unwrap()).collect(),
            times: items(&json, "times")
                .iter()
                .map(|time| text(Some(time)).unwrap().parse().unwrap())
                .collect(),
            expect: json.get("expect").map(triple),
            negate: json.get("negate") == Some(&Json::Bool(true)),
            scored: json.get("scored") != Some(&Json::Bool(false)),
            observed: items(&json, "observed").iter().map(triple).collect(),
            extra_entries: extra_entries.collect(),
        }
    }

    /// What the oracle says after each event.
    fn run(&self, naive: &Naive<'_>) -> Vec<Triple> {
        let mut memory = memory(FrontEnd::Test);
        let mut one = |(index, event): (usize, &String)| {
            let seconds = self.times.get(index).copied().unwrap_or_default();
            let event = NaiveEvent { location: &self.location, seconds, ..NaiveEvent::new(event.as_bytes()) };
            let verdict = naive.evaluate(&mut memory, &event);
            let number = |number: u32| number.to_string();
            (verdict.decoder, verdict.id.map(number), verdict.level.map(u32::from).map(number))
        };
        self.events.iter().enumerate().map(&mut one).collect()
    }
}

pub(crate) fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    files
}

fn read_all(folder: &Path, name: &str) -> Vec<Recorded> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    files(folder, name)
        .iter()
        .flat_map(|path| read(path).lines().map(Recorded::read).collect::<Vec<_>>())
        .collect()
}

/// The installation that the results were recorded with, and the posture rules of the cloud cases.
pub(crate) fn recorded_texts(folder: &Path) -> Texts {
    let mut texts = texts_of_home(&folder.join("homes/test"));
    let path = folder.join("cloud/azure_posture.xml");
    let text = std::fs::read(&path).unwrap();
    texts.rules.push(RuleText { path: path.to_string_lossy().as_ref().into(), text, origin: Origin::Home });
    texts
}

/// What the configuration of an installation names.
pub(crate) fn texts_of_home(home: &Path) -> Texts {
    let config = home.join("etc/ossec.conf");
    let path = config.to_string_lossy();
    let (ruleset, faults) = Ruleset::read(&path.as_ref().into(), &std::fs::read(&config).unwrap());
    assert_eq!(faults, []);
    let file = |path: &Path| RuleText {
        path: path.to_string_lossy().as_ref().into(),
        text: std::fs::read(path).unwrap(),
        origin: Origin::Home,
    };
    let files_in = |name: &str| {
        let entries = std::fs::read_dir(home.join(name)).unwrap().map(|entry| entry.unwrap());
        let of_home = |entry: std::fs::DirEntry| {
            (entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy()))
        };
        entries.map(of_home).collect::<Vec<_>>()
    };
    let mut texts = Texts::default();
    for folder in &ruleset.rule_folders {
        let taken = files_in(&folder.path)
            .into_iter()
            .filter(|(_, name)| folder.takes(name) && !ruleset.leaves_out_rules(name));
        texts.rules.extend(taken.map(|(path, _)| file(&path)));
    }
    for folder in &ruleset.decoder_folders {
        let taken = files_in(&folder.path).into_iter().filter(|(_, name)| folder.takes(name));
        texts.decoders.extend(taken.map(|(path, _)| file(&path)));
    }
    for name in ruleset.lists.unwrap() {
        let path = home.join(&name);
        let shown = path.to_string_lossy();
        let text = std::fs::read(&path).unwrap();
        texts.lists.push(ListText { name: name.as_str().into(), path: shown.as_ref().into(), text });
    }
    texts
}

/// The set with these entries more.
fn with_entries(set: &RuleSet, entries: &[(String, String, String)]) -> RuleSet {
    let mut set = set.clone();
    for (list, key, value) in entries {
        let list = set.lists.iter_mut().find(|known| known.name == *list).unwrap();
        list.entries.push((key.clone().into(), value.clone().into()));
    }
    set
}

/// All cases and sequences, event by event.
#[test]
fn the_oracle_says_what_the_reference_said() {
    let Some(folder) = folder() else { return };
    let set = load(recorded_texts(&folder)).set;
    let naive = Naive::new(&set);
    let mut wrong = Vec::new();
    for name in ["cases", "cloud", "sequences"] {
        let (mut scored, mut events) = (0, 0);
        let all = read_all(&folder, name);
        for recorded in &all {
            let said = match recorded.extra_entries.as_slice() {
                [] => recorded.run(&naive),
                entries => recorded.run(&Naive::new(&with_entries(&set, entries))),
            };
            for (index, observed) in recorded.observed.iter().enumerate() {
                events += 1;
                if said[index] != *observed {
                    wrong.push(format!("{} event {index}: {:?}, not {observed:?}", recorded.id, said[index]));
                }
            }
            if let Some(expect) = recorded.expect.as_ref().filter(|_| recorded.scored) {
                scored += 1;
                if (said.last() == Some(expect)) == recorded.negate {
                    wrong.push(format!("{}: {:?}, expected {expect:?}", recorded.id, said.last()));
                }
            }
        }
        println!("{name}: {} in all, {scored} scored, {events} events with a recorded result", all.len());
        assert!(events > 0);
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The engine over the same, in the envelope of every event and, where there is a mapping, as the provider sends it.
#[test]
fn the_engine_says_what_the_reference_said() {
    let Some(folder) = folder() else { return };
    let loaded = load(recorded_texts(&folder));
    let (set, program) = (loaded.set, loaded.program.unwrap());
    for (view, every_event) in [(View::Envelope, false), (View::Envelope, true), (View::Raw, false)] {
        let (mut checks, mut skipped, mut wrong) = (0, 0, Vec::new());
        for name in ["cases", "cloud", "sequences"] {
            for path in files(&folder, name) {
                let text = std::fs::read(&path).unwrap();
                let options = CaseOptions { view, every_event };
                let cases = read_cases(&path.to_string_lossy(), &text, options).unwrap();
                skipped += cases.skipped.values().sum::<usize>();
                for test in &cases.tests {
                    checks += test.checks.len();
                    let failures = match test.lists.is_empty() {
                        true => run_one(&program, test),
                        false => {
                            let set = test.lists.added_to(&set);
                            run_one(&build(&set, "more entries".into()).unwrap(), test)
                        }
                    };
                    wrong.extend(failures);
                }
            }
        }
        println!("{view:?}, every event {every_event}: {checks} checks, {skipped} skipped");
        assert!(checks > 1_000 && wrong.is_empty(), "{} differ: {:#?}", wrong.len(), wrong.first());
    }
}
