//! Carries units from the raw topic in memory into Kafka.
//!
//! ```text
//! sources ─▶ raw topic (memory) ─▶ Relay ─┬▶ raw.<source>   records as they were sent     ┐
//!    ▲                                    ├▶ deadletter     what could not become records ├ one transaction
//!    └──────────── store ◀── after it ────┴▶ checkpoints    where to go on, and a mark    ┘
//! ```
//!
//! Enters: units. Leaves: transactions. Only after the commit the units' permits are given back and their checkpoints shown
//! to the sources. A transaction that fails is taken back and its units are sent again, since they are still here; of one
//! whose end was not heard of the mark among the checkpoints tells. A quiet source is committed at once, a busy one by
//! time and size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError as Library;
use rdkafka::types::RDKafkaErrorCode;
use threatlockdown_event::Reason;

use super::checkpoints::{self, Keys};
use super::error::{KafkaError, Remedy};
use super::outbox::Outbox;
use super::settings::Settings;
use super::tasks;
use super::writer::Writer;
use crate::Store;
use crate::raw::{Consumer, Delivered, Taken};

/// A transaction is committed when it is so old …
const LONGEST: Duration = Duration::from_millis(500);
/// … or so large.
const LARGEST: usize = 8 << 20;
/// Where nothing is to be committed a mark is, so that who was replaced notices it, and faults are noticed before there is
/// anything to be written.
const QUIET: Duration = Duration::from_secs(10);
/// Before a failed transaction is tried again: so long the first time, and no longer than that.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3)];

/// Who is told what becomes of units.
pub trait Watch {
    /// A transaction is committed.
    fn committed(&mut self, progress: &Progress);
    /// One is not, and will be tried again; with how long this has been so.
    fn failed(&mut self, error: &KafkaError, lasts: Duration);
    /// Whether what is not committed yet is left to somebody else, who reads it again.
    fn is_given_up(&self) -> bool {
        false
    }
}

/// What a transaction brought into Kafka.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records and their bytes, by log source.
    pub sources: BTreeMap<Arc<str>, (u64, u64)>,
    /// Reasons of dead letters.
    pub dead_letters: Vec<Reason>,
    /// From its first record to its commit.
    pub took: Duration,
    /// Since its first unit was read.
    pub age: Duration,
}

/// See the module.
pub struct Relay {
    settings: Settings,
    transactional_id: String,
    keys: Keys,
    store: Arc<Store>,
    writer: Option<Writer>,
    /// Of this process, before the numbers of its marks.
    process: String,
    /// Of the transaction that is being made, and of the last start.
    number: u64,
    starts: u64,
    /// Of the last transaction that is known to be committed, by whomever.
    last: Option<Vec<u8>>,
    /// Checkpoints from before there was anything of this instance in Kafka; with the first transaction they get there.
    adopted: Vec<(String, Vec<u8>)>,
    is_adopting: bool,
    /// Taken and not committed.
    pending: Vec<Delivered>,
    /// How many of them are in the open transaction.
    sent: usize,
    outbox: Outbox,
}

impl Relay {
    /// Takes the instance's place in the cluster over, and puts its checkpoints into the store. `journal` is the name of the
    /// journal on this machine. Where the instance has never been in the cluster, the store's own checkpoints stand.
    ///
    /// # Errors
    /// When the settings do not fit, or the brokers do not answer.
    pub fn open(settings: &Settings, store: Arc<Store>, journal: Option<String>) -> Result<Self, KafkaError> {
        Self::open_as(&settings.instance, settings, store, journal)
    }

    /// The same for a task, which any copy may run: it takes the task over from whoever had it, whatever that one believes.
    ///
    /// # Errors
    /// As for [`Relay::open`].
    pub fn open_task(task: &str, settings: &Settings, store: Arc<Store>) -> Result<Self, KafkaError> {
        Self::open_as(&tasks::owner(task), settings, store, None)
    }

    /// Transactions and checkpoints bear the name of their owner.
    fn open_as(
        owner: &str,
        settings: &Settings,
        store: Arc<Store>,
        journal: Option<String>,
    ) -> Result<Self, KafkaError> {
        let keys = Keys::new(owner, journal);
        let transactional_id = settings.names.transactional_id("collect", owner, 0);
        let now = threatlockdown_event::Millis::now().0;
        let mut relay = Self {
            settings: settings.clone(),
            transactional_id,
            keys,
            writer: None,
            process: format!("{now}-{}", std::process::id()),
            number: 1,
            starts: 0,
            last: None,
            adopted: Vec::new(),
            is_adopting: false,
            pending: Vec::new(),
            sent: 0,
            outbox: Outbox::new(&settings.names),
            store,
        };
        let found = relay.take_over()?;
        if found.mark.is_some() {
            relay.store.replace(found.streams);
            relay.last = found.mark;
        } else {
            relay.adopted = relay.store.checkpoints("");
            relay.is_adopting = true;
        }
        Ok(relay)
    }

