//! Readers and writers against a real broker.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use threatlockdown_event::Context;
use threatlockdown_services::kafka::Cluster;
use threatlockdown_topics::kafka::{
    Admin, KafkaError, Marks, Names, Outgoing, OwnProgress, Polled, RawReader, ReaderOptions, Remedy,
    Settings, TopicPartition, TopicPlan, Writer, encode_head,
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
    let largest = 4 << 20;
    TopicPlan {
        name: name.to_owned(),
        partitions,
        is_compacted: false,
        is_fixed: false,
        retention: None,
        least_retention: 0,
        largest,
    }
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
    writer
        .send(Outgoing { topic, payload: Some(payload.as_bytes()), headers, ..Outgoing::default() })
        .unwrap();
}

#[test]
fn what_is_committed_is_seen_once_and_what_is_not_never() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "t.");
    let topic = settings.names.raw("syslog").unwrap();
    let admin = Admin::open(&settings).unwrap();
    assert_eq!(admin.brokers().unwrap(), 1);
    assert_eq!(admin.create(&[plan(&topic, 3)], 1).unwrap(), std::slice::from_ref(&topic));
    assert_eq!(admin.create(&[plan(&topic, 3)], 1).unwrap(), Vec::<String>::new());

    let mut writer = Writer::open(&settings, "t.a").unwrap();
    (0..100).for_each(|place| send(&mut writer, &topic, place));
    writer.commit(None).unwrap();
    (100..200).for_each(|place| send(&mut writer, &topic, place));
    drop(writer);
    let mut writer = Writer::open(&settings, "t.a").unwrap();
    (200..210).for_each(|place| send(&mut writer, &topic, place));
    writer.commit(None).unwrap();

    let mut first = reader(&settings, &settings.names.all_raw()[0]);
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for (place, payload) in read(&mut first, 110) {
        assert_eq!(place.as_bytes(), payload);
        *seen.entry(place.parse().unwrap()).or_default() += 1;
    }
    let expected: BTreeMap<u64, usize> = (0..100).chain(200..210).map(|place| (place, 1)).collect();
    assert_eq!(seen, expected);
    // The mark that ends the transaction lies behind the last record.
    assert!(matches!(first.poll(Duration::from_secs(1)).unwrap(), Polled::Nothing));
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
fn what_is_aborted_is_read_again_and_a_record_that_is_too_large_harms_no_other() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "a.");
    let (topic, out) = (settings.names.raw("syslog").unwrap(), settings.names.alerts());
    Admin::open(&settings).unwrap().create(&[plan(&topic, 1), plan(&out, 1)], 1).unwrap();
    let mut source = Writer::open(&settings, "a.source").unwrap();
    (0..3).for_each(|place| send(&mut source, &topic, place));
    source.commit(None).unwrap();

    let mut reader_of_raw = reader(&settings, &topic);
    let mut writer = Writer::open(&settings, "a.worker").unwrap();
    assert_eq!(read(&mut reader_of_raw, 3).len(), 3);
    send(&mut writer, &out, 0);
    writer.abort().unwrap();
    assert!(!writer.is_open());
    reader_of_raw.rewind().unwrap();
    assert!(!reader_of_raw.has_news());
    let again = read(&mut reader_of_raw, 3);
    assert_eq!(again.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);

    send(&mut writer, &out, 1);
    let large = vec![b'x'; 5 << 20];
    let headers = Some(encode_head(&context(), 9));
    let record = Outgoing { topic: &out, payload: Some(&large), headers, ..Outgoing::default() };
    let error = writer.send(record).unwrap_err();
    assert_eq!(error.remedy(), Remedy::SetAside, "{error}");
    writer.commit(Some(&mut reader_of_raw)).unwrap();
    let mut reader_of_alerts = reader(&settings, &out);
    assert_eq!(read(&mut reader_of_alerts, 1), [("1".to_owned(), b"1".to_vec())]);
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
fn what_was_read_of_a_partition_that_moves_is_committed_before_and_not_read_again() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "m.");
    let topic = settings.names.raw("syslog").unwrap();
    Admin::open(&settings).unwrap().create(&[plan(&topic, 2)], 1).unwrap();
    let mut source = Writer::open(&settings, "m.source").unwrap();
    for place in 0..40_u64 {
        let (payload, headers) = (place.to_string(), Some(encode_head(&context(), place)));
        let partition = Some(i32::try_from(place % 2).unwrap());
        let payload = Some(payload.as_bytes());
        source.send(Outgoing { topic: &topic, partition, payload, headers, ..Outgoing::default() }).unwrap();
    }
    source.commit(None).unwrap();

    let mut first = reader(&settings, &topic);
    let mut writer = Writer::open(&settings, "m.first").unwrap();
    assert_eq!(read(&mut first, 40).len(), 40);
    assert!(first.has_news(), "nothing is committed by itself");
    let mut second = reader(&settings, &topic);
    let (mut of_first, mut of_second, mut seen_again) = (2, 0, 0);
    let started = Instant::now();
    while (of_first, of_second) != (1, 1) {
        assert!(started.elapsed() < Duration::from_secs(60), "{of_first} {of_second}");
        match first.poll(Duration::from_millis(50)).unwrap() {
            Polled::Assigned(partitions) => of_first += partitions.len(),
            Polled::Revoked { partitions, lost } => {
                assert!(!lost);
                of_first -= partitions.len();
                writer.commit(Some(&mut first)).unwrap();
                first.release().unwrap();
            }
            Polled::Nothing | Polled::Record(_) => {}
        }
        match second.poll(Duration::from_millis(50)).unwrap() {
            Polled::Assigned(partitions) => of_second += partitions.len(),
            Polled::Revoked { .. } => second.release().unwrap(),
            Polled::Record(_) => seen_again += 1,
            Polled::Nothing => {}
        }
    }
    source
        .send(Outgoing { topic: &topic, partition: Some(0), payload: Some(b"x"), ..Outgoing::default() })
        .and_then(|()| {
            source.send(Outgoing {
                topic: &topic,
                partition: Some(1),
                payload: Some(b"x"),
                ..Outgoing::default()
            })
        })
        .unwrap();
    source.commit(None).unwrap();
    for reader in [&mut first, &mut second] {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < Duration::from_secs(60), "the new record does not come");
            match reader.poll(Duration::from_millis(50)).unwrap() {
                Polled::Record(record) if record.payload() == b"x" => break,
                Polled::Record(_) => seen_again += 1,
                _ => {}
            }
        }
    }
    assert_eq!(seen_again, 0);
}

