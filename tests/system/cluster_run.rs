//! `run` with a section `kafka`: all roles in one process, the topics between them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use threatlockdown_benches::random::Random;

use crate::harness::{Site, Task, complete_lines, count_lines, ids, is_soak, repository};
use crate::kafka::Topics;
use crate::kill::SEED;
use crate::kill::counting::{COUNTING, PARTS, RULES, expected, found, load};

/// One rule, which looks at no other events.
const BLOCKED: &str = r#"<group name="cluster_run,">
  <rule id="100300" level="7"><decoded_as>json</decoded_as><field name="verdict">^blocked$</field><description>Request $(number) was blocked.</description></rule>
</group>
"#;

/// A process with what is its own; `DIR` in `yaml` is its folder.
fn site(topics: &Topics, instance: &str, yaml: &str) -> Site {
    let site = Site::new();
    site.configure(&format!(
        "workers: 1
kafka:
  brokers: [\"{}\"]
  prefix: t.
  instance: {instance}
  librdkafka: {{session.timeout.ms: 6000}}
  topics: {{partitions: 3, correlate_partitions: 3}}
sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]
{yaml}",
        topics.cluster.bootstrap(),
    ));
    site
}

fn make_topics(site: &Site) {
    drop(Task::new(["topics", "create", "-c"]).arg(site.path("config.yaml")).run().with_code(0));
}

/// The alerts of the topic, as who reads what is committed alone sees them.
fn in_topic(topics: &Topics) -> Vec<Value> {
    topics.read("t.alerts").iter().map(|one| serde_json::from_slice(&one.payload).unwrap()).collect()
}

