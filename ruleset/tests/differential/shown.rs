//! What the oracle does not make: descriptions with their references, and conditions on what a header leaves.

use threatlockdown_ruleset::matcher::Identity;

use crate::harness::{Engine, facts, file};

fn engine(rules: &str) -> Engine {
    Engine::new(vec![file("s.xml", format!("<group name=\"s,\">{rules}</group>"))], false)
}

/// Engine with one rule that matches everything.
fn describing(description: &str) -> Engine {
    engine(&format!("<rule id=\"100000\" level=\"3\"><description>{description}</description></rule>"))
}

fn description(engine: &mut Engine, source: &str, record: &str) -> String {
    engine.show(source, record.as_bytes(), &facts(&[("tag", "t1")])).unwrap().1
}

#[test]
fn references_to_static_fields_are_exact_and_the_last_counts() {
    let mut engine = describing("$(id)|$(status)|$(system_name)|$(systemname)|$(dstuser)|$(user)|$(Other)");
    for (record, expected) in [
        (r#"{"id":1,"ID":2,"id":3,"Status":"no","other":"o"}"#, "3||||||o"),
        (r#"{"status":null,"systemname":"s","SystemName":"t","system_name":"no"}"#, "|null|s|t|||"),
        (r#"{"user":"u","User":"v"}"#, "||||u|v|"),
        (r#"{"user":"u","dstuser":"d"}"#, "||||d||"),
        (r#"{"dstuser":"d","user":"u"}"#, "||||d|u|"),
        (r#"{"user":"u","user":"v"}"#, "||||u|v|"),
        (r#"{"a":{"id":1},"id":{"b":2},"id":[3]}"#, "[3]||||||"),
    ] {
        assert_eq!(description(&mut engine, "json", record), expected, "{record}");
    }
    // Below `aws` nothing is static.
    assert_eq!(description(&mut engine, "aws.cloudtrail", r#"{"id":1,"user":"u"}"#), "||||||");
    // Texts and nulls of this name are left out of Graph's reports.
    assert_eq!(description(&mut engine, "azure.graph", r#"{"id":1,"status":"x"}"#), "1||||||");
}

#[test]
fn references_to_the_header_and_to_the_tag() {
    let mut engine = describing("$(hostname)|$(program_name)|$(tag)|$(azure_storage_tag)");
    for (source, record, expected) in [
        ("syslog", "Dec 29 10:00:01 host app[1]: x", "host|app||"),
        ("syslog", "x", "|||"),
        ("syslog", r#"{"hostname":"no","program_name":"no","tag":"own"}"#, "||own|"),
        ("syslog", "azure_tag: azure-storage. azure_storage_tag: iis. x", "||iis.|"),
        ("azure.storage", r#"{"tag":"own"}"#, "||own|t1"),
    ] {
        assert_eq!(description(&mut engine, source, record), expected, "{record}");
    }
}

/// What identifies the event of a record.
fn identity(source: &str, record: &str) -> [Option<String>; 4] {
    let mut engine = describing("d");
    let Identity { key, account, region, time } = engine.identify(source, record.as_bytes());
    [key, account, region, time]
}

#[test]
fn an_event_is_identified_where_its_mapping_says() {
    let finding = r#"{"id":"f","updatedAt":"t2","createdAt":"t1","accountId":"1","region":"eu-west-2"}"#;
    let wrapped = format!(
        r#"{{"id":"w","source":"aws.guardduty","detail":{finding},"account":"2","time":"t3","region":"us-east-1"}}"#
    );
    let some = |texts: [&str; 4]| texts.map(|text| (!text.is_empty()).then(|| text.to_owned()));
    for (source, record, expected) in [
        ("aws.guardduty", finding, ["f\nt2", "1", "eu-west-2", "t2"]),
        ("aws.guardduty", &wrapped, ["f\nt2", "1", "eu-west-2", "t2"]),
        ("aws.eventbridge", &wrapped, ["w", "2", "us-east-1", "t3"]),
        ("k8s.audit", r#"{"auditID":"a","stage":"Panic"}"#, ["a\nPanic", "", "", ""]),
        ("k8s.audit", r#"{"stage":"Panic"}"#, ["", "", "", ""]),
        ("github", r#"{"_document_id":"d","org":"o","created_at":5}"#, ["d", "o", "", "5"]),
        (
            "docker",
            r#"{"timeNano":1709366471123456789,"time":1}"#,
            ["", "", "", "1709366471123456768.000000"],
        ),
        ("office365", r#"{"integration":"office365","office365":{"Id":"i"}}"#, ["i", "", "", ""]),
    ] {
        assert_eq!(identity(source, record), some(expected), "{source} {record}");
    }
}

#[test]
fn references_to_the_service_that_a_wrapper_names() {
    let mut engine = describing("$(aws.source)|$(aws.trigger)|$(integration)");
    for (record, expected) in [
        (r#"{"source":"aws.kms","detail":{"source":"no","trigger":"t"}}"#, "kms|t|aws"),
        (r#"{"source":"aws.macie","detail":{"trigger":"t"}}"#, "macie||aws"),
        (r#"{"source":"own","trigger":"t"}"#, "own|t|aws"),
    ] {
        assert_eq!(description(&mut engine, "aws.eventbridge", record), expected, "{record}");
    }
}

#[test]
fn a_description_that_grows_too_long_is_shown_unresolved() {
    let mut engine = describing("[$(A.b)] costs $5");
    let around = "[] costs $5".len();
    let record = |length| format!(r#"{{"a":{{"B":"{}"}}}}"#, "x".repeat(length));
    assert_eq!(description(&mut engine, "json", &record(1023 - around)).len(), 1023);
    assert_eq!(description(&mut engine, "json", &record(1024 - around)), "[$(A.b)] costs $5");
    assert_eq!(description(&mut engine, "json", &record(1 << 20)), "[$(A.b)] costs $5");
}

#[test]
fn the_size_of_an_event_is_that_of_its_log() {
    let mut engine = engine(
        "<rule id=\"100000\" level=\"3\" maxsize=\"10\"><description>d</description></rule>\
         <rule id=\"100001\" level=\"2\"><description>d</description></rule>",
    );
    for (line, rule) in [
        ("0123456789", "100000"),
        ("012345678", "100001"),
        ("Dec 29 10:00:01 host app: 012345678", "100001"),
        ("Dec 29 10:00:01 host app: 0123456789", "100000"),
        ("012345678\0more", "100001"),
    ] {
        assert_eq!(engine.say("syslog", line.as_bytes(), &[]).unwrap().rule.as_deref(), Some(rule), "{line}");
    }
}

#[test]
fn conditions_do_not_see_static_fields() {
    let mut engine = engine(
        "<rule id=\"100000\" level=\"3\"><field name=\"ID\">x</field><description>d</description></rule>\
         <rule id=\"100001\" level=\"2\"><field name=\"a.id\">x</field><description>d</description></rule>\
         <rule id=\"100002\" level=\"1\"><field name=\"USER\">x</field><description>d</description></rule>",
    );
    for (record, rule) in [
        (r#"{"id":"x"}"#, None),
        (r#"{"Id":"x"}"#, Some("100000")),
        (r#"{"id":"x","iD":"x"}"#, Some("100000")),
        (r#"{"a":{"id":"x"}}"#, Some("100001")),
        (r#"{"user":"x"}"#, None),
        (r#"{"dstuser":"x","user":"x"}"#, Some("100002")),
    ] {
        assert_eq!(engine.say("json", record.as_bytes(), &[]).unwrap().rule.as_deref(), rule, "{record}");
    }
}

#[test]
fn lines_with_a_program_have_no_json() {
    let mut engine = engine(
        "<rule id=\"100000\" level=\"3\"><field name=\"a\">1</field><description>d</description></rule>\
         <rule id=\"100001\" level=\"2\"><match>a</match><description>d</description></rule>",
    );
    for (line, verdict) in [
        (r#"{"a":1}"#, (Some("json"), Some("100000"))),
        (r#"Dec 29 10:00:01 host {"a":1}"#, (Some("json"), Some("100000"))),
        (r#"Dec 29 10:00:01 host app: {"a":1}"#, (None, Some("100001"))),
    ] {
        assert_eq!(engine.say("syslog", line.as_bytes(), &[]).unwrap().verdict(), verdict, "{line}");
    }
}
