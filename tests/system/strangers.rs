//! What somebody else, or a later release, wrote on the topics between the roles.
//!
//! Somebody else's record is a dead letter, and a run to the end of its inputs comes to its end; a later release's stops its
//! reader, which says so for as long as it stands there, and nothing that came before it is lost.

use rdkafka::producer::BaseRecord;
use serde_json::Value;

use crate::harness::{Daemon, Site, Task};
use crate::kafka::Topics;

const RULES: &str = r#"<group name="strangers,">
  <rule id="100300" level="7"><decoded_as>json</decoded_as><field name="verdict">^blocked$</field><description>Request $(number) was blocked.</description></rule>
  <rule id="100301" level="9" frequency="3" timeframe="60"><if_matched_sid>100300</if_matched_sid><description>Requests are blocked.</description></rule>
</group>
"#;

fn lines(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{{\"number\":{number},\"verdict\":\"blocked\"}}")).collect()
}

fn site(topics: &Topics, yaml: &str) -> Site {
    let site = Site::new();
    site.write("rules.xml", RULES);
    topics.configure(&site, "a", &format!("rules: {{paths: [DIR/rules.xml]}}\n{yaml}"));
    site
}

/// The numbers of the requests that alerted by themselves, in their order.
fn blocked(topics: &Topics) -> Vec<usize> {
    let read = topics.read("t.alerts");
    let alerts = read.iter().map(|one| serde_json::from_slice::<Value>(&one.payload).unwrap());
    let alone = alerts.filter(|alert| alert["rule"]["id"] == "100300");
    let mut numbers: Vec<usize> =
        alone.map(|alert| alert["data"]["number"].as_str().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_run_ends_although_somebody_else_wrote_what_nobody_can_read() {
    let topics = Topics::start();
    let site = site(
        &topics,
        "state: {idle: 2s}
sources: [{name: app, type: file, source: json, paths: [DIR/in.log]}]
sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl}]
",
    );
    site.write("in.log", lines(0..9).join("\n") + "\n");
    // To all partitions, so that every correlator meets some.
    for number in 0..48_u8 {
        let key = [number];
        let record = BaseRecord::to("t.correlate").key(&key[..]);
        topics.put(if number % 2 == 0 { record } else { record.payload(&b"\xffgarbage"[..]) });
    }
    topics.flush();
    let config = site.text("config.yaml");
    for _ in 0..2 {
        drop(Task::new(["run", "--once", "--listen", "off", "-c", &config]).run().with_code(0));
        assert_eq!(blocked(&topics), Vec::from_iter(0..9));
        let listed = Task::new(["deadletter", "list", "--json", "--limit", "1000", "-c", &config]).run();
        let letters = listed.with_code(0).json();
        assert_eq!(letters.len(), 48, "each once");
        assert!(letters.iter().all(|letter| letter["source"] == "t.correlate"), "{letters:?}");
    }
    let rules = site.alerts();
    assert!(rules.iter().any(|alert| alert["rule"]["id"] == "100301"), "what is counted goes on: {rules:?}");
    // There is nothing that it could be sent back as.
    let back = Task::new(["deadletter", "redrive", "--all", "-c", &config]).run().with_code(1);
    assert_eq!(back.stdout, "nothing sent back\n");
    assert!(back.stderr.contains("no record of a log source"), "{}", back.stderr);
}

/// Waits until `/readyz` says that it waits for a later release, of a topic.
fn until_outdated(daemon: &mut Daemon, topic: &str) {
    let client = daemon.client.clone();
    daemon.until(&format!("word of a later release on {topic}"), || {
        let reply = client.get("/readyz");
        let said = ["was written by a later release", "upgrade this copy", topic];
        (reply.status == 503 && said.iter().all(|words| reply.body.contains(words))).then_some(())
    });
}

#[test]
fn what_a_later_release_wrote_is_waited_before_and_told_all_the_time() {
    const RAW: &str = "t.raw.json";
    let later: [(&str, &[u8]); 2] = [("v", b"2"), ("context", b"[\"in a form of its own\"]")];
    let topics = Topics::start();
    let site = site(
        &topics,
        "sources: [{name: app, type: file, source: json, paths: [DIR/in.log]}]
sinks: [{name: alerts, type: file, path: DIR/alerts.jsonl}]
",
    );
    let send = |numbers| {
        lines(numbers).iter().for_each(|line| topics.send(RAW, Some(b"one"), &[], line.as_bytes()));
        topics.flush();
    };
    let mut daemon = site.start_role("analyze").ready();
    let until = |daemon: &mut Daemon, count: usize| {
        daemon.until(&format!("{count} alerts"), || (blocked(&topics).len() >= count).then_some(()));
        assert_eq!(blocked(&topics), Vec::from_iter(0..count));
    };
    send(0..20);
    until(&mut daemon, 20);

    // What is counted waits; what is judged goes on, and its commits do not take the word back.
    topics.send("t.correlate", None, &later[..1], b"in a form of its own");
    topics.flush();
    until_outdated(&mut daemon, "t.correlate");
    send(20..40);
    until(&mut daemon, 40);
    until_outdated(&mut daemon, "t.correlate");
    drop(daemon);

    // What comes before a raw record of a later release is judged; it is not, nor what comes behind it.
    let record = lines(40..41).concat();
    send(40..50);
    topics.send(RAW, Some(b"one"), &later, record.as_bytes());
    send(50..60);
    let mut daemon = site.start_role("analyze");
    until(&mut daemon, 50);
    daemon.until("word of the raw record", || {
        let log = std::fs::read_to_string(site.path("stderr.log")).unwrap();
        let told =
            log.lines().filter(|line| line.contains(RAW) && line.contains("written by a later release"));
        // It met it once more, and where it had met it.
        (told.count() >= 2).then_some(())
    });
    assert_eq!(blocked(&topics), Vec::from_iter(0..50));
    assert!(topics.read("t.deadletter").is_empty());
}
