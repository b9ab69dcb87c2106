//! Two releases side by side over Kafka, and back to the earlier one: nothing missing, nothing twice, counts as of one process.
//!
//! Each phase brings events while copies of one release go and copies of the other come, in place, with the configuration and the
//! data of those before them. The expectation is `scan`'s. Some events of each phase are counted over several of them, so that
//! what one release has counted goes on with the other.
//!
//! The rules are published: copies of both releases judge by the same set, whatever rules they have built in.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use threatlockdown_benches::random::Random;

use crate::cluster::corpus::{ALONE, Alerts, RULES, STREAMS, event};
use crate::cluster::watch::Watch;
use crate::harness::{Daemon, LOOK, Site, Task, append, binary, count_lines, ids, metric, previous, skip};
use crate::kafka::Topics;
use crate::kill::SEED;

/// The release that the present one is tested beside: the last one before this test. It moves on with what is released; where the
/// two cannot stand side by side, that belongs into "Upgrades" in docs/kafka.md.
const BEFORE: &str = "f4ad730a62618f582000b8e527747dff0ee50acd";

const PHASES: u64 = 5;
/// Seconds of event time from one phase to the next.
const APART: u64 = 6 * 3_600;
/// When a phase is closed: later than its events by more than the lateness.
const CLOSING: u64 = 5 * 3_600;
const LATENESS: &str = "2h";
/// Events of a phase, a second apart.
const EVENTS: u64 = 600;
/// Parts in which they come, and the pause between two while copies are replaced.
const PARTS: usize = 30;
const PACE: Duration = Duration::from_millis(300);
/// Between two events that close a phase.
const CLOSE: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(240);
/// Addresses of which one call a phase is counted over several phases.
const BRIDGES: u64 = 6;

/// A count that goes over several phases, of many keys and so in all partitions.
const BRIDGE: &str = r#"<group name="upgrade,">
  <rule id="100710" level="5"><if_sid>80200</if_sid><field name="aws.eventName">^BridgeCall$</field><description>A rare call.</description></rule>
  <rule id="100711" level="10" frequency="3" timeframe="60000"><if_matched_sid>100710</if_matched_sid><same_field>aws.sourceIPAddress</same_field><description>Rare calls of $(aws.sourceIPAddress).</description></rule>
</group>
"#;

/// One chain of correlations. Of events that are counted by no other rule, by others too, and over several phases.
///
/// `BEFORE` counts all of Sigma's correlations in the first partition; after it they are divided among all, and only what falls to
/// the first is counted right while both run. By the least of its ids this chain does, of three partitions.
const SIGMA: &str = "
title: Call failed
name: failed
logsource: {product: aws, service: cloudtrail}
detection: {call: {eventName: FailedCall}, condition: call}
level: low
---
title: Odd call
name: odd
logsource: {product: aws, service: cloudtrail}
detection: {call: {eventName: OddCall}, condition: call}
level: low
---
title: Rare call
name: rare
logsource: {product: aws, service: cloudtrail}
detection: {call: {eventName: BridgeCall}, condition: call}
level: low
---
title: Calls fail
name: many_failed
id: 00000000-0000-4000-8000-00000000d004
correlation: {type: event_count, rules: [failed], group-by: [sourceIPAddress], timespan: 1m, condition: {gte: 4}}
level: high
---
title: Odd calls
name: many_odd
id: 00000000-0000-4000-8000-00000000d005
correlation: {type: event_count, rules: [odd], group-by: [sourceIPAddress], timespan: 2m, condition: {gte: 3}}
level: high
---
title: Rare calls
name: many_rare
id: 00000000-0000-4000-8000-00000000d006
correlation: {type: event_count, rules: [rare], group-by: [sourceIPAddress], timespan: 60000s, condition: {gte: 3}}
level: high
---
title: Calls are odd and fail
id: 00000000-0000-4000-8000-00000000d007
correlation: {type: temporal, rules: [many_failed, many_odd], group-by: [sourceIPAddress], timespan: 10m, generate: true}
level: high
---
title: Calls are rare and fail
id: 00000000-0000-4000-8000-00000000d008
correlation: {type: temporal, rules: [many_failed, many_rare], group-by: [sourceIPAddress], timespan: 10m, generate: true}
level: high
";

