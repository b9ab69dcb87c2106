//! Suppressions in the stage: what workers hold back, what they leave to the throttle, and that the throttle's answers do
//! not depend on how many workers there are, on the order of units, on kills.

#![allow(clippy::unwrap_used)] // clippy sees a test in a function that is marked as one, not in what it calls

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use proptest::prelude::*;
use threatlockdown_analysis::correlator::Span;
use threatlockdown_analysis::metrics::SuppressionLabel;
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{
    ActiveProgram, Composites, Correlator, CorrelatorOptions, Metrics, Outcome, WorkerOptions,
};
use threatlockdown_event::{Alert, AlertId, Context, Millis, Record, Unit};
use threatlockdown_ruleset::correlate::{Memory, MemoryOptions};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::sigma::SigmaText;
use threatlockdown_ruleset::{Origin, RuleText, Texts, load};
use threatlockdown_topics::{Candidate, Commit, LogPosition, Marker};

const RULES: &str = r#"<group name="shop,">
  <rule id="100100" level="5"><decoded_as>json</decoded_as><field name="verdict">^denied$</field><description>Denied.</description></rule>
  <rule id="100101" level="9" frequency="3" timeframe="600"><if_matched_sid>100100</if_matched_sid><same_field>who</same_field><description>Denied again.</description></rule>
</group>"#;

const SIGMA: &str = "title: Denied\nid: 11111111-2222-3333-4444-555555555555\nstatus: test\n\
    logsource: {product: aws, service: cloudtrail}\ndetection:\n  selection: {errorCode: AccessDenied}\n  condition: selection\nlevel: high\n";

/// Two refusals of a user, and users of whom that was seen.
const CORRELATIONS: &str = "---\ntitle: Denied twice\nid: 00000000-0000-4000-8000-000000000001\nname: twice\n\
    correlation: {type: event_count, rules: [11111111-2222-3333-4444-555555555555], group-by: [userIdentity.userName], timespan: 60s, condition: {gte: 2}}\nlevel: high\n\
    ---\ntitle: Everybody\nid: 00000000-0000-4000-8000-000000000002\n\
    correlation: {type: value_count, rules: [twice], generate: true, timespan: 1h, condition: {field: userIdentity.userName, gte: 3}}\nlevel: high\n";

const BEGIN: i64 = 1_795_226_400_000;

fn program(suppressions: &str) -> Arc<Program> {
    program_of(SIGMA, suppressions)
}

fn program_of(sigma: &str, suppressions: &str) -> Arc<Program> {
    let rules = RuleText { path: "own.xml".into(), text: RULES.into(), origin: Origin::User };
    let mut texts = Texts::rules_only(vec![rules]);
    texts.sigma.push(SigmaText { path: "own.yml".into(), text: sigma.into(), origin: Origin::User });
    let text = format!("suppressions:\n{suppressions}").into_bytes();
    texts.add(RuleText { path: "own.suppressions.yaml".into(), text, origin: Origin::User });
    let loaded = load(texts);
    let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    loaded.program.unwrap_or_else(|| panic!("{}", faults.join("\n")))
}

fn memory() -> Arc<Memory> {
    Memory::new(MemoryOptions::default())
}

fn worker(program: &Arc<Program>, metrics: &Metrics, composites: Composites) -> Worker {
    let lateness = ["json", "aws.cloudtrail"].map(|source| (source.to_owned(), Duration::from_secs(60)));
    let lateness = HashMap::from(lateness);
    let options = WorkerOptions {
        min_level: 3,
        host: "host-1".into(),
        memory: memory(),
        composites,
        lateness: Arc::new(lateness),
    };
    Worker::new(program, &options, metrics)
}

/// One record, received at that second.
fn unit(source: &str, sequence: u64, second: i64, record: &str) -> Unit {
    Unit {
        stream: "test/file/1".into(),
        sequence,
        checkpoint: None,
        context: Arc::new(Context {
            source: source.into(),
            connector: "test".into(),
            location: "/var/log/app.log".into(),
            account: None,
            envelope: Vec::new(),
            origin: "app.log".into(),
            origin_id: [1; 16],
        }),
        ingested: Millis(BEGIN + second * 1000),
        buffer: record.as_bytes().to_vec(),
        records: vec![Record { start: 0, len: record.len() as u32, origin: sequence }],
        dead_letters: Vec::new(),
    }
}

