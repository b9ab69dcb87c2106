//! Conversions of whole sets: they load without a fault, say what became of every rule, and match the same events where they
//! say so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use saphyr::{LoadableYamlNode, Yaml as Read};
use threatlockdown_event::{Context, Millis};

use super::*;
use crate::decode::mapping::Mapping;
use crate::ir::Node;
use crate::matcher::{Input, Scratch};
use crate::program::Program;
use crate::sigma::{Placeholders, SigmaText};
use crate::wazuh::home::Ruleset;
use crate::{ListText, Origin, RuleText, Texts, build, load};

fn everything(_: &Rule) -> bool {
    true
}

fn sigma_texts(conversion: &Conversion) -> Vec<SigmaText> {
    let file = |file: &OutputFile| SigmaText {
        path: file.name.as_str().into(),
        text: file.text.as_bytes().to_vec(),
        origin: Origin::User,
    };
    conversion.files.iter().map(file).collect()
}

/// Converts all rules of a set and checks what holds of any conversion; gives the numbers of outcomes.
fn checked(set: &RuleSet) -> (Conversion, BTreeMap<&'static str, usize>) {
    let conversion = to_sigma(set, &everything);
    let ids = |ids: Vec<String>| ids;
    let expected = ids(set.tree.rules.iter().map(|rule| rule.id.to_string()).collect());
    assert_eq!(ids(conversion.rules.iter().map(|rule| rule.id.clone()).collect()), expected);
    let loaded = crate::sigma::load(&sigma_texts(&conversion), &Placeholders::default());
    let shown: Vec<String> = loaded.diagnostics.iter().take(5).map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
    let mut numbers: BTreeMap<&'static str, usize> = BTreeMap::new();
    for rule in &conversion.rules {
        *numbers.entry(rule.outcome.name()).or_default() += 1;
        let is_written = !matches!(rule.outcome, Outcome::Impossible(_));
        assert_eq!(is_written, !rule.made.is_empty(), "{rule:?}");
        assert_eq!(rule.outcome.remarks().is_empty(), rule.outcome == Outcome::Converted, "{rule:?}");
        for made in &rule.made {
            let detections = loaded.set.rules.iter().map(|rule| &rule.head.id);
            let correlations = loaded.set.correlations.iter().map(|rule| &rule.head.id);
            assert_eq!(detections.chain(correlations).filter(|id| *id == made).count(), 1, "{rule:?}");
        }
    }
    (conversion, numbers)
}

fn builtin() -> RuleSet {
    load(Texts::builtin()).set
}

fn compat() -> Option<PathBuf> {
    let folder = std::env::var_os("THREATLOCKDOWN_COMPAT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/compat"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn rule_text(path: &Path) -> RuleText {
    RuleText { path: path.to_string_lossy().as_ref().into(), text: std::fs::read(path).unwrap(), origin: Origin::Home }
}

/// An installation's set, as its conventional folders have it.
fn home(home: &Path) -> RuleSet {
    let layout = Ruleset::conventional();
    let of = |folders: &[crate::wazuh::home::Folder]| {
        let files = folders.iter().flat_map(|folder| files(&home.join(&folder.path)));
        let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "xml"));
        files.filter(|path| !path.ends_with("0215-policy_rules.xml")).map(|path| rule_text(&path)).collect::<Vec<_>>()
    };
    let lists = ["etc/lists", "etc/lists/amazon", "etc/lists/malicious-ioc"];
    let lists = lists.iter().flat_map(|folder| files(&home.join(folder)).into_iter().map(move |path| (folder, path)));
    let lists = lists.map(|(folder, path)| ListText {
        name: format!("{folder}/{}", path.file_name().unwrap().to_string_lossy()).into(),
        path: path.to_string_lossy().as_ref().into(),
        text: std::fs::read(&path).unwrap(),
    });
    let texts = Texts {
        rules: of(&layout.rule_folders),
        decoders: of(&layout.decoder_folders),
        lists: lists.collect(),
        ..Texts::default()
    };
    load(texts).set
}

#[test]
fn the_rules_that_ship_load_as_sigma_rules() {
    let (conversion, numbers) = checked(&builtin());
    println!("{numbers:?}");
    if let Some(folder) = std::env::var_os("CONVERTED") {
        conversion.files.iter().for_each(|file| std::fs::write(Path::new(&folder).join(&file.name), &file.text).unwrap());
    }
    for rule in &conversion.rules {
        println!("{} {} {:?}", rule.id, rule.outcome.name(), rule.outcome.remarks());
    }
}

