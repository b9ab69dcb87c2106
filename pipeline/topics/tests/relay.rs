//! Units on their way into a real broker.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use threatlockdown_event::{Context, Millis, Record, Unit};
use threatlockdown_services::kafka::Cluster;
use threatlockdown_topics::kafka::{
    Admin, KafkaError, Names, Outgoing, Polled, Progress, RawReader, ReaderOptions, Relay, Remedy, Settings,
    TopicPlan, Watch, Writer,
};
use threatlockdown_topics::{Publisher, Store, raw_topic};

/// What a watch was told.
#[derive(Default)]
struct Seen {
    records: u64,
    transactions: u64,
    failures: u64,
}

impl Watch for Seen {
    fn committed(&mut self, progress: &Progress) {
        self.transactions += 1;
        self.records += progress.sources.values().map(|(records, _)| records).sum::<u64>();
    }

    fn failed(&mut self, _: &KafkaError, _: Duration) {
        self.failures += 1;
    }
}

fn settings(cluster: &Cluster, prefix: &str, partitions: u32) -> Settings {
    let settings = Settings {
        brokers: vec![cluster.bootstrap()],
        names: Names::new(prefix).unwrap(),
        instance: "here".to_owned(),
        ..Settings::default()
    };
    let plan = |name: String, partitions: u32, is_compacted: bool| TopicPlan {
        name,
        partitions,
        is_compacted,
        is_fixed: false,
        retention: None,
        least_retention: 0,
        largest: 4 << 20,
    };
    let names = &settings.names;
    let plans = [
        plan(names.raw("syslog").unwrap(), 2, false),
        plan(names.dead_letters(), 1, false),
        plan(names.checkpoints(), partitions, true),
    ];
    Admin::open(&settings).unwrap().create(&plans, 1).unwrap();
    settings
}

fn context() -> Arc<Context> {
    Arc::new(Context {
        source: "syslog".into(),
        connector: "c".into(),
        location: "/l".into(),
        account: Some("web-1".into()),
        envelope: vec![("rack".into(), "7".into())],
        origin: "/o".into(),
        origin_id: [3; 16],
    })
}

fn unit(stream: &str, records: &[&[u8]], checkpoint: &[u8]) -> Unit {
    let mut unit = Unit {
        stream: stream.into(),
        sequence: 0,
        checkpoint: Some(checkpoint.to_vec()),
        context: context(),
        ingested: Millis(1_700_000_000_000),
        buffer: Vec::new(),
        records: Vec::new(),
        dead_letters: Vec::new(),
    };
    for (place, record) in records.iter().enumerate() {
        let (start, len) = (unit.buffer.len() as u32, record.len() as u32);
        unit.records.push(Record { start, len, origin: place as u64 });
        unit.buffer.extend_from_slice(record);
    }
    unit
}

/// Carries what `publish` publishes.
fn carry(
    settings: &Settings,
    store: &Arc<Store>,
    journal: Option<&str>,
    publish: impl FnOnce(&Publisher),
) -> Result<Seen, KafkaError> {
    let relay = Relay::open(settings, Arc::clone(store), journal.map(str::to_owned))?;
    let (publisher, consumers) = raw_topic(1, 1 << 20);
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let carrying = scope.spawn(|| relay.run(&consumers[0], &mut seen));
        publish(&publisher);
        publisher.close();
        carrying.join().unwrap()
    })?;
    assert_eq!(publisher.bytes_in_flight(), 0, "permits are given back");
    Ok(seen)
}

/// Bytes, key and what stands beside them.
type Arrived = (Vec<u8>, Option<Vec<u8>>, Option<Context>);

fn read(settings: &Settings, topic: &str, wanted: usize) -> Vec<Arrived> {
    let options = ReaderOptions {
        group: settings.names.group("test"),
        topics: vec![topic.to_owned()],
        ahead_bytes: 1 << 20,
        longest_pause: Duration::from_secs(60),
    };
    let mut reader = RawReader::open(settings, &options).unwrap();
    let mut found = Vec::new();
    let started = Instant::now();
    while found.len() < wanted && started.elapsed() < Duration::from_secs(60) {
        if let Polled::Record(record) = reader.poll(Duration::from_millis(200)).unwrap() {
            let head = record.head(None).map(|head| Context::clone(&head.context));
            found.push((record.payload().to_vec(), record.key().map(<[u8]>::to_vec), head));
        }
    }
    found
}

fn store(folder: &Path) -> Arc<Store> {
    Store::open(folder).unwrap()
}

