//! Readers and writers against a real broker.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use threatlockdown_event::Context;
use threatlockdown_services::kafka::Cluster;
use threatlockdown_topics::kafka::{
    Admin, KafkaError, Names, Outgoing, Polled, RawReader, ReaderOptions, Settings, TopicPlan, Writer, encode_head,
};

fn settings(cluster: &Cluster, prefix: &str) -> Settings {
    Settings {
        brokers: vec![cluster.bootstrap()],
        names: Names::new(prefix).unwrap(),
        instance: "test".to_owned(),
        ..Settings::default()
    }
}

fn plan(name: &str, partitions: u32) -> TopicPlan {
    let largest = 1 << 23;
    TopicPlan { name: name.to_owned(), partitions, is_compacted: false, retention: None, least_retention: 0, largest }
}

fn reader(settings: &Settings, topic: &str) -> RawReader {
    let options = ReaderOptions {
        group: settings.names.group("test"),
        topics: vec![topic.to_owned()],
        ahead_bytes: 1 << 20,
        longest_pause: Duration::from_secs(60),
    };
    RawReader::open(settings, &options).unwrap()
}

fn context() -> Context {
    Context {
        source: "syslog".into(),
        connector: "c".into(),
        location: "/var/log/auth.log".into(),
        account: None,
        envelope: Vec::new(),
        origin: "/var/log/auth.log".into(),
        origin_id: [1; 16],
    }
}

/// Reads until so many records came, or nothing comes for a while.
fn read(reader: &mut RawReader, wanted: usize) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let started = Instant::now();
    while found.len() < wanted && started.elapsed() < Duration::from_secs(30) {
        match reader.poll(Duration::from_millis(200)).unwrap() {
            Polled::Record(record) => {
                let head = record.head(None).unwrap();
                found.push((head.place.to_string(), record.payload().to_vec()));
            }
            Polled::Revoked { .. } => reader.release().unwrap(),
            Polled::Nothing | Polled::Assigned(_) => {}
        }
    }
    found
}

fn send(writer: &mut Writer, topic: &str, place: u64) {
    let payload = place.to_string();
    let headers = Some(encode_head(&context(), place));
    writer.send(Outgoing { topic, payload: Some(payload.as_bytes()), headers, ..Outgoing::default() }).unwrap();
}

#[test]
fn what_is_committed_is_seen_once_and_what_is_not_never() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "t.");
    let topic = settings.names.raw("syslog").unwrap();
    let admin = Admin::open(&settings).unwrap();
    assert_eq!(admin.brokers().unwrap(), 1);
    assert_eq!(admin.create(&[plan(&topic, 3)], 1).unwrap(), [topic.clone()]);
    assert_eq!(admin.create(&[plan(&topic, 3)], 1).unwrap(), Vec::<String>::new());

    let mut writer = Writer::open(&settings, "t.a").unwrap();
    (0..100).for_each(|place| send(&mut writer, &topic, place));
    writer.commit(None).unwrap();
    (100..200).for_each(|place| send(&mut writer, &topic, place));
    drop(writer);
    let mut writer = Writer::open(&settings, "t.a").unwrap();
    (200..210).for_each(|place| send(&mut writer, &topic, place));
    writer.commit(None).unwrap();

    let mut first = reader(&settings, &settings.names.raw_pattern());
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for (place, payload) in read(&mut first, 110) {
        assert_eq!(place.as_bytes(), payload);
        *seen.entry(place.parse().unwrap()).or_default() += 1;
    }
    let expected: BTreeMap<u64, usize> = (0..100).chain(200..210).map(|place| (place, 1)).collect();
    assert_eq!(seen, expected);
    assert_eq!(first.lag().unwrap().iter().map(|(_, lag)| lag).sum::<u64>(), 0);

    // Offsets go with the transaction: without it the next member reads all again, with it none.
    drop(first);
    let mut second = reader(&settings, &topic);
    assert_eq!(read(&mut second, 110).len(), 110);
    assert!(second.has_news());
    writer.commit(Some(&mut second)).unwrap();
    assert!(!second.has_news());
    drop(second);
    let mut third = reader(&settings, &topic);
    send(&mut writer, &topic, 300);
    writer.commit(None).unwrap();
    assert_eq!(read(&mut third, 1), [("300".to_owned(), b"300".to_vec())]);
}

