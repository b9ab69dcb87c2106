//! The oracle against small cases, and against the reference's recorded results where these are at hand.

use std::path::{Path, PathBuf};

use super::json::Json;
use super::*;
use crate::wazuh::tests::compat;
use crate::wazuh::{Names, Origin, RuleText, load};

const DECODERS: &[&str] = &["json", "json-msgraph", "azure-storage"];
const ROOTS: &str = include_str!("../../rules/0010-roots.xml");

fn tree(files: &[(&str, String)]) -> RuleTree {
    let file = |path: &str, text: &str| RuleText {
        path: path.into(),
        text: text.as_bytes().to_vec(),
        origin: Origin::User,
    };
    let roots = [file("0010-roots.xml", ROOTS)];
    let files: Vec<RuleText> =
        roots.into_iter().chain(files.iter().map(|(path, text)| file(path, text))).collect();
    let loaded = load(&files, &Names { decoders: DECODERS, lists: &[] });
    assert_eq!(loaded.diagnostics, []);
    loaded.tree
}

fn id(tree: &RuleTree, event: &str) -> Option<u32> {
    evaluate(tree, event.as_bytes()).rule.map(|rule| tree.rules[rule as usize].id)
}

/// Rules in one group; the elements of each without its description.
fn rules(rules: &[(&str, &str)]) -> RuleTree {
    let rule = |(attributes, elements): &(&str, &str)| {
        format!("<rule {attributes}>{elements}<description>d</description></rule>")
    };
    let text = format!("<group name='t,'>{}</group>", rules.iter().map(rule).collect::<String>());
    tree(&[("t.xml", text)])
}

#[test]
fn the_deepest_match_of_the_first_branch_wins() {
    let tree = rules(&[
        ("id='11' level='3'", "<match>a</match>"),
        ("id='12' level='9'", "<match>b</match>"),
        ("id='13' level='1'", "<if_sid>11</if_sid><match>c</match>"),
        ("id='14' level='0'", "<if_sid>13</if_sid><match>d</match>"),
    ]);
    let cases = [
        ("x", None),
        ("a", Some(11)),
        ("ab", Some(12)),
        ("abc", Some(12)),
        ("ac", Some(13)),
        ("acd", Some(14)),
    ];
    for (event, expected) in cases {
        assert_eq!(id(&tree, event), expected, "{event}");
    }
}

#[test]
fn noalert_gives_way_to_its_siblings() {
    let tree = rules(&[
        ("id='11' level='9' noalert='1'", "<match>a</match>"),
        ("id='12' level='3'", "<match>a</match>"),
        ("id='13' level='3'", "<if_sid>11</if_sid><match>b</match>"),
    ]);
    assert_eq!((id(&tree, "a"), id(&tree, "ab")), (Some(12), Some(13)));
}

