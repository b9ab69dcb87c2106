//! Sigma's correlations: the same matches on any number of workers, in any order within the lateness, through kills.
//!
//! The expectation is made by the engine alone, one event after the other in the order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use threatlockdown_analysis::{Composites, Metrics};
use threatlockdown_event::{Context, Millis, Unit};
use threatlockdown_ruleset::correlate::sigma::CorrelationMatch;
use threatlockdown_ruleset::matcher::{Arrivals, Input, Scratch};
use threatlockdown_ruleset::{Origin, RuleText, Texts, load};
use threatlockdown_topics::Commit;

use crate::rng::Rng;
use crate::run::span;
use crate::trial::{Trial, context, memory};

pub(crate) const CLOUD: &str = "aws.cloudtrail";

/// Decided at once, over several rules, at the end of a window, over a component's events, and a chain.
const SIGMA: &str = r"
title: Login failed
name: failed
logsource: {product: aws, service: cloudtrail}
detection:
    failed: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Failure}
    condition: failed
level: low
---
title: Login
name: succeeded
logsource: {product: aws, service: cloudtrail}
detection:
    succeeded: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Success}
    condition: succeeded
level: low
---
title: Brute force
id: 00000000-0000-4000-8000-000000000001
name: brute_force
correlation:
    type: event_count
    rules: [failed]
    group-by: [userIdentity.userName]
    timespan: 5m
    condition: {gte: 3}
level: high
---
title: From many addresses
id: 00000000-0000-4000-8000-000000000002
correlation:
    type: value_count
    rules: [failed]
    group-by: [userIdentity.userName]
    timespan: 10m
    condition: {field: sourceIPAddress, gte: 3}
level: medium
---
title: Failures without a login
id: 00000000-0000-4000-8000-000000000003
correlation:
    type: temporal
    rules: [failed, succeeded]
    group-by: [userIdentity.userName]
    timespan: 3m
    condition: failed and not succeeded
level: medium
---
title: Brute force and then a login
id: 00000000-0000-4000-8000-000000000004
correlation:
    type: temporal_ordered
    rules: [brute_force, succeeded]
    group-by: [userIdentity.userName]
    timespan: 10m
level: critical
";

/// A composite rule beside them: some candidates are of a component as well.
const RULES: &str = r#"<group name="own,">
    <rule id="100700" level="5"><decoded_as>json</decoded_as><field name="aws.eventName">^ConsoleLogin$</field><description>Login.</description></rule>
    <rule id="100701" level="10" frequency="4" timeframe="60"><if_matched_sid>100700</if_matched_sid><description>Again.</description></rule>
    </group>"#;

/// Random logins of some users.
fn trial(seed: u64) -> Trial {
    let rules = RuleText { path: "t.xml".into(), text: RULES.as_bytes().to_vec(), origin: Origin::User };
    let sigma = RuleText { path: "t.yml".into(), text: SIGMA.as_bytes().to_vec(), origin: Origin::User };
    let mut texts = Texts::builtin_and(vec![rules]);
    texts.add(sigma);
    let program = load(texts).program.unwrap();
    let mut rng = Rng::new(seed);
    let mut now = 1_700_000_000_000;
    let mut events = Vec::new();
    for number in 0..150 {
        now += rng.below(40) as i64 * 1000;
        let result = if rng.one_in(4) { "Success" } else { "Failure" };
        let (user, address) = (rng.below(4), rng.below(5));
        let record = format!(
            r#"{{"eventVersion":"1.08","eventID":"{seed}-{number}","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","userIdentity":{{"userName":"u{user}"}},"sourceIPAddress":"10.0.0.{address}","responseElements":{{"ConsoleLogin":"{result}"}}}}"#
        );
        events.push((Millis(now), record));
    }
    // Long after all others: all windows have ended.
    events.push((Millis(now + 3_600_000), "{\"eventName\":\"Other\",\"eventID\":\"last\"}".to_owned()));
    Trial { program, events, seed }
}

fn cloud() -> Arc<Context> {
    let context = context();
    Arc::new(Context { source: CLOUD.into(), ..(*context).clone() })
}

fn streams(trial: &Trial, rng: &mut Rng, shuffled: bool) -> Vec<Vec<Unit>> {
    let of_cloud = |unit| Unit { context: cloud(), ..unit };
    let streams = trial.streams(rng, shuffled);
    streams.into_iter().map(|units| units.into_iter().map(of_cloud).collect()).collect()
}

/// Correlation, group, count, first and last.
type Shown = (String, Vec<String>, u64, String, String);