#[test]
fn an_older_writer_of_the_same_name_is_fenced_and_says_so() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "f.");
    let topic = settings.names.raw("syslog").unwrap();
    Admin::open(&settings).unwrap().create(&[plan(&topic, 1)], 1).unwrap();
    let mut older = Writer::open(&settings, "f.a").unwrap();
    send(&mut older, &topic, 1);
    let mut newer = Writer::open(&settings, "f.a").unwrap();
    let error = older.commit(None).unwrap_err();
    assert!(error.is_fenced() && error.to_string().contains("kafka.instance"), "{error}");
    send(&mut newer, &topic, 2);
    newer.commit(None).unwrap();
    let mut reader = reader(&settings, &topic);
    assert_eq!(read(&mut reader, 1), [("2".to_owned(), b"2".to_vec())]);
}

#[test]
fn partitions_move_when_a_member_comes_and_offsets_of_lost_ones_are_refused() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "m.");
    let topic = settings.names.raw("syslog").unwrap();
    Admin::open(&settings).unwrap().create(&[plan(&topic, 2)], 1).unwrap();
    let mut first = reader(&settings, &topic);
    let mut second = reader(&settings, &topic);
    let (mut of_first, mut of_second) = (0, 0);
    let started = Instant::now();
    while (of_first, of_second) != (1, 1) {
        assert!(started.elapsed() < Duration::from_secs(60), "{of_first} {of_second}");
        for (reader, count) in [(&mut first, &mut of_first), (&mut second, &mut of_second)] {
            match reader.poll(Duration::from_millis(50)).unwrap() {
                Polled::Assigned(partitions) => *count += partitions.len(),
                Polled::Revoked { partitions, lost } => {
                    assert!(!lost);
                    *count -= partitions.len();
                    reader.release().unwrap();
                }
                Polled::Nothing | Polled::Record(_) => {}
            }
        }
    }
}

#[test]
fn a_topic_that_would_lose_records_is_told_with_the_remedy() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "c.");
    let admin = Admin::open(&settings).unwrap();
    let good = plan("c.alerts", 1);
    let missing = plan("c.none", 1);
    let compacted = TopicPlan { is_compacted: true, ..plan("c.alerts", 1) };
    admin.create(std::slice::from_ref(&good), 1).unwrap();
    let wanted = TopicPlan { least_retention: 1000, largest: 1 << 30, ..good.clone() };
    let short = TopicPlan { name: "c.short".to_owned(), retention: Some(10), ..good.clone() };
    admin.create(std::slice::from_ref(&short), 1).unwrap();
    let faults = |plan: &TopicPlan| admin.check(std::slice::from_ref(plan)).unwrap();
    assert!(faults(&good).iter().all(|fault| !fault.is_error), "one broker has one copy, which is no error");
    assert_eq!(faults(&missing).len(), 1);
    assert!(faults(&compacted).iter().any(|fault| fault.is_error && fault.remedy.contains("compact")));
    assert!(faults(&wanted).iter().any(|fault| fault.message.contains("max.message.bytes")));
    let short = TopicPlan { least_retention: 1000, ..short };
    assert!(faults(&short).iter().any(|fault| fault.is_error && fault.message.contains("retention.ms is 10")));
}

#[test]
fn settings_that_librdkafka_does_not_take_are_named() {
    let mut settings = Settings { brokers: vec!["127.0.0.1:1".to_owned()], ..Settings::default() };
    settings.librdkafka.insert("no.such.setting".to_owned(), "1".to_owned());
    let Err(KafkaError::Setting { setting, .. }) = Admin::open(&settings) else { panic!("it was taken") };
    assert_eq!(setting, "no.such.setting");
    let shared: Arc<str> = "acks".into();
    assert!(Settings::is_own(&shared).is_some() && Settings::is_own("linger.ms").is_none());
}
