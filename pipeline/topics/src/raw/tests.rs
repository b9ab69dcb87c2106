//! The raw topic in memory: order, budget, blocking and its end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use threatlockdown_event::{Context, Millis};

use super::*;

fn unit(sequence: u64, bytes: usize) -> Unit {
    let context = Context {
        source: Arc::from("syslog"),
        connector: Arc::from("test"),
        location: Arc::from("here"),
        account: None,
        envelope: Vec::new(),
        origin: Arc::from("here"),
        origin_id: [0; 16],
    };
    Unit {
        stream: Arc::from("test/here"),
        sequence,
        checkpoint: None,
        context: Arc::new(context),
        ingested: Millis(0),
        buffer: vec![0; bytes],
        records: Vec::new(),
        dead_letters: Vec::new(),
    }
}

#[test]
fn all_units_arrive_once_and_the_budget_is_kept() {
    let budget = 50_000;
    let (publisher, consumers) = raw_topic(3, budget);
    let arrived = AtomicUsize::new(0);
    let watch = publisher.clone();
    thread::scope(|scope| {
        for sender in 0..4 {
            let publisher = publisher.clone();
            scope.spawn(move || {
                for number in 0..300 {
                    publisher.publish(unit(sender * 1000 + number, 4000)).unwrap();
                }
            });
        }
        for consumer in &consumers {
            let (arrived, watch) = (&arrived, &watch);
            scope.spawn(move || {
                while let Some(delivered) = consumer.next() {
                    assert!(watch.bytes_in_flight() <= budget);
                    if arrived.fetch_add(1, Ordering::SeqCst) + 1 == 1200 {
                        watch.close();
                    }
                    drop(delivered);
                }
            });
        }
    });
    assert_eq!(arrived.load(Ordering::SeqCst), 1200);
    assert_eq!((watch.depth(), watch.bytes_in_flight()), (0, 0));
}

#[test]
fn publish_blocks_until_a_permit_is_dropped() {
    let (publisher, consumers) = raw_topic(1, 10_000);
    publisher.publish(unit(0, 8000)).unwrap();
    let first = consumers[0].next().unwrap();
    let blocked = thread::spawn({
        let publisher = publisher.clone();
        move || publisher.publish(unit(1, 8000))
    });
    wait_for_ticket(&publisher, 2);
    assert_eq!(publisher.depth(), 0, "the unit was taken, its bytes are still in flight");
    assert!(!blocked.is_finished());
    drop(first.permit);
    blocked.join().unwrap().unwrap();
    assert_eq!(consumers[0].next().unwrap().unit.sequence, 1);
}

#[test]
fn a_unit_larger_than_the_budget_passes_alone_and_is_not_overtaken() {
    let (publisher, consumers) = raw_topic(2, 10_000);
    publisher.publish(unit(0, 100)).unwrap();
    let large = thread::spawn({
        let publisher = publisher.clone();
        move || publisher.publish(unit(1, 1_000_000))
    });
    wait_for_ticket(&publisher, 2);
    let small = thread::spawn({
        let publisher = publisher.clone();
        move || publisher.publish(unit(2, 100))
    });
    wait_for_ticket(&publisher, 3);
    let mut order = Vec::new();
    while order.len() < 3 {
        for consumer in &consumers {
            if consumer.topic.lock().partitions[consumer.partition].units.is_empty() {
                continue;
            }
            order.push(consumer.next().unwrap().unit.sequence);
        }
    }
    assert_eq!(order, [0, 1, 2]);
    large.join().unwrap().unwrap();
    small.join().unwrap().unwrap();
}

#[test]
fn closing_wakes_publishers_and_consumers_get_what_is_queued() {
    let (publisher, consumers) = raw_topic(1, 5_000);
    publisher.publish(unit(0, 4000)).unwrap();
    let blocked: Vec<_> = (1..4)
        .map(|sequence| {
            let publisher = publisher.clone();
            thread::spawn(move || publisher.publish(unit(sequence, 4000)))
        })
        .collect();
    wait_for_ticket(&publisher, 4);
    publisher.close();
    for publisher in blocked {
        assert_eq!(publisher.join().unwrap(), Err(Closed));
    }
    assert_eq!(publisher.publish(unit(9, 1)), Err(Closed));
    assert_eq!(consumers[0].next().unwrap().unit.sequence, 0);
    assert!(consumers[0].next().is_none());
}

