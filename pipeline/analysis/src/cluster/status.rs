//! What others see of the threads of a cluster, and may tell them.
//!
//! Enters: commits and faults, as they happen. Leaves: figures for metrics, why nothing is committed, and the word to end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::correlator::Remembered;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Status {
    shared: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    stops: AtomicBool,
    transactions: AtomicU64,
    transaction_nanos: AtomicU64,
    transaction_times: Times,
    /// By the name of the thread that reads them.
    behind: Mutex<BTreeMap<(&'static str, usize), u64>>,
    aborted: AtomicU64,
    partitions: AtomicU64,
    looks: AtomicU64,
    failing: Mutex<Option<(Instant, String)>>,
    /// By the name of the thread. What other threads commit does not end it.
    waits: Mutex<BTreeMap<String, Waiting>>,
    ended: Mutex<Option<String>>,
    partitions_shown: Mutex<BTreeMap<i32, Figures>>,
}

/// A thread waits for a copy of a later release.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    /// When it was met last.
    met: Instant,
    why: String,
}

/// So long it stays after it was met last: clients are opened anew, and snapshots are read, before it is met again.
const STAYS: Duration = Duration::from_secs(120);

/// How long transactions took.
#[derive(Debug)]
struct Times(Histogram);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.001, 2.0, 16)))
    }
}

/// What is seen of a partition that is counted here.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) remembered: Vec<Remembered>,
    /// Candidates that wait for the watermark.
    pub(super) waiting: u64,
    /// By how much the watermark is behind the youngest of them.
    pub(super) lag: Duration,
    /// Nothing waits, no window either.
    pub(super) is_settled: bool,
}

impl Status {
    /// Ends all threads, each after its last commit.
    pub fn stop(&self) {
        self.shared.stops.store(true, Ordering::Relaxed);
    }

    pub(super) fn stops(&self) -> bool {
        self.shared.stops.load(Ordering::Relaxed)
    }

    pub(super) fn committed(&self, took: Duration) {
        self.shared.transactions.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.shared.transaction_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.shared.transaction_times.0.observe(took.as_secs_f64());
        *self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn failed(&self, why: &str) {
        self.shared.aborted.fetch_add(1, Ordering::Relaxed);
        let mut failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.get_or_insert_with(|| (Instant::now(), why.to_owned()));
    }

    /// A thread has met what only a later release can read.
    pub(super) fn waits(&self, thread: &str, why: &str) {
        self.shared.aborted.fetch_add(1, Ordering::Relaxed);
        let (now, why) = (Instant::now(), why.to_owned());
        let mut waits = self.shared.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let since =
            waits.get(thread).filter(|known| known.met.elapsed() < STAYS).map_or(now, |known| known.since);
        waits.insert(thread.to_owned(), Waiting { since, met: now, why });
    }

    pub(super) fn ended(&self, why: &str) {
        let mut ended = self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.get_or_insert_with(|| why.to_owned());
    }

    pub(super) fn set_partitions(&self, count: usize) {
        self.shared.partitions.store(count as u64, Ordering::Relaxed);
    }

    /// All partitions that are counted here were shown once more.
    pub(super) fn shown(&self) {
        self.shared.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// How often what waits here was looked at. What was counted before a look began shows after it.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.shared.looks.load(Ordering::Relaxed)
    }

    pub(super) fn show(&self, partition: i32, figures: Figures) {
        self.shown_now().insert(partition, figures);
    }

    pub(super) fn hide(&self, partition: i32) {
        self.shown_now().remove(&partition);
    }

    fn shown_now(&self) -> MutexGuard<'_, BTreeMap<i32, Figures>> {
        self.shared.partitions_shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Transactions that were committed, and how long that took in all.
    #[must_use]
    pub fn transactions(&self) -> (u64, Duration) {
        let nanos = self.shared.transaction_nanos.load(Ordering::Relaxed);
        (self.shared.transactions.load(Ordering::Relaxed), Duration::from_nanos(nanos))
    }

    /// How long committing took, of each transaction, as a metric to be registered.
    #[must_use]
    pub fn transaction_times(&self) -> Histogram {
        self.shared.transaction_times.0.clone()
    }

    /// So many records wait before a thread of this role.
    pub(super) fn set_behind(&self, role: &'static str, number: usize, records: u64) {
        let mut behind = self.shared.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.insert((role, number), records);
    }

    /// Records that wait before the threads of each role, of the partitions that are read here.
    #[must_use]
    pub fn behind(&self) -> BTreeMap<&'static str, u64> {
        let behind = self.shared.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = BTreeMap::new();
        for ((role, _), records) in &*behind {
            *sums.entry(*role).or_insert(0) += records;
        }
        sums
    }

    /// How often work had to be begun anew.
    #[must_use]
    pub fn aborted(&self) -> u64 {
        self.shared.aborted.load(Ordering::Relaxed)
    }

    /// Partitions of `correlate` that are counted here.
    #[must_use]
    pub fn partitions(&self) -> u64 {
        self.shared.partitions.load(Ordering::Relaxed)
    }

    /// Candidates that wait for the watermark.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.shown_now().values().map(|figures| figures.waiting).sum()
    }

    /// By how much the watermark is behind the youngest candidate that waits, of the partition where that is most.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.shown_now().values().map(|figures| figures.lag).max().unwrap_or_default()
    }

    /// Whether nothing of what is counted here waits, neither for older events nor for a time that has come.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.shown_now().values().all(|figures| figures.is_settled)
    }

    /// What rules remember here, by component, over all partitions.
    #[must_use]
    pub fn remembered(&self) -> Vec<Remembered> {
        let all = self.shown_now();
        let mut sums: Vec<Remembered> = Vec::new();
        for one in all.values().flat_map(|figures| &figures.remembered) {
            match sums.iter_mut().find(|sum| sum.component == one.component) {
                Some(sum) => {
                    sum.bytes += one.bytes;
                    sum.evicted += one.evicted;
                }
                None => sums.push(one.clone()),
            }
        }
        sums
    }

    /// Since when and why nothing is committed.
    #[must_use]
    pub fn failing(&self) -> Option<(Duration, String)> {
        let failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.as_ref().map(|(since, why)| (since.elapsed(), why.clone()))
    }

    /// Since when and for what a thread waits that only a copy of a later release can read.
    #[must_use]
    pub fn awaits_upgrade(&self) -> Option<(Duration, String)> {
        let waits = self.shared.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = waits.values().filter(|one| one.met.elapsed() < STAYS).min_by_key(|one| one.since)?;
        Some((longest.since.elapsed(), longest.why.clone()))
    }

    /// Why a thread ended though it was not told to.
    #[must_use]
    pub fn why_ended(&self) -> Option<String> {
        self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
