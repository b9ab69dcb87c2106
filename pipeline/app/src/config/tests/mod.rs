//! The faults of configurations, each with its place; interpolation; and that secrets stay secret.

mod faults;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use threatlockdown_analysis::Composites;
use threatlockdown_sinks::opensearch::Authorization;

use super::interpolate::Lookup;
use super::{Config, Secret, SinkKind, SourceKind, State, StdoutFormat, load, parse, validate};

fn read(text: &str) -> (Config, Vec<String>) {
    read_in(text, PathBuf::from("/nonexistent"))
}

/// Reads and validates as `config check` does, with a fixed environment.
fn read_in(text: &str, base: PathBuf) -> (Config, Vec<String>) {
    let env = |name: &str| match name {
        "TOKEN" => Some("hunter2-secret".to_owned()),
        "EMPTY" => Some(String::new()),
        "PORT" => Some("9000".to_owned()),
        _ => None,
    };
    let (config, mut faults) =
        parse(&Arc::from("c.yaml"), text, &Lookup { env: &env, base, files: RefCell::default() });
    faults.extend(validate(&config));
    (config, faults.iter().map(ToString::to_string).collect())
}

const FULL: &str = r#"
data_dir: /var/lib/tld
workers: 4
listen: 127.0.0.1:${env:PORT}
log: {level: debug, format: json}
rules: {builtin: false, home: /srv/wazuh, paths: [etc/rules], reload_interval: 500ms}
alerts: {min_level: 5}
sources:
  - {name: trail, type: file, source: aws.cloudtrail, paths: ["/logs/**/*.json.gz"], start: beginning, envelope: {s3bucket: x}}
  - {name: push, type: http, sources: [aws.cloudtrail, json], tokens: ["${env:TOKEN}"], body_limit: 1MiB}
  - {name: in, type: stdin, source: syslog}
sinks:
  - {name: alerts, type: file, path: alerts.jsonl, rotate_bytes: 1GiB, keep: 2}
  - {name: screen, type: stdout, format: pretty}
limits: {in_flight_bytes: 32MiB, journal_bytes: 2GiB, max_event_bytes: 2MiB}
composites: replace
state: {max_bytes: 512MiB, lateness: {aws.cloudtrail: 15m, syslog: 2s}, idle: 10s, catch_up: 1h}
shutdown: {deadline: 5m}
"#;

#[test]
fn reads_every_key() {
    let (config, faults) = read(FULL);
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(config.data_dir, PathBuf::from("/var/lib/tld"));
    assert_eq!(config.worker_count(), 4);
    assert_eq!(config.listen.as_ref().unwrap().address.to_string(), "127.0.0.1:9000");
    assert_eq!(config.log.level, tracing::Level::DEBUG);
    assert!(!config.rules.builtin);
    assert_eq!(config.rules.reload_interval, Some(std::time::Duration::from_millis(500)));
    assert_eq!(config.rules.home.as_deref(), Some(std::path::Path::new("/srv/wazuh")));
    assert_eq!(config.min_level, 5);
    let SourceKind::File(file) = &config.sources[0].kind else { panic!("{config:?}") };
    assert_eq!(file.envelope, [("s3bucket".to_owned(), "x".to_owned())]);
    let (name, http) = config.http().unwrap();
    assert_eq!((name.name.as_str(), http.body_limit), ("push", 1 << 20));
    assert_eq!(http.tokens, [Secret::new("hunter2-secret".into())]);
    assert_eq!(
        config.sinks[0].kind,
        SinkKind::File { path: "alerts.jsonl".into(), rotate_bytes: 1 << 30, keep: 2, dead_letters: false }
    );
    assert_eq!(config.sinks[1].kind, SinkKind::Stdout { format: StdoutFormat::Pretty });
    assert_eq!(config.limits.max_event_bytes, 2 << 20);
    assert_eq!(config.shutdown_deadline.as_secs(), 300);
    let seconds = Duration::from_secs;
    let lateness = [("aws.cloudtrail", 900), ("syslog", 2)];
    let state = State {
        composites: Composites::Replace,
        max_bytes: 512 << 20,
        lateness: lateness.map(|(source, late)| (source.to_owned(), seconds(late))).into(),
        idle: seconds(10),
        catch_up: seconds(3_600),
    };
    assert_eq!(config.state, state);
}

