//! What is counted does not depend on how many workers there are, on how events are spread over streams, on disorder within
//! the lateness, on kills.
//!
//! Random rule sets meet random sequences of events (those of the engine's own differential tests). The expectation is
//! made by the engine alone: one memory, all events in the order of time. Then the same events go through the whole stage,
//! with real threads, in streams that are shuffled as far as their lateness allows, and must give the same alerts.

#![allow(clippy::unwrap_used)] // clippy sees a test in a function that is marked as one, not in what it calls

#[path = "../../../../ruleset/tests/differential/elements.rs"]
#[allow(dead_code)]
mod elements;
#[path = "../../../../ruleset/tests/differential/lines.rs"]
#[allow(dead_code)]
mod lines;
#[path = "../../../../ruleset/tests/differential/rng.rs"]
#[allow(dead_code)]
mod rng;
#[path = "../../../../ruleset/tests/differential/rules.rs"]
#[allow(dead_code)]
mod rules;

mod cluster;
mod correlations;
mod run;
mod strangers;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use threatlockdown_analysis::{ActiveProgram, Composites, Metrics};
use threatlockdown_event::{Alert, AlertId};
use threatlockdown_topics::Commit;

use crate::rng::Rng;
use crate::run::span;
use crate::trial::{Trial, trials};

#[test]
fn alerts_are_the_same_on_any_number_of_workers_and_in_any_order_within_the_lateness() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for trial in trials(60) {
        let mut rng = Rng::new(trial.seed ^ 0x5eed);
        let expected = trial.expected();
        let mut added: Option<BTreeSet<AlertId>> = None;
        for (workers, shuffled) in [(1, false), (1, true), (2, true), (8, true)] {
            for composites in [Composites::Replace, Composites::Add] {
                let streams = trial.streams(&mut rng, shuffled);
                let commits = trial.commits(streams, workers, composites);
                let found = trial.alerts(&commits);
                assert_eq!(found.late, 0, "seed {}", trial.seed);
                let all = found.all();
                if composites == Composites::Replace {
                    assert_eq!(all, expected, "seed {}, {workers} workers", trial.seed);
                } else {
                    assert!(all.is_superset(&expected), "seed {}, {workers} workers", trial.seed);
                    let first = added.get_or_insert_with(|| all.clone());
                    assert_eq!(&all, first, "seed {}, {workers} workers", trial.seed);
                    let commits =
                        trial.commits_of_units(trial.streams(&mut rng, shuffled), &mut rng, composites);
                    assert_eq!(trial.alerts(&commits).all(), all, "seed {}", trial.seed);
                    *seen.entry("at once").or_default() += found.at_once.len();
                    *seen.entry("counted").or_default() += found.counted.len();
                    *seen.entry("beside").or_default() += all.len() - expected.len();
                }
            }
        }
        *seen.entry("trials").or_default() += 1;
    }
    // What the trials are for must happen in them.
    for (what, least) in [("trials", 20), ("at once", 200), ("counted", 200), ("beside", 20)] {
        assert!(seen.get(what).is_some_and(|count| *count >= least), "{what}: {seen:?}");
    }
}

#[test]
fn kills_change_nothing() {
    let mut counted = 0;
    for trial in trials(400) {
        let mut rng = Rng::new(trial.seed ^ 0x6b69_6c6c);
        let streams = trial.streams(&mut rng, true);
        let commits = trial.commits_of_units(streams, &mut rng, Composites::Add);
        let expected = trial.alerts(&commits);
        assert_eq!(expected.late, 0, "seed {}", trial.seed);
        let mut kills: Vec<usize> = (0..4).map(|_| rng.below(commits.len() + 1)).collect();
        kills.sort_unstable();
        let found = trial.alerts_with_kills(&commits, &kills, &mut rng);
        assert_eq!(found.all(), expected.all(), "seed {}, killed after {kills:?}", trial.seed);
        counted += found.counted.len();
    }
    assert!(counted >= 100, "{counted}");
}

/// What comes later than the lateness is counted as it comes, and known to be late.
#[test]
fn disorder_beyond_the_lateness_is_metered() {
    let mut late = 0;
    for trial in trials(20) {
        let streams = trial.streams(&mut Rng::new(trial.seed), false);
        let mut commits = trial.commits_of_units(streams, &mut Rng::new(1), Composites::Replace);
        // All but the first and last words backwards.
        let count = commits.len();
        commits[1..count - 1].reverse();
        commits[0] = Commit::default();
        late += trial.alerts(&commits).late;
    }
    assert!(late > 0);
}

/// Rules that count failures, with others before them or not: the components have other numbers then.
fn counting(level: u8, before: &str) -> String {
    format!(
        r#"<group name="own,">{before}
        <rule id="100700" level="5"><match>^failed</match><description>Failed.</description></rule>
        <rule id="100701" level="{level}" frequency="3" timeframe="60"><if_matched_sid>100700</if_matched_sid><description>Again.</description></rule>
        </group>"#
    )
}

#[test]
fn candidates_are_judged_by_the_rules_that_made_them_as_long_as_these_are_there() {
    const BEFORE: &str = r#"<rule id="100600" level="5" ignore="60"><match>^odd</match><description>Odd.</description></rule>"#;
    let lines = ["failed 1", "failed 2", "failed 3", "failed 4"];
    let before = Trial::of(&counting(10, ""), &lines);
    let after = Trial::of(&counting(12, BEFORE), &lines);
    let mut rng = Rng::new(1);
    let streams = before.streams(&mut rng, false);
    let commits = before.commits_of_units(streams, &mut rng, Composites::Replace);
    let metrics = Metrics::unregistered();
    // Rule, its level, and the rules that it is of.
    let told = |alert: &Alert| {
        let json: serde_json::Value = serde_json::from_slice(&alert.json).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (text(&json["rule"]["id"]), alert.level, text(&json["ruleset"]["version"]))
    };
    let expected = |trial: &Trial, level: u8| -> Vec<(String, u8, String)> {
        let told = |rule: &str, level| (rule.to_owned(), level, trial.program.version().to_owned());
        vec![told("100700", 5), told("100700", 5), told("100701", level), told("100700", 5)]
    };
    // All of them wait when the rules are replaced.
    let active = ActiveProgram::new(Arc::clone(&before.program));
    let mut correlator = before.correlator_of(&active, &metrics);
    let mut found = Vec::new();
    for (number, commit) in commits.iter().enumerate() {
        if number + 2 == commits.len() {
            assert_eq!((found.len(), correlator.waiting()), (0, lines.len()));
            active.replace(Arc::clone(&after.program));
        }
        correlator.apply(span(number), commit.clone(), &mut |alert| found.push(told(&alert))).unwrap();
    }
    assert_eq!(found, expected(&before, 10));
    // A process that never had the rules that made them finds their components itself.
    let mut correlator = after.correlator(&metrics);
    let mut found = Vec::new();
    for (number, commit) in commits.iter().enumerate() {
        correlator.apply(span(number), commit.clone(), &mut |alert| found.push(told(&alert))).unwrap();
    }
    assert_eq!(found, expected(&after, 12));
}
