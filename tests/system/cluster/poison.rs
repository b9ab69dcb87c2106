//! Records on a raw topic that nobody should have written: none stops a worker, and each is a dead letter or an alert, once.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use super::corpus::event;
use super::fleet::Fleet;
use super::targets::scanned;
use crate::harness::{DEADLINE, Task};

const RAW: &str = "t.raw.aws.cloudtrail";

/// What is no record of the source; one has no bytes, and one is a tombstone.
fn bad() -> Vec<Option<Vec<u8>>> {
    let bytes = vec![
        Vec::new(),
        b"not JSON".to_vec(),
        b"{\"eventID\":\"cut".to_vec(),
        vec![0xff, 0xfe, 0x00, b'{'],
        b"{} {}".to_vec(),
        [vec![b'['; 100_000], vec![b']'; 100_000]].concat(),
        "{\"a\":".repeat(50_000).into_bytes(),
    ];
    bytes.into_iter().map(Some).chain([None]).collect()
}

/// Headers of nobody, a later version without what belongs to it, and bytes that are no text.
fn heads() -> Vec<OwnedHeaders> {
    let with =
        |headers: OwnedHeaders, key: &str, value: &[u8]| headers.insert(Header { key, value: Some(value) });
    let later = with(with(OwnedHeaders::new(), "v", b"2"), "source", b"aws.cloudtrail");
    let garbage = with(with(with(OwnedHeaders::new(), "v", b"1"), "place", b"-7"), "source", &[0xff, 0x00]);
    let cut = with(with(OwnedHeaders::new(), "v", b"1"), "origin_id", b"short");
    let null = with(OwnedHeaders::new(), "v", b"1").insert(Header { key: "source", value: None::<&[u8]> });
    let no_text = with(with(OwnedHeaders::new(), "v", b"1"), "envelope", b"[[\"a\",");
    vec![OwnedHeaders::new(), later, garbage, cut, null, no_text]
}

/// Writes all of it, and garbage on the topics behind it, and tells the fleet what has to come of it.
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
    bad().iter().for_each(|payload| send(RAW, None, payload.as_deref()));
    // It can be read, and means nothing.
    send(RAW, None, Some(b"[1, 2, 3]"));
    // Whatever stands beside it, the event is the same, and so is its id.
    let mut lines = String::new();
    for (number, headers) in heads().into_iter().enumerate() {
        let line = event(phase, &format!("beside-{number}"), 1_000 + number as u64 * 600, "FailedCall", 200);
        send(RAW, Some(headers), Some(line.trim_end().as_bytes()));
        lines.push_str(&line);
    }
    // Five megabytes that alert; by its key the id is that of a short one.
    let line = event(phase, "large", 6_000, "FailedCall", 201);
    lines.push_str(&line);
    let line =
        line.replace("}\n", &format!(",\"requestParameters\":{{\"fill\":\"{}\"}}}}\n", "x".repeat(5 << 20)));
    send(RAW, None, Some(line.trim_end().as_bytes()));
    // What is no alert at all among the alerts holds up no sink.
    send("t.alerts", None, Some(b"\xff garbage"));
    send("t.alerts", None, None);
    send("t.deadletter", None, Some(b"\xff garbage"));
    producer.flush(DEADLINE).unwrap();
    let alerts = scanned(fleet, &lines);
    assert_eq!(alerts.len(), heads().len() + 1);
    fleet.more.extend(alerts);
}

/// Each record that is none is a dead letter, once. Sent back it is one again, except where there is nothing to send.
pub(super) fn check(fleet: &mut Fleet) {
    let empty = bad().iter().filter(|payload| payload.as_ref().is_none_or(Vec::is_empty)).count();
    let config = fleet.copies[0].site.text("config.yaml");
    let redrive =
        |reason: &str| Task::new(["deadletter", "redrive", "-c", &config, "--reason", reason]).run();
    let deep = 2;
    let malformed = bad().len() - deep;
    expect(fleet, malformed, deep);
    let sent = redrive("malformed").with_code(1);
    assert_eq!(sent.stdout, format!("{} sent back\n", malformed - empty));
    assert_eq!(sent.stderr.matches("it never was a record").count(), empty, "{}", sent.stderr);
    assert_eq!(redrive("too_deep").with_code(0).stdout, format!("{deep} sent back\n"));
    expect(fleet, 2 * malformed - empty, 2 * deep);
}

/// Dead letters that are no sink's: so many, by reason, and no more.
fn expect(fleet: &Fleet, malformed: usize, deep: usize) {
    let began = Instant::now();
    loop {
        let letters: Vec<Value> = fleet.dead_letters().into_values().collect();
        let of = |reason: &str| letters.iter().filter(|letter| letter["reason"] == reason).count();
        let found = (of("malformed"), of("too_deep"));
        if found.0 + found.1 >= malformed + deep {
            return assert_eq!(found, (malformed, deep), "{letters:?}");
        }
        assert!(began.elapsed() < DEADLINE, "{letters:?}");
    }
}
