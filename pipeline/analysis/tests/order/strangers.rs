//! Records that nobody of the pipeline wrote, on the topics between the threads: each is a dead letter, once, and stops nothing.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use threatlockdown_services::kafka::Cluster;
use threatlockdown_topics::Marker;
use threatlockdown_topics::commit_log::encode_state;
use threatlockdown_topics::kafka::{Marks, Outgoing, Settings, Writer, scan};

use crate::cluster::{Copy, LONGEST, PARTITIONS, alerts, expected, make_topics, settings, worthwhile, write};
use crate::rng::Rng;

/// A tombstone, nothing, text, bytes, and what is like the pipeline's own but for its beginning or its end.
fn garbage() -> Vec<Option<Vec<u8>>> {
    let mut own = Vec::new();
    encode_state(&[Marker::Resume], &[], &mut own);
    let other = [&[9], &own[1..]].concat();
    own.pop();
    vec![
        None,
        Some(Vec::new()),
        Some(b"{\"a\": 1}".to_vec()),
        Some(vec![0xff; 300_000]),
        Some(other),
        Some(own),
    ]
}

/// Writes it into every partition of a topic.
fn send(settings: &Settings, topic: &str, keys: &[Option<&[u8]>], payloads: &[Option<Vec<u8>>]) {
    let id = settings.names.transactional_id("test", "strangers", 0);
    let mut writer = Writer::open(settings, &id).unwrap();
    for partition in 0..PARTITIONS {
        for (key, payload) in keys.iter().flat_map(|key| payloads.iter().map(move |payload| (*key, payload)))
        {
            let (partition, payload) = (i32::try_from(partition).ok(), payload.as_deref());
            writer.send(Outgoing { topic, partition, key, payload, ..Outgoing::default() }).unwrap();
        }
    }
    writer.commit(None).unwrap();
}

/// Where each dead letter comes from, and how often it is there.
fn letters(settings: &Settings) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    scan(settings, &settings.names.dead_letters(), |record| {
        let letter: Value = serde_json::from_slice(record.payload()).unwrap();
        assert_eq!(
            (&letter["reason"], &letter["source"]),
            (&"malformed".into(), &settings.names.correlate().into())
        );
        assert!(letter["detail"].as_str().unwrap().contains("not this pipeline's"), "{letter}");
        *found.entry(letter["origin"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    })
    .unwrap();
    found
}

/// Waits for so many dead letters, of which each is there once, and until all that was written is counted.
fn until_letters(settings: &Settings, count: usize) {
    let began = Instant::now();
    while letters(settings).len() < count {
        assert!(began.elapsed() < LONGEST, "{} of {count} dead letters", letters(settings).len());
        sleep(Duration::from_millis(200));
    }
    let correlate = settings.names.correlate();
    let mut marks =
        Marks::take(settings, &settings.names.group("correlate"), |topic| topic == correlate).unwrap();
    while !marks.are_reached().unwrap() {
        assert!(began.elapsed() < LONGEST, "what was written is not counted to its end");
        sleep(Duration::from_millis(200));
    }
    let found = letters(settings);
    assert!(found.len() == count && found.values().all(|times| *times == 1), "{count}: {found:?}");
}

#[test]
fn what_somebody_else_wrote_is_a_dead_letter_once_and_stops_nothing() {
    let cluster = Cluster::single();
    let trial = worthwhile(1).remove(0);
    let mut rng = Rng::new(trial.seed ^ 0x7374_7261);
    let expected = expected(&trial, &mut rng);
    let settings = settings(&cluster, "s.");
    make_topics(&settings);
    let (correlate, memory) = (settings.names.correlate(), settings.names.memory());
    let batch = garbage().len() * PARTITIONS as usize;
    let put = || send(&settings, &correlate, &[Some(b"key")], &garbage());

    // Before anything else, and where snapshots are looked for.
    put();
    send(&settings, &memory, &[Some(b"snapshot"), Some(b"snapshot/0"), Some(&[0xff])], &garbage()[2..]);
    write(&settings, &trial.streams(&mut rng, true));
    let copy = Copy::start(&trial, &settings, "a", 2);
    assert_eq!(alerts(&settings, expected.len()), expected);
    until_letters(&settings, batch);
    // Behind what is counted, while it runs.
    put();
    until_letters(&settings, 2 * batch);
    copy.stop();

    // Without a snapshot the next owner reads all of it once more.
    send(&settings, &memory, &[Some(b"snapshot")], &[None]);
    put();
    let copy = Copy::start(&trial, &settings, "b", 1);
    until_letters(&settings, 3 * batch);
    assert_eq!(alerts(&settings, expected.len()), expected);
    assert_eq!(copy.shared.status.awaits_upgrade(), None);
    copy.stop();
    assert_eq!(letters(&settings).len(), 3 * batch);
}
