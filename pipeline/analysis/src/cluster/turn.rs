//! One transaction after another: what is written, when it is committed, and what is done when that fails.
//!
//! Enters: what a thread made of records. Leaves: the same in Kafka, with the offsets of these records. A quiet topic is
//! committed at once, a full one by time and size: a transaction costs the brokers the same however much is in it.

use std::time::{Duration, Instant};

use threatlockdown_event::dead_letter::KEPT_BYTES;
use threatlockdown_event::{Alert, DeadLetter, Millis, Reason};
use threatlockdown_topics::kafka::{
    AlertKey, KafkaError, Outgoing, RawReader, Remedy, Writer, alert_record, dead_letter_head,
    dead_letter_record,
};

use super::{Shared, Status};
use crate::metrics::{LevelLabel, ReasonLabel};

/// A transaction is committed at this age …
const LONGEST: Duration = Duration::from_millis(500);
/// … or with so many bytes read or written.
const MOST_BYTES: usize = 16 << 20;
/// Records between two looks at the clock. They come apart by less than a reader waits for one, or all is committed.
const LOOK: u32 = 8;
/// Pauses after faults: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// See the module.
pub(super) struct Turn {
    writer: Writer,
    shared: Shared,
    topics: (String, String),
    began: Option<Instant>,
    bytes: usize,
    /// Since the last look at the clock.
    unseen: u32,
    counted: Counted,
}

/// What is counted when it is committed.
#[derive(Default)]
struct Counted {
    levels: Vec<u8>,
    reasons: Vec<Reason>,
    candidates: u64,
}

impl Turn {
    pub(super) fn open(shared: &Shared, role: &str, number: usize) -> Result<Self, KafkaError> {
        let settings = &shared.options.settings;
        let (names, instance) = (&settings.names, &settings.instance);
        let writer = Writer::open(settings, &names.transactional_id(role, instance, number))?;
        let topics = (names.alerts(), names.dead_letters());
        Ok(Self {
            writer,
            shared: shared.clone(),
            topics,
            began: None,
            bytes: 0,
            unseen: 0,
            counted: Counted::default(),
        })
    }

    /// So many bytes were read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.began.get_or_insert_with(Instant::now);
        self.bytes += bytes;
    }

    pub(super) fn alert(&mut self, alert: &Alert) -> Result<(), KafkaError> {
        self.read(alert.json.len());
        self.counted.levels.push(alert.level);
        let key = AlertKey::of(alert);
        match self.writer.send(alert_record(&self.topics.0, &key, alert)) {
            Err(error) if error.remedy() == Remedy::SetAside => self.set_aside(alert, &error),
            sent => sent,
        }
    }

    /// An alert that no topic takes becomes a dead letter, with as much of it as is kept of what is too large.
    fn set_aside(&mut self, alert: &Alert, error: &KafkaError) -> Result<(), KafkaError> {
        self.counted.levels.pop();
        let letter = DeadLetter {
            reason: Reason::Oversize,
            detail: format!("alert {}: {error}", alert.id),
            source: String::new(),
            connector: String::new(),
            origin: self.topics.0.clone(),
            ingested: Millis::now(),
            record: alert.json.iter().copied().take(KEPT_BYTES).collect(),
            length: alert.json.len() as u64,
            sha256: None,
            context: None,
            place: 0,
        };
        self.dead_letter(Reason::Oversize, &letter.to_json())
    }

    /// A dead letter, whole if that fits: a record of control characters is six times as long in it.
    pub(super) fn dead_letter(&mut self, reason: Reason, json: &[u8]) -> Result<(), KafkaError> {
        self.read(json.len());
        self.counted.reasons.push(reason);
        match self.writer.send(dead_letter_record(&self.topics.1, reason.as_str(), json)) {
            Err(error) if error.remedy() == Remedy::SetAside => {
                let Some(head) = dead_letter_head(json) else { return Err(error) };
                self.writer.send(dead_letter_record(&self.topics.1, reason.as_str(), &head))
            }
            sent => sent,
        }
    }

    pub(super) fn candidates(&mut self, count: usize) {
        self.counted.candidates += count as u64;
    }

    pub(super) fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), KafkaError> {
        self.read(outgoing.payload.map_or(0, <[u8]>::len));
        self.writer.send(outgoing)
    }

    /// Whether it is time to commit although more records wait.
    pub(super) fn is_due(&mut self) -> bool {
        self.unseen += 1;
        let looks = self.unseen >= LOOK;
        if looks {
            self.unseen = 0;
        }
        self.bytes >= MOST_BYTES || (looks && self.began.is_some_and(|began| began.elapsed() >= LONGEST))
    }

    pub(super) fn has_news(&self) -> bool {
        self.began.is_some()
    }

    pub(super) fn commit(&mut self, reader: &mut RawReader) -> Result<(), KafkaError> {
        if !self.has_news() && !reader.has_news() {
            return Ok(());
        }
        let began = Instant::now();
        self.writer.commit(Some(reader))?;
        self.shared.status.committed(began.elapsed());
        self.count(self.began.unwrap_or(began));
        (self.began, self.bytes) = (None, 0);
        Ok(())
    }

    fn count(&mut self, began: Instant) {
        let metrics = &self.shared.metrics;
        for level in self.counted.levels.drain(..) {
            metrics.alerts.get_or_create(&LevelLabel { level: u32::from(level) }).inc();
        }
        for reason in self.counted.reasons.drain(..) {
            metrics.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
        }
        metrics.candidates.inc_by(std::mem::take(&mut self.counted.candidates));
        metrics.batch_latency.observe(began.elapsed().as_secs_f64());
    }
}

/// Why a piece of work ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// What was done has to be done again, from the last commit.
    #[error("{0}")]
    Anew(String),
    /// A later release wrote what comes next; all before it is committed.
    #[error("{0}")]
    Later(String),
}

/// Does a piece of work, and begins it anew from the last commit as often as it fails, until it ends by itself.
pub(super) fn until_done(status: &Status, what: &str, mut work: impl FnMut() -> Result<(), Trouble>) {
    let (mut pause, longest) = PAUSES;
    loop {
        let began = Instant::now();
        let error = match work() {
            Ok(()) => return,
            Err(error) => error,
        };
        match &error {
            Trouble::Later(why) => status.waits(what, why),
            _ => status.failed(&error.to_string()),
        }
        if let Trouble::Kafka(error) = &error
            && error.remedy() == Remedy::Stop
        {
            tracing::error!(%error, "{what} ends");
            return status.ended(&error.to_string());
        }
        if status.stops() {
            tracing::warn!(%error, "{what} ends before its last commit; another goes on there");
            return;
        }
        if matches!(error, Trouble::Later(_)) {
            // Meanwhile its partitions are those of other copies, which may be of that release.
            tracing::error!(%error, "{what} waits");
            std::thread::sleep(longest);
            continue;
        }
        tracing::warn!(%error, "{what} begins anew from its last commit");
        // What went well for long has failed for another reason than before.
        pause = if began.elapsed() > longest { PAUSES.0 } else { pause };
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}
