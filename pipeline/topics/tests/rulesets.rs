//! Rule sets on their topic, with a real broker.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use threatlockdown_services::kafka::Cluster;
use threatlockdown_topics::kafka::rulesets::{
    Catalogue, NewSet, PublishError, Published, Publisher, RulesetReader, fetch, read_catalogue,
};
use threatlockdown_topics::kafka::{Admin, Names, Outgoing, Settings, TopicPlan, Writer, latest_values};

fn settings(cluster: &Cluster) -> Settings {
    let settings = Settings {
        brokers: vec![cluster.bootstrap()],
        names: Names::new("t.").unwrap(),
        instance: "test".to_owned(),
        ..Settings::default()
    };
    let plan = TopicPlan {
        name: settings.names.rulesets(),
        partitions: 1,
        is_compacted: true,
        is_fixed: false,
        retention: None,
        least_retention: 0,
        // What brokers take of whom nobody told anything else.
        largest: 1_048_588,
    };
    Admin::open(&settings).unwrap().create(&[plan], 1).unwrap();
    settings
}

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    // Nothing that a codec makes smaller.
    let mut state = u64::from(seed) + 1;
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next(&mut state)).collect()
}

fn set<'s>(version: &'s str, bytes: &'s [u8]) -> NewSet<'s> {
    NewSet { version, product: "9.9.9", rules: 3, bytes }
}

fn publish(settings: &Settings, version: &str, bytes: &[u8]) -> Published {
    Publisher::open(settings).unwrap().publish(&set(version, bytes), "me").unwrap()
}

fn catalogue(settings: &Settings) -> Catalogue {
    Catalogue::decode(&read_catalogue(settings).unwrap().unwrap()).unwrap()
}

fn versions(settings: &Settings) -> Vec<String> {
    catalogue(settings).sets.into_iter().map(|set| set.version).collect()
}

#[test]
fn a_set_is_read_as_it_was_published_and_the_oldest_go() {
    let cluster = Cluster::single();
    let settings = settings(&cluster);
    assert_eq!(read_catalogue(&settings).unwrap(), None);
    let nothing = Publisher::open(&settings).unwrap();
    assert!(matches!(nothing.earlier(None), Err(PublishError::Nothing)));
    // Larger than a message and than a batch may be.
    let large = bytes(1, (3 << 20) + 17);
    assert_eq!(publish(&settings, "large", &large), Published::Now);
    let active = catalogue(&settings).sets.remove(0);
    assert_eq!((active.bytes(), active.pieces.len(), active.by.as_str()), (large.len() as u64, 7, "me"));
    assert_eq!(fetch(&settings, &active).unwrap(), large);
    assert_eq!(publish(&settings, "large", &large), Published::Before);

    for version in ["b", "c", "d", "e"] {
        publish(&settings, version, version.as_bytes());
    }
    let publisher = Publisher::open(&settings).unwrap();
    assert_eq!(publisher.earlier(None).unwrap().version, "d");
    assert!(matches!(publisher.earlier(Some("x")), Err(PublishError::Unknown { .. })));
    let kept = publisher.earlier(Some("lar")).unwrap().clone();
    publisher.activate(kept, "you").unwrap();
    assert_eq!(versions(&settings), ["large", "e", "d", "c", "b"]);
    assert_eq!((catalogue(&settings).by.as_str(), catalogue(&settings).sets[0].by.as_str()), ("you", "me"));
    // A sixth: the one that was not in force for longest is not kept, nor anything of it.
    publish(&settings, "f", b"f");
    assert_eq!(versions(&settings), ["f", "large", "e", "d", "c"]);
    let left = latest_values(&settings, &settings.names.rulesets(), &[0]).unwrap().remove(&0).unwrap();
    assert_eq!(left.len(), 1 + 7 + 4, "{:?}", left.keys());
    assert!(!left.contains_key(&b"b/0"[..]));
}

