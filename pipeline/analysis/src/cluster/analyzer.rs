//! A worker over Kafka: one thread with its own consumer, producer and scratch.
//!
//! Enters: the partitions of raw records that the group gives it. Leaves: alerts and dead letters, and what depends on earlier
//! events in the partition of `correlate` that counts it, each with the offsets of its records. While the brokers take nothing
//! it reads nothing either: what it fetched ahead is bounded.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Duration;

use threatlockdown_event::Unit;
use threatlockdown_topics::commit_log::encode_state;
use threatlockdown_topics::kafka::{
    KafkaError, Polled, RawReader, ReaderOptions, TopicPartition, state_record,
};
use threatlockdown_topics::{Candidate, Lane, Marker};

use super::Shared;
use super::gather::Gather;
use super::route::Router;
use super::silence::Silence;
use super::turn::{Trouble, Turn, until_done};
use crate::outcome::Outcome;
use crate::worker::Worker;

/// How long nothing may come before what was read is committed.
const QUIET: Duration = Duration::from_millis(20);
/// Without news, and so without haste.
const IDLE: Duration = Duration::from_millis(200);
/// Bytes of candidates in one record.
const RECORD_BYTES: usize = 256 << 10;
/// A transaction and the analysis of what was read before it, with much room.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// The role's name in groups and transactional ids.
const ROLE: &str = "analyze";

/// See the module.
pub struct Analyzer {
    shared: Shared,
    number: usize,
    worker: Worker,
    router: Router,
    generation: u64,
    silence: Silence,
}

/// What goes to `correlate` with the next commit.
#[derive(Default)]
struct Outbox {
    candidates: BTreeMap<u32, Vec<Candidate>>,
    progress: BTreeMap<Lane, Marker>,
}

impl Outbox {
    fn say(&mut self, marker: Marker) {
        match &marker {
            Marker::Progress { lane, until } => {
                let known = self.progress.get(lane);
                if !matches!(known, Some(Marker::Progress { until: known, .. }) if known >= until) {
                    self.progress.insert(lane.clone(), marker);
                }
            }
            Marker::Idle { lane, .. } => drop(self.progress.insert(lane.clone(), marker)),
            // Nobody else than the owner of a partition says anything else.
            _ => {}
        }
    }
}

