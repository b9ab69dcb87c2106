//! Rules are loaded again while correlations have open windows: those that stay as they were go on, a changed one begins anew.
//!
//! The expectation is `scan`'s: of everything for a correlation that stays, of the events since for one that changed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::correlations::{BRUTE_FORCE, NO_LOGIN, RULES, correlations, logins, scanned, told};
use crate::harness::{Daemon, Site, complete_lines};
use crate::run::reload::wait_for;

const ANOTHER: &str = "
title: Another
logsource: {product: aws, service: cloudtrail}
detection:
    other: {eventName: NothingOfTheKind}
    condition: other
level: low
";

/// Ids, correlations and groups.
type Told = BTreeSet<(String, String, String)>;

fn site() -> Site {
    let site = Site::new();
    site.write("rules/a.yml", RULES);
    site.configure(
        "rules: {builtin: false, paths: [DIR/rules], reload_interval: 100ms}\n\
         state: {idle: 1h}\n\
         sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl}]\n\
         sources: [{name: trail, type: file, source: aws.cloudtrail, paths: [DIR/in.log]}]\n",
    );
    site
}

/// Offers events and waits until all of them are counted but the last, of which time has not passed.
fn offer(site: &Site, daemon: &mut Daemon, numbers: std::ops::Range<u32>) {
    let counted = f64::from(numbers.end - 1);
    site.append("in.log", logins(numbers));
    let client = daemon.client.clone();
    let name = "threatlockdown_candidates_judged_total";
    daemon.until(&format!("{counted} events"), || (client.metric(name) >= counted).then_some(()));
}

/// Offers an event long after all others and waits for the alerts.
fn finish(site: &Site, mut daemon: Daemon, count: usize) -> Vec<Value> {
    site.append("in.log", logins(5_000..5_001).replace("ConsoleLogin", "Other"));
    let path = site.path("alerts.jsonl");
    daemon.until(&format!("{count} alerts"), || (complete_lines(&path).len() >= count).then_some(()));
    daemon.stop();
    correlations(site.alerts())
}

/// What `scan` tells of these events with these rules.
fn expected(rules: &str, numbers: std::ops::Range<u32>) -> Told {
    let site = Site::new();
    site.write("rules.yml", rules);
    site.write("all.log", logins(numbers));
    told(&scanned(&site, "2"))
}

fn of(told: &Told, correlation: &str) -> Told {
    told.iter().filter(|(rule, ..)| rule == correlation).cloned().collect()
}

#[test]
fn windows_stay_open_where_correlations_stay_as_they_were() {
    let site = site();
    let mut daemon = site.start().ready();
    for (round, (from, to)) in (0..).zip([(0, 10), (10, 21), (21, 40), (40, 60)]) {
        offer(&site, &mut daemon, from..to);
        // A rule comes, changes and goes.
        match round {
            0 => drop(site.write("rules/b.yml", ANOTHER)),
            1 => drop(site.write("rules/b.yml", ANOTHER.replace("NothingOfTheKind", "Nothing"))),
            2 => std::fs::remove_file(site.path("rules/b.yml")).unwrap(),
            _ => continue,
        }
        wait_for(&mut daemon, "applied", round + 1);
    }
    let expected = expected(RULES, 0..60);
    assert_eq!((of(&expected, BRUTE_FORCE).len(), of(&expected, NO_LOGIN).len()), (4, 4));
    assert_eq!(told(&finish(&site, daemon, expected.len())), expected);
}

#[test]
fn a_changed_correlation_begins_anew_and_the_one_beside_it_does_not() {
    let (before, after) = ("timespan: 5m\n    condition: {gte: 5}", "timespan: 6m\n    condition: {gte: 5}");
    let changed = RULES.replace(before, after);
    assert_ne!(changed, RULES);
    let site = site();
    let mut daemon = site.start().ready();
    offer(&site, &mut daemon, 0..10);
    site.write("rules/a.yml", &changed);
    wait_for(&mut daemon, "applied", 1);
    offer(&site, &mut daemon, 10..60);
    // The tenth event waited while rules were loaded: it is counted by the new ones.
    let begun_anew = of(&expected(&changed, 9..60), BRUTE_FORCE);
    assert_ne!(
        begun_anew,
        of(&expected(&changed, 0..60), BRUTE_FORCE),
        "the events before make a difference"
    );
    let expected: Told = &begun_anew | &of(&expected(RULES, 0..60), NO_LOGIN);
    assert_eq!(told(&finish(&site, daemon, expected.len())), expected);
}

#[test]
fn a_correlation_begins_anew_when_a_rule_that_feeds_it_changes() {
    let before = "failed: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Failure}";
    let after = "failed: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Failure, awsRegion: null}";
    let changed = RULES.replace(before, after);
    assert_ne!(changed, RULES);
    let site = site();
    let mut daemon = site.start().ready();
    offer(&site, &mut daemon, 0..10);
    site.write("rules/a.yml", &changed);
    wait_for(&mut daemon, "applied", 1);
    offer(&site, &mut daemon, 10..60);
    let expected = expected(&changed, 9..60);
    assert_eq!(told(&finish(&site, daemon, expected.len())), expected);
}
