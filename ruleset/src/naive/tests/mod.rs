//! The oracle against small cases. That it says what the reference said is shown by the differential tests.

mod decoding;
mod state;

use super::*;
use crate::decode::tree::tests::{empty, order, os_regex};
use crate::diagnostic::{Diagnostic, Severity};
use crate::ir::{Category, Decoder, DecoderTree, List, Offset, Plugin, StaticField, Test};
use crate::wazuh::{Names, Origin, RuleText, load};

const ROOTS: &str = include_str!("../../../rules/0010-roots.xml");

/// The decoders of cloud events.
fn cloud_decoders() -> DecoderTree {
    let json = |name: &str, prematch: &str| Decoder {
        prematch: os_regex(prematch, Offset::Log),
        plugin: Some((Plugin::Json, Offset::Log)),
        ..empty(name)
    };
    let msgraph = Decoder { discard_null: true, ..json("json-msgraph", "\"integration\":\"ms-graph\"") };
    let storage = Decoder {
        prematch: os_regex("^azure_tag: azure-storage. ", Offset::Log),
        regex: os_regex(r"^azure_storage_tag: (\S+)", Offset::AfterPrematch),
        order: order("tag"),
        ..empty("azure-storage")
    };
    DecoderTree {
        decoders: vec![msgraph, json("json", "^{\\s*\""), storage],
        without_program: vec![0, 1, 2],
        ..DecoderTree::default()
    }
}

/// The set of rule files with some decoders and lists.
fn set_of(files: &[(&str, String)], decoders: DecoderTree, lists: Vec<List>) -> RuleSet {
    let file = |path: &str, text: &str| RuleText {
        path: path.into(),
        text: text.as_bytes().to_vec(),
        origin: Origin::User,
    };
    let roots = [file("0010-roots.xml", ROOTS)];
    let files: Vec<RuleText> =
        roots.into_iter().chain(files.iter().map(|(path, text)| file(path, text))).collect();
    let decoder_names: Vec<&str> = decoders.decoders.iter().map(|decoder| decoder.name.as_str()).collect();
    let list_names: Vec<&str> = lists.iter().map(|list| list.name.as_str()).collect();
    let loaded = load(&files, &Names { decoders: &decoder_names, lists: &list_names });
    let is_error = |fault: &&Diagnostic| fault.severity == Severity::Error;
    assert_eq!(loaded.diagnostics.iter().find(is_error), None);
    RuleSet { tree: loaded.tree, decoders, lists, ..RuleSet::default() }
}

fn verdict(set: &RuleSet, event: &str) -> NaiveVerdict {
    Naive::new(set).evaluate(&mut NaiveMemory::default(), &NaiveEvent::new(event.as_bytes()))
}

fn id(set: &RuleSet, event: &str) -> Option<u32> {
    verdict(set, event).id
}

fn group(rules: &[(&str, &str)]) -> String {
    let rule = |(attributes, elements): &(&str, &str)| {
        format!("<rule {attributes}>{elements}<description>d</description></rule>")
    };
    format!("<group name='t,'>{}</group>", rules.iter().map(rule).collect::<String>())
}

/// Rules in one group; the elements of each without its description.
fn rules(rules: &[(&str, &str)]) -> RuleSet {
    set_of(&[("t.xml", group(rules))], cloud_decoders(), Vec::new())
}

#[test]
fn the_deepest_match_of_the_first_branch_wins() {
    let set = rules(&[
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
        assert_eq!(id(&set, event), expected, "{event}");
    }
}

#[test]
fn noalert_gives_way_to_its_siblings() {
    let set = rules(&[
        ("id='11' level='9' noalert='1'", "<match>a</match>"),
        ("id='12' level='3'", "<match>a</match>"),
        ("id='13' level='3'", "<if_sid>11</if_sid><match>b</match>"),
    ]);
    assert_eq!((id(&set, "a"), id(&set, "ab")), (Some(12), Some(13)));
}

#[test]
fn a_missing_field_fails_even_when_negated() {
    let set = rules(&[("id='11' level='3'", "<field name='A.b' negate='yes'>^x</field>")]);
    assert_eq!(id(&set, r#"{"a":{"B":"y"}}"#), Some(11));
    assert_eq!(id(&set, r#"{"a":{"B":"x"}}"#), None);
    assert_eq!(id(&set, r#"{"a":{"c":"y"}}"#), None);
}

#[test]
fn decoder_size_and_category_are_conditions() {
    let set = rules(&[
        ("id='11' level='3' maxsize='10'", "<decoded_as>json</decoded_as>"),
        ("id='12' level='9'", "<category>ossec</category>"),
    ]);
    assert_eq!(id(&set, r#"{"a":1234}"#), Some(11));
    assert_eq!(id(&set, r#"{"a":123}"#), None);
    assert_eq!(id(&set, r#"[{"a":1234}]"#), None);
}

#[test]
fn decoders_are_chosen_by_the_text() {
    let set = rules(&[("id='11' level='3'", "")]);
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
        let verdict = verdict(&set, event);
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
