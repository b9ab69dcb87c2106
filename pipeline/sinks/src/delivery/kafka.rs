//! Topics in Kafka as the source of one sink, which is a consumer group of its own.
//!
//! Enters: records of `alerts` (and of `redrive` those for this sink), or of `deadletter`. Leaves: commits. Where a sink goes
//! on is kept in one of three ways:
//!
//! - A sink with a state (a file) lies on this machine, so its state and the offsets it stands for are stored together in this
//!   machine's store, and the group is told afterwards. A kill between the two is no harm: see [`OwnProgress`]. The group's own
//!   memory could hold the state too, but it can neither be written before the sink is known to be durable nor be told apart
//!   from another copy's, whose file is another one.
//! - A sink that writes to topics has an [`Outbox`]: records and offsets are one transaction.
//! - For any other the group's offsets are all there is: it gets some alerts again after a kill.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use threatlockdown_topics::kafka::{
    OwnProgress, Polled, RawReader, ReaderOptions, Received, Settings, TopicPartition, decode_alert,
    decode_dead_letter,
};
use threatlockdown_topics::{Commit, Cursor, LogPosition, Store};

use super::outbox::{Outbox, fault};
use super::source::{Source, SourceError};

/// A sink that takes nothing for so long has its partitions given to another copy.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Bytes that are fetched ahead.
const AHEAD: usize = 8 << 20;
/// Bytes in one commit, about.
const COMMIT_BYTES: usize = 1 << 20;

/// Which records a sink wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Alerts.
    Alerts,
    /// Dead letters.
    DeadLetters,
}

/// How a source reads.
#[derive(Clone)]
pub struct KafkaSourceOptions {
    /// The cluster.
    pub settings: Settings,
    /// Name of the sink.
    pub sink: String,
    /// What it wants.
    pub wanted: Wanted,
    /// Most records in one commit.
    pub most: usize,
    /// Where a sink with a state keeps it.
    pub store: Option<Arc<Store>>,
    /// Where a sink writes to that writes to topics.
    pub outbox: Option<Outbox>,
}

/// See the module.
pub struct KafkaSource {
    options: KafkaSourceOptions,
    reader: Option<RawReader>,
    own: OwnProgress,
    /// Partitions are to be given up when what came of them is stored.
    is_leaving: bool,
    /// Records that nobody understands, since the start.
    unknown: u64,
}

/// What lies in the store, before the sink's own state.
#[derive(Serialize, Deserialize)]
struct Head {
    v: u8,
    member: String,
    /// Topic, partition, where to go on.
    next: Vec<(String, i32, i64)>,
}

impl KafkaSource {
    /// Nothing is opened yet: the first [`Source::resume`] does that.
    #[must_use]
    pub fn new(options: KafkaSourceOptions) -> Self {
        Self { options, reader: None, own: OwnProgress::default(), is_leaving: false, unknown: 0 }
    }

    fn open(&self) -> Result<RawReader, SourceError> {
        let KafkaSourceOptions { settings, sink, wanted, .. } = &self.options;
        let names = &settings.names;
        let topics = match wanted {
            Wanted::Alerts => vec![names.alerts(), names.redrive()],
            Wanted::DeadLetters => vec![names.dead_letters()],
        };
        let options = ReaderOptions {
            group: names.group(&format!("deliver.{sink}")),
            topics,
            ahead_bytes: AHEAD,
            longest_pause: LONGEST_PAUSE,
        };
        RawReader::open(settings, &options).map_err(fault)
    }

    /// Gives back what was taken and is not stored; false where the clients have to be opened anew.
    fn take_back(&mut self) -> bool {
        let is_back = self.options.outbox.as_ref().is_none_or(Outbox::take_back);
        let Some(reader) = &mut self.reader else { return false };
        let left = if std::mem::take(&mut self.is_leaving) { reader.release() } else { Ok(()) };
        is_back && left.and_then(|()| reader.rewind()).is_ok()
    }

