//! `collect` against real brokers: records as they were sent, each once, whatever dies.

mod kills;
mod tasks;

use std::collections::BTreeMap;

use serde_json::json;
use threatlockdown_services::kafka::{Cluster, Options};

use crate::harness::{Daemon, Site, Task};
use crate::kafka::{self, Stored};

/// Brokers of which one may be killed. One alone may leave out marks of transactions when it comes back after a kill, since it does
/// not know yet that it leads ("Couldn't find leader endpoint for partitions … can be skipped" in its log): what was aborted shows
/// then, checkpoints too.
fn three() -> Cluster {
    Cluster::start(&Options { brokers: 3, ..Options::default() })
}

/// A site whose configuration names the cluster, and topics for it. `DIR` in `sources` is the folder.
fn site(cluster: &Cluster, kafka: &str, sources: &str) -> Site {
    let site = Site::new();
    let brokers = cluster.bootstrap().replace(',', "\", \"");
    site.configure(&format!(
        "kafka:\n  brokers: [\"{brokers}\"]\n  topics: {{partitions: 3, correlate_partitions: 1}}\n{kafka}\n{sources}"
    ));
    let _ = Task::new(["topics", "create", "-c"]).arg(site.path("config.yaml")).run().with_code(0);
    site
}

/// Headers and text of all that is committed of a topic.
fn read(cluster: &Cluster, topic: &str) -> Vec<(BTreeMap<String, String>, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let of = |one: Stored| {
        let headers = one.headers.into_iter().map(|(name, value)| (name, text(value)));
        (headers.collect(), text(one.payload))
    };
    kafka::read(cluster, topic).into_iter().map(of).collect()
}

/// So many records of all sources are committed.
#[track_caller]
fn wait_for_records(daemon: &mut Daemon, count: u64) {
    let client = daemon.client.clone();
    daemon.until(&format!("{count} records"), || {
        (client.metric("threatlockdown_collect_records_total") as u64 >= count).then_some(())
    });
}

const FILE: &str = "sources:\n- {name: host, type: file, source: syslog, paths: [\"DIR/in/*.log\"], envelope: {rack: \"7\"}}\n";

#[test]
fn a_file_arrives_byte_for_byte_and_a_restart_goes_on_behind_it() {
    let cluster = Cluster::single();
    let site = site(&cluster, "  prefix: f.\n  instance: one", FILE);
    let mut lines: Vec<String> =
        (0..400).map(|number| format!("line {number}\twith  blanks \u{fc} ")).collect();
    site.write("in/a.log", lines.join("\n") + "\n");
    let mut daemon = site.start_role("collect").ready();
    wait_for_records(&mut daemon, 400);
    let figures = daemon.client.get("/metrics").body;
    for name in
        ["collect_transactions_total", "collect_transaction_seconds_count", "in_flight_bytes", "queue_depth"]
    {
        assert!(figures.contains(&format!("threatlockdown_{name}")), "{name} is not in\n{figures}");
    }
    daemon.stop();

    site.append("in/a.log", "behind\n");
    lines.push("behind".to_owned());
    let mut daemon = site.start_role("collect").ready();
    wait_for_records(&mut daemon, 1);
    daemon.stop();

    let records = read(&cluster, "f.raw.syslog");
    let mut places: Vec<(u64, &str)> =
        records.iter().map(|(headers, text)| (headers["place"].parse().unwrap(), text.as_str())).collect();
    places.sort_unstable();
    let texts: Vec<&str> = places.iter().map(|(_, text)| *text).collect();
    assert_eq!(texts, lines, "as they were sent, each once, with their places");
    let path = site.text("in/a.log");
    for (headers, _) in &records {
        assert_eq!(headers["v"], "1");
        let context: serde_json::Value = serde_json::from_str(&headers["context"]).unwrap();
        assert_eq!((&context["source"], &context["connector"]), (&json!("syslog"), &json!("host")));
        assert_eq!((&context["location"], &context["origin"]), (&json!(path), &json!(path)));
        assert_eq!(context["envelope"], json!([["rack", "7"], ["log_file", path]]));
        assert_eq!(context["origin_id"].as_str().map(str::len), Some(32));
    }
}

#[test]
fn a_second_copy_of_an_instance_takes_its_place_and_the_first_one_ends() {
    let cluster = Cluster::single();
    let first_site = site(&cluster, "  prefix: t.\n  instance: same", FILE);
    first_site.write("in/a.log", "one\ntwo\n");
    let mut first = first_site.start_role("collect").ready();
    wait_for_records(&mut first, 2);
    // Another machine, so to speak: nothing is left of the first one's state but what is in Kafka.
    let folder = first_site.text("in");
    let sources = FILE.replace("DIR/in", &folder);
    let second_site = site(&cluster, "  prefix: t.\n  instance: same", &sources);
    let mut second = second_site.start_role("collect").ready();
    first_site.append("in/a.log", "three\n");
    wait_for_records(&mut second, 1);
    assert_eq!(first.wait().code(), Some(1), "{}", first.log());
    assert!(first.log().contains("kafka.instance"), "{}", first.log());
    second.stop();
    let mut texts: Vec<String> = read(&cluster, "t.raw.syslog").into_iter().map(|(_, text)| text).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["one", "three", "two"]);
}

#[test]
fn a_record_of_five_megabytes_arrives_and_what_kafka_cannot_take_is_kept_with_its_reason() {
    let cluster = Cluster::single();
    let large = format!("large {}", "x".repeat(5 << 20));
    let more = "limits: {max_event_bytes: 8MiB}\n";
    let taking = site(&cluster, "  prefix: l.\n  instance: taking", &format!("{more}{FILE}"));
    taking.write("in/a.log", format!("before\n{large}\nbehind\n"));
    let mut daemon = taking.start_role("collect").ready();
    wait_for_records(&mut daemon, 3);
    daemon.stop();
    let mut texts: Vec<String> = read(&cluster, "l.raw.syslog").into_iter().map(|(_, text)| text).collect();
    texts.sort_by_key(String::len);
    assert!(texts.len() == 3 && texts[2] == large, "{} records", texts.len());

    // Facts of the operator that are larger than a message may be: no record fits beside them.
    let facts = FILE.replace("\"7\"", &format!("\"{}\"", "y".repeat(5 << 20)));
    let refusing = site(&cluster, "  prefix: r.\n  instance: refusing", &facts);
    refusing.write("in/a.log", "small\n");
    let mut daemon = refusing.start_role("collect").ready();
    let client = daemon.client.clone();
    let name = "threatlockdown_collect_dead_letters_total{reason=\"oversize\"";
    daemon.until("a dead letter", || (client.metric(name) as u64 >= 1).then_some(()));
    daemon.stop();
    let letters = read(&cluster, "r.deadletter");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].0["reason"], "oversize");
    let letter: serde_json::Value = serde_json::from_str(&letters[0].1).unwrap();
    assert_eq!((&letter["record"], &letter["length"]), (&"small".into(), &5.into()));
    assert!(letter["detail"].as_str().unwrap().contains("r.raw.syslog"), "{letter}");
    assert_eq!(read(&cluster, "r.raw.syslog"), []);
}