fn denied(sequence: u64, second: i64, user: &str) -> Unit {
    unit("json", sequence, second, &format!(r#"{{"verdict":"denied","who":"{user}"}}"#))
}

fn suppressed(metrics: &Metrics, suppression: &str) -> u64 {
    metrics.suppressed.get_or_create(&SuppressionLabel { suppression: suppression.into() }).get()
}

fn commit(outcome: Outcome) -> Commit {
    Commit { candidates: outcome.candidates, markers: outcome.markers, ..Commit::default() }
}

fn correlator(program: &Arc<Program>, metrics: &Metrics) -> Correlator {
    let options = CorrelatorOptions {
        min_level: 3,
        host: "host-1".into(),
        memory: MemoryOptions::default(),
        max_bytes: 64 << 20,
        buffer_bytes: 1 << 20,
        folder: std::env::temp_dir(),
    };
    Correlator::new(&options, &ActiveProgram::new(Arc::clone(program)), metrics)
}

fn span(number: usize) -> Span {
    let at = |offset: usize| LogPosition { segment: 0, offset: offset as u64 };
    Span { start: at(number), end: at(number + 1) }
}

/// The alerts of the correlator for these commits and the end of all.
fn counted(correlator: &mut Correlator, commits: Vec<Commit>) -> Vec<AlertId> {
    let end = Commit { markers: vec![Marker::End], ..Commit::default() };
    let mut found = Vec::new();
    for (number, commit) in commits.into_iter().chain([end]).enumerate() {
        correlator.apply(span(number), commit, &mut |alert| found.push(alert.id)).unwrap();
    }
    found
}

#[test]
fn a_worker_holds_back_what_fits_and_counts_it() {
    let program = program(
        "  - {id: alice, rules: 100100, where: {who: alice}, reason: r, permanent: true}\n\
         \x20 - {id: over, rules: 100100, where: {who: bob}, reason: r, until: 2026-11-01T00:00:00Z}\n",
    );
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let mut worker = worker(&program, &metrics, Composites::Add);
    let alerts: Vec<usize> = ["alice", "bob", "alice", "carol"]
        .iter()
        .enumerate()
        .map(|(number, user)| worker.analyze(denied(number as u64, number as i64, user)).alerts.len())
        .collect();
    assert_eq!(alerts, [0, 1, 0, 1]);
    assert_eq!((suppressed(&metrics, "alice"), suppressed(&metrics, "over")), (2, 0));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "suppressed_total{suppression=\"alice\"} 2",
        "suppressed_total{suppression=\"over\"} 0",
        "suppressed_last_event_timestamp_seconds{suppression=\"alice\"} 1795226402",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn sigma_alerts_are_held_back_the_same_way() {
    let program = program(
        "  - {id: ci, rules: 11111111-2222-3333-4444-555555555555, where: {userIdentity.userName: 'ci-*'}, reason: r, permanent: true}\n",
    );
    let metrics = Metrics::unregistered();
    let mut worker = worker(&program, &metrics, Composites::Add);
    let mut alerts = |user: &str| {
        let record = format!(
            r#"{{"eventSource":"s3.amazonaws.com","eventName":"GetObject","errorCode":"AccessDenied","eventID":"{user}","userIdentity":{{"userName":"{user}"}}}}"#
        );
        worker.analyze(unit("aws.cloudtrail", 0, 0, &record)).alerts.len()
    };
    assert_eq!((alerts("ci-7"), alerts("eve")), (0, 1));
    assert_eq!(suppressed(&metrics, "ci"), 1);
}

#[test]
fn what_is_held_back_counts_for_composites_all_the_same() {
    let suppressed_base = program("  - {id: base, rules: 100100, reason: r, permanent: true}\n");
    let suppressed_both = program("  - {id: both, groups: shop, reason: r, permanent: true}\n");
    for (program, composites, expected) in [
        (&suppressed_base, Composites::Add, 1),
        (&suppressed_base, Composites::Replace, 1),
        (&suppressed_both, Composites::Add, 0),
        (&suppressed_both, Composites::Replace, 0),
    ] {
        let metrics = Metrics::unregistered();
        let mut worker = worker(program, &metrics, composites);
        let outcomes: Vec<Outcome> = (0..3).map(|at| worker.analyze(denied(at, at as i64, "bob"))).collect();
        assert!(outcomes.iter().all(|outcome| outcome.alerts.is_empty()));
        let mut correlator = correlator(program, &metrics);
        let found = counted(&mut correlator, outcomes.into_iter().map(commit).collect());
        assert_eq!(found.len(), expected, "{composites:?}");
        // Each alert that is not there was counted once.
        let all = if composites == Composites::Add { 4 } else { 3 };
        let id = &program.suppressions().entries()[0].head.id;
        assert_eq!(suppressed(&metrics, id), all - expected as u64, "{composites:?}");
    }
}

const THROTTLE: &str = "  - {id: some, groups: shop, allow: 2, quiet: 100s, per: [who], reason: r}\n";
const THROTTLED_SIGMA: &str = "  - {id: some, groups: sigma, allow: 1, quiet: 1h, reason: r}\n";

#[test]
fn a_throttled_alert_waits_for_its_turn() {
    let program = program(THROTTLED_SIGMA);
    let metrics = Metrics::unregistered();
    let mut worker = worker(&program, &metrics, Composites::Add);
    let outcomes: Vec<Outcome> = (0..3)
        .map(|at| {
            let record = format!(r#"{{"eventSource":"s3.amazonaws.com","eventName":"GetObject","errorCode":"AccessDenied","eventID":"e{at}"}}"#);
            worker.analyze(unit("aws.cloudtrail", at, 10 - at as i64, &record))
        })
        .collect();
    assert!(outcomes.iter().all(|outcome| outcome.alerts.is_empty() && outcome.candidates.len() == 1));
    let [first, ..] = &outcomes[2].candidates[..] else { panic!() };
    assert_eq!((first.component, first.record.len()), (Candidate::NO_COMPONENT, 0));
    let youngest_first = outcomes[2].candidates[0].held[0].alert.id;
    let mut correlator = correlator(&program, &metrics);
    let found = counted(&mut correlator, outcomes.into_iter().map(commit).collect());
    assert_eq!(found, [youngest_first], "it happened first");
    assert_eq!(suppressed(&metrics, "some"), 2);
}

#[test]
fn alerts_of_correlations_are_held_back_by_their_groups() {
    let sigma = format!("{SIGMA}{CORRELATIONS}");
    for (suppressions, users, held_back) in [
        ("  - {id: x, rules: none, reason: r, permanent: true}\n", vec!["ann", "bob", "eve", ""], 0),
        (
            "  - {id: x, rules: TWICE, where: {UserIdentity.userName: [ann, 'e*']}, reason: r, permanent: true}\n",
            vec!["bob", ""],
            2,
        ),
        ("  - {id: x, groups: correlation, level: 12, reason: r, until: 2027-01-01T00:00:00Z}\n", vec![], 4),
        // All of them count together, or each user for itself.
        ("  - {id: x, rules: twice, allow: 2, quiet: 1h, reason: r}\n", vec!["ann", "bob", ""], 1),
        (
            "  - {id: x, rules: twice, allow: 1, quiet: 1h, per: [userIdentity.userName], reason: r}\n",
            vec!["ann", "bob", "eve", ""],
            0,
        ),
        (
            "  - {id: x, rules: any, where: {agent: host-1}, allow: 1, quiet: 5s, reason: r}\n",
            vec!["ann", "eve", ""],
            1,
        ),
    ] {
        let program = program_of(&sigma, suppressions);
        let metrics = Metrics::unregistered();
        let mut worker = worker(&program, &metrics, Composites::Add);
        let commits: Vec<Commit> = ["ann", "ann", "bob", "bob", "eve", "eve"]
            .iter()
            .enumerate()
            .map(|(at, user)| {
                let record = format!(
                    r#"{{"eventSource":"s3.amazonaws.com","eventName":"GetObject","errorCode":"AccessDenied","eventID":"e{at}","userIdentity":{{"userName":"{user}"}}}}"#
                );
                let outcome = worker.analyze(unit("aws.cloudtrail", at as u64, 2 * at as i64, &record));
                assert!(outcome.alerts.is_empty());
                commit(outcome)
            })
            .collect();
        let mut found = Vec::new();
        let mut correlator = correlator(&program, &metrics);
        let end = Commit { markers: vec![Marker::End], ..Commit::default() };
        for (number, commit) in commits.into_iter().chain([end]).enumerate() {
            let take = &mut |alert: Alert| {
                let json: serde_json::Value = serde_json::from_slice(&alert.json).unwrap();
                let user = &json["sigma"]["correlation"]["group_by"]["userIdentity.userName"];
                found.push(user.as_str().unwrap_or_default().to_owned());
            };
            correlator.apply(span(number), commit, take).unwrap();
        }
        assert_eq!(found, users, "{suppressions}");
        assert_eq!(suppressed(&metrics, "x"), held_back, "{suppressions}");
    }
}

/// Events as (second, user), none at the same second.
fn events() -> impl Strategy<Value = Vec<(i64, u8)>> {
    prop::collection::vec((1_i64..40, 0_u8..3), 1..60).prop_map(|steps| {
        let mut now = 0;
        let step = |(step, user): (i64, u8)| {
            now += step;
            (now, user)
        };
        steps.into_iter().map(step).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn throttles_give_the_same_whatever_the_order_and_wherever_they_are_restored(
        events in events(),
        order in any::<prop::sample::Index>().prop_flat_map(|_| prop::collection::vec(0_i64..60, 60)),
        cut in any::<prop::sample::Index>(),
    ) {
        let program = program(THROTTLE);
        // One after the other.
        let metrics = Metrics::unregistered();
        let run = |order: &[usize], metrics: &Metrics, cut: Option<usize>| {
            let mut workers: Vec<Worker> = (0..3).map(|_| worker(&program, metrics, Composites::Add)).collect();
            let mut commits: Vec<Commit> = order
                .iter()
                .map(|at| {
                    let (second, user) = events[*at];
                    let unit = denied(*at as u64, second, &format!("u{user}"));
                    commit(workers[at % 3].analyze(unit))
                })
                .collect();
            commits.push(Commit { markers: vec![Marker::End], ..Commit::default() });
            let mut correlator = correlator(&program, metrics);
            let mut found = Vec::new();
            for (number, commit) in commits.iter().enumerate() {
                if cut == Some(number) {
                    let snapshot = correlator.snapshot(span(number).start).unwrap();
                    correlator = self::correlator(&program, metrics);
                    let (from, upto) = correlator.restore(&snapshot).unwrap();
                    for again in from.offset..upto.offset {
                        correlator.refill(span(again as usize), commits[again as usize].clone()).unwrap();
                    }
                }
                correlator.apply(span(number), commit.clone(), &mut |alert| found.push((alert.id, alert.level))).unwrap();
            }
            found
        };
        let in_order: Vec<usize> = (0..events.len()).collect();
        let expected = run(&in_order, &metrics, None);
        // The base alerts, by a plain count.
        let mut runs: HashMap<u8, (i64, u32)> = HashMap::new();
        let mut passed = 0;
        for (second, user) in &events {
            let (start, count) = runs.entry(*user).or_insert((*second, 0));
            if second - *start >= 100 {
                (*start, *count) = (*second, 0);
            }
            *count += 1;
            passed += usize::from(*count <= 2);
        }
        prop_assert_eq!(expected.iter().filter(|(_, level)| *level == 5).count(), passed);
        let mut shuffled = in_order;
        shuffled.sort_by_key(|at| events[*at].0 + order[*at % order.len()] - 1);
        let ids = |found: &[(AlertId, u8)]| found.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>();
        let found = run(&shuffled, &Metrics::unregistered(), None);
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(ids(&found), ids(&expected));
        let restored = run(&shuffled, &Metrics::unregistered(), Some(cut.index(shuffled.len())));
        prop_assert_eq!(ids(&restored), ids(&expected));
    }
}