    /// What is stored on this machine: the sink's state; how far it came goes into `own`.
    fn load(&mut self, store: &Store) -> Result<Vec<u8>, SourceError> {
        let back = |why: String| SourceError::Back(why);
        let cursor = store.cursor(&self.key()).map_err(|error| back(error.to_string()))?;
        let Some(cursor) = cursor else {
            if self.own.member.is_empty() {
                self.own.member = new_member(&self.options.settings.instance);
            }
            return Ok(Vec::new());
        };
        let (own, state) = decode(&cursor.state)
            .map_err(|why| back(format!("the stored offsets of the sink cannot be used: {why}")))?;
        self.own = own;
        Ok(state)
    }

    /// Apart from a cursor in a log, which has positions.
    fn key(&self) -> String {
        format!("{}{}", self.options.settings.names.group("deliver."), self.options.sink)
    }

    fn store_here(&mut self, store: &Store, state: &[u8]) -> Result<(), SourceError> {
        let mut own = self.own.clone();
        if let Some(reader) = &self.reader {
            own.next.extend(reader.progress().map(|(partition, next)| (partition.clone(), next)));
        }
        let cursor = Cursor { position: LogPosition::default(), state: encode(&own, state) };
        store.set_cursor(&self.key(), &cursor).map_err(|error| SourceError::Again(error.to_string()))?;
        self.own = own;
        if let Some(reader) = &mut self.reader {
            reader.keep(self.own.clone());
        }
        Ok(())
    }

    /// Adds a record to a commit; returns its bytes.
    fn add(&mut self, record: &Received<'_>, commit: &mut Commit) -> usize {
        let bytes = record.payload().len();
        match self.options.wanted {
            Wanted::Alerts => {
                let is_ours = record.header("sink").is_none_or(|sink| sink == self.options.sink.as_bytes());
                match decode_alert(record) {
                    Some(alert) if is_ours => commit.alerts.push(alert),
                    Some(_) => {}
                    None => self.pass_over(record),
                }
            }
            Wanted::DeadLetters => match decode_dead_letter(record) {
                Some((_, json)) => commit.dead_letters.push(json.to_vec()),
                // What `deadletter redrive` notes there.
                None if record.header("redriven").is_some() => {}
                None => self.pass_over(record),
            },
        }
        bytes
    }

    /// Nobody else will understand it either; holding up all behind it would help nobody. It stays in its topic.
    fn pass_over(&mut self, record: &Received<'_>) {
        self.unknown += 1;
        if self.unknown.is_power_of_two() {
            tracing::warn!(
                sink = self.options.sink,
                topic = record.topic(),
                partition = record.partition(),
                offset = record.offset(),
                records = self.unknown,
                "passed over what is not this pipeline's, or a later release's"
            );
        }
    }
}

impl Source for KafkaSource {
    fn resume(&mut self) -> Result<Vec<u8>, SourceError> {
        let can_go_on = self.take_back();
        let state = match self.options.store.clone() {
            Some(store) => self.load(&store)?,
            None => Vec::new(),
        };
        if can_go_on {
            return Ok(state);
        }
        self.reader = None;
        let settings = &self.options.settings;
        if let Some(outbox) = &self.options.outbox {
            // Before the reader: it ends what is left of a transaction, and only then offsets are what they will be.
            let id = settings.names.transactional_id("deliver", &settings.instance, &self.options.sink);
            outbox.open(settings, &id)?;
        }
        let mut reader = self.open()?;
        if self.options.store.is_some() {
            reader.keep(self.own.clone());
        }
        self.reader = Some(reader);
        Ok(state)
    }

    fn next(&mut self, wait: Duration) -> Result<Option<Commit>, SourceError> {
        let Some(mut reader) = self.reader.take() else {
            return Err(SourceError::Back("there is no connection".to_owned()));
        };
        let gathered = self.gather(&mut reader, wait);
        // A client that has failed is opened anew.
        if gathered.as_ref().map_or_else(|error| matches!(error, Halt::Lost), |_| true) {
            self.reader = Some(reader);
        }
        gathered.map_err(|halt| match halt {
            Halt::Lost => SourceError::Back("another copy has the partitions already".to_owned()),
            Halt::Failed(error) => error,
        })
    }

    fn wants_store(&self) -> bool {
        self.is_leaving
    }