#[test]
fn a_missing_field_fails_even_when_negated() {
    let tree = rules(&[("id='11' level='3'", "<field name='A.b' negate='yes'>^x</field>")]);
    assert_eq!(id(&tree, r#"{"a":{"B":"y"}}"#), Some(11));
    assert_eq!(id(&tree, r#"{"a":{"B":"x"}}"#), None);
    assert_eq!(id(&tree, r#"{"a":{"c":"y"}}"#), None);
}

#[test]
fn decoder_size_and_category_are_conditions() {
    let tree = rules(&[
        ("id='11' level='3' maxsize='10'", "<decoded_as>json</decoded_as>"),
        ("id='12' level='9'", "<category>ossec</category>"),
    ]);
    assert_eq!(id(&tree, r#"{"a":1234}"#), Some(11));
    assert_eq!(id(&tree, r#"{"a":123}"#), None);
    assert_eq!(id(&tree, r#"[{"a":1234}]"#), None);
}

#[test]
fn decoders_are_chosen_by_the_text() {
    let tree = rules(&[("id='11' level='3'", "")]);
    for (event, decoder, fields) in [
        ("{  \"a\":1} tail", Some("json"), vec![("a", "1")]),
        ("{\"a\":", Some("json"), vec![]),
        ("{\t\"a\":1}", None, vec![]),
        (" {\"a\":1}", None, vec![]),
        (
            "{\"Integration\":\"MS-graph\",\"b\":null}",
            Some("json-msgraph"),
            vec![("Integration", "MS-graph")],
        ),
        ("AZURE_tag: azure-storage. azure_storage_tag: iis. x", Some("azure-storage"), vec![("tag", "iis.")]),
        ("azure_tag: azure-storage. other", Some("azure-storage"), vec![]),
        ("text", None, vec![]),
    ] {
        let verdict = evaluate(&tree, event.as_bytes());
        assert_eq!(verdict.decoder.as_deref(), decoder, "{event}");
        let expected: Vec<(String, String)> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(verdict.fields, expected, "{event}");
    }
}

fn enveloped(source: &str, raw: &str, facts: &[(&str, &str)]) -> String {
    let facts: Vec<(String, String)> =
        facts.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    String::from_utf8(envelope(source, raw.as_bytes(), &facts).unwrap()).unwrap()
}

#[test]
fn cloudtrail_envelope() {
    let raw = r#"{"a":null,"b":{"c":null,"d":[{"e":[1]}]},"l":[null],"sourceIPAddress":"1.2.3.4","tags":["x","y"],
        "responseElements":["a","it's",true,null,1.5],"additionalEventData":false,
        "requestParameters":{"disableApiTermination":true},"n":1.50,"n":2.50}"#;
    assert_eq!(
        enveloped("aws.cloudtrail", raw, &[("log_file", "k"), ("s3bucket", "b"), ("aws_account_id", "1")]),
        r#"{"integration":"aws","aws":{"log_info":{"aws_account_alias":"","log_file":"k","s3bucket":"b"},"b":{"d":{"e":[1]}},"l":null,"sourceIPAddress":"1.2.3.4","tags":{"value":["x","y"]},"responseElements":{"string":"['a', \"it's\", True, None, 1.5]"},"additionalEventData":{"string":"False"},"requestParameters":{"disableApiTermination":{"value":true}},"n":2.50,"source":"cloudtrail","aws_account_id":"1","source_ip_address":"1.2.3.4"}}"#
    );
    let name = enveloped("aws.cloudtrail", r#"{"sourceIPAddress":"ec2.amazonaws.com"}"#, &[]);
    assert!(!name.contains("source_ip_address"), "{name}");
}

#[test]
fn azure_envelopes() {
    assert_eq!(
        enveloped("azure.log_analytics", r#"{"a":null}"#, &[("tag", "t")]),
        r#"{"a":null,"azure_tag":"azure-log-analytics","log_analytics_tag":"t"}"#
    );
    assert_eq!(
        enveloped("azure.graph", r#"{"initiatedBy":{"app":null,"user":{"id":1}},"status":"x"}"#, &[]),
        r#"{"initiatedBy":{"user":{"id":1}},"azure_tag":"azure-ad-graph"}"#
    );
    assert_eq!(
        enveloped("azure.storage", r#"{"a":1}"#, &[("tag", "t")]),
        r#"{"azure_tag":"azure-storage","azure_storage_tag":"t","a":1}"#
    );
    assert_eq!(
        enveloped("azure.storage", "a b", &[("tag", "t"), ("content_type", "text")]),
        "azure_tag: azure-storage. azure_storage_tag: t. a b"
    );
    assert_eq!(envelope("azure.storage", b"[1]", &[]), None);
    assert_eq!(envelope("no.such.source", b"{}", &[]), None);
}

/// One recorded case.
struct Case {
    id: String,
    source: String,
    raw: Vec<u8>,
    facts: Vec<(String, String)>,
    event: String,
    decoder: Option<String>,
    rule: Option<u32>,
}

fn cases(folder: &Path, suite: &str) -> Vec<Case> {
    let path = folder.join("cloud").join(format!("{suite}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| case(&Json::parse(line.as_bytes()).unwrap())).collect()
}

fn case(line: &Json) -> Case {
    let text = |json: Option<&Json>| json.and_then(Json::as_text).map(str::to_owned);
    let raw = match line.get("raw").unwrap() {
        Json::Text(line) => line.clone(),
        object => {
            let mut out = String::new();
            object.write(&mut out);
            out
        }
    };
    let Some(Json::Object(context)) = line.get("context") else { panic!("no context") };
    let facts = context
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_text()?.to_owned())))
        .collect();
    let Some(Json::Array(events)) = line.get("events") else { panic!("no events") };
    let expect = line.get("expect").unwrap();
    Case {
        id: text(line.get("id")).unwrap(),
        source: text(line.get("source")).unwrap(),
        raw: raw.into_bytes(),
        facts,
        event: text(events.first()).unwrap(),
        decoder: text(expect.get("decoder")),
        rule: text(expect.get("rule")).map(|rule| rule.parse().unwrap()),
    }
}

const SUITES: &[&str] =
    &["aws_cloudtrail", "azure_log_analytics", "azure_posture", "azure_graph", "azure_storage"];

#[test]
fn envelopes_are_those_of_the_reference() {
    let Some(folder) = compat() else { return };
    for suite in SUITES {
        let cases = cases(&folder, suite);
        for case in &cases {
            let own = envelope(&case.source, &case.raw, &case.facts).unwrap();
            if case.event.starts_with('{') {
                // Order and repeats included, blanks not.
                assert_eq!(Json::parse(&own), Json::parse(case.event.as_bytes()), "{}", case.id);
            } else {
                assert_eq!(String::from_utf8(own).unwrap(), case.event, "{}", case.id);
            }
        }
        println!("{suite}: {} envelopes agree", cases.len());
    }
}

#[test]
fn azure_verdicts_are_those_of_the_reference() {
    let Some(folder) = compat() else { return };
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    let tree = tree(&[
        ("0555-azure_rules.xml", read("homes/stock/ruleset/rules/0555-azure_rules.xml")),
        ("azure_posture.xml", read("cloud/azure_posture.xml")),
    ]);
    let naive = Naive::new(&tree);
    for suite in &SUITES[1..] {
        let cases = cases(&folder, suite);
        for case in &cases {
            let own = envelope(&case.source, &case.raw, &case.facts).unwrap();
            for event in [case.event.as_bytes(), &own] {
                let verdict = naive.evaluate(event);
                let rule = verdict.rule.map(|rule| tree.rules[rule as usize].id);
                assert_eq!((&verdict.decoder, rule), (&case.decoder, case.rule), "{}", case.id);
            }
        }
        println!("{suite}: {} verdicts agree", cases.len());
    }
}

/// With the whole public rule set, as far as this version loads it: cases whose rule is loaded must agree.
#[test]
fn cloud_verdicts_are_those_of_the_reference() {
    let Some(folder) = compat() else { return };
    let files_in = |path: &str, ending: &str| {
        let entries = std::fs::read_dir(folder.join(path)).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> =
            entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
        paths.sort();
        paths
    };
    let mut paths = files_in("homes/stock/ruleset/rules", ".xml");
    paths.push(folder.join("cloud/azure_posture.xml"));
    let text = |path: &PathBuf| RuleText {
        path: path.to_string_lossy().into(),
        text: std::fs::read(path).unwrap(),
        origin: Origin::User,
    };
    let tree =
        load(&paths.iter().map(text).collect::<Vec<_>>(), &Names { decoders: DECODERS, lists: &[] }).tree;
    let naive = Naive::new(&tree);
    let is_loaded = |id: u32| tree.rules.iter().any(|rule| rule.id == id);
    let (mut agreeing, mut left_out) = (0, 0);
    for path in files_in("cloud", ".jsonl") {
        for case in cases(&folder, &path.file_stem().unwrap().to_string_lossy()) {
            if case.rule.is_some_and(|rule| !is_loaded(rule)) {
                left_out += 1;
                continue;
            }
            let verdict = naive.evaluate(case.event.as_bytes());
            let rule = verdict.rule.map(|rule| tree.rules[rule as usize].id);
            assert_eq!((&verdict.decoder, rule), (&case.decoder, case.rule), "{}", case.id);
            agreeing += 1;
        }
    }
    println!("{agreeing} verdicts agree, {left_out} cases need rules that are not loaded");
    assert!(agreeing > left_out);
}
