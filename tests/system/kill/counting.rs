//! What rules count does not depend on kills, nor on the number of workers, nor on which of several files an event lies in.
//!
//! The expectation is `scan`'s, which sorts everything. Then the same events come through files and requests, each in an
//! order of its own within the lateness, to a process that runs through, and to one that is killed again and again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use threatlockdown_benches::random::Random;

use super::SEED;
use crate::harness::{Site, Task, complete_lines, ids, is_soak, rule_ids};

/// Files, and as the last stream requests.
const STREAMS: usize = 4;
/// Parts in which the events come.
pub(crate) const PARTS: usize = 16;

/// Failed logins alert, several of one address within a minute alert again, and several of those once more. A rule that takes
/// alerts back is among them.
pub(crate) const RULES: &str = r#"<group name="counting,">
  <rule id="100600" level="5"><decoded_as>json</decoded_as><field name="outcome">^failed$</field><description>Login failed.</description></rule>
  <rule id="100601" level="10" frequency="4" timeframe="60"><if_matched_sid>100600</if_matched_sid><same_field>address</same_field><description>Logins failed.</description></rule>
  <rule id="100602" level="3"><decoded_as>json</decoded_as><field name="outcome">^ok$</field><description>Login.</description></rule>
  <rule id="100603" level="12" frequency="2" timeframe="120"><if_matched_sid>100601</if_matched_sid><same_field>address</same_field><description>Logins go on failing.</description></rule>
  <rule id="100604" level="6" ignore="30"><decoded_as>json</decoded_as><field name="outcome">^odd$</field><description>Odd.</description></rule>
</group>
"#;

/// What is loaded, and which rules alert at least so often.
pub(crate) struct Case {
    /// Names and texts of files.
    pub(crate) files: &'static [(&'static str, &'static str)],
    pub(crate) alerting: &'static [(&'static str, usize)],
    /// Long enough for the first part of the events, after which all streams are known: then events are counted while
    /// others come; with a longer one all are counted at the end.
    pub(crate) lateness: &'static str,
}

pub(crate) const COUNTING: Case = Case {
    files: &[("rules/a.xml", RULES)],
    alerting: &[("100600", 10), ("100601", 10), ("100602", 10), ("100603", 10), ("100604", 10)],
    lateness: "2h",
};

/// Everything that is offered: for each stream its lines in parts, and a last line, long after all others.
pub(crate) struct Load {
    pub(crate) parts: Vec<Vec<String>>,
    pub(crate) last: Vec<String>,
}

/// Events that are a second apart, each in one of the streams, up to half a minute out of order there.
pub(crate) fn load(count: usize) -> Load {
    let mut random = Random::new(SEED ^ 0x636f_756e);
    let mut events: Vec<(u64, u64, String)> = (0..count as u64)
        .map(|number| {
            let outcome = match random.below(10) {
                0..=6 => "failed",
                7 => "odd",
                _ => "ok",
            };
            let line = event(number, number, outcome, random.below(9));
            (number + random.below(30), random.below(STREAMS as u64), line)
        })
        .collect();
    events.sort();
    let mut parts = vec![vec![String::new(); PARTS]; STREAMS];
    for (index, (_, stream, line)) in events.iter().enumerate() {
        // The first of each stream comes before all else, so that all streams are known.
        parts[*stream as usize][index * PARTS / count].push_str(line);
    }
    let last = (0..STREAMS as u64).map(|stream| event(count as u64 + stream, 200_000, "quiet", stream));
    Load { parts, last: last.collect() }
}

fn event(number: u64, second: u64, outcome: &str, address: u64) -> String {
    let (day, second) = (1 + second / 86_400, second % 86_400);
    let time = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    let mut line = String::new();
    let _ = writeln!(
        line,
        r#"{{"timestamp":"2025-01-{day:02}T{time}Z","number":{number},"outcome":"{outcome}","address":"10.0.0.{address}"}}"#
    );
    line
}

impl Case {
    fn write(&self, site: &Site) {
        self.files.iter().for_each(|(name, text)| drop(site.write(name, text)));
    }
}

