//! The journal's thread: gathers entries, writes them as one frame, syncs once, answers.
//!
//! It waits for company as long as the last sync took, at most 20 ms: a fast disk is not made to wait, and a slow one
//! spends no more than half of its time on syncs, each for all that came meanwhile. All keys are looked up here, in
//! the order of arrival, so that of two equal requests at the same moment one is written and both are answered.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use threatlockdown_event::Millis;

use super::entry::{Entry, encode_group};
use super::keys::{Keys, Seen};
use super::position::JournalPosition;
use super::{Appended, committed};
use crate::segment::{LogError, LogPosition, SegmentedLog, Tail, start_frame};
use crate::store::Store;

/// Longest wait for company.
const GATHER: Duration = Duration::from_millis(20);
/// A group that has so many bytes is written at once; an entry may be larger than this and then goes alone.
const GROUP_BYTES: u64 = 8 * 1024 * 1024;
/// Most entries and bytes that are queued or being written.
const QUEUE_ENTRIES: usize = 4096;
const QUEUE_BYTES: u64 = 128 * 1024 * 1024;
/// A frame buffer larger than this is not kept for the next group.
const KEPT_BUFFER: usize = 4 * 1024 * 1024;

/// What the journal's owner, its thread and its callers share.
pub(super) struct Shared {
    pub(super) max_bytes: u64,
    queue: Mutex<Queue>,
    /// The thread waits here for entries.
    pub(super) arrived: Condvar,
    /// Apart from the queue, because deletion of segments saves the keys while requests are queued.
    keys: Mutex<Keys>,
    tail: Arc<Tail>,
    directory: PathBuf,
    store: Arc<Store>,
}

/// Entries that are not durable yet.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Waiting>,
    /// Bytes of what waits and of what is being written.
    pub(super) bytes: u64,
    pub(super) closed: bool,
}

/// An entry and the one who waits for it.
pub(super) struct Waiting {
    pub(super) entry: Entry,
    pub(super) bytes: u64,
    pub(super) done: Done,
}

/// Gets the answer, once.
pub(super) type Done = Box<dyn FnOnce(Appended) + Send>;

impl Queue {
    pub(super) fn is_full(&self, bytes: u64) -> bool {
        self.waiting.len() >= QUEUE_ENTRIES || (self.bytes > 0 && self.bytes + bytes > QUEUE_BYTES)
    }
}

