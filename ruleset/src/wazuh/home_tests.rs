//! The reference's own rule set, where a copy of it is at hand: every rule of it arrives, with all that it says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::tests::compat;
use super::*;
use crate::ir::{Correlation, CorrelationSource, Rule, StaticField, Subject};

/// The files of some folders, sorted together by bare name.
fn files(home: &Path, folders: &[&str], but: &str) -> Vec<RuleText> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(home.join(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with(".xml") && name != but {
                files.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|(name, text)| RuleText { path: name.as_str().into(), text, origin: Origin::Home })
        .collect()
}

/// What stands between `start` and `end`, every time.
fn between<'t>(text: &'t str, start: &str, end: &str) -> Vec<&'t str> {
    text.split(start).skip(1).filter_map(|rest| rest.split_once(end)).map(|(found, _)| found).collect()
}

/// Loads the rules of an installation with the names that its decoders and its configuration give.
fn load_home(home: &Path, folders: &[&str], but: &str) -> (Vec<RuleText>, Loaded) {
    let decoders = files(home, &["ruleset/decoders", "etc/decoders"], "");
    let decoders: Vec<String> =
        decoders.iter().map(|file| String::from_utf8_lossy(&file.text).into_owned()).collect();
    let mut names: BTreeSet<&str> = INTERNAL.iter().copied().collect();
    for text in &decoders {
        names.extend(between(text, "<decoder name=\"", "\""));
    }
    let configuration = std::fs::read_to_string(home.join("etc/ossec.conf")).unwrap_or_default();
    let lists = between(&configuration, "<list>", "</list>");
    let decoders: Vec<&str> = names.into_iter().collect();
    let rules = files(home, folders, but);
    let loaded = load(&rules, &Names { decoders: &decoders, lists: &lists });
    (rules, loaded)
}

