//! Published Sigma rules on raw records: one rule fires whichever way a provider's record came, on what the record says
//! in its own words, and on records of its kind alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::sigma::SigmaText;
use threatlockdown_ruleset::{Origin, Texts, load};

fn program(rules: &[&str]) -> Arc<Program> {
    let sigma = rules.iter().zip(0..).map(|(rule, index)| SigmaText {
        path: format!("{index}.yml").into(),
        text: rule.as_bytes().to_vec(),
        origin: Origin::User,
    });
    let texts = Texts { sigma: sigma.collect(), ..Texts::builtin_decoders() };
    let loaded = load(texts);
    assert_eq!(loaded.diagnostics, []);
    loaded.program.unwrap()
}

/// Titles of the rules that fire.
fn fired(program: &Program, source: &str, record: &str) -> Vec<String> {
    let context = Context {
        source: source.into(),
        connector: "test".into(),
        location: "test".into(),
        account: None,
        envelope: Vec::new(),
        origin: "test".into(),
        origin_id: [0; 16],
    };
    let binding = program.binding(source);
    let input = Input { binding, record: record.as_bytes(), context: &context, received: Millis(0) };
    let mut scratch = Scratch::new(program);
    program
        .evaluate(&mut scratch, &input, |verdict| {
            verdict.sigma().map(|(_, rule)| rule.head.title.clone()).collect()
        })
        .unwrap()
}

/// `title` is also what the rule asks for, so that failures name it.
fn rule(title: &str, logsource: &str, detection: &str) -> String {
    format!("title: {title}\nlogsource: {{{logsource}}}\ndetection:\n{detection}\n")
}

#[test]
fn one_rule_fires_on_all_layouts_of_an_audit_record() {
    let audit = "product: azure, service: auditlogs";
    let rules = [
        rule("message", audit, "  s: {properties.message: Add user, Status: Success}\n  condition: s"),
        rule("column", audit, "  s: {OperationName: Add user, Category: UserManagement}\n  condition: s"),
        rule("member", audit, "  s: {operationName: Add user, properties.result: success}\n  condition: s"),
        rule(
            "target",
            audit,
            "  s: {TargetResources.modifiedProperties.newValue|contains: a@b.c}\n  condition: s",
        ),
        rule(
            "activity",
            audit,
            "  s: {ActivityType|contains: add user, LoggedByService: Core Directory}\n  condition: s",
        ),
    ];
    let program = program(&rules.each_ref().map(String::as_str));
    let body = r#""activityDisplayName":"Add user","category":"UserManagement","result":"success",
        "loggedByService":"Core Directory","targetResources":[{"type":"User","modifiedProperties":[
        {"displayName":"UserPrincipalName","newValue":"[\"a@b.c\"]"}]}]"#;
    let stored = format!(
        r#"{{"time":"2025-01-01T00:00:00Z","operationName":"Add user","category":"AuditLogs","properties":{{{body}}}}}"#
    );
    let graph = format!(r#"{{"id":"1","activityDateTime":"2025-01-01T00:00:00Z",{body}}}"#);
    let row = r#"{"TimeGenerated":"2025-01-01T00:00:00Z","TenantId":"t","Type":"AuditLogs","OperationName":"Add user",
        "ActivityDisplayName":"Add user","Category":"UserManagement","Result":"success","LoggedByService":"Core Directory",
        "TargetResources":[{"type":"User","modifiedProperties":[{"displayName":"UserPrincipalName","newValue":"[\"a@b.c\"]"}]}]}"#;
    let all = ["message", "column", "member", "target", "activity"];
    for (source, record) in [
        ("azure.storage", &*stored),
        ("azure.graph", &graph),
        ("ms_graph", &graph),
        ("azure.log_analytics", row),
    ] {
        assert_eq!(fired(&program, source, record), all, "{source}");
    }
    assert_eq!(fired(&program, "json", &stored), [""; 0]);
}

#[test]
fn one_rule_fires_on_all_layouts_of_a_sign_in() {
    let sign_in = "product: azure, service: signinlogs";
    let rules = [
        rule(
            "disabled",
            sign_in,
            "  s: {ResultType: 50057, Username: u, ResourceDisplayName: r}\n  condition: s",
        ),
        rule("app", sign_in, "  s: {resultType: 50057, properties.appId: a, location: FR}\n  condition: s"),
        rule("reason", sign_in, "  s: {ResultDescription: Failure}\n  condition: s"),
        rule("device", sign_in, "  s: {DeviceDetail.isCompliant: 'false'}\n  condition: s"),
    ];
    let program = program(&rules.each_ref().map(String::as_str));
    let body = r#""userPrincipalName":"u","appId":"a","resourceDisplayName":"r","conditionalAccessStatus":"notApplied",
        "status":{"errorCode":50057,"failureReason":"User account is disabled."},"deviceDetail":{"isCompliant":false},
        "location":{"countryOrRegion":"FR"}"#;
    let stored = format!(
        r#"{{"operationName":"Sign-in activity","category":"SignInLogs","resultType":"50057","location":"FR",
        "resultDescription":"User account is disabled.","properties":{{{body}}}}}"#
    );
    let graph = format!("{{{body}}}");
    let row = r#"{"Type":"SigninLogs","OperationName":"Sign-in activity","ResultType":"50057","Location":"FR","AppId":"a",
        "ResultDescription":"User account is disabled.","UserPrincipalName":"u","ResourceDisplayName":"r",
        "DeviceDetail":{"isCompliant":false}}"#;
    for (source, record) in [
        ("azure.storage", &*stored),
        ("azure.graph", &graph),
        ("ms_graph", &graph),
        ("azure.log_analytics", row),
    ] {
        assert_eq!(fired(&program, source, record), ["disabled", "app", "reason", "device"], "{source}");
    }
}

