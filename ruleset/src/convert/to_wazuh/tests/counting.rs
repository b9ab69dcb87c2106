//! Correlations as rules that look back.

use super::*;

const LOGIN: &str = "title: L\nname: failed\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName: ConsoleLogin, errorCode: F}\n  condition: s\n";
const CREATED: &str = "title: C\nname: created\nid: 00000000-0000-4000-8000-000000000002\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName: CreateUser}\n  condition: s\n";

fn correlation(body: &str) -> String {
    format!("title: Many\nid: 00000000-0000-4000-8000-000000000009\nlevel: high\ncorrelation:\n{body}\n")
}

/// Positions of the events on which a rule of the correlation is the verdict; events are user, name and second.
fn fired(body: &str, events: &[(&str, &str, i64)]) -> Vec<usize> {
    let conversion = convert(&sigma(&[LOGIN, CREATED, &correlation(body)]).set);
    let many = conversion.rules.iter().find(|rule| rule.title == "Many").unwrap();
    assert!(matches!(many.outcome, Outcome::Differs(_)), "{many:?}");
    let program = reload(&conversion);
    let mut scratch = Scratch::new(&program);
    let fires = |(user, name, second): &(&str, &str, i64)| {
        let record = format!(
            r#"{{"eventName":"{name}","errorCode":"F","userIdentity":{{"userName":"{user}"}},"sourceIPAddress":"1.2.3.{second}"}}"#
        );
        let (verdict, _) = judge(&program, &mut scratch, "aws.cloudtrail", &record, second * 1000);
        verdict.is_some_and(|id| many.made.contains(&id))
    };
    let fired: Vec<bool> = events.iter().map(fires).collect();
    (0..events.len()).filter(|&at| fired[at]).collect()
}

#[test]
fn the_first_match_is_that_of_the_correlation() {
    let count = "  type: event_count\n  rules: [failed]\n  group-by: [userIdentity.userName]\n  timespan: 60s\n  condition: {gte: 3}";
    let login = |user, second| (user, "ConsoleLogin", second);
    assert_eq!(
        fired(count, &[login("a", 0), login("b", 1), login("a", 2), login("a", 60), login("b", 61)]),
        [3]
    );
    // One second too late for the first.
    assert_eq!(fired(count, &[login("a", 0), login("a", 30), login("a", 61)]), [0_usize; 0]);
    let more = count.replace("gte: 3", "gt: 3");
    assert_eq!(fired(&more, &[login("a", 0), login("a", 1), login("a", 2), login("a", 3)]), [3]);
}

#[test]
fn values_are_counted_that_differ() {
    let count = "  type: value_count\n  rules: [failed]\n  group-by: [userIdentity.userName]\n  timespan: 60s\n  condition: {field: sourceIPAddress, gte: 3}";
    let login = |second| ("a", "ConsoleLogin", second);
    assert_eq!(fired(count, &[login(1), login(2), login(3)]), [2]);
    assert_eq!(fired(count, &[login(1), login(1), login(1), login(1)]), [0_usize; 0]);
}

#[test]
fn one_rule_after_another() {
    let ordered = "  type: temporal_ordered\n  rules: [failed, created]\n  group-by: [userIdentity.userName]\n  timespan: 60s";
    let (login, create) = (|user, at| (user, "ConsoleLogin", at), |user, at| (user, "CreateUser", at));
    assert_eq!(fired(ordered, &[login("a", 0), create("a", 10)]), [1]);
    assert_eq!(fired(ordered, &[create("a", 0), login("a", 10)]), [0_usize; 0]);
    assert_eq!(fired(ordered, &[login("a", 0), create("b", 10)]), [0_usize; 0]);
    let any = ordered.replace("temporal_ordered", "temporal");
    assert_eq!(fired(&any, &[create("a", 0), login("a", 10)]), [1]);
}

#[test]
fn several_rules_are_counted_by_a_group() {
    let count = "  type: event_count\n  rules: [failed, created]\n  timespan: 60s\n  condition: {gte: 3}";
    let events = [("a", "ConsoleLogin", 0), ("b", "CreateUser", 1), ("c", "ConsoleLogin", 2)];
    assert_eq!(fired(count, &events), [2]);
}

#[test]
fn what_rules_cannot_count_has_a_reason() {
    for (body, reason) in [
        (
            "  type: event_count\n  rules: [failed]\n  timespan: 60s\n  condition: {lt: 3}",
            "cannot wait for its absence",
        ),
        ("  type: event_count\n  rules: [failed]\n  timespan: 30d\n  condition: {gte: 3}", "99999 seconds"),
        (
            "  type: event_count\n  rules: [failed]\n  timespan: 60s\n  condition: {gte: 10000}",
            "from 2 to 9999",
        ),
        (
            "  type: value_sum\n  rules: [failed]\n  timespan: 60s\n  condition: {field: x, gte: 3}",
            "cannot make sums",
        ),
        (
            "  type: temporal\n  rules: [failed, created]\n  timespan: 60s\n  condition: failed and not created",
            "which of several rules",
        ),
        (
            "  type: value_count\n  rules: [failed]\n  timespan: 60s\n  condition: {field: [x, y], gte: 3}",
            "combinations",
        ),
    ] {
        let conversion = convert(&sigma(&[LOGIN, CREATED, &correlation(body)]).set);
        let many = conversion.rules.iter().find(|rule| rule.title == "Many").unwrap();
        let Outcome::Impossible(reasons) = &many.outcome else { panic!("{body}: {many:?}") };
        assert!(reasons[0].contains(reason), "{body}: {reasons:?}");
        assert!(many.made.is_empty());
    }
}