#[test]
fn stock_rules_load_as_sigma_rules() {
    let Some(folder) = compat() else { return };
    let set = home(&folder.join("homes/stock"));
    assert!(set.tree.rules.len() > 3_000, "{}", set.tree.rules.len());
    let (conversion, numbers) = checked(&set);
    println!("{numbers:?}");
    if let Some(folder) = std::env::var_os("CONVERTED") {
        conversion.files.iter().for_each(|file| std::fs::write(Path::new(&folder).join(&file.name), &file.text).unwrap());
    }
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for rule in &conversion.rules {
        let kind: String = rule.outcome.remarks().first().map_or_else(String::new, |remark| {
            remark.chars().filter(|char| !char.is_ascii_digit()).take(60).collect()
        });
        *reasons.entry(format!("{} {kind}", rule.outcome.name())).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (reason, count) in reasons.iter().take(60) {
        println!("{count:5} {reason}");
    }
}

#[test]
fn rules_of_a_user_load_as_sigma_rules() {
    let Some(folder) = compat() else { return };
    let path = folder.join("cloud/azure_posture.xml");
    let set = load(Texts::builtin_and(vec![RuleText { origin: Origin::User, ..rule_text(&path) }])).set;
    let (_, numbers) = checked(&set);
    println!("{numbers:?}");
}

/// Source and record of each event of the tests of the rules that ship.
fn events() -> Vec<(String, String)> {
    let mut events = Vec::new();
    for (_, text) in crate::builtin_tests() {
        for rule in Read::load_from_str(text).unwrap()[0].as_vec().unwrap() {
            for key in ["fires", "misses"] {
                let list = rule.as_mapping_get(key).and_then(|list| list.as_vec());
                for case in list.map(Vec::as_slice).unwrap_or_default() {
                    let text = |key| case.as_mapping_get(key).and_then(Read::as_str).unwrap().trim().to_owned();
                    events.push((text("source"), text("event")));
                }
            }
        }
    }
    events
}

/// The set with nothing in its tree but the ways to one rule.
fn only(set: &RuleSet, index: RuleIndex) -> RuleSet {
    let mut parent = vec![None; set.tree.nodes.len()];
    for (at, node) in set.tree.nodes.iter().enumerate() {
        node.children.iter().for_each(|child| parent[*child as usize] = Some(at));
    }
    let mut keep = vec![false; set.tree.nodes.len()];
    for (at, _) in set.tree.nodes.iter().enumerate().filter(|(_, node)| node.rule == index) {
        let mut way = Some(at);
        while let Some(at) = way {
            keep[at] = true;
            way = parent[at];
        }
    }
    let mut only = set.clone();
    for node in &mut only.tree.nodes {
        node.children.retain(|child| keep[*child as usize]);
    }
    only.tree.roots.retain(|root| keep[*root as usize]);
    only.tree.nodes.iter_mut().enumerate().filter(|(at, _)| !keep[*at]).for_each(|(_, node): (_, &mut Node)| {
        node.children.clear();
    });
    only
}

struct Judge {
    program: Arc<Program>,
    scratch: Scratch,
}

impl Judge {
    fn new(set: &RuleSet) -> Self {
        let program = build(set, "test".to_owned()).unwrap();
        let scratch = Scratch::new(&program);
        Self { program, scratch }
    }

    /// The id of the rule that is the result, and those of Sigma rules that match.
    fn say(&mut self, source: &str, record: &str) -> (Option<String>, Vec<String>) {
        let context = Context {
            source: source.into(),
            connector: "test".into(),
            location: "test".into(),
            account: None,
            envelope: Vec::new(),
            origin: "test".into(),
            origin_id: [0; 16],
        };
        let binding = self.program.binding(source);
        let input = Input { binding, record: record.as_bytes(), context: &context, received: Millis(0) };
        self.program
            .evaluate(&mut self.scratch, &input, |verdict| {
                let sigma = verdict.sigma().map(|(_, rule)| rule.head.id.clone()).collect();
                (verdict.rule().map(|rule| rule.id.clone()), sigma)
            })
            .unwrap()
    }
}

/// Compares a rule with what was made of it, over all events of sources that its log source has. An event bus carries what
/// trails record, too; there the rule holds for one service alone.
#[test]
fn what_is_converted_matches_the_same_events() {
    let set = builtin();
    let conversion = to_sigma(&set, &everything);
    let mappings: BTreeMap<String, Mapping> =
        mapping::builtin().unwrap().into_iter().map(|mapping| (mapping.source.to_string(), mapping)).collect();
    let sigma = crate::sigma::load(&sigma_texts(&conversion), &Placeholders::default()).set;
    let logsource: BTreeMap<&str, _> = sigma.rules.iter().map(|rule| (rule.head.id.as_str(), &rule.logsource)).collect();
    let events = events();
    let mut converted = Judge::new(&RuleSet { sigma: sigma.clone(), ..load(Texts::builtin_decoders()).set });
    let said: Vec<Vec<String>> = events.iter().map(|(source, record)| converted.say(source, record).1).collect();
    let mut all = Judge::new(&set);
    let verdicts: Vec<Option<String>> = events.iter().map(|(source, record)| all.say(source, record).0).collect();
    let (mut exact, mut compared, mut fired, mut faults) = (0, 0, 0, Vec::new());
    for (index, rule) in (0..).zip(&conversion.rules) {
        let [made] = rule.made.as_slice() else { continue };
        if set.tree.rules[index as usize].correlation.is_some() {
            continue;
        }
        // What is converted is the result in the whole set; what other rules take from it is not minded without them.
        let (is_converted, mut own) = match &rule.outcome {
            Outcome::Converted => (true, None),
            Outcome::Differs(remarks) if remarks.iter().all(|remark| remark.starts_with("Where a rule")) => {
                (false, Some(Judge::new(&only(&set, index))))
            }
            Outcome::Differs(_) | Outcome::Impossible(_) => continue,
        };
        exact += usize::from(is_converted);
        for (((source, record), said), verdict) in events.iter().zip(&said).zip(&verdicts) {
            let fits = mappings.get(source).is_some_and(|mapping| mapping.sigma.fits(logsource[made.as_str()]));
            if !fits || source == "aws.eventbridge" {
                continue;
            }
            let verdict = own.as_mut().map_or_else(|| verdict.clone(), |own| own.say(source, record).0);
            let expected = verdict.as_deref() == Some(rule.id.as_str());
            compared += 1;
            fired += usize::from(expected);
            if said.contains(made) != expected {
                faults.push(format!("{} {} expected {expected} on {source}: {record}", rule.id, rule.outcome.name()));
            }
        }
    }
    println!("{exact} exact rules, {compared} compared, {fired} matches, {} faults", faults.len());
    assert!(faults.is_empty(), "{}", faults.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
    assert!(compared > 1_000 && fired > 20, "{compared} {fired}");
}
