//! The stateful stage over Kafka: counts the candidates of the partitions of `correlate` that the group gives it.
//!
//! Enters: for each partition its log, from where the last snapshot stands. Leaves: alerts with the offsets they came of, and
//! snapshots, and dead letters of records that are somebody else's. What was alerted before is not alerted again: up to the
//! committed offset the log is read silently. What a clock decides is written into the partition itself before it counts, as
//! in one process. A partition that is given up leaves a snapshot, so that its next owner need not read much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use threatlockdown_event::Millis;
use threatlockdown_topics::commit_log::encode_state;
use threatlockdown_topics::kafka::{
    Admin, KafkaError, Polled, RawReader, ReaderOptions, Received, Settings, StateRecord, TopicPartition,
    state_record,
};
use threatlockdown_topics::{Commit, LogPosition, Marker};

use super::foreign::{later, letter};
use super::gather::stream;
use super::status::Figures;
use super::turn::{Trouble, Turn, until_done};
use super::versions::Versions;
use super::{Shared, snapshot};
use crate::correlator::{Correlator, CorrelatorOptions, FIRST, Span};

/// How long nothing may come before what was made is committed.
const QUIET: Duration = Duration::from_millis(20);
/// Without news, and so without haste.
const IDLE: Duration = Duration::from_millis(100);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often the brokers are asked for partitions, while a beginning waits for word of them.
const LOOK: Duration = Duration::from_secs(1);
/// A long replay behind a snapshot, with much room.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Bytes of the log between two snapshots of a partition, at least …
const SNAPSHOT_BYTES: u64 = 64 << 20;
/// … and by how much they exceed the last snapshot; and at least so often, where there is anything new.
const SNAPSHOT_SHARE: u64 = 4;
const SNAPSHOT_AGE: Duration = Duration::from_secs(300);
/// The role's name in groups and transactional ids.
const ROLE: &str = "correlate";

/// See the module.
pub struct Owner {
    shared: Shared,
    number: usize,
}

/// A partition that is counted here.
struct Part {
    correlator: Correlator,
    /// Offsets before it are in the snapshot: their candidates wait at most.
    known: i64,
    /// Alerts of offsets before it are written.
    emitted: i64,
    /// The next offset.
    next: i64,
    /// Records of somebody else, since it was taken.
    strangers: u64,
    /// Streams that were heard of, as long as the beginning is held back.
    heard: BTreeSet<Arc<str>>,
    began: Instant,
    looked: Instant,
    has_said_resume: bool,
    passed: Option<Millis>,
    snapshot: Snapshot,
}

/// When the next snapshot is due.
struct Snapshot {
    at: Instant,
    size: u64,
    read: u64,
}