fn site(case: &Case, workers: usize) -> Site {
    let site = Site::new();
    case.write(&site);
    site.configure(&format!(
        "workers: {workers}
rules: {{paths: [DIR/rules]}}
state: {{lateness: {{json: {}}}, idle: 1h}}
sources:
- {{name: push, type: http, sources: [json]}}
- {{name: app, type: file, source: json, paths: [\"DIR/in/*.log\"]}}
sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]
",
        case.lateness
    ));
    site
}

/// Rule and text of each alert, and how often: ids of lines without a key are those of their place, which is another one in
/// another file.
pub(crate) type Texts = BTreeMap<(String, String), usize>;

pub(crate) fn found(alerts: &[serde_json::Value]) -> Texts {
    let mut found = Texts::new();
    for alert in alerts {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        *found.entry((text(&alert["rule"]["id"]), text(&alert["full_log"]))).or_insert(0) += 1;
    }
    found
}

pub(crate) fn expected(case: &Case, load: &Load) -> Texts {
    let site = Site::new();
    case.write(&site);
    let all: String = load.parts.iter().flatten().chain(&load.last).map(String::as_str).collect();
    site.write("all.log", all);
    let (rules, all) = (site.text("rules"), site.text("all.log"));
    let mut seen = Vec::new();
    for threads in ["1", "8"] {
        let scan = ["scan", "--source", "json", "--threads", threads, "--rules", &rules, &all];
        let alerts = Task::new(scan).run().with_code(1).json();
        for (rule, least) in case.alerting {
            let count = rule_ids(&alerts).iter().filter(|id| *id == rule).count();
            assert!(count >= *least, "{count} alerts of rule {rule}");
        }
        seen.push(found(&alerts));
    }
    assert!(seen[0] == seen[1], "one thread and eight differ");
    seen.remove(0)
}

fn offer(site: &Site, part: usize, text: &[String]) {
    for (stream, lines) in text.iter().enumerate() {
        if lines.is_empty() {
            continue;
        }
        if stream + 1 < STREAMS {
            site.append(&format!("in/{stream}.log"), lines);
        } else {
            let key = format!("part-{part}");
            site.client().post("/v1/ingest/json", &[("Idempotency-Key", &key)], lines).with_status(200);
        }
    }
}

/// Ids and rules of the alerts, whose texts are those that are expected.
pub(super) fn run(
    case: &Case,
    load: &Load,
    expected: &Texts,
    (workers, kills): (usize, bool),
) -> BTreeMap<String, String> {
    let site = site(case, workers);
    let mut random = Random::new(SEED ^ workers as u64);
    let of_part = |part: usize| load.parts.iter().map(|parts| parts[part].clone()).collect::<Vec<_>>();
    let mut daemon = site.start().ready();
    offer(&site, 0, &of_part(0));
    let client = daemon.client.clone();
    let first = of_part(0).concat().lines().count() as f64;
    daemon.until("the first part", || (client.metric("threatlockdown_events_total") >= first).then_some(()));
    for part in 1..PARTS {
        if kills {
            // A process that ends by itself leaves a snapshot, from which others go on that are killed.
            if part % 4 == 1 {
                daemon.stop();
            } else {
                daemon.kill();
            }
            if random.below(3) == 0 {
                let victim = site.start();
                thread::sleep(Duration::from_millis(random.below(80)));
                victim.kill();
            }
            daemon = site.start().ready();
        }
        offer(&site, part, &of_part(part));
        thread::sleep(Duration::from_millis(random.below(if kills { 200 } else { 1 })));
    }
    if kills {
        daemon.kill();
        daemon = site.start().ready();
    }
    offer(&site, PARTS, &load.last);
    let count: usize = expected.values().sum();
    let path = site.path("alerts.jsonl");
    daemon.until(&format!("{count} alerts"), || (complete_lines(&path).len() >= count).then_some(()));
    daemon.stop();
    let alerts = site.alerts();
    assert!(found(&alerts) == *expected, "{workers} workers, kills: {kills}: {}", alerts.len());
    ids(&alerts)
}

#[test]
fn counts_are_the_same_with_any_number_of_workers_and_kills() {
    let load = load(if is_soak() { 60_000 } else { 4_000 });
    let expected = expected(&COUNTING, &load);
    let calm = run(&COUNTING, &load, &expected, (1, false));
    for (workers, kills) in [(2, false), (8, false), (1, true), (8, true)] {
        let found = run(&COUNTING, &load, &expected, (workers, kills));
        assert!(found == calm, "{workers} workers, kills: {kills}");
    }
}
