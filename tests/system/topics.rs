//! `topics create` and `topics check`, against real brokers.

use threatlockdown_services::kafka::{Cluster, Options};

use crate::harness::{Site, Task};

const CONFIGS: &str = "org.apache.kafka.tools.TopicCommand";
const ALTER: &str = "kafka.admin.ConfigCommand";

fn config(site: &Site, cluster: &Cluster, more: &str) -> std::path::PathBuf {
    let text = format!(
        "kafka:\n  brokers: [\"{}\"]\n  prefix: t.\n  topics: {{partitions: 2, correlate_partitions: 3}}\n{more}\
         sources:\n- {{name: in, type: stdin, source: syslog}}\n",
        cluster.bootstrap().replace(',', "\", \"")
    );
    site.write("c.yaml", text)
}

#[test]
fn topics_are_made_once_and_what_would_lose_records_is_told_with_its_remedy() {
    let site = Site::new();
    let cluster = Cluster::start(&Options { brokers: 3, ..Options::default() });
    let config = config(&site, &cluster, "");
    let run = |word: &str| Task::new(["topics", word, "-c"]).arg(&config).run();

    let missing = run("check").with_code(1);
    assert!(missing.stderr.contains("error: t.raw.syslog: it is not there"), "{}", missing.stderr);
    assert!(missing.stderr.contains("`threatlockdown topics create`"), "{}", missing.stderr);
    let made = run("create").with_code(0);
    let mut names: Vec<&str> = made.stdout.lines().map(|line| line.strip_prefix("made ").unwrap()).collect();
    names.sort_unstable();
    let expected = [
        "alerts",
        "checkpoints",
        "correlate",
        "deadletter",
        "memory",
        "raw.syslog",
        "redrive",
        "rulesets",
        "tasks",
    ];
    assert_eq!(names, expected.map(|name| format!("t.{name}")));
    assert_eq!(run("create").with_code(0).stdout, "", "nothing is made twice");
    assert_eq!(run("check").with_code(0).stderr, "9 topics: none loses anything\n");

    let bootstrap = cluster.bootstrap();
    let described =
        cluster.tool(CONFIGS, &["--bootstrap-server", &bootstrap, "--describe", "--topic", "t.correlate"]);
    assert!(
        described.contains("PartitionCount: 3") && described.contains("ReplicationFactor: 3"),
        "{described}"
    );
    assert!(described.contains("min.insync.replicas=2"), "{described}");
    let alter = |topic: &str, settings: &str| {
        let topic =
            ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "topics", "--entity-name", topic];
        let _ = cluster.tool(ALTER, &[topic.as_slice(), &["--add-config", settings]].concat());
    };
    alter("t.raw.syslog", "retention.ms=1000,max.message.bytes=1000,unclean.leader.election.enable=true");
    alter("t.memory", "cleanup.policy=delete");
    alter("t.alerts", "min.insync.replicas=1");
    let faults = run("check").with_code(1).stderr;
    for fault in [
        "error: t.raw.syslog: retention.ms is 1000: records would be deleted while they are still needed: set it to 259200000 or more",
        "error: t.raw.syslog: max.message.bytes is 1000: larger records would be refused: set it to 4194304 or more",
        "error: t.raw.syslog: unclean.leader.election.enable is true",
        "error: t.memory: cleanup.policy is `delete`: what has to be kept for ever would be deleted: set it to `compact`",
        "error: t.alerts: min.insync.replicas is 1: a record that only one broker has counts as written: set it to 2",
        "9 topics: 5 faults",
    ] {
        assert!(faults.contains(fault), "{fault}\nis not in\n{faults}");
    }
    assert!(run("create").with_code(1).stdout.is_empty(), "what is there is never changed");
}

#[test]
fn without_brokers_or_without_the_section_the_reason_is_told() {
    let site = Site::new();
    let none = site.write("none.yaml", "{}");
    let finished = Task::new(["topics", "check", "-c"]).arg(&none).run().with_code(2);
    assert!(finished.stderr.contains("there is no `kafka` section"), "{}", finished.stderr);
    let wrong = site.write("wrong.yaml", "kafka: {brokers: ['127.0.0.1:1'], librdkafka: {lingr.ms: 5}}");
    let finished = Task::new(["topics", "check", "-c"]).arg(&wrong).run().with_code(2);
    assert!(finished.stderr.contains("lingr.ms"), "{}", finished.stderr);
}
