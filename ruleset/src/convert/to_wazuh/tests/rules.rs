//! What a written rule looks like, and what cannot be written.

use super::*;

fn text(rules: &[&str]) -> String {
    let conversion = convert(&sigma(rules).set);
    reload(&conversion);
    conversion.files.into_iter().map(|file| file.text).collect()
}

fn outcome(logsource: &str, detection: &str) -> Outcome {
    convert(&sigma(&[&rule(logsource, detection)]).set).rules[0].outcome.clone()
}

const TRAIL: &str = "product: aws, service: cloudtrail";

#[test]
fn a_rule_has_what_analysts_see() {
    let rule = "title: Trail <stopped> $(x)\nid: 0b1c2d3e-0000-4000-8000-000000000001\nlevel: critical\nauthor: A -- B\nreferences: [none, 'https://a.b/c?d=e&f']\n\
        tags: [attack.t1562.008]\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName: StopLogging}\n  f: {errorCode: A}\n  condition: s and not f\n";
    let written = text(&[rule]);
    for line in [
        "  <rule id=\"100000\" level=\"0\" noalert=\"1\">\n    <if_sid>80200</if_sid>",
        "  <!-- Sigma 0b1c2d3e-0000-4000-8000-000000000001: Trail (stopped) $(x) (critical) -->",
        "  <!-- by A - - B -->",
        "  <rule id=\"100001\" level=\"14\">\n    <if_sid>100000</if_sid>\n    <field name=\"aws.eventName\" type=\"pcre2\">(?i)^StopLogging\\z</field>",
        "<field name=\"aws.source\" type=\"pcre2\" negate=\"yes\">^(?:guardduty|custom)$</field>",
        "<description>Trail (stopped) (x)</description>",
        "<info type=\"link\">https://a.b/c?d=e&f</info>",
        "<mitre><id>T1562.008</id></mitre>",
        "<group>aws,cloudtrail,</group>",
        "  <rule id=\"100002\" level=\"0\">\n    <if_sid>100001</if_sid>\n    <field name=\"aws.errorCode\" type=\"pcre2\">(?i)^A\\z</field>",
    ] {
        assert!(written.contains(line), "{line}\n{written}");
    }
}

#[test]
fn parents_that_the_set_lacks_are_written_once() {
    let rule = |id: u8| {
        format!(
            "title: T{id}\nlogsource: {{product: github, service: audit}}\ndetection:\n  s: {{action: a{id}}}\n  condition: s\n"
        )
    };
    let written = text(&[&rule(1), &rule(2)]);
    assert_eq!(written.matches("<rule id=\"91100\"").count(), 1);
    assert_eq!(written.matches("noalert=\"1\"").count(), 1);
}

#[test]
fn what_cannot_be_said_has_a_reason() {
    for (logsource, detection, reason) in [
        (
            TRAIL,
            "  s: {eventName|fieldref: userAgent}\n  condition: s",
            "cannot compare a field with another one",
        ),
        (TRAIL, "  s: {eventTime|hour: 3}\n  condition: s", "cannot take parts of a time"),
        (TRAIL, "  s: {requestParameters.n|gt: 0.5}\n  condition: s", "only one with a whole number"),
        (TRAIL, "  s: {sourceIPAddress|cidr: '2001:db8::/32'}\n  condition: s", "have many forms"),
        (TRAIL, "  s: {eventName|re: '(?<n>a)'}\n  condition: s", "names a group"),
        ("product: windows", "  s: {EventID: 1}\n  condition: s", "no source has its log source"),
        ("product: okta, service: okta", "  s: {noSuchThing: 1}\n  condition: s", "can never fire"),
    ] {
        let Outcome::Impossible(reasons) = outcome(logsource, detection) else { panic!("{detection}") };
        assert!(reasons.iter().any(|known| known.contains(reason)), "{detection}: {reasons:?}");
    }
    let many: String = (0..7)
        .map(|at| {
            format!("  a{at}: {{requestParameters.a{at}: x}}\n  b{at}: {{requestParameters.b{at}: x}}\n")
        })
        .collect();
    let condition: Vec<String> = (0..7).map(|at| format!("(a{at} or b{at})")).collect();
    let Outcome::Impossible(reasons) =
        outcome(TRAIL, &format!("{many}  condition: {}", condition.join(" and ")))
    else {
        panic!()
    };
    assert!(reasons[0].contains("more than 64"), "{reasons:?}");
}

#[test]
fn ids_that_are_taken_are_passed_over() {
    let loaded = sigma(&[&rule(TRAIL, "  s: {eventName: X}\n  condition: s")]);
    let from = |first_id, last_id| to_wazuh(&loaded.set, &ToWazuh { first_id, last_id }, &|_| true);
    assert_eq!(from(80_199, 90_000).rules[0].made, ["80201"]);
    let short = from(100_000, 100_000);
    assert!(
        matches!(&short.rules[0].outcome, Outcome::Impossible(reasons) if reasons[0].contains("100000")),
        "{:?}",
        short.rules
    );
    assert!(short.files.is_empty());
}

#[test]
fn the_more_severe_rule_is_reported_and_the_other_one_says_so() {
    let rule = |id: u8, level: &str, detection: &str| {
        format!(
            "title: T{id}\nid: 00000000-0000-4000-8000-00000000000{id}\nlevel: {level}\nlogsource: {{{TRAIL}}}\ndetection:\n{detection}\n"
        )
    };
    let loaded = sigma(&[
        &rule(1, "high", "  s: {eventSource: S}\n  f: {userAgent: U}\n  condition: s and not f"),
        &rule(2, "low", "  s: {eventName: X}\n  condition: s"),
        &rule(3, "low", "  s: {eventName: Y, eventSource: R}\n  condition: s"),
    ]);
    let conversion = convert(&loaded.set);
    let outcomes: Vec<&[String]> = conversion.rules.iter().map(|rule| rule.outcome.remarks()).collect();
    assert_eq!(outcomes[0], [""; 0]);
    assert_eq!(outcomes[1], ["an event that \"T1\" matches as well is reported as that alone"]);
    assert_eq!(outcomes[2], [""; 0]);
    let program = reload(&conversion);
    let mut scratch = Scratch::new(&program);
    let mut verdict = |record: &str| judge(&program, &mut scratch, "aws.cloudtrail", record, 0).0;
    let made = |at: usize| Some(conversion.rules[at].made[0].clone());
    assert_eq!(verdict(r#"{"eventSource":"S","eventName":"X"}"#), made(0));
    // What the filter of the first leaves out comes to the second.
    assert_eq!(verdict(r#"{"eventSource":"S","eventName":"X","userAgent":"U"}"#), made(1));
    assert_eq!(verdict(r#"{"eventSource":"S","eventName":"Z","userAgent":"U"}"#), None);
    assert_eq!(verdict(r#"{"eventName":"X"}"#), made(1));
}
