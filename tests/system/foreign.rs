//! A topic that somebody else fills: read by its name, as the log source that the configuration says.

use std::collections::BTreeSet;

use crate::harness::{Site, Task, count_lines, ids, repository};
use crate::kafka::Topics;

const RULE: &str = r#"<group name="foreign,">
  <rule id="100300" level="7"><decoded_as>json</decoded_as><field name="verdict">^blocked$</field><description>Request $(number) was blocked.</description></rule>
</group>
"#;

#[test]
fn what_a_plain_producer_writes_alerts_once_over_restarts() {
    let topics = Topics::start();
    let site = Site::new();
    site.write("rules.xml", RULE);
    site.configure(&format!(
        "workers: 1
rules: {{paths: [DIR/rules.xml]}}
kafka:
  brokers: [\"{}\"]
  prefix: t.
  instance: a
  librdkafka: {{session.timeout.ms: 6000}}
  topics: {{partitions: 2, correlate_partitions: 1}}
  read: {{somebody.audit: json}}
sinks: [{{name: alerts, type: file, path: DIR/alerts.jsonl}}]
",
        topics.cluster.bootstrap(),
    ));
    let made = Task::new(["topics", "create", "-c"]).arg(site.path("config.yaml")).run().with_code(0);
    assert!(made.stderr.contains("warning: somebody.audit"), "{}", made.stderr);
    assert!(!made.stdout.contains("somebody.audit"), "it is not ours to make: {}", made.stdout);
    let send = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            let line = format!(
                r#"{{"number":{number},"verdict":"{}"}}"#,
                ["blocked", "passed"][number as usize % 2]
            );
            topics.send("somebody.audit", None, &[("theirs", b"x")], line.as_bytes());
        }
        topics.flush();
    };
    // Theirs, made by them.
    let bootstrap = topics.cluster.bootstrap();
    let make =
        ["--bootstrap-server", &bootstrap, "--create", "--topic", "somebody.audit", "--partitions", "3"];
    drop(topics.cluster.tool("org.apache.kafka.tools.TopicCommand", &make));
    send(0..100);
    let path = site.path("alerts.jsonl");
    let deliver = Site::new();
    let text = std::fs::read_to_string(site.path("config.yaml")).unwrap();
    let port = |site: &Site| format!("127.0.0.1:{}", site.port);
    deliver.write("config.yaml", text.replace(&port(&site), &port(&deliver)));
    let mut delivering = deliver.start_role("deliver").ready();
    let daemon = site.start_role("analyze").ready();
    delivering.until("the first alerts", || (count_lines(&path) == 50).then_some(()));
    send(100..200);
    daemon.kill();
    let daemon = site.start_role("analyze").ready();
    send(200..300);
    delivering.until("all alerts", || (count_lines(&path) >= 150).then_some(()));
    daemon.stop();
    delivering.stop();
    let alerts = site.alerts();
    assert_eq!(ids(&alerts).len(), 150, "each once");
    let numbers: BTreeSet<u32> =
        alerts.iter().map(|alert| alert["data"]["number"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..300).filter(|number| number % 2 == 0).collect());
    for alert in &alerts {
        assert_eq!(
            (&alert["event"]["source"], &alert["location"]),
            (&"json".into(), &"somebody.audit".into())
        );
    }
}

#[test]
fn the_example_for_event_hubs_is_a_configuration() {
    let text = std::fs::read_to_string(repository().join("docs/kafka.md")).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let example = blocks.into_iter().find(|block| block.contains("servicebus.windows.net")).unwrap();
    let by_token: String = example
        .lines()
        .filter(|line| !line.contains("PLAIN"))
        .map(|line| line.replace("  # sasl:", "  sasl:").replace("  #   ", "    ") + "\n")
        .collect();
    assert!(by_token.contains("\n    mechanism: OAUTHBEARER\n"), "{by_token}");
    let site = Site::new();
    for example in [example, &by_token] {
        site.configure(example);
        let check = Task::new(["config", "check", "-c"]).arg(site.path("config.yaml"));
        let check = check.env("EVENT_HUBS_CONNECTION_STRING", "Endpoint=sb://x/").env("CLIENT_SECRET", "s");
        let checked = check.run().with_code(0);
        assert!(
            checked.stdout.contains("topic insights-activity-logs as azure.activity"),
            "{}",
            checked.stdout
        );
    }
}