impl Owner {
    /// Starts owner `number` of this process.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn spawn(shared: &Shared, number: usize) -> std::io::Result<JoinHandle<()>> {
        let owner = Self { shared: shared.clone(), number };
        let status = shared.status.clone();
        let name = format!("correlator-{number}");
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || until_done(&status, &name, || owner.work()))
    }

    fn work(&self) -> Result<(), Trouble> {
        let options = &self.shared.options;
        let names = &options.settings.names;
        let mut turn = Turn::open(&self.shared, ROLE, self.number)?;
        let reading = ReaderOptions {
            group: names.group(ROLE),
            topics: vec![names.correlate()],
            ahead_bytes: options.ahead_bytes,
            longest_pause: LONGEST_PAUSE,
        };
        let mut reader = RawReader::open(&options.settings, &reading)?.begins_as_told();
        let mut parts: BTreeMap<i32, Part> = BTreeMap::new();
        let mut versions = Versions::default();
        let mut ticked = Instant::now();
        loop {
            let is_silent = match reader.poll(if turn.has_news() { QUIET } else { IDLE })? {
                Polled::Record(record) => {
                    let (partition, offset) = (record.partition(), record.offset());
                    let bytes = record.payload().len();
                    let part = parts.get_mut(&partition);
                    let part =
                        part.ok_or_else(|| Trouble::Anew(format!("partition {partition} is not known")))?;
                    let is_new = match StateRecord::of(&record) {
                        StateRecord::Known(commit) => {
                            versions.meet(&commit.candidates, &self.shared.active, &*self.shared.latest);
                            part.take(offset, bytes, commit, &mut turn)?
                        }
                        StateRecord::Foreign(why) => part.pass_over(&record, why, &mut turn)?,
                        StateRecord::Later(version) => {
                            let trouble = later(&record, version);
                            reader.put_back();
                            self.leave(&mut turn, &mut reader, &mut parts)?;
                            return Err(trouble);
                        }
                    };
                    if is_new {
                        turn.read(bytes);
                    } else {
                        reader.disregard();
                    }
                    false
                }
                Polled::Nothing => true,
                Polled::Assigned(partitions) => {
                    self.begin(&mut reader, &mut parts, &partitions)?;
                    false
                }
                Polled::Revoked { partitions, lost: false } => {
                    for partition in &partitions {
                        if let Some(part) = parts.get_mut(&partition.partition) {
                            self.keep(&mut turn, partition.partition, part)?;
                        }
                    }
                    turn.commit(&mut reader)?;
                    reader.release()?;
                    for partition in &partitions {
                        parts.remove(&partition.partition);
                        self.shared.status.hide(partition.partition);
                    }
                    self.shared.status.set_partitions(parts.len());
                    false
                }
                Polled::Revoked { .. } => {
                    return Err(Trouble::Anew("partitions were taken by another owner".to_owned()));
                }
            };
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.shared.status.set_behind(ROLE, self.number, reader.waiting());
                for (partition, part) in &mut parts {
                    self.tick(*partition, part, &mut turn)?;
                }
                self.shared.status.shown();
            }
            if is_silent || turn.is_due() {
                turn.commit(&mut reader)?;
                if self.shared.status.stops() {
                    return self.leave(&mut turn, &mut reader, &mut parts);
                }
            }
        }
    }

    /// Commits all that was made, with snapshots for the next owners.
    fn leave(
        &self,
        turn: &mut Turn,
        reader: &mut RawReader,
        parts: &mut BTreeMap<i32, Part>,
    ) -> Result<(), Trouble> {
        for (partition, part) in parts {
            self.keep(turn, *partition, part)?;
        }
        Ok(turn.commit(reader)?)
    }

    /// Takes partitions: each goes on from its snapshot.
    fn begin(
        &self,
        reader: &mut RawReader,
        parts: &mut BTreeMap<i32, Part>,
        partitions: &[TopicPartition],
    ) -> Result<(), Trouble> {
        let committed = reader.committed_of(partitions)?;
        let numbers: Vec<i32> = partitions.iter().map(|partition| partition.partition).collect();
        let mut snapshots = snapshot::read(&self.shared.options.settings, &numbers)?;
        let mut from = BTreeMap::new();
        for (partition, committed) in partitions.iter().zip(committed) {
            let snapshot = snapshots.remove(&partition.partition);
            let (part, begin) = self.part(partition.partition, snapshot.as_deref(), committed.unwrap_or(0));
            let known = part.known;
            tracing::info!(partition = partition.partition, ?begin, known, committed, "counts a partition");
            parts.insert(partition.partition, part);
            from.insert(partition.clone(), begin);
        }
        reader.begin(|partition| from.get(partition).copied().flatten())?;
        self.shared.status.set_partitions(parts.len());
        Ok(())
    }

    /// A partition as its snapshot has it, and where its log is to be read from.
    fn part(&self, partition: i32, snapshot: Option<&[u8]>, emitted: i64) -> (Part, Option<i64>) {
        let options = &self.shared.options;
        let make = || {
            let of = options_of(&options.correlator, options.partitions);
            let correlator = Correlator::new(&of, &self.shared.active, &self.shared.metrics);
            correlator.of_partition(u32::try_from(partition).unwrap_or(FIRST), options.partitions)
        };
        let mut correlator = make();
        let (mut known, mut begin, mut size) = (0, None, 0);
        if let Some(bytes) = snapshot {
            match correlator.restore(bytes) {
                Ok((read_from, position)) => {
                    (known, begin) = (offset_of(position), Some(offset_of(read_from)));
                    size = bytes.len() as u64;
                }
                Err(error) => {
                    tracing::error!(partition, %error, "counting begins anew with what the topic still holds");
                    correlator = make();
                }
            }
        }
        let part = Part {
            correlator,
            known,
            emitted,
            next: begin.unwrap_or(0),
            strangers: 0,
            heard: BTreeSet::new(),
            began: Instant::now(),
            looked: Instant::now(),
            has_said_resume: false,
            passed: None,
            snapshot: Snapshot { at: Instant::now(), size, read: 0 },
        };
        (part, begin)
    }

    /// What the clock decides, what others see, and the snapshot.
    fn tick(&self, partition: i32, part: &mut Part, turn: &mut Turn) -> Result<(), Trouble> {
        part.correlator.tell_evictions(false);
        let long_ago = self.shared.options.patience.passed(Millis::now());
        let figures = Figures {
            remembered: part.correlator.remembered(),
            waiting: part.correlator.waiting() as u64,
            lag: part.correlator.lag(),
            is_settled: part.correlator.is_settled(long_ago),
        };
        self.shared.status.show(partition, figures);
        if part.is_behind() {
            return Ok(());
        }
        let marker = if part.correlator.is_held() {
            if part.has_said_resume || !self.may_begin(part)? {
                return Ok(());
            }
            part.has_said_resume = true;
            Some(Marker::Resume)
        } else {
            part.passed(long_ago)
        };
        if let Some(marker) = marker {
            let mut payload = Vec::new();
            encode_state(&[marker], &[], &mut payload);
            let topic = self.shared.options.settings.names.correlate();
            turn.send(state_record(&topic, Some(partition), &payload))?;
        }
        if part.snapshot.is_due() {
            self.keep(turn, partition, part)?;
        }
        Ok(())
    }

    /// Whether there was word of every partition of raw records, so that none holds older events that nothing waits for.
    fn may_begin(&self, part: &mut Part) -> Result<bool, KafkaError> {
        let options = &self.shared.options;
        if part.began.elapsed() >= options.catch_up {
            return Ok(true);
        }
        if part.heard.is_empty() || part.looked.elapsed() < LOOK {
            return Ok(false);
        }
        part.looked = Instant::now();
        Ok(raw_streams(&options.settings)?.iter().all(|stream| part.heard.contains(stream)))
    }

    /// Writes a snapshot of a partition as it will be with this transaction. While it waits for its beginning its log is all.
    fn keep(&self, turn: &mut Turn, partition: i32, part: &mut Part) -> Result<(), Trouble> {
        if part.snapshot.read == 0 || part.is_behind() || part.correlator.is_held() {
            return Ok(());
        }
        let bytes = part.correlator.snapshot(position(part.next));
        let bytes = bytes.map_err(|error| Trouble::Anew(error.to_string()))?;
        snapshot::write(turn, &self.shared.options.settings, partition, &bytes)?;
        part.snapshot = Snapshot { at: Instant::now(), size: bytes.len() as u64, read: 0 };
        Ok(())
    }
}