const KAFKA: &str = r#"
kafka:
  brokers: ["kafka-1:9092", "[::1]:9092"]
  prefix: security.
  instance: worker-${env:PORT}
  tls: {ca: ca.pem, certificate: c.pem, key: k.pem, key_password: "${env:TOKEN}"}
  sasl: {mechanism: SCRAM-SHA-512, username: tld, password: "${env:TOKEN}"}
  librdkafka: {compression.type: zstd, ssl.keystore.password: "${env:TOKEN}"}
  topics: {partitions: 6, correlate_partitions: 3, replicas: 2, sources: [syslog], raw_retention: 2d, retention: 5d}
  read: {somebody.audit: json}
limits: {max_event_bytes: 8MiB}
"#;

#[test]
fn reads_where_kafka_is_and_keeps_its_secrets() {
    let (config, faults) = read(KAFKA);
    assert_eq!(faults, Vec::<String>::new());
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && shown.contains("ssl.keystore.password"), "{shown}");
    let kafka = config.kafka.unwrap();
    let settings = &kafka.settings;
    assert_eq!(settings.brokers, ["kafka-1:9092", "[::1]:9092"]);
    assert_eq!(
        (settings.names.alerts().as_str(), settings.instance.as_str()),
        ("security.alerts", "worker-9000")
    );
    assert_eq!(settings.names.source("somebody.audit"), Some("json"));
    assert_eq!(settings.tls.as_ref().unwrap().key_password.as_deref(), Some("hunter2-secret"));
    assert_eq!(settings.sasl.as_ref().unwrap().password, "hunter2-secret");
    assert_eq!(settings.librdkafka["compression.type"], "zstd");
    assert!(settings.largest > 3 * (8 << 20), "an alert holds its record twice");
    assert_eq!(
        (kafka.topics.partitions, kafka.topics.correlate_partitions, kafka.topics.replicas),
        (6, 3, Some(2))
    );
    assert_eq!(kafka.topics.raw_retention, Duration::from_secs(2 * 86_400));
    let (config, _) = read("kafka: {brokers: ['k:9092']}");
    assert!(!config.kafka.unwrap().settings.instance.is_empty(), "the machine's name");
}

const OPENSEARCH: &str = r#"
sinks:
- name: os
  type: opensearch
  urls: ["https://os-1:9200/", "http://[::1]:9200/path"]
  index_prefix: soc-alerts
  username: tld
  password: ${env:TOKEN}
  ca: ca.pem
  certificate: c.pem
  key: k.pem
  retention: 90d
  shards: 2
  replicas: 0
  bulk_items: 500
  bulk_bytes: 1MiB
  timeout: 30s
- {name: other, type: opensearch, urls: ["http://os:9200"], token: "${env:TOKEN}"}
"#;