#[test]
fn marks_are_reached_when_the_group_has_committed_what_stood_before_them() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "m.");
    let topic = settings.names.raw("syslog").unwrap();
    Admin::open(&settings).unwrap().create(&[plan(&topic, 2)], 1).unwrap();
    let take = || Marks::take(&settings, "m.test", |other| other == topic).unwrap();
    assert!(take().are_reached().unwrap(), "nothing is there");
    let mut writer = Writer::open(&settings, "m.a").unwrap();
    (0..20).for_each(|place| send(&mut writer, &topic, place));
    // What is sent reaches the brokers after a while; who reads does not see it there as long as it is not committed.
    let begin = Instant::now();
    let mut open = loop {
        let mut marks = take();
        if !marks.are_reached().unwrap() {
            break marks;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing has come");
    };
    writer.commit(None).unwrap();
    let mut marks = take();
    assert!(!marks.are_reached().unwrap());
    let mut group = reader(&settings, &topic);
    assert_eq!(read(&mut group, 20).len(), 20);
    assert!(!marks.are_reached().unwrap(), "read is not committed");
    group.commit().unwrap();
    assert!(marks.are_reached().unwrap() && open.are_reached().unwrap());

    // What comes later is no matter of earlier marks, and what was taken back none of later ones.
    (20..30).for_each(|place| send(&mut writer, &topic, place));
    writer.abort().unwrap();
    assert!(take().are_reached().unwrap());
    (30..40).for_each(|place| send(&mut writer, &topic, place));
    writer.commit(None).unwrap();
    assert!(marks.are_reached().unwrap() && !take().are_reached().unwrap());
}

