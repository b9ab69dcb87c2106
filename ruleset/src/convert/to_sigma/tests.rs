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
    let expected: Vec<String> = set.tree.rules.iter().map(|rule| rule.id.to_string()).collect();
    let told: Vec<String> = conversion.rules.iter().map(|rule| rule.id.clone()).collect();
    assert_eq!(told, expected);
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
    let folder = std::env::var_os("THREATLOCKDOWN_COMPAT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/compat"), PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn rule_text(path: &Path) -> RuleText {
    RuleText {
        path: path.to_string_lossy().as_ref().into(),
        text: std::fs::read(path).unwrap(),
        origin: Origin::Home,
    }
}

/// An installation's set, as its conventional folders have it.
fn home(home: &Path) -> RuleSet {
    let layout = Ruleset::conventional();
    let of = |folders: &[crate::wazuh::home::Folder]| {
        let files = folders.iter().flat_map(|folder| files(&home.join(&folder.path)));
        let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "xml"));
        files
            .filter(|path| !path.ends_with("0215-policy_rules.xml"))
            .map(|path| rule_text(&path))
            .collect::<Vec<_>>()
    };
    let lists = ["etc/lists", "etc/lists/amazon", "etc/lists/malicious-ioc"];
    let lists =
        lists.iter().flat_map(|folder| files(&home.join(folder)).into_iter().map(move |path| (folder, path)));
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
    let (_, numbers) = checked(&builtin());
    assert!(numbers["converted"] >= 40 && numbers["impossible"] <= 20, "{numbers:?}");
}

#[test]
fn stock_rules_load_as_sigma_rules() {
    let Some(folder) = compat() else { return };
    let set = home(&folder.join("homes/stock"));
    assert!(set.tree.rules.len() > 4_000, "{}", set.tree.rules.len());
    let (conversion, numbers) = checked(&set);
    assert!(numbers["converted"] >= 30 && numbers["impossible"] < 1_200, "{numbers:?}");
    // Most of those that cannot be written give no alerts at all.
    let silent = conversion
        .rules
        .iter()
        .filter(|rule| rule.outcome.remarks().iter().any(|remark| remark.contains("every Sigma rule does")));
    assert!(silent.count() * 2 > numbers["impossible"], "{numbers:?}");
}

#[test]
fn rules_of_a_user_load_as_sigma_rules() {
    let Some(folder) = compat() else { return };
    let path = folder.join("cloud/azure_posture.xml");
    let set = load(Texts::builtin_and(vec![RuleText { origin: Origin::User, ..rule_text(&path) }])).set;
    let (_, numbers) = checked(&set);
    assert!(numbers["converted"] >= 40, "{numbers:?}");
}

/// Source and record of each event of the tests of the rules that ship.
fn events() -> Vec<(String, String)> {
    let mut events = Vec::new();
    for (_, text) in crate::builtin_tests() {
        for rule in Read::load_from_str(text).unwrap()[0].as_vec().unwrap() {
            for key in ["fires", "misses"] {
                let list = rule.as_mapping_get(key).and_then(|list| list.as_vec());
                for case in list.map(Vec::as_slice).unwrap_or_default() {
                    let text =
                        |key| case.as_mapping_get(key).and_then(Read::as_str).unwrap().trim().to_owned();
                    let (source, event) = (text("source"), text("event"));
                    events.extend(delivered(&source, &event));
                    events.push((source, event));
                }
            }
        }
    }
    events
}

