//! Sigma's correlations: the same matches on any number of workers, in any order within the lateness, through kills.
//!
//! The expectation is made by the engine alone, one event after the other in the order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use threatlockdown_analysis::metrics::SuppressionLabel;
use threatlockdown_analysis::{Composites, Metrics};
use threatlockdown_event::{Context, Millis, Unit};
use threatlockdown_ruleset::correlate::sigma::CorrelationMatch;
use threatlockdown_ruleset::matcher::{Arrivals, Input, Scratch};
use threatlockdown_ruleset::{Origin, RuleText, Texts, load};
use threatlockdown_topics::{Candidate, Commit};

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

/// One user's alerts of a correlation that is decided at the end, and all but the first in a while of one that is decided at once.
const SUPPRESSIONS: &str = "suppressions:
  - {id: user, rules: 00000000-0000-4000-8000-000000000003, where: {userIdentity.userName: u1}, reason: r, permanent: true}
  - {id: few, rules: 00000000-0000-4000-8000-000000000002, allow: 1, quiet: 30m, per: [userIdentity.userName], reason: r}
";

/// Random logins of some users.
fn trial(seed: u64, suppressions: &str) -> Trial {
    let rules = RuleText { path: "t.xml".into(), text: RULES.as_bytes().to_vec(), origin: Origin::User };
    let sigma = RuleText { path: "t.yml".into(), text: SIGMA.as_bytes().to_vec(), origin: Origin::User };
    let mut texts = Texts::builtin_and(vec![rules]);
    texts.add(sigma);
    let text = suppressions.as_bytes().to_vec();
    texts.add(RuleText { path: "t.suppressions.yaml".into(), text, origin: Origin::User });
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

/// Whether the suppressions leave an alert, by a plain count.
fn is_left(shown: &Shown, last: i64, runs: &mut BTreeMap<Vec<String>, i64>) -> bool {
    let (id, group, ..) = shown;
    if id.ends_with('3') {
        return group[0] != "u1";
    }
    if !id.ends_with('2') {
        return true;
    }
    let passes = runs.get(group).is_none_or(|start| last - start >= 30 * 60 * 1000);
    if passes {
        runs.insert(group.clone(), last);
    }
    passes
}

/// All alerts, and how many are held back of those.
fn expected(trial: &Trial, suppresses: bool) -> (BTreeMap<Shown, usize>, u64) {
    let program = &trial.program;
    let mut scratch = Scratch::sharing(program, memory());
    let mut arrivals = Arrivals::new(program);
    let (context, binding) = (cloud(), program.binding(CLOUD));
    let mut order: Vec<usize> = (0..trial.events.len()).collect();
    order.sort_by_key(|place| trial.events[*place].0);
    let (mut shown, mut runs, mut held_back) = (BTreeMap::new(), BTreeMap::new(), 0);
    for place in order {
        let (received, record) = &trial.events[place];
        let input = Input { binding, record: record.as_bytes(), context: &context, received: *received };
        let found =
            program.evaluate(&mut scratch, &input, |verdict| arrivals.take(verdict, *received).to_vec());
        let correlations = program.sigma().correlations();
        let alerts = |found: &&CorrelationMatch| correlations[found.correlation as usize].head.alerts;
        for found in found.unwrap().iter().filter(alerts) {
            let one = of_match(trial, found);
            if suppresses && !is_left(&one, found.last, &mut runs) {
                held_back += 1;
                continue;
            }
            *shown.entry(one).or_insert(0) += 1;
        }
    }
    (shown, held_back)
}

fn of_match(trial: &Trial, found: &CorrelationMatch) -> Shown {
    let correlation = &trial.program.sigma().correlations()[found.correlation as usize];
    let group = found.group.iter().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect();
    let (first, last) = (Millis(found.first).rfc3339(), Millis(found.last).rfc3339());
    (correlation.head.id.clone(), group, found.count, first, last)
}

/// The same of alerts, with their ids and how many were held back.
fn counted(trial: &Trial, commits: &[Commit]) -> (BTreeMap<Shown, usize>, BTreeSet<String>, u64) {
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
    let held_back = |suppression: &str| {
        metrics.suppressed.get_or_create(&SuppressionLabel { suppression: suppression.into() }).get()
    };
    (shown, ids, held_back("user") + held_back("few"))
}

#[test]
fn correlations_match_the_same_on_any_number_of_workers_and_in_any_order_within_the_lateness() {
    let mut of_each: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 1..6 {
        let trial = trial(seed, "");
        let mut rng = Rng::new(seed ^ 0x5eed);
        let (expected, _) = expected(&trial, false);
        let mut first: Option<BTreeSet<String>> = None;
        for (workers, shuffled) in [(1, false), (1, true), (2, true), (8, true)] {
            let streams = streams(&trial, &mut rng, shuffled);
            let commits = trial.commits(streams, workers, Composites::Add);
            let (shown, ids, _) = counted(&trial, &commits);
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
fn a_candidate_is_counted_by_what_it_brings_and_else_by_its_record() {
    let trial = trial(1, "");
    let streams = streams(&trial, &mut Rng::new(1), false);
    let commits = trial.commits(streams, 1, Composites::Add);
    let (expected, ..) = counted(&trial, &commits);
    assert!(!expected.is_empty());
    let changed = |change: fn(&mut Candidate)| {
        let mut commits = commits.clone();
        let candidates = commits.iter_mut().flat_map(|commit| &mut commit.candidates);
        let mut alone: Vec<_> = candidates
            .filter(|one| one.component == Candidate::NO_COMPONENT && !one.record.is_empty())
            .collect();
        assert!(!alone.is_empty());
        alone.iter_mut().for_each(|one| change(one));
        counted(&trial, &commits).0
    };
    let of_alone = changed(|one| one.record = b"{}".to_vec());
    assert_eq!(of_alone, expected, "what they bring is enough");
    assert_eq!(changed(|one| one.correlated.clear()), expected, "the record is enough");
    // Rules that are not in force any more say nothing.
    let by_others = changed(|one| (one.version, one.record) = ("other".into(), b"{}".to_vec()));
    assert_ne!(by_others, expected);
}

#[test]
fn suppressions_leave_the_same_of_correlations_on_any_number_of_workers() {
    for seed in 1..6 {
        let trial = trial(seed, SUPPRESSIONS);
        let mut rng = Rng::new(seed ^ 0x5eed);
        let (expected, held_back) = expected(&trial, true);
        assert!(held_back >= 3, "seed {seed}: {held_back}");
        for (workers, shuffled) in [(1, false), (2, true), (8, true)] {
            let streams = streams(&trial, &mut rng, shuffled);
            let commits = trial.commits(streams, workers, Composites::Add);
            let (shown, _, counted) = counted(&trial, &commits);
            assert_eq!(shown, expected, "seed {seed}, {workers} workers");
            assert_eq!(counted, held_back, "seed {seed}, {workers} workers");
        }
    }
}

#[test]
fn kills_change_nothing_about_correlations() {
    for seed in 1..40 {
        let trial = trial(seed, if seed % 2 == 0 { "" } else { SUPPRESSIONS });
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