fn expected(trial: &Trial) -> BTreeMap<Shown, usize> {
    let program = &trial.program;
    let mut scratch = Scratch::sharing(program, memory());
    let mut arrivals = Arrivals::new(program);
    let (context, binding) = (cloud(), program.binding(CLOUD));
    let mut order: Vec<usize> = (0..trial.events.len()).collect();
    order.sort_by_key(|place| trial.events[*place].0);
    let mut shown = BTreeMap::new();
    for place in order {
        let (received, record) = &trial.events[place];
        let input = Input { binding, record: record.as_bytes(), context: &context, received: *received };
        let found =
            program.evaluate(&mut scratch, &input, |verdict| arrivals.take(verdict, *received).to_vec());
        let correlations = program.sigma().correlations();
        let alerts = |found: &&CorrelationMatch| correlations[found.correlation as usize].head.alerts;
        for found in found.unwrap().iter().filter(alerts) {
            *shown.entry(of_match(trial, found)).or_insert(0) += 1;
        }
    }
    shown
}

fn of_match(trial: &Trial, found: &CorrelationMatch) -> Shown {
    let correlation = &trial.program.sigma().correlations()[found.correlation as usize];
    let group = found.group.iter().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect();
    let (first, last) = (Millis(found.first).rfc3339(), Millis(found.last).rfc3339());
    (correlation.head.id.clone(), group, found.count, first, last)
}

/// The same of alerts, with their ids.
fn counted(trial: &Trial, commits: &[Commit]) -> (BTreeMap<Shown, usize>, BTreeSet<String>) {
    let metrics = Metrics::unregistered();
    let mut correlator = trial.correlator(&metrics);
    let (mut shown, mut ids) = (BTreeMap::new(), BTreeSet::new());
    for (number, commit) in commits.iter().enumerate() {
        let alert = &mut |alert: threatlockdown_event::Alert| {
            let json: Value = serde_json::from_slice(&alert.json).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let counted = &json["sigma"]["correlation"];
            if counted.is_null() {
                return;
            }
            assert_eq!(json["id"], alert.id.to_string());
            assert!(ids.insert(alert.id.to_string()), "an alert twice");
            let group = counted["group_by"].as_object().unwrap().values().map(text).collect();
            let (first, last) = (text(&counted["first"]), text(&counted["last"]));
            let one = (text(&json["rule"]["id"]), group, counted["count"].as_u64().unwrap(), first, last);
            *shown.entry(one).or_insert(0) += 1;
        };
        correlator.apply(span(number), commit.clone(), alert).unwrap();
    }
    assert_eq!(metrics.late_candidates.get(), 0);
    (shown, ids)
}

#[test]
fn correlations_match_the_same_on_any_number_of_workers_and_in_any_order_within_the_lateness() {
    let mut of_each: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 1..6 {
        let trial = trial(seed);
        let mut rng = Rng::new(seed ^ 0x5eed);
        let expected = expected(&trial);
        let mut first: Option<BTreeSet<String>> = None;
        for (workers, shuffled) in [(1, false), (1, true), (2, true), (8, true)] {
            let streams = streams(&trial, &mut rng, shuffled);
            let commits = trial.commits(streams, workers, Composites::Add);
            let (shown, ids) = counted(&trial, &commits);
            assert_eq!(shown, expected, "seed {seed}, {workers} workers");
            assert_eq!(&ids, first.get_or_insert_with(|| ids.clone()), "seed {seed}, {workers} workers");
        }
        for (id, ..) in expected.into_keys() {
            *of_each.entry(id).or_default() += 1;
        }
    }
    // The first only feeds the last.
    assert_eq!(of_each.len(), 3, "{of_each:?}");
    assert!(of_each.values().all(|count| *count >= 5), "{of_each:?}");
}

#[test]
fn kills_change_nothing_about_correlations() {
    for seed in 1..40 {
        let trial = trial(seed);
        let mut rng = Rng::new(seed ^ 0x6b69_6c6c);
        let streams = streams(&trial, &mut rng, true);
        let commits = trial.commits_of_units(streams, &mut rng, Composites::Add);
        let expected = trial.alerts(&commits);
        let mut kills: Vec<usize> = (0..4).map(|_| rng.below(commits.len() + 1)).collect();
        kills.sort_unstable();
        let found = trial.alerts_with_kills(&commits, &kills, &mut rng);
        assert_eq!(found.all(), expected.all(), "seed {seed}, killed after {kills:?}");
    }
}