impl Part {
    /// Whether it still reads what is known or written.
    fn is_behind(&self) -> bool {
        self.next < self.emitted.max(self.known)
    }

    /// Takes a record of the log; whether it was new.
    fn take(&mut self, offset: i64, bytes: usize, commit: Commit, turn: &mut Turn) -> Result<bool, Trouble> {
        let broken = |error: std::io::Error| Trouble::Anew(format!("cannot sort what waits: {error}"));
        let span = Span { start: position(offset), end: position(offset + 1) };
        self.next = offset + 1;
        if offset < self.known {
            self.correlator.refill(span, commit).map_err(broken)?;
            return Ok(false);
        }
        if self.correlator.is_held() {
            let heard = commit.markers.iter().filter_map(|marker| match marker {
                Marker::Progress { lane, .. } | Marker::Idle { lane, .. } => Some(Arc::clone(&lane.stream)),
                _ => None,
            });
            self.heard.extend(heard);
        }
        self.snapshot.read += bytes as u64;
        if offset < self.emitted {
            self.correlator.replay(span, commit).map_err(broken)?;
            return Ok(false);
        }
        let mut written = Ok(());
        let mut alert = |alert: threatlockdown_event::Alert| {
            if written.is_ok() {
                written = turn.alert(&alert);
            }
        };
        self.correlator.apply(span, commit, &mut alert).map_err(broken)?;
        written?;
        Ok(true)
    }

    /// Puts a record aside that nobody of the pipeline wrote; whether it was new. What was done once is not done again.
    fn pass_over(&mut self, record: &Received<'_>, why: &str, turn: &mut Turn) -> Result<bool, Trouble> {
        self.next = record.offset() + 1;
        if record.offset() < self.emitted.max(self.known) {
            return Ok(false);
        }
        let letter = letter(record, why);
        self.strangers += 1;
        if self.strangers.is_power_of_two() {
            let (origin, records) = (&letter.origin, self.strangers);
            tracing::warn!(origin, records, why, "a record that is not this pipeline's is a dead letter");
        }
        self.snapshot.read += letter.length;
        turn.dead_letter(letter.reason, &letter.to_json())?;
        Ok(true)
    }

    /// That time has passed, where windows end by it and no event tells so; said once.
    fn passed(&mut self, until: Millis) -> Option<Marker> {
        let end = self.correlator.next_end()?;
        if end >= until || self.passed.is_some_and(|passed| end < passed) {
            return None;
        }
        self.passed = Some(until);
        Some(Marker::Passed { until })
    }
}

impl Snapshot {
    fn is_due(&self) -> bool {
        let is_old = self.read > 0 && self.at.elapsed() >= SNAPSHOT_AGE;
        is_old || self.read >= SNAPSHOT_BYTES.max(self.size.saturating_mul(SNAPSHOT_SHARE))
    }
}

/// Streams of all partitions of raw records that there are.
fn raw_streams(settings: &Settings) -> Result<Vec<Arc<str>>, KafkaError> {
    let admin = Admin::open(settings)?;
    let partitions = admin.partitions()?;
    let is_raw = |partition: &TopicPartition| settings.names.source(&partition.topic).is_some();
    Ok(partitions.iter().filter(|partition| is_raw(partition)).map(stream).collect())
}

/// What one partition may take of what all may.
fn options_of(all: &CorrelatorOptions, partitions: u32) -> CorrelatorOptions {
    let share = u64::from(partitions.max(1));
    CorrelatorOptions {
        max_bytes: all.max_bytes / share,
        buffer_bytes: all.buffer_bytes / usize::try_from(share).unwrap_or(1),
        ..all.clone()
    }
}

fn position(offset: i64) -> LogPosition {
    LogPosition { segment: 0, offset: u64::try_from(offset).unwrap_or_default() }
}

fn offset_of(position: LogPosition) -> i64 {
    i64::try_from(position.offset).unwrap_or(i64::MAX)
}
