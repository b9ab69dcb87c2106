//! Delivery to sinks that fail, finish, or are killed in the middle.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use threatlockdown_event::{Alert, AlertId};
use threatlockdown_topics::{Commit, CommitLog, CommitLogOptions};

use super::*;

/// A data directory with a commit log, for the tests of all sinks.
pub(crate) struct Bench {
    pub(crate) log: CommitLog,
    pub(crate) store: Arc<Store>,
    pub(crate) lines: Vec<String>,
}

impl Bench {
    pub(crate) fn new(dir: &Path) -> Self {
        let store = Store::open(dir).unwrap();
        let options = CommitLogOptions { segment_bytes: 2000 };
        let log = CommitLog::open(dir, Arc::clone(&store), options).unwrap();
        Self { log, store, lines: Vec::new() }
    }

    /// Appends a commit of so many alerts, each of which has a dead letter beside it.
    pub(crate) fn append(&mut self, alerts: usize) {
        let mut commit = Commit::default();
        for _ in 0..alerts {
            let number = self.lines.len();
            let line = format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(number % 40));
            let id = AlertId((number as u128).to_be_bytes());
            commit.alerts.push(Alert { id, level: 3, json: line.clone().into_bytes() });
            commit.dead_letters.push(format!("{{\"letter\":{number}}}").into_bytes());
            self.lines.push(line);
        }
        self.log.append(&commit).unwrap();
    }

    pub(crate) fn spawn(&self, sink: impl Sink + 'static) -> Delivery {
        spawn(self.log.reader(None), Arc::clone(&self.store), Box::new(sink), quick()).unwrap()
    }

    pub(crate) fn finish(&self, delivery: Delivery) -> bool {
        delivery.finish(self.log.end(), Instant::now() + Duration::from_secs(60))
    }
}

/// Flushes often and pauses hardly at all.
fn quick() -> DeliveryOptions {
    let (first_pause, longest_pause) = (Duration::from_millis(1), Duration::from_millis(4));
    DeliveryOptions { flush_interval: Duration::from_millis(1), first_pause, longest_pause }
}

/// Keeps lines in memory; `flush` makes them the state.
#[derive(Default)]
struct Memory {
    lines: Vec<String>,
    fail_every: usize,
    calls: usize,
    seen: Arc<Mutex<Vec<String>>>,
    delivered: Arc<AtomicUsize>,
}

impl Memory {
    fn call(&mut self) -> Result<(), SinkError> {
        self.calls += 1;
        if self.fail_every > 0 && self.calls.is_multiple_of(self.fail_every) {
            return Err(SinkError::State(String::from("now and then")));
        }
        Ok(())
    }
}

impl Sink for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn resume(&mut self, state: &[u8]) -> Result<(), SinkError> {
        self.lines = String::from_utf8(state.to_vec()).unwrap().lines().map(str::to_owned).collect();
        Ok(())
    }

    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
        self.lines.extend(commit.alerts.iter().map(|alert| String::from_utf8(alert.json.clone()).unwrap()));
        self.delivered.fetch_add(1, Ordering::SeqCst);
        self.call()
    }

    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        self.call()?;
        *self.seen.lock().unwrap() = self.lines.clone();
        Ok(self.lines.join("\n").into_bytes())
    }
}

#[test]
fn a_sink_that_fails_now_and_then_gets_all_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    (0..40).for_each(|number| bench.append(number % 4));
    let sink = Memory { fail_every: 7, ..Memory::default() };
    let seen = Arc::clone(&sink.seen);
    let delivery = bench.spawn(sink);
    (0..20).for_each(|number| bench.append(number % 3));
    assert!(bench.finish(delivery));
    assert_eq!(*seen.lock().unwrap(), bench.lines);
}

#[test]
fn a_later_start_goes_on_at_the_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    for _ in 0..3 {
        (0..10).for_each(|_| bench.append(1));
        let sink = Memory::default();
        let (seen, delivered) = (Arc::clone(&sink.seen), Arc::clone(&sink.delivered));
        let delivery = bench.spawn(sink);
        assert!(bench.finish(delivery));
        assert_eq!(delivered.load(Ordering::SeqCst), 10);
        assert_eq!(*seen.lock().unwrap(), bench.lines);
    }
    assert_eq!(bench.store.cursor("memory").unwrap().unwrap().position, bench.log.end());
}

#[test]
fn a_sink_that_never_works_holds_its_commits_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.append(3);
    let delivery = bench.spawn(Memory { fail_every: 1, ..Memory::default() });
    while delivery.failures() < 3 {
        thread::yield_now();
    }
    assert_eq!(delivery.failing().unwrap(), "the stored state of the sink cannot be used: now and then");
    assert!(delivery.lag_bytes() > 0);
    assert_eq!((delivery.alerts(), delivery.position()), (0, LogPosition::default()));
    assert!(!delivery.finish(bench.log.end(), Instant::now() + Duration::from_millis(20)));
}

/// A sink whose receiver has gone.
struct Gone;

impl Sink for Gone {
    fn name(&self) -> &str {
        "gone"
    }

    fn resume(&mut self, _state: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, _commit: &Commit) -> Result<(), SinkError> {
        Err(SinkError::Finished(String::from("nobody reads")))
    }

    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_finished_sink_holds_nothing_back_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.append(2);
    let gone = bench.spawn(Gone);
    let sink = Memory::default();
    let seen = Arc::clone(&sink.seen);
    let other = bench.spawn(sink);
    while gone.position() != LogPosition::MAX {
        thread::yield_now();
    }
    bench.append(2);
    assert_eq!((gone.lag_bytes(), gone.failures()), (0, 0));
    assert!(bench.finish(gone) && bench.finish(other));
    assert_eq!(*seen.lock().unwrap(), bench.lines);
}

#[test]
fn pauses_grow_to_their_limit() {
    let (first, longest) = (Duration::from_millis(250), Duration::from_secs(30));
    for doublings in 0..40 {
        let pause = jittered(first, doublings, longest);
        let whole = first.saturating_mul(1 << doublings.min(20)).min(longest);
        assert!(pause >= whole / 2 && pause <= whole, "{doublings}: {pause:?}");
    }
}