/// Of how many rules each element is part.
fn rules_with(files: &[RuleText]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for file in files {
        let source = Source::new(&file.path, &file.text).unwrap();
        let mut faults = Faults::new(&source, Origin::Home);
        for group in xml::parse(&source, &mut faults) {
            for rule in group.children.iter().filter(|child| child.name == "rule") {
                let names: BTreeSet<&str> = rule.children.iter().map(|element| element.name).collect();
                for name in names {
                    *counts.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
    }
    counts
}

#[test]
fn everything_in_the_stock_rules_arrives() {
    let Some(folder) = compat() else { return };
    let (files, loaded) = load_home(&folder.join("homes/stock"), &["ruleset/rules"], "");
    let said: Vec<&str> = loaded.diagnostics.iter().map(|fault| fault.message.as_str()).collect();
    let itself = "rule 91821 names itself as its parent; the rule hangs below its other parents only";
    assert_eq!(said, [itself]);
    let rules = &loaded.tree.rules;
    assert_eq!((files.len(), rules.len()), (168, 4512));
    let written = rules_with(&files);
    let count = |test: &dyn Fn(&Rule) -> bool| rules.iter().filter(|rule| test(rule)).count();
    let about = |subject: Subject| {
        count(&|rule: &Rule| rule.conditions.iter().any(|condition| condition.subject == subject))
    };
    // One condition from all elements of a name, on a subject of their own.
    for (name, subject, _) in parse::patterns::PATTERNS {
        if !matches!(name, "match" | "regex") {
            assert_eq!(about(subject), written.get(name).copied().unwrap_or_default(), "{name}");
        }
    }
    let on_log: usize = rules
        .iter()
        .map(|rule| rule.conditions.iter().filter(|condition| condition.subject == Subject::Log).count())
        .sum();
    assert_eq!(on_log, written["match"] + written["regex"]);
    let fields = rules.iter().flat_map(|rule| &rule.conditions);
    let fields = fields.filter(|condition| matches!(condition.subject, Subject::Field(_))).count();
    assert_eq!(fields, 3183);
    for (name, found, expected) in [
        ("decoded_as", count(&|rule| rule.decoded_as.is_some()), 233),
        ("list", rules.iter().map(|rule| rule.lists.len()).sum(), 25),
        ("if_fts", count(&|rule| rule.if_fts), 8),
        ("check_diff", count(&|rule| rule.check_diff), 3),
        ("ignore", count(&|rule| !rule.ignore.is_empty()), 2),
        ("check_if_ignored", count(&|rule| !rule.check_if_ignored.is_empty()), 3),
        ("compiled_rule", count(&|rule| rule.builtin_check.is_some()), 3),
        ("time", count(&|rule| rule.time.is_some()), 1),
        ("weekday", count(&|rule| rule.weekdays.is_some()), 1),
        ("frequency", count(&|rule| rule.frequency.is_some()), 208),
        ("ignore seconds", count(&|rule| rule.ignore_seconds > 0), 49),
        ("noalert", count(&|rule| rule.noalert), 40),
        ("maxsize", count(&|rule| rule.maxsize.is_some()), 2),
        ("level 0", count(&|rule| rule.level == 0), 672),
        ("level 15", count(&|rule| rule.level == 15), 32),
        ("mitre", count(&|rule| !rule.mitre.is_empty()), written["mitre"]),
        ("info", rules.iter().map(|rule| rule.info.len()).sum(), 108),
        ("no_full_log", count(&|rule| rule.options.no_full_log), 2265),
        ("no_log", count(&|rule| rule.options.no_log), 5),
    ] {
        assert_eq!(found, expected, "{name}");
    }
    check_counting(rules);
    println!("{} rules at {} places", rules.len(), loaded.tree.nodes.len());
}

fn check_counting(rules: &[Rule]) {
    let counting: Vec<&Correlation> = rules.iter().filter_map(|rule| rule.correlation.as_ref()).collect();
    let source = |test: &dyn Fn(&CorrelationSource) -> bool| {
        counting.iter().filter(|correlation| test(&correlation.source)).count()
    };
    assert_eq!(source(&|source| matches!(source, CorrelationSource::Sid(_))), 205);
    assert_eq!(source(&|source| matches!(source, CorrelationSource::Group)), 6);
    let shared = |different: bool, test: &dyn Fn(&Subject) -> bool| -> usize {
        let subjects = |correlation: &&Correlation| match different {
            true => correlation.different.clone(),
            false => correlation.same.clone(),
        };
        counting.iter().flat_map(subjects).filter(|subject| test(subject)).count()
    };
    let is = |field: StaticField| move |subject: &Subject| *subject == Subject::Static(field);
    assert_eq!(shared(false, &is(StaticField::SrcIp)), 123);
    assert_eq!(shared(false, &is(StaticField::Id)), 5);
    assert_eq!(shared(false, &is(StaticField::DstUser)), 3);
    assert_eq!(shared(false, &|subject| matches!(subject, Subject::Field(_))), 7);
    assert_eq!(shared(false, &|subject| *subject == Subject::Location), 1);
    assert_eq!(shared(true, &is(StaticField::Url)), 5);
    // Each group correlation is fed by somebody.
    for (index, rule) in rules.iter().enumerate() {
        let is_group =
            matches!(&rule.correlation, Some(Correlation { source: CorrelationSource::Group, .. }));
        let feeds = rules.iter().flat_map(|rule| &rule.feeds);
        let fed = feeds.filter(|feed| feed.correlation as usize == index && feed.times > 0).count();
        assert_eq!(is_group, fed > 0, "{}", rule.id);
    }
}

/// The set-up of the recorded cases says itself what is wrong with it.
#[test]
fn the_test_installation_loads_with_the_announced_warnings() {
    let Some(folder) = compat() else { return };
    let folders = ["ruleset/rules", "etc/rules"];
    let (_, loaded) = load_home(&folder.join("homes/test"), &folders, "0215-policy_rules.xml");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in &loaded.diagnostics {
        assert_eq!(fault.severity, Severity::Warning, "{fault}");
        let kind = ANNOUNCED.iter().map(|(kind, _)| *kind).find(|kind| fault.message.contains(kind));
        *kinds.entry(kind.unwrap_or_else(|| panic!("{fault}"))).or_default() += 1;
    }
    assert_eq!(kinds, ANNOUNCED.into_iter().collect());
}

/// What the test rules do on purpose, and once the stock rules by mistake, with how often.
const ANNOUNCED: [(&str, usize); 5] = [
    // 290 rules in the test files with 211 ids; 11 of them overwrite.
    ("is already defined", 290 - 211 - 11),
    ("names itself as its parent", 1),
    ("<if_sid> holds something else than rule ids", 1),
    ("there is no list", 1),
    ("overwriting cannot change which events", 2),
];