#[test]
fn a_run_to_the_end_of_its_inputs_alerts_as_scan_does() {
    let topics = Topics::start();
    let samples = repository().join("samples");
    let sources = format!(
        "state: {{lateness: {{aws.cloudtrail: 300d, azure.log_analytics: 300d}}, idle: 5s}}
sources:
- {{name: trail, type: file, source: aws.cloudtrail, paths: [\"{0}/AWSLogs\"]}}
- {{name: azure, type: file, source: azure.log_analytics, paths: [\"{0}/azure\"], shared: true}}
",
        samples.display()
    );
    let site = site(&topics, "a", &sources);
    let config = site.path("config.yaml");
    let checked = Task::new(["config", "check", "-c"]).arg(&config).run().with_code(0);
    assert!(checked.stdout.contains("kafka"), "{}", checked.stdout);
    let refused = Task::new(["run", "--once", "--listen", "off", "-c"]).arg(&config).run().with_code(2);
    assert!(refused.stderr.contains("topics create"), "{}", refused.stderr);
    make_topics(&site);
    let scan = Task::new(["scan", "samples/AWSLogs", "samples/azure"]).current_dir(repository()).run();
    let wanted = ids(&scan.with_code(1).json());
    assert!(wanted.len() > 50, "{} alerts", wanted.len());
    let run = || Task::new(["run", "--once", "--listen", "off", "-c"]).arg(&config).run().with_code(0);
    for _ in 0..2 {
        // The second time there is nothing new.
        drop(run());
        assert_eq!(ids(&site.alerts()), wanted, "in the sink");
        assert_eq!(ids(&in_topic(&topics)), wanted, "in the topic");
    }

    // What depends on other events is counted to the end too.
    let load = load(2_000);
    let expected = expected(&COUNTING, &load);
    let counting = format!(
        "rules: {{paths: [DIR/rules]}}
state: {{lateness: {{json: {}}}, idle: 8s}}
sources: [{{name: app, type: file, source: json, paths: [\"DIR/in/*.log\"]}}]
",
        COUNTING.lateness
    );
    let site = self::site(&topics, "b", &counting);
    site.write("rules/a.xml", RULES);
    for (stream, parts) in load.parts.iter().enumerate() {
        site.write(&format!("in/{stream}.log"), parts.concat() + &load.last[stream]);
    }
    make_topics(&site);
    let config = site.path("config.yaml");
    drop(Task::new(["run", "--once", "--listen", "off", "-c"]).arg(&config).run().with_code(0));
    // The group of the sink goes on where the first one was.
    assert!(found(&site.alerts()) == expected, "{} alerts", site.alerts().len());
}

#[test]
fn what_is_counted_is_alerted_in_silence_too_each_time() {
    const TWICE: &str = r#"<group name="t,">
<rule id="100300" level="7"><decoded_as>json</decoded_as><field name="verdict">^blocked$</field><description>Blocked</description></rule>
<rule id="100301" level="10" frequency="2" timeframe="3600"><if_matched_sid>100300</if_matched_sid><same_field>account</same_field><description>Twice</description></rule>
</group>
"#;
    let topics = Topics::start();
    let site = Site::new();
    // One partition, and nothing set that has a default.
    site.configure(&format!(
        "workers: 1
rules: {{paths: [DIR/rules]}}
kafka: {{brokers: [\"{}\"], prefix: t., instance: a, topics: {{partitions: 1, correlate_partitions: 2}}}}
sources: [{{name: app, type: file, source: json, paths: [\"DIR/in.log\"]}}]
sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]
",
        topics.cluster.bootstrap(),
    ));
    site.write("rules/a.xml", TWICE);
    make_topics(&site);
    let mut daemon = site.start().ready();
    for round in 1..=4 {
        site.append("in.log", format!("{{\"verdict\":\"blocked\",\"account\":\"{round}\"}}\n").repeat(2));
        let path = site.path("alerts.jsonl");
        daemon.until(&format!("round {round}"), || (complete_lines(&path).len() == 3 * round).then_some(()));
    }
    daemon.stop();
}

#[test]
fn a_process_that_is_killed_goes_on_where_it_was() {
    let load = load(if is_soak() { 60_000 } else { 4_000 });
    let expected = expected(&COUNTING, &load);
    let mut topics = Topics::start();
    let sources = format!(
        "rules: {{paths: [DIR/rules]}}
state: {{lateness: {{json: {}}}, idle: 30s}}
sources: [{{name: app, type: file, source: json, paths: [\"DIR/in/*.log\"]}}]
",
        COUNTING.lateness
    );
    let site = site(&topics, "a", &sources);
    site.write("rules/a.xml", RULES);
    make_topics(&site);

    // Brokers that are not there yet are waited for.
    topics.cluster.stop(0);
    let mut daemon = site.start();
    let log = site.path("stderr.log");
    let waits = || std::fs::read_to_string(&log).unwrap().contains("waiting for the brokers");
    daemon.until("word that it waits", || waits().then_some(()));
    topics.cluster.restart(0);
    daemon = daemon.ready();

    let (mut random, mut kills) = (Random::new(SEED ^ 0x72_756e), 0);
    for part in 0..=PARTS {
        for stream in 0..load.parts.len() {
            let text = load.parts[stream].get(part).unwrap_or(&load.last[stream]);
            site.append(&format!("in/{stream}.log"), text);
        }
        if part % if is_soak() { 1 } else { 4 } == 1 {
            std::thread::sleep(Duration::from_millis(random.below(1_500)));
            daemon.kill();
            daemon = site.start().ready();
            kills += 1;
        }
    }
    let (count, path) = (expected.values().sum::<usize>(), site.path("alerts.jsonl"));
    daemon.until(&format!("{count} alerts"), || (complete_lines(&path).len() >= count).then_some(()));
    daemon.stop();
    let (alerts, told) = (site.alerts(), in_topic(&topics));
    assert!(found(&alerts) == expected, "{} alerts, not {count}, after {kills} kills", alerts.len());
    assert_eq!(ids(&alerts), ids(&told), "each once, in the sink as in the topic");
}

#[test]
fn processes_beside_each_other_share_the_work_and_end_with_all_done() {
    let topics = Topics::start();
    let sources = "rules: {paths: [DIR/rules.xml]}
sources: [{name: app, type: file, source: json, paths: [\"DIR/in/*.log\"]}]
";
    let sites = [site(&topics, "a", sources), site(&topics, "b", sources)];
    for site in &sites {
        site.write("rules.xml", BLOCKED);
    }
    make_topics(&sites[0]);
    let mut daemons: Vec<_> = sites.iter().map(|site| site.start().ready()).collect();
    let metric = |site: &Site, name: &str| site.client().metric(&format!("threatlockdown_{name}"));
    let shares = |name: &str| sites.iter().map(|site| metric(site, name)).collect::<Vec<f64>>();
    daemons[0].until("a share of what is counted", || {
        shares("correlate_partitions").iter().all(|share| *share > 0.0).then_some(())
    });
    let mut sent = 0;
    let mut send = |site: &Site, count: usize| {
        let line = |number| format!("{{\"number\":{number},\"verdict\":\"blocked\"}}\n");
        site.append("in/a.log", (sent..sent + count).map(line).collect::<String>());
        sent += count;
        sent
    };
    // Both judge and deliver, whoever has read it.
    let lines = || sites.iter().map(|site| count_lines(&site.path("alerts.jsonl"))).collect::<Vec<_>>();
    daemons[0].until("a share of the alerts", || {
        send(&sites[0], 50);
        std::thread::sleep(Duration::from_millis(200));
        (lines().iter().all(|lines| *lines > 0) && shares("events_total").iter().all(|share| *share > 0.0))
            .then_some(())
    });
    let text = sites[0].client().get("/metrics").body;
    every_metric_is_there_once(&text);

    daemons.remove(1).stop();
    // What is read when the end is asked for is committed, judged and delivered.
    let all = send(&sites[0], 2_000);
    let read = |site: &Site| metric(site, "source_events_total") as usize;
    daemons[0].until("the last lines", || (read(&sites[0]) >= all).then_some(()));
    daemons.remove(0).stop();
    let alerts: Vec<Value> = sites.iter().flat_map(|site| site.alerts()).collect();
    let number = |alert: &Value| alert["data"]["number"].as_str().unwrap().parse::<usize>().unwrap();
    assert_eq!(alerts.iter().map(number).collect::<BTreeSet<_>>(), (0..all).collect());
    assert_eq!(ids(&alerts), ids(&in_topic(&topics)), "each once, in the sinks as in the topic");
}

/// No name is registered by two roles, and each role shows what it does.
fn every_metric_is_there_once(text: &str) {
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let distinct: BTreeSet<&str> = names.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), distinct.len(), "{names:?}");
    for role in [
        "collect_records_total",
        "source_events_total",
        "events_total",
        "transaction_seconds",
        "sink_alerts_total",
        "sink_lag_records",
    ] {
        assert!(
            distinct.contains(format!("threatlockdown_{role}").as_str()),
            "{role} is not in {distinct:?}"
        );
    }
}