    /// Carries units until the raw topic ends, or they are given up.
    ///
    /// # Errors
    /// When trying again cannot help: another process has taken the instance over.
    pub fn run(mut self, consumer: &Consumer, watch: &mut impl Watch) -> Result<(), KafkaError> {
        let mut committed = Instant::now();
        loop {
            let wait = match self.pending.is_empty() {
                true if !self.is_adopting => QUIET,
                _ => Duration::ZERO,
            };
            let (is_silent, is_over) = match consumer.poll(wait) {
                Taken::Unit(delivered) => {
                    self.pending.push(delivered);
                    (false, false)
                }
                Taken::Nothing => (true, false),
                Taken::End => (true, true),
            };
            if watch.is_given_up() {
                return Ok(());
            }
            let is_quiet = self.pending.is_empty();
            let is_due = if is_quiet {
                self.is_adopting || (!is_over && committed.elapsed() >= QUIET)
            } else {
                is_silent || self.is_full()
            };
            let mut failing = None;
            while let Err(error) = self.step(is_due, watch) {
                let (since, pause) = *failing.get_or_insert((Instant::now(), PAUSES[0]));
                self.recover(error, since, pause, watch)?;
                if watch.is_given_up() {
                    return Ok(());
                }
                failing = Some((since, (pause * 2).min(PAUSES[1])));
            }
            if is_due {
                committed = Instant::now();
            }
            if is_over {
                return Ok(());
            }
        }
    }

    fn is_full(&self) -> bool {
        let age =
            self.writer.as_ref().and_then(Writer::began).map(|began| began.elapsed()).unwrap_or_default();
        let size = || self.pending.iter().map(|delivered| delivered.unit.buffer.len()).sum::<usize>();
        age >= LONGEST || size() >= LARGEST
    }

    /// Sends what was not sent yet, and commits it where that is due.
    fn step(&mut self, is_due: bool, watch: &mut impl Watch) -> Result<(), KafkaError> {
        if self.writer.is_none() {
            let found = self.take_over()?;
            if found.mark.as_deref() == Some(self.mark().as_bytes()) {
                // It was committed, though nobody said so.
                self.committed(watch);
            } else if found.mark != self.last {
                let source = Library::MessageProduction(RDKafkaErrorCode::Fenced);
                return Err(KafkaError::Fenced { action: "cannot go on", source });
            }
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if self.sent == 0 {
            self.outbox.progress = Progress::default();
        }
        while let Some(delivered) = self.pending.get(self.sent) {
            self.outbox.unit(writer, &delivered.unit)?;
            self.sent += 1;
        }
        if !is_due {
            return Ok(());
        }
        let mark = mark(&self.process, self.number);
        let newest = newest(&self.adopted, &self.pending);
        self.outbox.checkpoints(writer, &self.keys, &newest, &mark)?;
        let began = writer.began();
        writer.commit(None)?;
        self.outbox.progress.took = began.map(|began| began.elapsed()).unwrap_or_default();
        self.committed(watch);
        Ok(())
    }

    /// Opens a writer, which ends what was left open, and reads what the last transaction left.
    fn take_over(&mut self) -> Result<checkpoints::Found, KafkaError> {
        let mut writer = Writer::open(&self.settings, &self.transactional_id)?;
        self.starts += 1;
        let mark = format!("{}.start.{}", self.process, self.starts);
        let found = checkpoints::read(&self.settings, &self.keys, &mut writer, mark.as_bytes())?;
        self.writer = Some(writer);
        Ok(found)
    }

    fn mark(&self) -> String {
        mark(&self.process, self.number)
    }

    /// What was pending is in Kafka.
    fn committed(&mut self, watch: &mut impl Watch) {
        let mut progress = std::mem::take(&mut self.outbox.progress);
        let now = threatlockdown_event::Millis::now().0;
        let oldest = self.pending.first().map_or(now, |delivered| delivered.unit.ingested.0);
        progress.age = Duration::from_millis((now - oldest).max(0).unsigned_abs());
        let newest = newest(&[], &self.pending);
        self.store.apply(newest.iter().map(|(stream, value)| (Arc::from(*stream), value.to_vec())).collect());
        self.adopted = Vec::new();
        self.is_adopting = false;
        self.last = Some(self.mark().into_bytes());
        self.number += 1;
        self.sent = 0;
        watch.committed(&progress);
        self.pending.clear();
    }

    /// Makes ready for the same transaction once more, unless that cannot help.
    fn recover(
        &mut self,
        error: KafkaError,
        since: Instant,
        pause: Duration,
        watch: &mut impl Watch,
    ) -> Result<(), KafkaError> {
        self.sent = 0;
        match error.remedy() {
            Remedy::Stop | Remedy::SetAside => return Err(error),
            Remedy::Rewind => match self.writer.as_mut().map_or(Ok(()), Writer::abort) {
                Ok(()) => {}
                Err(error) if error.remedy() == Remedy::Stop => return Err(error),
                Err(_) => self.writer = None,
            },
            Remedy::Reopen => self.writer = None,
        }
        watch.failed(&error, since.elapsed());
        std::thread::sleep(pause);
        Ok(())
    }
}

fn mark(process: &str, number: u64) -> String {
    format!("{process}.{number}")
}

/// The last checkpoint of each stream.
fn newest<'p>(adopted: &'p [(String, Vec<u8>)], pending: &'p [Delivered]) -> BTreeMap<&'p str, &'p [u8]> {
    let adopted = adopted.iter().map(|(stream, value)| (stream.as_str(), value.as_slice()));
    let pending = pending.iter().filter_map(|delivered| {
        let checkpoint = delivered.unit.checkpoint.as_deref()?;
        Some((&*delivered.unit.stream, checkpoint))
    });
    adopted.chain(pending).collect()
}