impl Shared {
    pub(super) fn new(
        tail: Arc<Tail>,
        directory: PathBuf,
        store: Arc<Store>,
        keys: Keys,
        max_bytes: u64,
    ) -> Self {
        let (queue, keys) = (Mutex::default(), Mutex::new(keys));
        Self { max_bytes, queue, arrived: Condvar::new(), keys, tail, directory, store }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unread_bytes(&self) -> u64 {
        let committed = committed(&self.store).ok().flatten();
        self.tail.bytes_after(committed.map_or_else(|| self.tail.start(), |position| position.frame))
    }

    pub(super) fn expire(&self, committed: JournalPosition) {
        let keep = committed.frame.segment;
        if !self.tail.has_below(keep) {
            return;
        }
        let mut keys = self.keys();
        keys.expire(Millis::now());
        if let Err(error) = keys.save(&self.store) {
            tracing::warn!(%error, "cannot save idempotency keys; old journal segments stay");
            return;
        }
        drop(keys);
        if let Err(error) = self.tail.delete_below(keep, &self.directory) {
            tracing::warn!(log = %self.directory.display(), %error, "cannot delete old segments");
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread. It ends when the queue is closed and empty.
pub(super) fn spawn(shared: Arc<Shared>, log: SegmentedLog) -> Result<JoinHandle<()>, LogError> {
    let directory = log.directory().to_owned();
    let mut writer =
        Writer { shared, log, frame: Vec::new(), last_sync: Instant::now(), pause: Duration::ZERO };
    let spawned = thread::Builder::new().name(String::from("journal")).spawn(move || writer.run());
    spawned.map_err(LogError::io("start the thread for", &directory))
}

struct Writer {
    shared: Arc<Shared>,
    log: SegmentedLog,
    frame: Vec<u8>,
    last_sync: Instant,
    pause: Duration,
}

impl Writer {
    fn run(&mut self) {
        while let Some(group) = self.gather() {
            let bytes: u64 = group.iter().map(|waiting| waiting.bytes).sum();
            let answers = self.write(group);
            self.shared.queue().bytes -= bytes;
            for (done, appended) in answers {
                done(appended);
            }
        }
    }

    /// Waits for entries; `None` when there will be no more.
    fn gather(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.shared.queue();
        while queue.waiting.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self.shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let until = self.last_sync + self.pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || queue.closed || queue.bytes >= GROUP_BYTES {
                break;
            }
            queue = self.shared.arrived.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = queue.waiting.front()
            && (bytes == 0 || bytes + next.bytes <= GROUP_BYTES)
        {
            bytes += next.bytes;
            group.extend(queue.waiting.pop_front());
        }
        Some(group)
    }

    /// Makes what is new in a group durable, and says what to answer to each.
    fn write(&mut self, group: Vec<Waiting>) -> Vec<(Done, Appended)> {
        let mut plan = Plan::default();
        let mut answers = Vec::with_capacity(group.len());
        {
            let keys = self.shared.keys();
            for Waiting { entry, done, .. } in group {
                answers.push((done, plan.take(entry, &keys)));
            }
        }
        let failed = if plan.new.is_empty() { None } else { self.append(&plan.new).err() };
        if let Some(error) = &failed {
            tracing::error!(%error, "cannot write the journal");
        } else {
            let mut keys = self.shared.keys();
            plan.new.iter().for_each(|entry| keys.remember(entry));
        }
        let answer = |outcome: Outcome| match (outcome, &failed) {
            (Outcome::Known(appended), _) => appended,
            (_, Some(error)) => Appended::Failed(error.to_string()),
            (Outcome::ReusedInGroup, None) => Appended::KeyReused,
            (Outcome::InGroup { index, repeated }, None) => {
                Appended::Durable { response: plan.new[index].response.clone(), repeated }
            }
        };
        answers.into_iter().map(|(done, outcome)| (done, answer(outcome))).collect()
    }

    fn append(&mut self, entries: &[Entry]) -> Result<LogPosition, LogError> {
        start_frame(&mut self.frame);
        encode_group(&mut self.frame, entries.iter());
        let begun = Instant::now();
        let appended = self.log.append(&mut self.frame);
        self.last_sync = Instant::now();
        self.pause = self.last_sync.duration_since(begun).min(GATHER);
        if self.frame.capacity() > KEPT_BUFFER {
            self.frame = Vec::new();
        }
        appended
    }
}

/// What of a group has to be written.
#[derive(Default)]
struct Plan {
    new: Vec<Entry>,
    by_key: HashMap<[u8; 16], usize>,
}

/// What to answer, as far as it is known before the group is written.
enum Outcome {
    Known(Appended),
    /// Once that entry of the group is written.
    InGroup {
        index: usize,
        repeated: bool,
    },
    /// The key belongs to another body of the group, if that is written.
    ReusedInGroup,
}

impl Plan {
    fn take(&mut self, entry: Entry, keys: &Keys) -> Outcome {
        match keys.look_up(&entry) {
            Seen::Repeated(response) => {
                return Outcome::Known(Appended::Durable { response, repeated: true });
            }
            Seen::WithOtherBody => return Outcome::Known(Appended::KeyReused),
            Seen::New => {}
        }
        if entry.idempotency_key.is_some() {
            if let Some(&index) = self.by_key.get(&entry.request_id) {
                let same = self.new[index].digest == entry.digest;
                return if same {
                    Outcome::InGroup { index, repeated: true }
                } else {
                    Outcome::ReusedInGroup
                };
            }
            self.by_key.insert(entry.request_id, self.new.len());
        }
        self.new.push(entry);
        Outcome::InGroup { index: self.new.len() - 1, repeated: false }
    }
}