#[test]
fn reads_where_opensearch_is_and_keeps_its_secrets() {
    let (config, faults) = read(OPENSEARCH);
    assert_eq!(faults, Vec::<String>::new());
    let shown = format!("{config:?}");
    // The password as it is, and as it is sent.
    assert!(!shown.contains("hunter2") && !shown.contains("dGxk") && shown.contains("soc-alerts"), "{shown}");
    let SinkKind::OpenSearch(options) = &config.sinks[0].kind else { panic!("{config:?}") };
    let connection = &options.connection;
    assert_eq!(connection.urls, ["https://os-1:9200", "http://[::1]:9200/path"]);
    assert_eq!(connection.authorization, Some(Authorization::basic("tld", "hunter2-secret")));
    assert_eq!(connection.ca.as_deref(), Some(std::path::Path::new("ca.pem")));
    assert_eq!(connection.certificate, Some(("c.pem".into(), "k.pem".into())));
    assert_eq!(connection.timeout, Duration::from_secs(30));
    assert_eq!(options.retention, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!(
        (options.shards, options.replicas, options.bulk_items, options.bulk_bytes),
        (2, Some(0), 500, 1 << 20)
    );
    let SinkKind::OpenSearch(options) = &config.sinks[1].kind else { panic!("{config:?}") };
    assert_eq!(options.index_prefix, "threatlockdown-alerts");
    assert_eq!(options.connection.authorization, Some(Authorization::bearer("hunter2-secret")));
    assert_eq!((options.retention, options.bulk_items, options.bulk_bytes), (None, 1000, 5 << 20));
}

#[test]
fn reloading_can_be_turned_off_and_not_made_a_busy_loop() {
    let (config, faults) = read("rules: {reload_interval: off}");
    assert_eq!((config.rules.reload_interval, faults), (None, vec![]));
    for wrong in ["0s", "99ms", "2d", "2", "never"] {
        let (_, faults) = read(&format!("rules: {{reload_interval: {wrong}}}"));
        assert!(faults.len() == 1 && faults[0].contains("100ms to 1d, or off"), "{wrong}: {faults:?}");
    }
}

#[test]
fn an_empty_file_is_all_defaults() {
    for text in ["", "# nothing\n", "{}"] {
        assert_eq!(read(text), (Config::default(), vec![]), "{text:?}");
    }
}

#[test]
fn the_example_of_the_readme_is_valid() {
    let readme = include_str!("../../../../../README.md");
    let (_, from) = readme.split_once("```yaml\n").unwrap();
    let (example, _) = from.split_once("```").unwrap();
    let (config, faults) = read(&example.replace("INGEST_TOKEN", "TOKEN"));
    assert_eq!(faults, Vec::<String>::new());
    assert!(config.sources.len() > 1 && !config.sinks.is_empty());
}

#[test]
fn deep_nesting_is_a_fault_and_not_a_crash() {
    let (_, faults) = read(&"[".repeat(100_000));
    assert_eq!(faults.len(), 1);
    assert!(faults[0].len() < 500, "{}", faults[0].len());
    let (_, faults) = read(&format!("sources: {}x{}", "[".repeat(50), "]".repeat(50)));
    assert!(faults[0].contains("such deep nesting"), "{}", faults[0]);
}

#[test]
fn replaces_references() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("name.txt"), "from-file\r\n").unwrap();
    let cases = [
        ("plain", "plain"),
        ("a${env:PORT}b", "a9000b"),
        ("${env:NOPE:-fallback}", "fallback"),
        ("${env:NOPE:-a:-b{c}}", "a:-b{c}"),
        ("${env:EMPTY:-fallback}", "fallback"),
        ("x${env:NOPE:-}y", "xy"),
        ("${file:name.txt}", "from-file"),
        ("${exec:echo {a} | tr -d '{}'; echo}", "a\n"),
        ("$${env:PORT}", "${env:PORT}"),
        ("$5 $$ ${env:PORT}$", "$5 $$ 9000$"),
    ];
    for (written, expected) in cases {
        let written = written.replace('\'', "''");
        let (config, faults) = read_in(&format!("data_dir: '{written}'"), folder.path().to_path_buf());
        assert_eq!(faults, Vec::<String>::new(), "{written}");
        assert_eq!(config.data_dir, PathBuf::from(expected), "{written}");
    }
}

#[test]
fn what_is_put_in_is_not_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("odd"), "${env:TOKEN}").unwrap();
    let (config, faults) = read_in("data_dir: '${file:odd}'", folder.path().to_path_buf());
    assert_eq!((config.data_dir, faults), (PathBuf::from("${env:TOKEN}"), vec![]));
}

#[test]
fn a_value_is_bounded_and_text() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("big"), vec![b'a'; (1 << 20) + 1]).unwrap();
    std::fs::write(folder.path().join("bytes"), [0xff, 0xfe]).unwrap();
    let cases = [
        ("${file:big}", "is larger than 1 MiB"),
        ("${file:bytes}", "is not UTF-8 text"),
        ("${exec:yes}", "is larger than 1 MiB"),
        ("${exec:no-such-command-here}", "the command failed, exit status: 127"),
    ];
    for (written, message) in cases {
        let (_, faults) = read_in(&format!("data_dir: '{written}'"), folder.path().to_path_buf());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(message), "{}", faults[0]);
    }
}

