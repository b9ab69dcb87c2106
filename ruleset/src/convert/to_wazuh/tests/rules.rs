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
        "<field name=\"aws.source\" type=\"pcre2\" negate=\"yes\">^(?:custom)$</field>",
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
fn what_xml_cannot_have_is_replaced_or_escaped() {
    let rule = "title: \"bell\\a \\uFFFE<!--x--->-\"\nid: 0b1c2d3e-0000-4000-8000-000000000001\nlevel: high\nauthor: 'a ---- b -'\n\
        references: [\"https://a.b/\\uFFFF\"]\nlogsource: {product: aws, service: cloudtrail}\n\
        detection:\n  s: {eventName: \"a\\x01\\uFFFEb\\x85\", userAgent|re: \"^a\\x07\\uFFFF\\t$\"}\n  condition: s\n";
    let written = text(&[rule]);
    let bad = |char: char| (char.is_control() && char != '\n') || matches!(char, '\u{fffe}' | '\u{ffff}');
    assert!(!written.chars().any(bad), "{written:?}");
    for comment in written.split("<!--").skip(1) {
        let inner = comment.split("-->").next().unwrap();
        assert!(!inner.contains("--") && !inner.ends_with('-'), "{inner}");
    }
    for part in [
        r"(?i)^a\x01\xEF\xBF\xBEb\xC2\x85\z",
        r"(*UTF)^a\x{7}\x{FFFF}\x{9}$",
        "<!-- by a - - - - b - -->",
        "<description>bell\u{fffd} \u{fffd}(!--x---)-</description>",
    ] {
        assert!(written.contains(part), "{part}\n{written}");
    }
    let loaded = sigma(&[rule]);
    let program = reload(&convert(&loaded.set));
    let mut scratch = Scratch::new(&program);
    let mut verdict = |record: &str| judge(&program, &mut scratch, "aws.cloudtrail", record, 0).0;
    let hit = "{\"eventName\":\"a\\u0001\\uFFFEb\\u0085\",\"userAgent\":\"a\\u0007\\uFFFF\\t\"}";
    assert!(verdict(hit).is_some());
    assert_eq!(verdict(&hit.replace("FFFF", "FFFD")), None);
    let extended = outcome(TRAIL, "  s: {eventName|re: \"(?xi)a\\tb\"}\n  condition: s");
    assert!(
        matches!(&extended, Outcome::Impossible(reasons) if reasons[0].contains("control characters")),
        "{extended:?}"
    );
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

#[test]
fn long_lists_are_split_and_match_all_the_same() {
    let values = |count: usize| {
        (0..count).map(|at| format!("'{:x}-{at:06}'", at * 7919)).collect::<Vec<_>>().join(", ")
    };
    let list = values(4000);
    let detection =
        format!("  s: {{eventName: [{list}]}}\n  f: {{userAgent: [{list}]}}\n  condition: s and not f");
    let loaded = sigma(&[&rule(TRAIL, &detection)]);
    let conversion = convert(&loaded.set);
    assert_eq!(conversion.rules[0].outcome, Outcome::Converted);
    assert!(conversion.rules[0].made.len() > 1);
    let program = reload(&conversion);
    let mut scratch = Scratch::new(&program);
    let mut alerts = |name: &str, agent: &str| {
        let record = format!(r#"{{"eventName":"{name}","userAgent":"{agent}"}}"#);
        judge(&program, &mut scratch, "aws.cloudtrail", &record, 0).0.is_some()
    };
    for at in [0, 1500, 3999] {
        let name = format!("{:x}-{at:06}", at * 7919);
        assert!(alerts(&name, "x"), "{name}");
        assert!(!alerts(&name, "0-000000") && !alerts(&name, &name), "{name}");
        assert!(!alerts(&format!("{name}x"), "x"), "{name}");
    }
    for detection in [
        format!("  s: {{eventName: [{}]}}\n  condition: s", values(100_000)),
        format!("  s: {{eventName: {}}}\n  condition: s", "x".repeat(20_480)),
    ] {
        let Outcome::Impossible(reasons) = outcome(TRAIL, &detection) else { panic!() };
        assert_eq!(reasons, ["a condition would be longer than 20,480 bytes; split the list"]);
    }
}

#[test]
fn calls_to_guardduty_by_an_event_bus_are_no_findings() {
    let conversion =
        convert(&sigma(&[&rule(TRAIL, "  s: {eventName: CreateSampleFindings}\n  condition: s")]).set);
    assert_eq!(conversion.rules[0].outcome, Outcome::Converted);
    let program = reload(&conversion);
    let mut scratch = Scratch::new(&program);
    let call = r#"{"eventVersion":"1.05","eventSource":"guardduty.amazonaws.com","eventName":"CreateSampleFindings"}"#;
    let bus = format!(
        r#"{{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.guardduty","detail":{call}}}"#
    );
    for (source, record) in [("aws.eventbridge", bus.as_str()), ("aws.cloudtrail", call)] {
        let verdict = judge(&program, &mut scratch, source, record, 0).0;
        assert_eq!(verdict.as_ref(), conversion.rules[0].made.first(), "{source}");
    }
    // What a finding may fulfil keeps findings out, and says what is lost by that.
    let Outcome::Differs(remarks) = outcome(TRAIL, "  f: {eventName: X}\n  condition: not f") else {
        panic!()
    };
    assert!(remarks[0].contains("carries for the service guardduty"), "{remarks:?}");
}

#[test]
fn what_came_by_an_event_bus_is_told_by_its_service() {
    let by_bus = |service: &str| format!(r#"{{"source":"{service}","detail":{{"eventName":"X"}}}}"#);
    let (own, other) = (by_bus("aws.cloudtrail"), by_bus("aws.iam"));
    let records =
        [("aws.cloudtrail", r#"{"eventName":"X"}"#), ("aws.eventbridge", &own), ("aws.eventbridge", &other)];
    for (detection, expected) in [
        (
            "  s: {eventName: X}\n  f: {aws.source|exists: false}\n  g: {aws.source|contains: cloudtrail}\n  condition: s and (f or g)",
            [true, true, false],
        ),
        ("  s: {eventName: X, aws.source: iam}\n  condition: s", [false, false, true]),
        (
            "  s: {eventName: X}\n  f: {aws.source|contains: cloudtrail}\n  condition: s and not f",
            [true, false, true],
        ),
    ] {
        let conversion = convert(&sigma(&[&rule(TRAIL, detection)]).set);
        let program = reload(&conversion);
        let mut scratch = Scratch::new(&program);
        let made = &conversion.rules[0].made;
        let alerts = records.map(|(source, record)| {
            judge(&program, &mut scratch, source, record, 0).0.is_some_and(|id| made.contains(&id))
        });
        let remarks = conversion.rules[0].outcome.remarks();
        let is_told = remarks.iter().any(|remark| remark.contains("cannot be told apart"));
        // A filter hides what it holds for on either source; that is told. All else is exact.
        let is_filter = detection.contains("not f");
        assert_eq!(is_told, is_filter || detection.contains("exists"), "{detection}: {remarks:?}");
        assert!(alerts == expected || is_filter, "{detection}: {alerts:?} {remarks:?}");
    }
}

#[test]
fn tests_of_objects_and_of_digits_are_remarked_upon() {
    let has = |detection: &str, words: &str| {
        let outcome = outcome(TRAIL, &format!("  s: {{{detection}}}\n  condition: s"));
        outcome.remarks().iter().any(|remark| remark.contains(words))
    };
    let object =
        |detection: &str| has(detection, "is an object, whose JSON Sigma looks at and Wazuh does not");
    for detection in ["userIdentity|contains: x", "responseElements|re: 'a'", "requestParameters: '*'"] {
        assert!(object(detection), "{detection}");
    }
    for detection in [
        "userIdentity: x",
        "userIdentity|startswith: x",
        "userIdentity|endswith: x",
        "eventName|contains: x",
        "userIdentity.arn|contains: x",
    ] {
        assert!(!object(detection), "{detection}");
    }
    let digits = |detection: &str| has(detection, "six decimals");
    for detection in [
        "requestParameters.f|endswith: '00'",
        r"requestParameters.f|re: '^\d+$'",
        "requestParameters.f: '1*'",
    ] {
        assert!(digits(detection), "{detection}");
    }
    for detection in [
        "requestParameters.f: 1",
        "sourceIPAddress|startswith: '10.'",
        "requestParameters.f|re: 'a\\d+'",
        "eventName: '*'",
    ] {
        assert!(!digits(detection), "{detection}");
    }
}