#[test]
fn rules_look_at_records_of_their_kind_alone() {
    let rules = [
        rule("sign-in", "product: azure, service: signinlogs", "  f: {resultType: 0}\n  condition: not f"),
        rule("audit", "product: azure, service: auditlogs", "  f: {Status: Success}\n  condition: not f"),
        rule("activity", "product: azure, service: activitylogs", "  f: {level: x}\n  condition: not f"),
        rule("any", "product: azure", "  f: {level: x}\n  condition: not f"),
    ];
    let program = program(&rules.each_ref().map(String::as_str));
    let sign_in = r#"{"operationName":"Sign-in activity","category":"SignInLogs","resultType":"50126"}"#;
    let audit = r#"{"operationName":"Add user","properties":{"loggedByService":"Core Directory","result":"failure"}}"#;
    assert_eq!(fired(&program, "azure.storage", sign_in), ["sign-in", "activity", "any"]);
    assert_eq!(fired(&program, "azure.storage", audit), ["audit", "activity", "any"]);
    // A source that is one log has no kinds to be told apart.
    assert_eq!(fired(&program, "azure.activity", audit), ["activity", "any"]);
}

#[test]
fn what_a_record_says_in_its_own_words_counts() {
    for (source, logsource, selection, yes, no) in [
        (
            "office365",
            "product: m365, service: threat_management",
            "{eventSource: SecurityComplianceCenter, eventName: Impossible travel activity, status: success}",
            r#"{"Workload":"MCAS","AlertDisplayName":"Impossible travel activity","ResultStatus":"New","Operation":"O"}"#,
            r#"{"Workload":"MCAS","AlertDisplayName":"Impossible travel activity","ResultStatus":"Failed","Operation":"O"}"#,
        ),
        (
            "aws.cloudtrail",
            "product: aws, service: cloudtrail",
            "{eventName: DeleteSAMLProvider, status: success}",
            r#"{"eventName":"DeleteSAMLProvider"}"#,
            r#"{"eventName":"DeleteSAMLProvider","errorCode":"AccessDenied"}"#,
        ),
        (
            "azure.graph",
            "product: azure, service: pim",
            "{riskEventType: staleSignInAlertIncident}",
            r##"{"id":"a","alertIncidents":[{"@odata.type":"#microsoft.graph.staleSignInAlertIncident"}]}"##,
            r##"{"id":"a","alertIncidents":[{"@odata.type":"#microsoft.graph.invalidLicenseAlertIncident"}]}"##,
        ),
        (
            "gcp.pubsub",
            "product: gcp, service: gcp.audit",
            "{gcp.audit.method_name|endswith: .serviceAccounts.delete}",
            r#"{"protoPayload":{"methodName":"google.iam.admin.v1.DeleteServiceAccount"}}"#,
            r#"{"protoPayload":{"methodName":"google.iam.admin.v1.GetServiceAccount"}}"#,
        ),
        (
            "gcp.pubsub",
            "product: gcp, service: google_workspace.admin",
            "{eventService: admin.googleapis.com, eventName: DELETE_ROLE}",
            r#"{"protoPayload":{"serviceName":"admin.googleapis.com","metadata":{"event":[{"eventName":"DELETE_ROLE"}]}}}"#,
            r#"{"protoPayload":{"serviceName":"login.googleapis.com","metadata":{"event":[{"eventName":"DELETE_ROLE"}]}}}"#,
        ),
        (
            "k8s.audit",
            "product: kubernetes, service: audit, category: application",
            "{verb: create, hostPath: '*', responseStatus.code: ALLOW}",
            r#"{"verb":"create","responseStatus":{"code":201},"requestObject":{"spec":{"volumes":[{"hostPath":{"path":"/"}}]}}}"#,
            r#"{"verb":"create","responseStatus":{"code":403},"requestObject":{"spec":{"volumes":[{"hostPath":{"path":"/"}}]}}}"#,
        ),
    ] {
        let program = program(&[&rule("t", logsource, &format!("  s: {selection}\n  condition: s"))]);
        assert_eq!(fired(&program, source, yes), ["t"], "{source} {selection}");
        assert_eq!(fired(&program, source, no), [""; 0], "{source} {selection}");
    }
}