#[test]
fn a_look_ends_with_a_unit_the_time_or_the_topic() {
    let (publisher, consumers) = raw_topic(1, 5_000);
    assert!(matches!(consumers[0].poll(Duration::ZERO), Taken::Nothing));
    publisher.publish(unit(3, 10)).unwrap();
    let Taken::Unit(delivered) = consumers[0].poll(Duration::ZERO) else { panic!("a unit is there") };
    assert_eq!((delivered.unit.sequence, publisher.depth()), (3, 0));
    let late = thread::spawn(move || publisher.publish(unit(4, 10)));
    assert!(matches!(consumers[0].poll(Duration::from_secs(60)), Taken::Unit(_)));
    late.join().unwrap().unwrap();
    assert!(matches!(consumers[0].poll(Duration::from_secs(60)), Taken::End));
}

#[test]
fn the_last_publisher_and_any_consumer_close_the_topic() {
    let (publisher, consumers) = raw_topic(1, 5_000);
    let second = publisher.clone();
    drop(publisher);
    second.publish(unit(0, 10)).unwrap();
    drop(second);
    assert!(consumers[0].next().is_some());
    assert!(consumers[0].next().is_none());

    let (publisher, mut consumers) = raw_topic(2, 5_000);
    publisher.publish(unit(0, 10)).unwrap();
    drop(consumers.remove(0));
    assert_eq!(publisher.publish(unit(1, 10)), Err(Closed));
    assert_eq!((publisher.depth(), publisher.bytes_in_flight()), (0, 0), "its queue went with the consumer");
}

#[test]
fn units_go_to_the_least_loaded_partition_up_to_its_limit() {
    let (publisher, consumers) = raw_topic(2, usize::MAX);
    publisher.publish(unit(0, 5000)).unwrap();
    for sequence in 1..4 {
        publisher.publish(unit(sequence, 10)).unwrap();
    }
    assert_eq!(consumers[1].next().unwrap().unit.sequence, 1);
    for sequence in 4..=2 * PARTITION_UNITS as u64 {
        publisher.publish(unit(sequence, 10)).unwrap();
    }
    assert_eq!(publisher.depth(), 2 * PARTITION_UNITS);
    let blocked = thread::spawn({
        let publisher = publisher.clone();
        move || publisher.publish(unit(9999, 10))
    });
    wait_for_ticket(&publisher, 2 * PARTITION_UNITS as u64 + 2);
    assert!(!blocked.is_finished());
    let _taken = consumers[0].next().unwrap();
    blocked.join().unwrap().unwrap();
}

/// Until so many calls of `publish` have begun.
fn wait_for_ticket(publisher: &Publisher, tickets: u64) {
    while publisher.topic.lock().next_ticket < tickets {
        thread::yield_now();
    }
}

#[test]
fn what_is_in_flight_is_known_by_stream_and_by_mark() {
    let (publisher, consumers) = raw_topic(1, 10_000);
    assert!(publisher.is_settled(publisher.mark()));
    publisher.publish(unit(0, 10)).unwrap();
    let mark = publisher.mark();
    publisher.publish(unit(1, 10)).unwrap();
    assert!(publisher.holds("test/here") && !publisher.holds("other"));
    assert!(!publisher.is_settled(mark));
    let (first, second) = (consumers[0].next().unwrap(), consumers[0].next().unwrap());
    drop(first);
    assert!(publisher.is_settled(mark) && !publisher.is_settled(publisher.mark()));
    assert!(publisher.holds("test/here"), "the second is not committed");
    drop(second);
    assert!(!publisher.holds("test/here") && publisher.is_settled(publisher.mark()));
    assert_eq!(publisher.times_blocked(), 0);
}