#[test]
fn of_two_publishers_one_wins_and_says_so() {
    let cluster = Cluster::single();
    let settings = settings(&cluster);
    publish(&settings, "a", b"a");
    let first = Publisher::open(&settings).unwrap();
    let second = Publisher::open(&settings).unwrap();
    let lost = first.publish(&set("lost", &bytes(2, 1 << 20)), "one").unwrap_err();
    assert!(matches!(lost, PublishError::Overtaken), "{lost}");
    assert!(lost.to_string().contains("changed nothing"), "{lost}");
    assert_eq!(second.publish(&set("won", b"won"), "two").unwrap(), Published::Now);
    assert_eq!(versions(&settings), ["won", "a"]);
    let left = latest_values(&settings, &settings.names.rulesets(), &[0]).unwrap().remove(&0).unwrap();
    let keys: Vec<_> = left.into_keys().map(|key| String::from_utf8(key).unwrap()).collect();
    assert_eq!(keys, ["a/0", "active", "won/0"]);
}

#[test]
fn a_damaged_set_is_told_and_publishing_mends_it() {
    let cluster = Cluster::single();
    let settings = settings(&cluster);
    let topic = settings.names.rulesets();
    let content = bytes(3, 600 << 10);
    publish(&settings, "a", &content);
    let mut writer = Writer::open(&settings, "t.damage").unwrap();
    let mut write = |key: &[u8], payload: Option<&[u8]>| {
        let (partition, key) = (Some(0), Some(key));
        writer.send(Outgoing { topic: &topic, partition, key, payload, ..Outgoing::default() }).unwrap();
        writer.commit(None).unwrap();
    };
    write(b"a/1", Some(b"short"));
    let error = |settings: &Settings| fetch(settings, &catalogue(settings).sets[0]).unwrap_err().to_string();
    assert!(error(&settings).contains("piece 2 of 2 has 5 bytes"), "{}", error(&settings));
    write(b"a/0", None);
    assert!(error(&settings).contains("piece 1 of 2 is missing"), "{}", error(&settings));
    assert_eq!(publish(&settings, "a", &content), Published::Now, "it is not there unharmed");
    assert_eq!(fetch(&settings, &catalogue(&settings).sets[0]).unwrap(), content);

    // A later release is left alone, and what is nobody's is replaced, with all that lies about.
    write(b"active", Some(br#"{"format":2}"#));
    let refused = Publisher::open(&settings).err().unwrap().to_string();
    assert!(refused.contains("use the release that published them"), "{refused}");
    write(b"active", Some(b"{"));
    assert_eq!(publish(&settings, "b", b"b"), Published::Now);
    let left = latest_values(&settings, &topic, &[0]).unwrap().remove(&0).unwrap();
    assert_eq!(left.keys().collect::<Vec<_>>(), [&b"active"[..], b"b/0"]);
    write(b"active", None);
    assert_eq!(read_catalogue(&settings).unwrap(), None);
}

#[test]
fn who_follows_sees_the_newest_at_each_end() {
    let cluster = Cluster::single();
    let settings = settings(&cluster);
    let mut seen = BTreeMap::new();
    let mut follow = |reader: &mut RulesetReader, wanted: Option<&str>| {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(60), "{wanted:?} does not come, but {seen:?}");
            let Some(active) = reader.poll(Duration::from_millis(100)).unwrap() else { continue };
            let version = active.map(|bytes| Catalogue::decode(&bytes).unwrap().sets.remove(0).version);
            *seen.entry(version.clone()).or_insert(0) += 1;
            if version.as_deref() == wanted {
                return;
            }
        }
    };
    let mut reader = RulesetReader::open(&settings).unwrap();
    follow(&mut reader, None);
    publish(&settings, "a", b"a");
    follow(&mut reader, Some("a"));
    publish(&settings, "b", &bytes(4, 2 << 20));
    follow(&mut reader, Some("b"));
    // Who comes later does not see what was before.
    let mut late = RulesetReader::open(&settings).unwrap();
    let first = loop {
        if let Some(active) = late.poll(Duration::from_millis(100)).unwrap() {
            break active.unwrap();
        }
    };
    assert_eq!(first, read_catalogue(&settings).unwrap().unwrap());
    assert_eq!(Catalogue::decode(&first).unwrap().active().unwrap().version, "b");
}