#[test]
fn a_transaction_that_no_broker_ends_is_given_up() {
    let mut cluster = Cluster::single();
    let settings = settings(&cluster, "g.");
    let topic = settings.names.raw("syslog").unwrap();
    Admin::open(&settings).unwrap().create(&[plan(&topic, 1)], 1).unwrap();
    let mut writer = Writer::open(&settings, "g.a").unwrap();
    send(&mut writer, &topic, 1);
    writer.commit(None).unwrap();
    send(&mut writer, &topic, 2);
    cluster.stop(0);
    let (told, is_told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || told.send(writer.abort().map_err(|error| error.remedy())));
    // Without end it would wait for a broker that may not let it in any more.
    let ended = is_told.recv_timeout(Duration::from_secs(110)).expect("the abort ends");
    assert_eq!(ended, Err(Remedy::Reopen));
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
    let short = TopicPlan { name: "c.short".to_owned(), retention: Some(10), ..good };
    admin.create(std::slice::from_ref(&short), 1).unwrap();
    let faults = |plan: &TopicPlan| admin.check(std::slice::from_ref(plan)).unwrap();
    assert!(faults(&good).iter().all(|fault| !fault.is_error), "one broker has one copy, which is no error");
    assert_eq!(faults(&missing).len(), 1);
    assert!(faults(&compacted).iter().any(|fault| fault.is_error && fault.remedy.contains("compact")));
    assert!(faults(&wanted).iter().any(|fault| fault.message.contains("max.message.bytes")));
    let short = TopicPlan { least_retention: 1000, ..short };
    assert!(
        faults(&short).iter().any(|fault| fault.is_error && fault.message.contains("retention.ms is 10"))
    );
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

/// The places of records that a member gets whose own word on partition 0 is `next`, and how it is called.
fn places_of(
    settings: &Settings,
    topic: &str,
    member: &str,
    next: i64,
    wanted: usize,
) -> (RawReader, Vec<String>) {
    let mut reader = reader(settings, topic);
    let at = TopicPartition { topic: topic.into(), partition: 0 };
    reader.keep(OwnProgress { member: member.to_owned(), next: BTreeMap::from([(at, next)]) });
    let places = read(&mut reader, wanted).into_iter().map(|(place, _)| place).collect();
    (reader, places)
}

#[test]
fn what_a_member_keeps_itself_goes_before_the_word_of_the_group_only_where_that_is_its_own() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "o.");
    let topic = settings.names.raw("syslog").unwrap();
    Admin::open(&settings).unwrap().create(&[plan(&topic, 1)], 1).unwrap();
    let mut source = Writer::open(&settings, "o.source").unwrap();
    (0..10).for_each(|place| send(&mut source, &topic, place));
    source.commit(None).unwrap();

    // The group knows nothing yet: a kill came before it was told the first time.
    let (mut first, places) = places_of(&settings, &topic, "a", 4, 6);
    assert_eq!(places, ["4", "5", "6", "7", "8", "9"]);
    first.seek(&TopicPartition { topic: topic.as_str().into(), partition: 0 }, 0).unwrap();
    assert_eq!(read(&mut first, 10).len(), 10);
    first.commit().unwrap();
    drop(first);
    // The last word is its own, and behind what it kept, or before it: what it kept counts.
    let (first, places) = places_of(&settings, &topic, "a", 7, 3);
    assert_eq!(places, ["7", "8", "9"]);
    drop(first);
    // The last word is another member's.
    (10..12).for_each(|place| send(&mut source, &topic, place));
    source.commit(None).unwrap();
    let (_second, places) = places_of(&settings, &topic, "b", 3, 2);
    assert_eq!(places, ["10", "11"]);
}
