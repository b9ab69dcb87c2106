//! Records on a raw topic that nobody should have written: none stops a worker, and each is a dead letter or an alert, once.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use super::corpus::event;
use super::fleet::Fleet;
use super::targets::scanned;
use crate::harness::{DEADLINE, Task};

const RAW: &str = "t.raw.aws.cloudtrail";

/// What is no record of the source: its bytes, and a part of the reason.
fn bad() -> Vec<Vec<u8>> {
    vec![
        b"not JSON".to_vec(),
        b"{\"eventID\":\"cut".to_vec(),
        vec![0xff, 0xfe, 0x00, b'{'],
        b"[1, 2, 3]".to_vec(),
        b"{} {}".to_vec(),
        [vec![b'['; 100_000], vec![b']'; 100_000]].concat(),
        "{\"a\":".repeat(50_000).into_bytes(),
    ]
}

/// Headers of nobody, of a later release, and of bytes that are no text.
fn heads() -> Vec<OwnedHeaders> {
    let with =
        |headers: OwnedHeaders, key: &str, value: &[u8]| headers.insert(Header { key, value: Some(value) });
    let later = with(with(OwnedHeaders::new(), "v", b"2"), "context", b"{\"source\":\"aws.cloudtrail\"}");
    let garbage = with(with(with(OwnedHeaders::new(), "v", b"1"), "place", b"-7"), "source", &[0xff, 0x00]);
    let cut = with(with(OwnedHeaders::new(), "v", b"1"), "origin_id", b"short");
    let null = with(OwnedHeaders::new(), "v", b"1").insert(Header { key: "source", value: None::<&[u8]> });
    let no_text = with(with(OwnedHeaders::new(), "v", b"1"), "envelope", b"[[\"a\",");
    vec![OwnedHeaders::new(), later, garbage, cut, null, no_text]
}

/// Writes all of it, some records with no payload and some on the topics between, and tells the fleet what has to come of it.
pub(super) fn send(fleet: &mut Fleet, phase: usize) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", fleet.cluster.bootstrap())
        .set("message.max.bytes", "20000000")
        .create()
        .unwrap();
    let send = |topic: &str, headers: Option<OwnedHeaders>, payload: Option<&[u8]>| {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        (record.headers, record.payload) = (headers, payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    };
    bad().iter().for_each(|payload| send(RAW, None, Some(payload)));
    send(RAW, None, None);
    send(RAW, None, Some(b""));
    // Whatever stands beside it, the event is the same, and so is its id.
    let mut lines = String::new();
    for (number, headers) in heads().into_iter().enumerate() {
        let line = event(phase, &format!("beside-{number}"), 43_200 + number as u64 * 600, "FailedCall", 200);
        send(RAW, Some(headers), Some(line.trim_end().as_bytes()));
        lines.push_str(&line);
    }
    // Five megabytes that alert.
    let line = event(phase, "large", 50_000, "FailedCall", 201);
    let line =
        line.replace("}\n", &format!(",\"requestParameters\":{{\"fill\":\"{}\"}}}}\n", "x".repeat(5 << 20)));
    send(RAW, None, Some(line.trim_end().as_bytes()));
    lines.push_str(&line);
    // What is no alert at all among the alerts holds up no sink.
    send("t.alerts", None, Some(b"\xff garbage"));
    send("t.alerts", None, None);
    send("t.deadletter", None, Some(b"\xff garbage"));
    producer.flush(DEADLINE).unwrap();
    let alerts = scanned(fleet, &lines);
    assert_eq!(alerts.len(), heads().len() + 1);
    fleet.more.extend(alerts);
}

/// Each record that is none is a dead letter, once; sent back it is one again, and nothing ends.
pub(super) fn check(fleet: &mut Fleet) {
    let expected: usize = bad().len();
    let config = fleet.copies[0].site.text("config.yaml");
    let reasons = letters(fleet, 1);
    assert_eq!(reasons.values().sum::<usize>(), expected, "{reasons:?}");
    for reason in ["malformed", "too_deep"] {
        let count = reasons.get(reason).copied().unwrap_or_default();
        assert!(count > 0, "{reason}: {reasons:?}");
        let sent = Task::new(["deadletter", "redrive", "-c", &config, "--reason", reason]).run().with_code(0);
        assert_eq!(sent.stdout, format!("{count} sent back\n"));
    }
    assert_eq!(letters(fleet, 2), reasons.into_iter().map(|(reason, count)| (reason, count * 2)).collect());
}

/// Dead letters that are no sink's, by reason, as soon as each came so often.
fn letters(fleet: &mut Fleet, times: usize) -> BTreeMap<String, usize> {
    let began = std::time::Instant::now();
    loop {
        let mut reasons = BTreeMap::new();
        let own = |letter: &Value| letter["reason"] != "rejected" && letter["reason"].is_string();
        for letter in fleet.dead_letters().into_values().filter(own) {
            *reasons.entry(letter["reason"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
        if reasons.values().sum::<usize>() >= bad().len() * times {
            return reasons;
        }
        assert!(began.elapsed() < DEADLINE, "dead letters: {reasons:?}");
    }
}
