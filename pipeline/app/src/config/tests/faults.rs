//! Every fault of a configuration, with its place and what to do.

use super::read;

/// Text, and for each fault its place and a part of its message.
const FAULTS: &[(&str, &[(&str, &str)])] = &[
    (
        "worker: 4",
        &[("c.yaml:1:1", "unknown key in the configuration\n    worker\n    help: did you mean `workers`?")],
    ),
    ("a: 1\nb: 2", &[("c.yaml:1:1", "unknown key"), ("c.yaml:2:1", "unknown key")]),
    (
        "workers: 1\nworkers: 2",
        &[("c.yaml:2:1", "stands twice in the configuration, first with the value at line 1")],
    ),
    ("workers: many", &[("c.yaml:1:10", "expected a whole number from 0 to 1024\n    many")]),
    ("workers: -1", &[("c.yaml:1:10", "expected a whole number")]),
    ("workers:", &[("c.yaml:1:8", "found nothing")]),
    ("workers: [1]", &[("c.yaml:1:10", "expected a whole number from 0 to 1024, found a list")]),
    ("listen: 7514", &[("c.yaml:1:9", "expected an address with a port, or off\n    7514")]),
    ("listen: example.org:80", &[("c.yaml:1:9", "expected an address with a port")]),
    ("log: {level: loud}", &[("c.yaml:1:14", "expected one of error, warn, info, debug, trace\n    loud")]),
    ("log: {level: inof}", &[("c.yaml:1:14", "help: did you mean `info`?")]),
    ("log: text", &[("c.yaml:1:6", "log must be a mapping of keys to values, found a single value")]),
    ("rules: {builtin: 1}", &[("c.yaml:1:18", "expected true or false\n    1")]),
    (
        "rules: {paths: etc/rules}",
        &[("c.yaml:1:16", "expected a list of files or folders, found a single value")],
    ),
    ("alerts: {min_level: 17}", &[("c.yaml:1:21", "expected a whole number from 0 to 16\n    17")]),
    ("limits: {journal_bytes: 1 GiBi}", &[("c.yaml:1:25", "expected a size from 1MiB")]),
    ("limits: {max_event_bytes: 1GiB}", &[("c.yaml:1:27", "expected a size from 1KiB to 256MiB")]),
    (
        "limits: {in_flight_bytes: 1MiB, max_event_bytes: 2MiB}",
        &[("command line:1:1", "is more than limits.in_flight_bytes")],
    ),
    ("composites: both", &[("c.yaml:1:13", "expected one of add, replace\n    both")]),
    ("state: {max_byte: 1GiB}", &[("c.yaml:1:9", "help: did you mean `max_bytes`?")]),
    ("state: {max_bytes: 1MiB}", &[("c.yaml:1:20", "expected a size from 16MiB")]),
    (
        "state: {idle: 0s, catch_up: 5}",
        &[("c.yaml:1:15", "from 100ms"), ("c.yaml:1:29", "expected a duration")],
    ),
    (
        "state: {lateness: {a/b: 1s, json: soon, syslog: 1s, syslog: 2s}}",
        &[
            ("c.yaml:1:20", "a log source may hold"),
            ("c.yaml:1:35", "expected a duration\n    soon"),
            ("c.yaml:1:53", "stands twice in lateness"),
        ],
    ),
    ("state: {lateness: 5m}", &[("c.yaml:1:19", "lateness must be a mapping of log sources to durations")]),
    (
        "shutdown: {deadline: 30}",
        &[("c.yaml:1:22", "expected a duration\n    30\n    help: write for example 500ms")],
    ),
    (
        "sources: [1, {name: a}]",
        &[("c.yaml:1:11", "an item of sources must be a mapping"), ("c.yaml:1:14", "`type` is missing")],
    ),
    ("sources:\n  - {name: a, type: fiel}", &[("c.yaml:2:21", "help: did you mean `file`?")]),
    (
        "sources:\n  - {name: a, type: file}",
        &[("c.yaml:2:5", "`source` is missing"), ("c.yaml:2:5", "`paths` is missing")],
    ),
    (
        "sources:\n  - {name: a, type: file, source: json, paths: [x], start: end}",
        &[("c.yaml:2:60", "expected one of beginning\n    end")],
    ),
    ("sources:\n  - {type: stdin, source: syslog}", &[("c.yaml:2:5", "`name` is missing")]),
    (
        "sources:\n  - {name: a, type: file, source: json, paths: [x], tokens: [secret]}",
        &[("c.yaml:2:53", "unknown key in a file source\n    tokens")],
    ),
    (
        "sources:\n  - {name: a, type: file, source: json, paths: []}",
        &[("c.yaml:2:5", "a file source without paths")],
    ),
    (
        "sources:\n  - {name: a, type: file, source: json, paths: [' ']}",
        &[("c.yaml:2:49", "expected a text\n     \n    help: give a value that is not empty")],
    ),
    ("sources:\n  - {name: a, type: stdin, source: a/b}", &[("c.yaml:2:5", "a log source may hold")]),
    (
        "sources:\n  - {name: a, type: http}\n  - {name: a, type: stdin, source: json}",
        &[("c.yaml:3:5", "two sources have this name, the first at line 2")],
    ),
    ("sources:\n  - {name: a/b, type: http}", &[("c.yaml:2:5", "the name of a source may hold")]),
    (
        "sources:\n  - {name: a, type: http}\n  - {name: b, type: http}",
        &[("c.yaml:3:5", "a second http source")],
    ),
    (
        "listen: 0.0.0.0:7514\nsources: [{name: a, type: http}]",
        &[("c.yaml:1:9", "would accept events from anyone")],
    ),
    (
        "listen: off\nsources: [{name: a, type: http}]",
        &[("c.yaml:2:11", "an http source, but `listen` is off")],
    ),
    ("sources: [{name: a, type: http, tokens: []}]", &[("c.yaml:1:41", "no bearer token in the list")]),
    ("sinks: [{name: a, type: file}]", &[("c.yaml:1:9", "`path` is missing")]),
    (
        "sinks:\n- {name: a, type: file, path: x}\n- {name: b, type: file, path: x}",
        &[("c.yaml:3:3", "the sink `a` writes to the same file")],
    ),
    (
        "sources: [{name: a, type: file, source: json, paths: [/x.jsonl]}]\nsinks: [{name: a, type: file, path: /x.jsonl}]",
        &[("c.yaml:1:11", "a sink writes alerts to this file")],
    ),
    ("sinks: [{name: dead-letters, type: stdout}]", &[("c.yaml:1:9", "this name is taken")]),
    ("sinks: [{name: a, type: opensearch}]", &[("c.yaml:1:9", "`urls` is missing")]),
    ("sinks: [{name: a, type: opensearch, urls: []}]", &[("c.yaml:1:43", "no URL in the list")]),
    (
        "sinks: [{name: a, type: opensearch, urls: ['os:9200', 'https://', 'http://u:hunter2@os:9200']}]",
        &[
            ("c.yaml:1:43", "expected the URL of a server\n    os:9200"),
            ("c.yaml:1:43", "expected the URL of a server\n    https://"),
            ("c.yaml:1:43", "a URL with credentials in it\n    help: give `username` and `password`"),
        ],
    ),
    (
        "sinks:\n- {name: a, type: opensearch, urls: ['http://os:9200'], index_prefix: Alerts, retention: 5h, timeout: 5ms, replica: 1}",
        &[
            (
                "c.yaml:2:108",
                "unknown key in an opensearch sink\n    replica\n    help: did you mean `replicas`?",
            ),
            ("c.yaml:2:71", "the name of an index begins with"),
            ("c.yaml:2:90", "expected a day or more"),
            ("c.yaml:2:103", "expected a duration from 1s to 1h"),
        ],
    ),
    (
        "sinks: [{name: a, type: opensearch, urls: ['http://os:9200'], username: u, token: t, key: k}]",
        &[
            ("c.yaml:1:9", "a username needs its password"),
            ("c.yaml:1:9", "more than one way to show who we are"),
            ("c.yaml:1:9", "a certificate needs its key"),
        ],
    ),
    // Faults of one key and faults between keys, together; and none that only follows from another.
    (
        "workrs: 1\nsources:\n- {name: a, type: http}\n- {name: a, type: http, tokens: x}\nlisten: 0.0.0.0:1",
        &[
            ("c.yaml:1:1", "unknown key"),
            ("c.yaml:4:33", "expected a list of bearer tokens"),
            ("c.yaml:4:3", "two sources have this name"),
            ("c.yaml:5:9", "would accept events from anyone"),
            ("c.yaml:4:3", "a second http source"),
        ],
    ),
    ("data_dir: ${env:NOPE}", &[("c.yaml:1:11", "environment variable `NOPE` is not set\n    ${env:NOPE}")]),
    ("data_dir: \"/x/${env:NOPE}\"", &[("c.yaml:1:15", "environment variable `NOPE` is not set")]),
    ("data_dir: /x/${env:NOPE", &[("c.yaml:1:14", "a reference without its closing brace")]),
    (
        "data_dir: ${ENV:A}${foo}",
        &[("c.yaml:1:11", "no such kind of reference"), ("c.yaml:1:19", "a reference to nothing")],
    ),
    ("data_dir: ${file:none.txt}", &[("c.yaml:1:11", "cannot read /nonexistent/none.txt")]),
    ("data_dir: \"${exec:exit 3}\"", &[("c.yaml:1:12", "the command failed, exit status: 3")]),
    ("data_dir: ${env:EMPTY}", &[("c.yaml:1:11", "expected the path of a folder\n    ${env:EMPTY}")]),
    ("data_dir: &a x\nworkers: *a", &[("c.yaml:1:11", "an anchor (`&name`) is not accepted here")]),
    ("kafka: {}", &[("c.yaml:1:8", "`brokers` is missing")]),
    ("kafka: {brokers: []}", &[("c.yaml:1:18", "no broker in the list")]),
    ("kafka: {brokers: [kafka-1]}", &[("c.yaml:1:18", "expected a broker with its port\n    kafka-1")]),
    (
        "kafka: {brokers: ['k:9092'], prefix: a/b, instance: 'a b'}",
        &[
            ("c.yaml:1:38", "cannot be (a part of) a topic's name"),
            ("c.yaml:1:53", "the name of an instance may hold"),
        ],
    ),
    (
        "kafka: {brokers: ['k:9092'], tls: {certificate: c.pem}}",
        &[("c.yaml:1:35", "a certificate needs its key")],
    ),
    (
        "kafka: {brokers: ['k:9092'], sasl: {mechanism: SCRAM-SHA-513, username: u, password: p}}",
        &[("c.yaml:1:48", "help: did you mean `SCRAM-SHA-512`?")],
    ),
    (
        "kafka: {brokers: ['k:9092'], sasl: {mechanism: OAUTHBEARER, username: u, password: p}}",
        &[("c.yaml:1:36", "`token_endpoint` is missing")],
    ),
    (
        "kafka: {brokers: ['k:9092'], librdkafka: {enable.auto.commit: true}}",
        &[(
            "c.yaml:1:42",
            "this setting cannot be given here\n    enable.auto.commit\n    help: offsets are committed together",
        )],
    ),
    (
        "kafka: {brokers: ['k:9092'], topics: {partitions: 0, sources: [a/b]}}",
        &[
            ("c.yaml:1:51", "expected a whole number from 1 to 10000"),
            ("c.yaml:1:63", "a log source may hold"),
        ],
    ),
    (
        "kafka: {brokers: ['k:9092'], prefix: t., read: {t.alerts: json, x: a/b}}",
        &[
            ("c.yaml:1:48", "not the name of a topic that somebody else fills\n    t.alerts"),
            ("c.yaml:1:48", "a log source may hold"),
        ],
    ),
    ("--- {}\n--- {}", &[("c.yaml:2:1", "a second document is not accepted here")]),
    ("workers: !!int 4", &[("c.yaml:1:10", "a tag (`!name`) is not accepted here")]),
    ("log: {level: info", &[("c.yaml:2:1", "this is not YAML")]),
    ("- a\n- b", &[("c.yaml:1:1", "the configuration must be a mapping of keys to values, found a list")]),
];

#[test]
fn every_fault_has_its_place_and_what_to_do() {
    let mut wrong = String::new();
    for (text, expected) in FAULTS {
        let (_, faults) = read(text);
        let matches = faults.len() == expected.len()
            && faults.iter().zip(*expected).all(|(fault, (place, message))| {
                fault.starts_with(&format!("{place}: error: "))
                    && fault.contains(message)
                    && fault.contains("\n    help: ")
            });
        if !matches {
            wrong.push_str(&format!("{text}\n{}\nexpected {expected:?}\n\n", faults.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