#[test]
fn records_arrive_as_they_were_sent_and_checkpoints_are_known_to_whoever_goes_on() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "a.", 3);
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent: [&[u8]; 4] = [b"one", b"", b"\xff\x00\r\n", "\u{fc} three ".as_bytes()];
    let here = store(first.path());
    // Left by a run of all stages in one process: there is nothing in the cluster that is newer.
    here.replace([("c/file/old".into(), b"9".to_vec()), ("journal".into(), b"j".to_vec())]);
    let seen = carry(&settings, &here, Some("7f"), |publisher| {
        publisher.publish(unit("c/file/1", &sent, b"41")).unwrap();
        publisher.publish(unit("c/file/2", &[b"x"], b"7")).unwrap();
        publisher.publish(unit("c/file/1", &[b"y"], b"42")).unwrap();
        publisher.publish(unit("c/file/2", &[], b"")).unwrap();
    });
    let seen = seen.unwrap();
    assert_eq!((seen.records, seen.failures), (6, 0));
    let checkpoints =
        |store: &Store| -> BTreeMap<String, Vec<u8>> { store.checkpoints("").into_iter().collect() };
    let expected: BTreeMap<String, Vec<u8>> = [("c/file/1", "42"), ("c/file/old", "9"), ("journal", "j")]
        .map(|(stream, at)| (stream.to_owned(), at.as_bytes().to_vec()))
        .into();
    assert_eq!(checkpoints(&here), expected);

    let records = read(&settings, &settings.names.raw("syslog").unwrap(), 6);
    let mut bytes: Vec<&[u8]> = records.iter().map(|(bytes, _, _)| bytes.as_slice()).collect();
    let mut offered = [&sent[..], &[b"x", b"y"]].concat();
    bytes.sort_unstable();
    offered.sort_unstable();
    assert_eq!(bytes, offered);
    for (_, key, head) in &records {
        assert_eq!((key.as_deref(), head.as_ref()), (Some(&b"web-1"[..]), Some(&*context())));
    }

    // Another machine, whose own state does not count, and whose journal is another one.
    let there = store(second.path());
    there.replace([("c/file/1".into(), b"1".to_vec()), ("c/file/3".into(), b"1".to_vec())]);
    carry(&settings, &there, Some("80"), |_| {}).unwrap();
    let mut elsewhere = expected.clone();
    elsewhere.remove("journal");
    assert_eq!(checkpoints(&there), elsewhere);
    // And back again.
    here.replace([]);
    carry(&settings, &here, Some("7f"), |_| {}).unwrap();
    assert_eq!(checkpoints(&here), expected);
    let other = Settings { instance: "elsewhere".to_owned(), ..settings };
    let nowhere = tempfile::tempdir().unwrap();
    let new = store(nowhere.path());
    carry(&other, &new, None, |_| {}).unwrap();
    assert_eq!(checkpoints(&new), BTreeMap::new(), "streams of other instances are none of its own");
}

#[test]
fn the_start_is_read_up_to_its_end_while_somebody_else_has_a_transaction_open() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "o.", 1);
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    carry(&settings, &store, None, |publisher| publisher.publish(unit("c/1", &[b"x"], b"1")).unwrap())
        .unwrap();
    // What is committed behind an open transaction is not seen before that has its end.
    let mut somebody = Writer::open(&settings, "o.somebody").unwrap();
    let topic = settings.names.checkpoints();
    let (key, payload) = (Some(&b"somebody/1"[..]), Some(&b"1"[..]));
    somebody.send(Outgoing { topic: &topic, key, payload, ..Outgoing::default() }).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            somebody.abort().unwrap();
        });
        carry(&settings, &store, None, |publisher| publisher.publish(unit("c/1", &[b"y"], b"2")).unwrap())
            .unwrap();
    });
    store.replace([]);
    carry(&settings, &store, None, |_| {}).unwrap();
    assert_eq!(store.checkpoint("c/1"), Some(b"2".to_vec()));
}

#[test]
fn a_broker_that_is_away_in_between_costs_time_and_no_record() {
    let mut cluster = Cluster::single();
    let settings = settings(&cluster, "d.", 1);
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let count = 3_000_u64;
    let seen = carry(&settings, &store, None, |publisher| {
        for number in 0..count {
            if number == count / 2 {
                cluster.stop(0);
                cluster.restart(0);
            }
            let text = number.to_string();
            publisher.publish(unit("c/1", &[text.as_bytes()], text.as_bytes())).unwrap();
        }
    });
    let seen = seen.unwrap();
    assert_eq!(seen.records, count);
    assert!(seen.transactions < count, "units that wait share a transaction");
    let mut found: Vec<u64> = read(&settings, &settings.names.raw("syslog").unwrap(), 3_000)
        .into_iter()
        .map(|(bytes, _, _)| String::from_utf8(bytes).unwrap().parse().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, (0..count).collect::<Vec<_>>());
}

#[test]
fn who_was_replaced_while_nothing_was_to_be_written_is_told_all_the_same() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "r.", 1);
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store_of_first = store(first.path());
    let relay = Relay::open(&settings, store_of_first, None).unwrap();
    let (publisher, consumers) = raw_topic(1, 1 << 20);
    let mut seen = Seen::default();
    let error = std::thread::scope(|scope| {
        let first = scope.spawn(|| relay.run(&consumers[0], &mut seen));
        let store_of_second = store(second.path());
        carry(&settings, &store_of_second, None, |publisher| {
            publisher.publish(unit("c/1", &[b"x"], b"1")).unwrap();
        })
        .unwrap();
        // It ends by itself: nothing is published to it.
        first.join().unwrap().unwrap_err()
    });
    drop(publisher);
    assert_eq!(error.remedy(), Remedy::Stop);
    assert!(error.is_fenced() && error.to_string().contains("kafka.instance"), "{error}");
}