#[test]
fn secrets_are_never_shown() {
    let (config, _) = read(FULL);
    assert!(!format!("{config:?}").contains("hunter2"));
    let wrong = [
        // Wrong kinds and broken texts around a literal token, and a default inside a reference.
        "sources: [{name: a, type: http, tokens: hunter2-x}]",
        "sources: [{name: a, type: http, tokens: {hunter2-k: hunter2-x}}]",
        "sources: [{name: a, type: http, tokens: [[hunter2-x], ' ', {a: hunter2-y}]}]",
        "sources: [{name: a, type: http, token: hunter2-x}]",
        "sources: [{name: a, type: file, source: json, paths: [x], tokens: [hunter2-x]}]",
        "sources: [{name: a, type: http, tokens: ['${env:NOPE:-hunter2-x']}]",
        "sources: [{name: a, type: http, tokens: ['${nope:hunter2-x}']}]",
        "sources:\n- name: a\n  type: http\n  tokens: [\"hunter2-x]\n",
        "sources:\n- name: a\n  type: http\n  tokens:\n  - hunter2-x: : :\n   hunter2-y\n",
        "sources:\n- name: a\n  type: http\n  tokens:\n- hunter2-x\n",
        "tokens: [hunter2-x]",
        "sinks: [{name: a, type: opensearch, urls: ['http://u:hunter2-x@os:9200']}]",
        "sinks: [{name: a, type: opensearch, urls: [x], username: u, password: [hunter2-x]}]",
        "sinks:\n- name: a\n  password: \"hunter2-x]\n",
        "listen: 0.0.0.0:1\nsources: [{name: a, type: http, tokens: ['']}, {name: a, type: http, tokens: [hunter2-x]}]",
    ];
    for text in wrong {
        let (config, faults) = read(text);
        assert!(!faults.is_empty(), "{text}");
        assert!(!faults.join("\n").contains("hunter2"), "{text}\n{faults:#?}");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.yaml");
    let (_, faults) = load(&path);
    assert!(
        faults[0].to_string().contains("none.yaml:1:1: error: cannot read the configuration"),
        "{}",
        faults[0]
    );
    std::fs::write(&path, b"workers: 1\nlisten: \xff\n").unwrap();
    let (_, faults) = load(&path);
    assert!(faults[0].to_string().contains("none.yaml:2:1: error: this line is not UTF-8"), "{}", faults[0]);
}

#[test]
fn sinks_beyond_this_machine_are_read_and_their_secrets_are_not_shown() {
    let (config, faults) = read(
        "kafka: {brokers: ['k:9092']}\nsinks:\n\
         - {name: soc, type: topic, min_level: 10, groups: [sshd]}\n\
         - {name: hook, type: webhook, url: 'https://h/?key=${env:TOKEN}', headers: {Authorization: '${env:TOKEN}'}, batch: 5}\n\
         - {name: lost, type: file, path: d.jsonl, content: dead_letters}\n",
    );
    assert_eq!(faults, Vec::<String>::new());
    let SinkKind::Topic { filter } = &config.sinks[0].kind else { panic!("{:?}", config.sinks) };
    assert_eq!((filter.min_level, filter.groups.as_slice()), (10, &["sshd".to_owned()][..]));
    let SinkKind::Webhook(hook) = &config.sinks[1].kind else { panic!("{:?}", config.sinks) };
    assert_eq!((hook.url.expose(), hook.batch), ("https://h/?key=hunter2-secret", 5));
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(matches!(config.sinks[2].kind, SinkKind::File { dead_letters: true, .. }));

    let (_, faults) = read(
        "sinks:\n- {name: soc, type: topic, min_level: 17}\n- {name: hook, type: webhook, url: 'ftp://hunter2-secret', \
         headers: {'A B': x, C: \"hunter2-secret\\n\"}, timeout: 0s}\n- {name: none, type: webhook}\n",
    );
    let all = faults.join("\n");
    for wanted in [
        "c.yaml:2:",
        "a whole number from 0 to 16",
        "expected an address of http or https",
        "the name of a header may hold",
        "the value of C has characters",
        "expected a duration from 1ms to 5m",
        "`url` is missing",
        "a topic sink, but there is no Kafka",
    ] {
        assert!(all.contains(wanted), "{wanted}\nis not in\n{all}");
    }
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn only_files_can_be_shared() {
    let (config, faults) = read(
        "sources:\n- {name: a, type: file, source: json, paths: [x], shared: true}\n- {name: b, type: file, source: json, paths: [y]}\n",
    );
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(config.sources.iter().map(super::Source::is_shared).collect::<Vec<_>>(), [true, false]);
    let (_, faults) = read("sources: [{name: a, type: stdin, source: json, shared: true}]\n");
    assert!(
        faults.len() == 1 && faults[0].contains("shared") && faults[0].contains("unknown key"),
        "{faults:?}"
    );
    let (_, faults) = read("sources: [{name: a, type: file, source: json, paths: [x], shared: perhaps}]\n");
    assert_eq!(faults.len(), 1, "{faults:?}");
}
