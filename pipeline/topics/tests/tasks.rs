//! Tasks among copies, with a real broker.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use threatlockdown_event::{Context, Millis, Record, Unit};
use threatlockdown_services::kafka::Cluster;
use threatlockdown_topics::kafka::{
    Admin, Holding, KafkaError, Names, Progress, Relay, Settings, TaskGroup, TopicPlan, Watch,
};
use threatlockdown_topics::{Consumer, Store, raw_topic};

const LOOK: Duration = Duration::from_millis(100);

/// A watch that may be told to let go.
#[derive(Default)]
struct Seen {
    records: u64,
    is_given_up: bool,
}

impl Watch for Seen {
    fn committed(&mut self, progress: &Progress) {
        self.records += progress.sources.values().map(|(records, _)| records).sum::<u64>();
    }

    fn failed(&mut self, _: &KafkaError, _: Duration) {}

    fn is_given_up(&self) -> bool {
        self.is_given_up
    }
}

fn settings(cluster: &Cluster, prefix: &str) -> Settings {
    let settings = Settings {
        brokers: vec![cluster.bootstrap()],
        names: Names::new(prefix).unwrap(),
        instance: "archive".to_owned(),
        librdkafka: BTreeMap::from([("session.timeout.ms".to_owned(), "3000".to_owned())]),
        ..Settings::default()
    };
    let names = &settings.names;
    let topics = [
        (names.raw("json").unwrap(), 1),
        (names.dead_letters(), 1),
        (names.checkpoints(), 1),
        (names.tasks(), 2),
    ];
    let plans = topics.map(|(name, partitions)| TopicPlan {
        name,
        partitions,
        is_compacted: false,
        is_fixed: false,
        retention: None,
        least_retention: 0,
        largest: 4 << 20,
    });
    Admin::open(&settings).unwrap().create(&plans, 1).unwrap();
    settings
}

/// Lets all members take part, and what they are to give up go, until it is so.
fn until(what: &str, groups: &mut [&mut TaskGroup], mut is_so: impl FnMut(&[&mut TaskGroup]) -> bool) {
    let begin = Instant::now();
    loop {
        for group in groups.iter_mut() {
            group.poll(LOOK).unwrap();
            if group.is_leaving() {
                group.release().unwrap();
            }
        }
        if groups.iter().all(|group| group.is_settled()) && is_so(groups) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "waited too long for {what}");
    }
}

fn own(group: &TaskGroup) -> Vec<&'static str> {
    TASKS.into_iter().filter(|task| group.holding(task) == Holding::Own).collect()
}

/// Some in each of two partitions.
const TASKS: [&str; 6] = ["archive", "trail", "a", "b", "c", "d"];

#[test]
fn the_group_divides_tasks_and_says_so_also_to_who_gets_none() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "g.");
    let [mut first, mut second, mut third] = [(); 3].map(|()| TaskGroup::new(&settings));
    assert_eq!(first.holding("archive"), Holding::None);
    until("all", &mut [&mut first], |groups| own(groups[0]).len() == TASKS.len());
    until("a part for each of two", &mut [&mut first, &mut second], |groups| {
        let parts = [own(groups[0]), own(groups[1])];
        let mut all = parts.concat();
        all.sort_unstable();
        all.dedup();
        parts.iter().all(|part| !part.is_empty()) && all.len() == TASKS.len()
    });
    // More copies than partitions: one has nothing, and knows.
    let mut all = [&mut first, &mut second, &mut third];
    until("three", &mut all, |groups| groups.iter().any(|group| own(group).is_empty()));
    first.leave();
    assert!(own(&first).is_empty() && !first.is_settled());
    until("what one left", &mut [&mut second, &mut third], |groups| {
        groups.iter().all(|group| !own(group).is_empty())
    });
}

fn unit(checkpoint: &str) -> Unit {
    let context = Context {
        source: "json".into(),
        connector: "archive".into(),
        location: "/l".into(),
        account: None,
        envelope: Vec::new(),
        origin: "/o".into(),
        origin_id: [3; 16],
    };
    Unit {
        stream: "archive/file/1".into(),
        sequence: 0,
        checkpoint: Some(checkpoint.as_bytes().to_vec()),
        context: Arc::new(context),
        ingested: Millis(1_700_000_000_000),
        buffer: b"{}".to_vec(),
        records: vec![Record { start: 0, len: 2, origin: 0 }],
        dead_letters: Vec::new(),
    }
}

/// Runs a relay to the end of what is in the topic.
fn run(relay: Relay, consumers: &[Consumer], seen: &mut Seen) -> Result<(), KafkaError> {
    relay.run(&consumers[0], seen)
}

#[test]
fn a_task_is_fenced_by_whoever_takes_it_over_and_not_by_an_instance_of_its_name() {
    let cluster = Cluster::single();
    let settings = settings(&cluster, "t.");
    let store = || Store::in_memory().unwrap();
    let carry = |relay: Relay, checkpoint: &str, seen: &mut Seen| {
        let (publisher, consumers) = raw_topic(1, 1 << 20);
        publisher.publish(unit(checkpoint)).unwrap();
        publisher.close();
        run(relay, &consumers, seen)
    };
    let here = store();
    let first = Relay::open_task("archive", &settings, Arc::clone(&here)).unwrap();
    let instance = Relay::open(&settings, store(), None).unwrap();
    carry(instance, "7", &mut Seen::default()).unwrap();
    let mut seen = Seen::default();
    carry(first, "1", &mut seen).unwrap();
    assert_eq!(seen.records, 1, "the instance is another one");

    let old = Relay::open_task("archive", &settings, store()).unwrap();
    let there = store();
    let new = Relay::open_task("archive", &settings, Arc::clone(&there)).unwrap();
    assert_eq!(there.checkpoint("archive/file/1"), Some(b"1".to_vec()), "and goes on where it was left");
    let error = carry(old, "2", &mut Seen::default()).unwrap_err();
    assert!(error.is_fenced(), "{error}");
    // What is given up is not committed.
    let mut letting_go = Seen { is_given_up: true, ..Seen::default() };
    carry(new, "3", &mut letting_go).unwrap();
    assert_eq!(letting_go.records, 0);
    let last = store();
    drop(Relay::open_task("archive", &settings, Arc::clone(&last)).unwrap());
    assert_eq!(last.checkpoint("archive/file/1"), Some(b"1".to_vec()));
}