impl Analyzer {
    /// Starts worker `number` of this process. It ends when the status says so, or when nothing can mend what is wrong.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn spawn(shared: &Shared, number: usize) -> std::io::Result<JoinHandle<()>> {
        let active = &shared.active;
        let generation = active.generation();
        let program = active.current();
        let mut analyzer = Self {
            worker: Worker::new(&program, &shared.options.worker, &shared.metrics).divided(),
            router: Router::new(&program, shared.options.partitions),
            shared: shared.clone(),
            number,
            generation,
            silence: Silence::new(shared.options.patience.clone()),
        };
        let status = shared.status.clone();
        let name = format!("worker-{number}");
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || until_done(&status, &name, || analyzer.work()))
    }

    fn work(&mut self) -> Result<(), Trouble> {
        let options = std::sync::Arc::clone(&self.shared.options);
        let names = &options.settings.names;
        let mut turn = Turn::open(&self.shared, ROLE, self.number)?;
        let mut reader = RawReader::open(
            &options.settings,
            &ReaderOptions {
                group: names.group(ROLE),
                topics: names.all_raw(),
                ahead_bytes: options.ahead_bytes,
                longest_pause: LONGEST_PAUSE,
            },
        )?;
        let (mut gather, mut outbox) = (Gather::default(), Outbox::default());
        self.silence = Silence::new(options.patience.clone());
        let mut current: Option<TopicPartition> = None;
        loop {
            let wait = if turn.has_news() { QUIET } else { IDLE };
            let (mut done, mut later) = (None, None);
            match reader.poll(wait)? {
                Polled::Record(record) => {
                    let is_same = current.as_ref().is_some_and(|known| {
                        known.partition == record.partition() && *known.topic == *record.topic()
                    });
                    if !is_same {
                        let topic = record.topic().into();
                        current = Some(TopicPartition { topic, partition: record.partition() });
                    }
                    if let Some(partition) = &current {
                        turn.read(record.payload().len());
                        match gather.push(names, partition, &record) {
                            Ok(unit) => done = unit,
                            Err(trouble) => later = Some(trouble),
                        }
                        if !is_same || done.is_some() {
                            self.silence.hear(partition);
                        }
                    }
                }
                Polled::Nothing => {
                    // The next record is news of its partition again, whichever that is.
                    current = None;
                    self.commit(&mut turn, &mut reader, &mut gather, &mut outbox)?;
                    if self.router.is_needed() {
                        self.silence
                            .look(&options.settings, &reader)?
                            .into_iter()
                            .for_each(|marker| outbox.say(marker));
                    }
                    self.commit(&mut turn, &mut reader, &mut gather, &mut outbox)?;
                    if self.shared.status.stops() {
                        return Ok(());
                    }
                }
                Polled::Assigned(partitions) => {
                    tracing::info!(
                        worker = self.number,
                        partitions = partitions.len(),
                        "partitions assigned"
                    );
                    self.silence.begin(names, partitions).into_iter().for_each(|marker| outbox.say(marker));
                }
                Polled::Revoked { partitions, lost: false } => {
                    self.commit(&mut turn, &mut reader, &mut gather, &mut outbox)?;
                    self.silence.end(&partitions);
                    reader.release()?;
                }
                Polled::Revoked { .. } => {
                    return Err(Trouble::Anew("partitions were taken by another worker".to_owned()));
                }
            }
            if let Some(trouble) = later {
                reader.put_back();
                self.commit(&mut turn, &mut reader, &mut gather, &mut outbox)?;
                return Err(trouble);
            }
            if let Some(unit) = done {
                self.judge(unit, &mut turn, &mut outbox)?;
            }
            if turn.is_due() {
                current.iter().for_each(|partition| self.silence.hear(partition));
                self.commit(&mut turn, &mut reader, &mut gather, &mut outbox)?;
                if self.shared.status.stops() {
                    return Ok(());
                }
            }
        }
    }

    /// Judges what is left of a unit, and commits all since the last commit.
    fn commit(
        &mut self,
        turn: &mut Turn,
        reader: &mut RawReader,
        gather: &mut Gather,
        outbox: &mut Outbox,
    ) -> Result<(), KafkaError> {
        if let Some(unit) = gather.take() {
            self.judge(unit, turn, outbox)?;
        }
        self.shared.status.set_behind(ROLE, self.number, reader.waiting());
        self.send(turn, std::mem::take(outbox))?;
        turn.commit(reader)
    }

    fn judge(&mut self, unit: Unit, turn: &mut Turn, outbox: &mut Outbox) -> Result<(), KafkaError> {
        if self.shared.active.generation() != self.generation {
            self.generation = self.shared.active.generation();
            let program = self.shared.active.current();
            self.worker.adopt(&program);
            self.router = Router::new(&program, self.shared.options.partitions);
        }
        let Outcome { alerts, dead_letters, candidates, markers, .. } = self.worker.analyze(unit);
        for alert in &alerts {
            turn.alert(alert)?;
        }
        for (reason, json) in &dead_letters {
            turn.dead_letter(*reason, json)?;
        }
        turn.candidates(candidates.len());
        for candidate in candidates {
            self.router.route(candidate, |partition, candidate| {
                outbox.candidates.entry(partition).or_default().push(candidate);
            });
        }
        for marker in markers {
            if let Marker::Progress { lane, until } = &marker {
                self.silence.promise(lane, *until);
            }
            outbox.say(marker);
        }
        Ok(())
    }

    /// Word of progress goes to each partition of `correlate`, behind the candidates that it is about.
    fn send(&self, turn: &mut Turn, outbox: Outbox) -> Result<(), KafkaError> {
        if !self.router.is_needed() {
            return Ok(());
        }
        let Outbox { mut candidates, progress } = outbox;
        let markers: Vec<Marker> = progress.into_values().collect();
        let topic = self.shared.options.settings.names.correlate();
        for partition in 0..self.shared.options.partitions {
            let own = candidates.remove(&partition).unwrap_or_default();
            if own.is_empty() && markers.is_empty() {
                continue;
            }
            for (candidates, is_last) in parts(&own) {
                let mut payload = Vec::new();
                encode_state(if is_last { &markers } else { &[] }, candidates, &mut payload);
                let partition = i32::try_from(partition).ok();
                turn.send(state_record(&topic, partition, &payload))?;
            }
        }
        Ok(())
    }
}

/// As many candidates together as make one record; one part at least.
fn parts(mut candidates: &[Candidate]) -> Vec<(&[Candidate], bool)> {
    let mut parts = Vec::new();
    loop {
        let mut bytes = 0;
        let fit = candidates.iter().position(|candidate| {
            bytes += candidate.bytes();
            bytes > RECORD_BYTES
        });
        let (part, rest) = candidates.split_at(fit.map_or(candidates.len(), |fit| fit.max(1)));
        parts.push((part, rest.is_empty()));
        if rest.is_empty() {
            return parts;
        }
        candidates = rest;
    }
}
