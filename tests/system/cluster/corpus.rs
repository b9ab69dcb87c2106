//! What is offered to a cluster under faults, phase by phase, and what has to come of it.
//!
//! Enters: how many phases, of how many events. Leaves: for each phase the lines of its streams in parts, and the alerts that
//! `scan` makes of all of it. CloudTrail records have a key of their own, so their ids do not depend on where they were read. Each phase
//! is two days of its own: what is counted in one has nothing to do with the next, and events that close it, long after all
//! others, bring what is counted to its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use threatlockdown_benches::random::Random;

use crate::harness::{Site, Task};

/// Files in which the events of a phase lie.
pub(crate) const STREAMS: usize = 4;
/// Parts in which they come.
pub(crate) const PARTS: usize = 60;
/// Longer than the events of a phase are apart, shorter than from the last of them to those that close it.
pub(crate) const LATENESS: &str = "8h";
const DAY: u64 = 86_400;
/// When a phase is closed.
const CLOSING: u64 = 20 * 3_600;

/// A call that failed alerts, several of one address within a minute alert again, and several of those once more.
pub(crate) const RULES: &str = r#"<group name="cluster,">
  <rule id="100700" level="5"><if_sid>80200</if_sid><field name="aws.eventName">^FailedCall$</field><description>A call failed.</description></rule>
  <rule id="100701" level="10" frequency="4" timeframe="60"><if_matched_sid>100700</if_matched_sid><same_field>aws.sourceIPAddress</same_field><description>Calls of $(aws.sourceIPAddress) fail.</description></rule>
  <rule id="100702" level="12" frequency="2" timeframe="120"><if_matched_sid>100701</if_matched_sid><same_field>aws.sourceIPAddress</same_field><description>Calls of $(aws.sourceIPAddress) go on failing.</description></rule>
</group>
"#;

/// The rule that alerts of an event alone.
pub(crate) const ALONE: &str = "100700";

/// Ids of alerts with their rules.
pub(crate) type Alerts = BTreeMap<String, String>;

/// How large it is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) phases: usize,
    pub(crate) events: usize,
    /// Of a hundred events so many are calls that failed.
    pub(crate) failing: u64,
}

/// See the module.
pub(crate) struct Corpus {
    size: Size,
    seed: u64,
    pub(crate) expected: Vec<Alerts>,
}

impl Corpus {
    /// The events of all phases are made twice, here for `scan` and later to be offered: none of them is kept.
    pub(crate) fn new(seed: u64, size: Size) -> Self {
        let site = Site::new();
        site.write("rules/a.xml", RULES);
        let mut corpus = Self { size, seed, expected: vec![Alerts::new(); size.phases] };
        for phase in 0..size.phases {
            let all: String = corpus.parts(phase).into_iter().flatten().collect();
            site.append("all.jsonl", all);
        }
        let (rules, all) = (site.text("rules"), site.text("all.jsonl"));
        let scan =
            Task::new(["scan", "--source", "aws.cloudtrail", "--rules", &rules, &all]).run().with_code(1);
        for alert in scan.json() {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let event = text(&alert["data"]["aws"]["eventID"]);
            let phase: usize = event.split('-').nth(1).unwrap().parse().unwrap();
            let before = corpus.expected[phase].insert(text(&alert["id"]), text(&alert["rule"]["id"]));
            assert_eq!(before, None, "scan makes an alert twice");
        }
        for (phase, alerts) in corpus.expected.iter().enumerate() {
            for rule in ["100700", "100701", "100702"] {
                let count = alerts.values().filter(|found| *found == rule).count();
                assert!(count >= 10, "{count} alerts of rule {rule} in phase {phase}");
            }
        }
        corpus
    }

    /// The lines of each stream, part by part. A second apart, and half a minute out of order.
    pub(crate) fn parts(&self, phase: usize) -> Vec<[String; STREAMS]> {
        let mut random = Random::new(self.seed ^ (phase as u64) << 32);
        // So that in a minute there are about four calls of one address that failed.
        let addresses = (self.size.failing * 60 / 400).max(1);
        let mut lines: Vec<(u64, u64, String)> = (0..self.size.events as u64)
            .map(|number| {
                let name = if random.below(100) < self.size.failing { "FailedCall" } else { "QuietCall" };
                let address = random.below(addresses);
                let line = event(phase, &number.to_string(), number, name, address);
                (number + random.below(30), random.below(STREAMS as u64), line)
            })
            .collect();
        lines.sort();
        let mut parts = vec![[const { String::new() }; STREAMS]; PARTS];
        for (index, (_, stream, line)) in lines.iter().enumerate() {
            parts[index * PARTS / self.size.events][*stream as usize].push_str(line);
        }
        parts
    }

    /// What all phases up to this one make.
    pub(crate) fn until(&self, phase: usize) -> Alerts {
        self.expected[..=phase].iter().flatten().map(|(id, rule)| (id.clone(), rule.clone())).collect()
    }
}

/// An event that closes a phase, without an alert.
pub(crate) fn closing(phase: usize, number: u64) -> String {
    event(phase, &format!("closing-{number}"), CLOSING + number, "QuietCall", 0)
}

/// A line of a phase; `second` counts from its first day.
pub(crate) fn event(phase: usize, number: &str, second: u64, name: &str, address: u64) -> String {
    let mut line = String::new();
    let time = time(phase as u64 * 2 * DAY + second);
    let _ = writeln!(
        line,
        r#"{{"eventVersion":"1.08","eventTime":"{time}","eventSource":"s3.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","sourceIPAddress":"10.{phase}.0.{address}","recipientAccountId":"111122223333","eventID":"p-{phase}-{number}"}}"#
    );
    line
}

/// The day of a phase as an index has it: 0 is its first.
pub(crate) fn index_day(phase: usize, day: u64) -> String {
    time((phase as u64 * 2 + day) * DAY)[..10].replace('-', ".")
}

/// Seconds of 2025.
fn time(second: u64) -> String {
    let mut day = second / DAY;
    let mut month = 1;
    for days in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        (day, month) = (day - days, month + 1);
    }
    let rest = second % DAY;
    format!("2025-{month:02}-{:02}T{:02}:{:02}:{:02}Z", day + 1, rest / 3_600, rest / 60 % 60, rest % 60)
}