/// The same record as an event bus delivers it for several services, and for none.
fn delivered(source: &str, event: &str) -> Vec<(String, String)> {
    if !["aws.cloudtrail", "aws.guardduty"].contains(&source) {
        return Vec::new();
    }
    let bus = |members: &str| {
        ("aws.eventbridge".to_owned(), format!(r#"{{"version":"0",{members}"detail":{event}}}"#))
    };
    let named = ["aws.cloudtrail", "aws.guardduty", "aws.ec2", "my.cloudtrail.app"];
    let named = named.iter().map(|service| bus(&format!(r#""source":"{service}","#)));
    named
        .chain([bus(""), bus(r#""source":null,"#), ("aws.eventbridge".to_owned(), event.to_owned())])
        .collect()
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
    only.tree.nodes.iter_mut().enumerate().filter(|(at, _)| !keep[*at]).for_each(
        |(_, node): (_, &mut Node)| {
            node.children.clear();
        },
    );
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

/// Compares a rule with what was made of it, over all events of sources that its log source has.
#[test]
fn what_is_converted_matches_the_same_events() {
    let set = builtin();
    let conversion = to_sigma(&set, &everything);
    let mappings: BTreeMap<String, Mapping> = mapping::builtin()
        .unwrap()
        .into_iter()
        .map(|mapping| (mapping.source.to_string(), mapping))
        .collect();
    let sigma = crate::sigma::load(&sigma_texts(&conversion), &Placeholders::default()).set;
    let logsource: BTreeMap<&str, _> =
        sigma.rules.iter().map(|rule| (rule.head.id.as_str(), &rule.logsource)).collect();
    let events = events();
    let mut converted = Judge::new(&RuleSet { sigma: sigma.clone(), ..load(Texts::builtin_decoders()).set });
    let said: Vec<Vec<String>> =
        events.iter().map(|(source, record)| converted.say(source, record).1).collect();
    let mut all = Judge::new(&set);
    let verdicts: Vec<Option<String>> =
        events.iter().map(|(source, record)| all.say(source, record).0).collect();
    let (mut exact, mut compared, mut fired, mut by_bus, mut faults) = (0, 0, 0, [0, 0], Vec::new());
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
            let fits =
                mappings.get(source).is_some_and(|mapping| mapping.sigma.fits(logsource[made.as_str()]));
            if !fits {
                continue;
            }
            let verdict = own.as_mut().map_or_else(|| verdict.clone(), |own| own.say(source, record).0);
            let expected = verdict.as_deref() == Some(rule.id.as_str());
            compared += 1;
            fired += usize::from(expected);
            if source == "aws.eventbridge" {
                by_bus[usize::from(expected)] += 1;
            }
            if said.contains(made) != expected {
                faults.push(format!(
                    "{} {} expected {expected} on {source}: {record}",
                    rule.id,
                    rule.outcome.name()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
    assert!(exact >= 40 && compared > 10_000 && fired > 300, "{exact} {compared} {fired}");
    assert!(by_bus[0] > 10_000 && by_bus[1] > 300, "{by_bus:?}");
}

/// A set of the user's own rules beside the decoders that ship.
fn own(rules: &str) -> RuleSet {
    let text = RuleText { path: "own.xml".into(), text: rules.as_bytes().to_vec(), origin: Origin::User };
    let loaded = load(Texts::rules_only(vec![text]));
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded.set
}

/// What became of a rule, and the text of all files.
fn outcome(rules: &str, id: &str) -> (Outcome, String) {
    let (conversion, _) = checked(&own(rules));
    let found = conversion.rules.iter().find(|rule| rule.id == id).unwrap();
    (found.outcome.clone(), conversion.files.iter().map(|file| file.text.as_str()).collect())
}

#[test]
fn conditions_become_items() {
    let aws = r#"<field name="integration">aws</field><field name="aws.source">cloudtrail</field>"#;
    for (conditions, detection) in [
        (r#"<field name="aws.eventName">^StopLogging$|^Delete</field>"#, "eventName: StopLogging"),
        (r#"<field name="aws.eventName">^StopLogging$|^Delete</field>"#, "eventName|startswith: Delete"),
        (r#"<field name="aws.eventName" type="pcre2">^Del</field>"#, "eventName|startswith|cased: Del"),
        (r#"<field name="aws.eventName" type="pcre2">^a.c$</field>"#, "eventName|re: '^a.c$'"),
        (
            r#"<field name="aws.eventName" type="osmatch">a*b?\\c</field>"#,
            r"eventName|contains: 'a\*b\?\\\c'",
        ),
        (r#"<field name="aws.errorCode">\.+</field>"#, "errorCode: '?*'"),
        (r#"<field name="aws.errorCode" negate="yes">^X$</field>"#, " and not filter"),
        // A bus names the service, which trails do not.
        (r#"<field name="aws.errorCode">\.+</field>"#, "        -   aws.source|exists: false\n"),
        (r#"<field name="aws.errorCode">\.+</field>"#, "        -   aws.source|contains: cloudtrail\n"),
        (r#"<field name="aws.errorCode" negate="yes">^X$</field>"#, "errorCode: '*'"),
        (r#"<field name="aws.source_ip_address">^10.</field>"#, "sourceIPAddress|startswith: '10.'"),
    ] {
        let rules = format!(
            r#"<group name="g,"><rule id="100001" level="5"><decoded_as>json</decoded_as>{aws}{conditions}<description>d</description></rule></group>"#
        );
        let (outcome, text) = outcome(&rules, "100001");
        assert_eq!(outcome, Outcome::Converted, "{conditions}");
        assert!(text.contains("    product: aws\n    service: cloudtrail\n"), "{text}");
        assert!(text.contains(detection), "{conditions}\n{text}");
    }
}

#[test]
fn rules_for_a_service_of_an_event_bus_ask_for_it() {
    for (source, items) in [
        (r#"<field name="aws.source">^kms$</field>"#, "        aws.source: kms\n"),
        (
            r#"<field name="aws.source" negate="yes">^kms$|^cloudtrail$|^guardduty$</field>"#,
            "        aws.source: '*'\n",
        ),
    ] {
        let rules = format!(
            r#"<group name="g,"><rule id="100001" level="5"><decoded_as>json</decoded_as><field name="integration">aws</field>{source}<description>d</description></rule></group>"#
        );
        let (outcome, text) = outcome(&rules, "100001");
        assert_eq!(outcome, Outcome::Converted, "{source}");
        assert!(text.contains("    product: aws\n") && text.contains(items), "{text}");
        let set = own(&rules);
        let sigma =
            crate::sigma::load(&sigma_texts(&to_sigma(&set, &everything)), &Placeholders::default()).set;
        let mut both = Judge::new(&RuleSet { sigma, ..set });
        for (source, matches) in [
            ("aws.kms", items.contains("kms")),
            ("aws.ec2", !items.contains("kms")),
            ("aws.cloudtrail", false),
        ] {
            let record = format!(r#"{{"source":"{source}","detail":{{"eventName":"X"}}}}"#);
            let (verdict, matched) = both.say("aws.eventbridge", &record);
            assert_eq!((verdict.is_some(), matched.len() == 1), (matches, matches), "{record}");
        }
    }
}

#[test]
fn a_way_that_contradicts_the_log_source_is_none() {
    let rules = r#"<group name="g,"><rule id="100001" level="5"><decoded_as>json</decoded_as>
        <field name="integration">aws</field><field name="aws.source">cloudtrail</field><field name="eventName">x</field>
        <description>d</description></rule></group>"#;
    let (outcome, _) = outcome(rules, "100001");
    assert!(matches!(outcome, Outcome::Impossible(_)), "{outcome:?}");
}

#[test]
fn rules_that_count_become_correlations() {
    let rules = r#"<group name="g,"><rule id="100001" level="5"><decoded_as>json</decoded_as>
        <field name="integration">aws</field><field name="aws.source">cloudtrail</field><field name="aws.eventName">^ConsoleLogin$</field>
        <description>d</description></rule>
        <rule id="100002" level="10" frequency="5" timeframe="600"><if_matched_sid>100001</if_matched_sid>
        <same_field>aws.sourceIPAddress</same_field><description>many</description></rule></group>"#;
    let (first, text) = outcome(rules, "100001");
    assert_eq!(first, Outcome::Converted);
    let expected = "    type: event_count\n    rules:\n        - wazuh_100001\n    group-by:\n        - sourceIPAddress\n    timespan: 10m\n    condition:\n        gte: 5\n    generate: true\n";
    assert!(text.contains(expected), "{text}");
    let (Outcome::Differs(remarks), _) = outcome(rules, "100002") else { panic!("counts differ") };
    assert_eq!(remarks.len(), 1, "{remarks:?}");
}