    fn store(&mut self, state: &[u8]) -> Result<(), SourceError> {
        if let Some(store) = self.options.store.clone() {
            self.store_here(&store, state)?;
        }
        let Some(reader) = &mut self.reader else {
            return Err(SourceError::Back("there is no connection".to_owned()));
        };
        let told = match &self.options.outbox {
            Some(outbox) => outbox.commit(reader),
            None => reader.commit().map_err(fault),
        };
        match told {
            Ok(()) => {}
            // It is stored here already; the group hears it with the next records, or when the client is opened anew.
            Err(error @ SourceError::Back(_)) if self.options.store.is_some() => {
                tracing::warn!(sink = self.options.sink, %error, "the group is not told yet how far the sink is");
                self.reader = None;
                self.is_leaving = false;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        if std::mem::take(&mut self.is_leaving) {
            reader.release().map_err(fault)?;
        }
        Ok(())
    }

    fn lag(&mut self) -> u64 {
        let lags = self.reader.as_ref().and_then(|reader| reader.lag().ok());
        lags.unwrap_or_default().iter().map(|(_, records)| records).sum()
    }
}

/// Why gathering ended early.
enum Halt {
    /// Partitions are gone before what came of them was stored.
    Lost,
    Failed(SourceError),
}

impl KafkaSource {
    /// What is there, up to the bounds of a commit.
    fn gather(&mut self, reader: &mut RawReader, wait: Duration) -> Result<Option<Commit>, Halt> {
        let failed = |error| Halt::Failed(fault(error));
        let mut commit = Commit::default();
        let (mut records, mut bytes) = (0, 0);
        while records < self.options.most && bytes < COMMIT_BYTES {
            let wait = if records == 0 { wait } else { Duration::ZERO };
            match reader.poll(wait).map_err(failed)? {
                Polled::Record(record) => {
                    bytes += self.add(&record, &mut commit);
                    records += 1;
                }
                Polled::Nothing => break,
                Polled::Assigned(partitions) => {
                    let partitions = shown(&partitions);
                    tracing::info!(sink = self.options.sink, partitions, "delivers partitions");
                }
                Polled::Revoked { partitions, lost } => {
                    let partitions = shown(&partitions);
                    tracing::info!(sink = self.options.sink, partitions, lost, "gives up partitions");
                    self.is_leaving = true;
                    if lost {
                        return Err(Halt::Lost);
                    }
                    break;
                }
            }
        }
        Ok((records > 0).then_some(commit))
    }
}

fn shown(partitions: &[TopicPartition]) -> String {
    let one = |one: &TopicPartition| format!("{}/{}", one.topic, one.partition);
    partitions.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// A name that no other store has.
fn new_member(instance: &str) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{instance}-{:x}-{:x}", since.as_nanos(), std::process::id())
}

fn encode(own: &OwnProgress, state: &[u8]) -> Vec<u8> {
    let next = own.next.iter().map(|(at, next)| (at.topic.to_string(), at.partition, *next));
    let head = Head { v: 1, member: own.member.clone(), next: next.collect() };
    // Texts and numbers only: serialising them cannot fail.
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(state);
    bytes
}

fn decode(bytes: &[u8]) -> Result<(OwnProgress, Vec<u8>), String> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or("its first line has no end")?;
    let head: Head = serde_json::from_slice(&bytes[..end]).map_err(|error| error.to_string())?;
    if head.v != 1 {
        return Err(format!("they have version {}, which this release does not know", head.v));
    }
    let next: BTreeMap<TopicPartition, i64> = head
        .next
        .into_iter()
        .map(|(topic, partition, next)| (TopicPartition { topic: topic.into(), partition }, next))
        .collect();
    Ok((OwnProgress { member: head.member, next }, bytes[end + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let at = |partition| TopicPartition { topic: "t.alerts".into(), partition };
        let own = OwnProgress { member: "a-1".to_owned(), next: BTreeMap::from([(at(0), 7), (at(11), 0)]) };
        for state in [&b""[..], b"{\"length\":1}\n\nx"] {
            assert_eq!(decode(&encode(&own, state)), Ok((own.clone(), state.to_vec())));
        }
        assert!(decode(b"{}").is_err() && decode(b"{}\n").is_err());
        let later = String::from_utf8(encode(&own, b"")).unwrap().replace("\"v\":1", "\"v\":2");
        assert!(decode(later.as_bytes()).unwrap_err().contains("version 2"));
    }
}