/// Rules of which each has to alert in most phases.
const ALERTING: [&str; 6] = [
    "100701",
    "100702",
    "00000000-0000-4000-8000-00000000d004",
    "00000000-0000-4000-8000-00000000d005",
    "00000000-0000-4000-8000-00000000d007",
    "100710",
];
/// And of which each has to alert only after several.
const BRIDGING: [&str; 3] =
    ["100711", "00000000-0000-4000-8000-00000000d006", "00000000-0000-4000-8000-00000000d008"];

/// A process that is replaced in place.
struct Copy {
    role: &'static str,
    site: Site,
    daemon: Option<Daemon>,
}

impl Copy {
    fn new(role: &'static str, instance: &str, topics: &Topics, shared: &Site) -> Self {
        let site = Site::new();
        site.configure(&format!(
            "workers: 1
state: {{lateness: {{aws.cloudtrail: {LATENESS}}}, idle: 10m}}
kafka:
  brokers: [\"{}\"]
  prefix: t.
  instance: {instance}
  librdkafka: {{session.timeout.ms: 6000}}
  topics: {{partitions: 3, correlate_partitions: 3}}
sources: [{{name: trail, type: file, source: aws.cloudtrail, paths: [\"{}in/*.jsonl\"]}}]
sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]
",
            topics.cluster.bootstrap(),
            shared.text(""),
        ));
        Self { role, site, daemon: None }
    }

    fn start(&mut self, release: &Path) {
        self.daemon = Some(self.site.start_role_of(release, self.role).ready());
    }

    fn stop(&mut self) {
        self.daemon.take().unwrap().stop();
    }

    fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// In order, by another release.
    fn replace(&mut self, release: &Path) {
        self.stop();
        self.start(release);
    }

    /// Has a share of what is judged and of what is counted.
    fn shares(&mut self) {
        let client = self.site.client();
        self.daemon.as_mut().unwrap().until("a share of the work", || {
            let text = client.get("/metrics").body;
            let figures = ["correlate_partitions", "events_total"];
            figures.iter().all(|name| metric(&text, &format!("threatlockdown_{name}")) > 0.0).then_some(())
        });
    }
}

/// All of it.
struct Deployment {
    /// They go before their servers.
    copies: [Copy; 5],
    shared: Site,
    /// What each phase makes.
    expected: Vec<Alerts>,
    watch: Watch,
    closings: u64,
    _topics: Topics,
}

const COLLECT: usize = 0;
const DELIVER: usize = 1;
/// Copies of `analyze`.
const A: usize = 2;
const B: usize = 3;
const C: usize = 4;

/// The lines of each stream, part by part. Up to half a minute out of order.
fn parts(phase: u64) -> Vec<[String; STREAMS]> {
    let mut random = Random::new(SEED ^ 0x7570 ^ phase << 32);
    let line = |number: u64, second: u64, name: &str, address: u64| {
        event(0, &format!("{phase}-{number}"), phase * APART + second, name, address)
    };
    let mut lines: Vec<(u64, u64, String)> = (0..EVENTS)
        .map(|number| {
            let name = match random.below(10) {
                0..=4 => "FailedCall",
                5..=7 => "OddCall",
                _ => "QuietCall",
            };
            let line = line(number, number, name, random.below(6));
            (number + random.below(30), random.below(STREAMS as u64), line)
        })
        .collect();
    // In the midst of what they are counted beside.
    let bridge =
        |address| (300, address % STREAMS as u64, line(EVENTS + address, 300, "BridgeCall", address));
    lines.extend((0..BRIDGES).map(bridge));
    lines.sort();
    let (count, mut parts) = (lines.len(), vec![[const { String::new() }; STREAMS]; PARTS]);
    for (index, (_, stream, line)) in lines.iter().enumerate() {
        parts[index * PARTS / count][*stream as usize].push_str(line);
    }
    parts
}

/// What `scan` makes of each phase.
fn expected(shared: &Site) -> Vec<Alerts> {
    let all: String = (0..PHASES).flat_map(parts).flatten().collect();
    shared.write("all.jsonl", all);
    let (rules, all) = (shared.text("rules"), shared.text("all.jsonl"));
    let scan = Task::new(["scan", "--source", "aws.cloudtrail", "--rules", &rules, &all]).run().with_code(1);
    let mut expected = vec![Alerts::new(); usize::try_from(PHASES).unwrap()];
    for alert in scan.json() {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        // 2025-01-DDTHH
        let time = text(&alert["timestamp"]);
        let (day, hour): (u64, u64) = (time[8..10].parse().unwrap(), time[11..13].parse().unwrap());
        let phase = usize::try_from(((day - 1) * 24 + hour) * 3_600 / APART).unwrap();
        let before = expected[phase].insert(text(&alert["id"]), text(&alert["rule"]["id"]));
        assert_eq!(before, None, "scan makes an alert twice");
    }
    let phases = |rule: &str| expected.iter().filter(|alerts| alerts.values().any(|one| one == rule)).count();
    for rule in ALERTING {
        assert!(phases(rule) >= expected.len() - 1, "rule {rule} alerts in {} phases", phases(rule));
    }
    for rule in BRIDGING {
        assert!(phases(rule) >= 1 && !expected[0].values().any(|one| one == rule), "rule {rule}");
    }
    expected
}

impl Deployment {
    fn new() -> Self {
        let topics = Topics::start();
        let shared = Site::new();
        shared.write("rules/a.xml", RULES);
        shared.write("rules/b.xml", BRIDGE);
        shared.write("rules/c.yml", SIGMA);
        (0..STREAMS).for_each(|stream| drop(shared.write(&format!("in/{stream}.jsonl"), "")));
        let copies =
            [("collect", "c"), ("deliver", "d"), ("analyze", "a"), ("analyze", "b"), ("analyze", "x")];
        let copies = copies.map(|(role, instance)| Copy::new(role, instance, &topics, &shared));
        let (config, rules) = (copies[0].site.text("config.yaml"), shared.text("rules"));
        drop(Task::new(["topics", "create", "-c", &config]).run().with_code(0));
        drop(Task::new(["rules", "publish", &rules, "-c", &config]).run().with_code(0));
        let watch = Watch::new(&topics.cluster.bootstrap(), "t.alerts");
        Self { expected: expected(&shared), copies, shared, watch, closings: 0, _topics: topics }
    }

    /// Changes the deployment while the events of a phase come, and waits until all that has to come of them is there, once.
    fn under_load(&mut self, phase: u64, what: &str, change: impl FnOnce(&mut [Copy; 5])) {
        let (began, is_over) = (Instant::now(), AtomicBool::new(false));
        let folder = self.shared.path("in");
        thread::scope(|scope| {
            scope.spawn(|| {
                for part in parts(phase) {
                    for (stream, lines) in part.iter().enumerate() {
                        append(&folder.join(format!("{stream}.jsonl")), lines.as_bytes());
                    }
                    let waits = Instant::now();
                    while !is_over.load(Ordering::Relaxed) && waits.elapsed() < PACE {
                        thread::sleep(LOOK);
                    }
                }
            });
            // Some of it is on its way.
            thread::sleep(PACE * 2);
            let _over = Over(&is_over);
            change(&mut self.copies);
        });
        let changed = began.elapsed().as_secs_f64();
        self.settle(phase, what);
        eprintln!("{what}: {changed:.1} s, then {:.1} s to settle", began.elapsed().as_secs_f64() - changed);
    }

    fn settle(&mut self, phase: u64, what: &str) {
        let until = usize::try_from(phase).unwrap();
        let expected: Alerts =
            self.expected[..=until].iter().flatten().map(|(id, rule)| (id.clone(), rule.clone())).collect();
        let alone = |alerts: &Alerts| alerts.values().filter(|rule| *rule == ALONE).count();
        let began = Instant::now();
        // An event that closes the phase must not come before one that is to be counted.
        self.wait(what, began, |found| alone(found) >= alone(&expected));
        while self.watch.seen.alerts.len() < expected.len() {
            self.closings += 1;
            for stream in 0..STREAMS {
                let (number, second) =
                    (self.closings * STREAMS as u64 + stream as u64, phase * APART + CLOSING);
                let line =
                    event(0, &format!("closing-{number}"), second + self.closings % 600, "QuietCall", 0);
                self.shared.append(&format!("in/{stream}.jsonl"), line);
            }
            thread::sleep(CLOSE);
            self.look(&format!("{what}: {} of {}", self.watch.seen.alerts.len(), expected.len()), began);
        }
        self.watch.look();
        self.watch.seen.is(what, &expected);
    }

    fn wait(&mut self, what: &str, began: Instant, is_there: impl Fn(&Alerts) -> bool) {
        while !is_there(&self.watch.seen.alerts) {
            self.look(&format!("{what}: {} alerts of all kinds", self.watch.seen.alerts.len()), began);
        }
    }

    /// Takes what has come; every copy has to go on running meanwhile.
    fn look(&mut self, what: &str, began: Instant) {
        self.watch.look();
        for Copy { role, daemon, .. } in &mut self.copies {
            if let Some(daemon) = daemon {
                daemon.runs(&format!("{what}, {role}"));
            }
        }
        assert!(began.elapsed() < LONGEST, "waited too long: {what}");
    }
}

/// Says that the change is over, also when it has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn releases_side_by_side_alert_as_one_process_does() {
    let present = binary().to_path_buf();
    let earlier: PathBuf = match previous(BEFORE) {
        Ok(path) => path,
        Err(why) => return skip("releases side by side", &why),
    };
    let read = |path: &Path| std::fs::read(path).unwrap();
    assert!(read(&present) != read(&earlier), "{} is the binary under test", earlier.display());
    let mut deployment = Deployment::new();
    for copy in [COLLECT, DELIVER, A, B] {
        deployment.copies[copy].start(&earlier);
    }
    deployment.under_load(0, "the earlier release alone", |_| {});
    deployment.under_load(1, "`analyze` of both", |copies| {
        copies[C].start(&present);
        copies[C].shares();
        copies[A].kill();
        copies[B].shares();
    });
    deployment.under_load(2, "the other roles, and the last `analyze`", |copies| {
        copies[DELIVER].replace(&present);
        copies[COLLECT].replace(&present);
        copies[B].stop();
        copies[A].start(&present);
        copies[A].shares();
    });
    deployment.under_load(3, "back to the earlier release", |copies| {
        copies[B].start(&earlier);
        copies[B].shares();
        copies[C].kill();
        copies[COLLECT].replace(&earlier);
        copies[A].stop();
        copies[DELIVER].replace(&earlier);
    });
    deployment.under_load(4, "forward again", |copies| {
        copies[COLLECT].kill();
        copies[COLLECT].start(&present);
        copies[A].start(&present);
        copies[A].shares();
        copies[B].kill();
        copies[DELIVER].kill();
        copies[DELIVER].start(&present);
    });
    let all = deployment.watch.seen.alerts.clone();
    let Copy { site, daemon, .. } = &mut deployment.copies[DELIVER];
    let path = site.path("alerts.jsonl");
    daemon
        .as_mut()
        .unwrap()
        .until("the last alerts in the file", || (count_lines(&path) >= all.len()).then_some(()));
    for copy in [COLLECT, A, DELIVER] {
        deployment.copies[copy].stop();
    }
    let file = ids(&deployment.copies[DELIVER].site.alerts());
    assert!(file == all, "{} alerts in the file, {} in the topic", file.len(), all.len());
    deployment.settle(PHASES - 1, "after the end");
}
