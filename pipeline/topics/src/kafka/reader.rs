//! A member of a group that reads topics.
//!
//! Enters: topics and the name of a group. Leaves: records as they come, and word of partitions that are given or taken.
//! A partition that is to be given up stays until [`RawReader::release`]: what was made of its records has to be
//! committed first, or another member would do it again. Offsets are never committed by themselves.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaError as Library;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::access::Watched;
use super::assignment::{ANSWER, OwnProgress, Turn};
use super::client::{Change, Context};
use super::error::{KafkaError, code, is_dividing, is_refusal};
use super::received::{Polled, Received, TopicPartition, partitions};
use super::settings::Settings;
use super::table::count_partitions;

/// Members of a group have so long to say that they are there, with much room.
const LONGEST_DIVISION: Duration = Duration::from_secs(30);
/// Before a commit is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// How a reader reads.
#[derive(Debug, Clone)]
pub struct ReaderOptions {
    /// The group among whose members partitions are divided.
    pub group: String,
    /// Names, or patterns that begin with `^`.
    pub topics: Vec<String>,
    /// Bytes that are fetched ahead, at most.
    pub ahead_bytes: usize,
    /// A member that does not read for so long has its partitions taken.
    pub longest_pause: Duration,
}

/// See the module.
pub struct RawReader {
    consumer: BaseConsumer<Context>,
    /// Of which something was read.
    read: Vec<Read>,
    /// The one of the last record.
    current: usize,
    turn: Turn,
    access: Watched,
    /// All that was read is committed, so it is time to see whether the client still stands.
    is_done: bool,
}

/// How far a partition is read.
struct Read {
    partition: TopicPartition,
    next: i64,
    /// The first record that is read and not committed.
    new_from: Option<i64>,
    /// The last record was put back: nothing behind it was passed over.
    is_put_back: bool,
}

impl RawReader {
    /// Joins a group.
    ///
    /// # Errors
    /// When the settings do not fit. Brokers that are away are told by [`RawReader::poll`].
    pub fn open(settings: &Settings, options: &ReaderOptions) -> Result<Self, KafkaError> {
        let access = settings.renewal.watch(settings);
        let mut config = settings.client();
        config
            .set("group.id", &options.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("max.poll.interval.ms", options.longest_pause.as_millis().to_string());
        let ahead = (options.ahead_bytes / 1024).max(1024).to_string();
        settings.prefer(&mut config, "queued.max.messages.kbytes", &ahead);
        settings.prefer(&mut config, "queued.min.messages", "10000");
        settings.prefer(&mut config, "fetch.wait.max.ms", "100");
        // While enough is fetched ahead the library looks again so often; by default once a second, and a reader that is
        // slower than the brokers would wait for most of it.
        settings.prefer(&mut config, "fetch.queue.backoff.ms", "10");
        settings.prefer(&mut config, "session.timeout.ms", "10000");
        settings.prefer(&mut config, "statistics.interval.ms", "2000");
        let consumer: BaseConsumer<Context> = config
            .create_with_context(Context::default())
            .map_err(|error| KafkaError::of("cannot make a reader", error))?;
        let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| KafkaError::of("cannot subscribe", error))?;
        let (read, turn) = (Vec::new(), Turn::default());
        Ok(Self { consumer, read, current: 0, turn, access, is_done: true })
    }

    /// The same, but where partitions begin is told with [`RawReader::begin`], and not by what the group has committed.
    #[must_use]
    pub fn begins_as_told(mut self) -> Self {
        self.turn.begins_as_told = true;
        self
    }

    /// Waits for the next record, or for word of partitions.
    ///
    /// What passes by itself (brokers that are away, elections) is only logged: the client goes on trying.
    ///
    /// # Errors
    /// When the brokers refuse, or this client has ended.
    pub fn poll(&mut self, wait: Duration) -> Result<Polled<'_>, KafkaError> {
        if std::mem::take(&mut self.is_done) {
            self.access.check()?;
        }
        if let Some(change) = self.consumer.context().next_change() {
            return self.turn.change(&self.consumer, change);
        }
        let message = match self.consumer.poll(wait) {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                let is_fatal = matches!(error, Library::MessageConsumptionFatal(_));
                if is_fatal || code(&error).is_some_and(is_refusal) {
                    return Err(KafkaError::of("cannot read", error));
                }
                tracing::warn!(%error, "kafka client: cannot read for now");
                self.is_done = !self.has_news();
                return Ok(Polled::Nothing);
            }
            None => {
                self.is_done = !self.has_news();
                return match self.consumer.context().next_change() {
                    Some(change) => self.turn.change(&self.consumer, change),
                    None => Ok(Polled::Nothing),
                };
            }
        };
        self.current = note(&mut self.read, self.current, &message);
        Ok(Polled::Record(Received::of(message)))
    }

    /// The partition of the last record.
    #[must_use]
    pub fn current(&self) -> Option<&TopicPartition> {
        self.read.get(self.current).map(|read| &read.partition)
    }

    /// Takes the partitions that [`Polled::Assigned`] named, each from the offset that `from` tells, else from its first record.
    ///
    /// # Errors
    /// As for [`RawReader::poll`].
    pub fn begin(&mut self, from: impl Fn(&TopicPartition) -> Option<i64>) -> Result<(), KafkaError> {
        let Some(list) = self.turn.arriving.take() else { return Ok(()) };
        let take = |error| KafkaError::of("cannot take partitions", error);
        let mut begun = TopicPartitionList::new();
        for partition in partitions(&list) {
            let offset = from(&partition).map_or(Offset::Beginning, Offset::Offset);
            begun.add_partition_offset(&partition.topic, partition.partition, offset).map_err(take)?;
        }
        self.consumer.incremental_assign(&begun).map_err(take)
    }

    /// How far the group has committed each of these partitions; `None` where it has not.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn committed_of(&self, wanted: &[TopicPartition]) -> Result<Vec<Option<i64>>, KafkaError> {
        let ask = |error| KafkaError::of("cannot ask for committed offsets", error);
        let mut list = TopicPartitionList::new();
        for one in wanted {
            list.add_partition(&one.topic, one.partition);
        }
        let found = self.consumer.committed_offsets(list, ANSWER).map_err(ask)?;
        let offset = |one: &TopicPartition| match found.find_partition(&one.topic, one.partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        Ok(wanted.iter().map(offset).collect())
    }

    /// The last record was committed before: it is read again for what it leaves in memory.
    pub fn disregard(&mut self) {
        if let Some(read) = self.read.get_mut(self.current) {
            read.new_from = None;
        }
    }

    /// The last record is not for this reader: what came before it can be committed, and with it the group goes on. To be
    /// followed by the end of this reader, whose client is past it.
    pub fn put_back(&mut self) {
        if let Some(read) = self.read.get_mut(self.current) {
            read.next -= 1;
            read.is_put_back = true;
            read.new_from = read.new_from.filter(|from| *from < read.next);
        }
    }

    /// Gives up what was revoked. What was read of it and is not committed is read by its next owner.
    ///
    /// # Errors
    /// As for [`RawReader::poll`].
    pub fn release(&mut self) -> Result<(), KafkaError> {
        let Some(list) = self.turn.leaving.take() else { return Ok(()) };
        let gone = partitions(&list);
        self.read.retain(|read| !gone.contains(&read.partition));
        self.current = 0;
        let released = self.consumer.incremental_unassign(&list);
        released.map_err(|error| KafkaError::of("cannot give up partitions", error))
    }

    /// Stops and goes on with fetching: what is behind it has no room. A held reader has to be polled all the same, or its
    /// partitions are taken.
    ///
    /// # Errors
    /// As for [`RawReader::poll`].
    pub fn hold(&mut self, is_held: bool) -> Result<(), KafkaError> {
        if is_held == self.turn.is_held {
            return Ok(());
        }
        let all =
            self.consumer.assignment().map_err(|error| KafkaError::of("cannot see partitions", error))?;
        let done = if is_held { self.consumer.pause(&all) } else { self.consumer.resume(&all) };
        done.map_err(|error| KafkaError::of("cannot pause", error))?;
        self.turn.is_held = is_held;
        Ok(())
    }

    /// Goes back to the first record that is not committed: the transaction in which it was to be has failed.
    ///
    /// # Errors
    /// As for [`RawReader::poll`].
    pub fn rewind(&mut self) -> Result<(), KafkaError> {
        let of = |read: Read| read.new_from.map(|from| (read.partition, from));
        let back: Vec<_> = self.read.drain(..).filter_map(of).collect();
        for (partition, from) in back {
            self.seek(&partition, from)?;
        }
        Ok(())
    }

    /// Goes back, or on, to an offset of a partition that is assigned.
    ///
    /// # Errors
    /// As for [`RawReader::poll`].
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), KafkaError> {
        self.read.retain(|read| read.partition != *partition);
        self.current = 0;
        let (topic, number) = (&*partition.topic, partition.partition);
        let done = self.consumer.seek(topic, number, Offset::Offset(offset), ANSWER);
        done.map_err(|error| KafkaError::of("cannot go to an offset", error))
    }

    /// From now on partitions are begun by what this member keeps itself; see [`OwnProgress`].
    pub fn keep(&mut self, own: OwnProgress) {
        self.turn.own = Some(own);
    }

    /// Of each partition with records that are read and not committed, where to go on.
    pub fn progress(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        let news = self.read.iter().filter(|read| read.new_from.is_some());
        news.map(|read| (&read.partition, read.next))
    }

    /// Whether anything was read that is not committed.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.read.iter().any(|read| read.new_from.is_some())
    }

    /// How far it has read, for a transaction, with the group's word that this member may say so.
    pub(super) fn offsets(&self) -> Result<(TopicPartitionList, ConsumerGroupMetadata), KafkaError> {
        let name = |error| KafkaError::of("cannot name offsets", error);
        // Behind the last record the client may have passed over the marks that end transactions.
        let positions = self.consumer.position().map_err(name)?;
        let mut list = TopicPartitionList::new();
        for read in self.read.iter().filter(|read| read.new_from.is_some()) {
            let TopicPartition { topic, partition } = &read.partition;
            let next = match positions.find_partition(topic, *partition).map(|element| element.offset()) {
                Some(Offset::Offset(position)) if !self.turn.begins_as_told && !read.is_put_back => {
                    position.max(read.next)
                }
                _ => read.next,
            };
            list.add_partition_offset(topic, *partition, Offset::Offset(next)).map_err(name)?;
        }
        let group = self.consumer.group_metadata();
        let missing =
            || rdkafka::error::KafkaError::ConsumerCommit(rdkafka::types::RDKafkaErrorCode::UnknownMemberId);
        Ok((list, group.ok_or_else(missing).map_err(|error| KafkaError::of("cannot see the group", error))?))
    }

    pub(super) fn committed(&mut self) {
        self.read.iter_mut().for_each(|read| read.new_from = None);
        self.is_done = true;
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// When no broker answers, or the topic is not there.
    pub(super) fn count_partitions(&self, topic: &str) -> Result<i32, KafkaError> {
        count_partitions(&self.consumer, topic)
    }

    /// Commits how far it has read, outside of any transaction.
    ///
    /// # Errors
    /// As for [`RawReader::poll`].
    pub fn commit(&mut self) -> Result<(), KafkaError> {
        if !self.has_news() {
            return Ok(());
        }
        let (list, _) = self.offsets()?;
        if let Some(own) = &self.turn.own {
            for (partition, _) in self.progress() {
                if let Some(mut element) = list.find_partition(&partition.topic, partition.partition) {
                    element.set_metadata(&own.member);
                }
            }
        }
        self.tell(&list).map_err(|error| KafkaError::of("cannot commit offsets", error))?;
        self.committed();
        Ok(())
    }

    /// While a group divides its partitions anew it may take no commit for a moment: this member has not heard of the new
    /// generation, or not all others have. What it has stays its own meanwhile, unless it is lost; given up on then, the next
    /// owner would do again what was done.
    fn tell(&self, offsets: &TopicPartitionList) -> Result<(), Library> {
        let began = Instant::now();
        loop {
            match self.consumer.commit(offsets, CommitMode::Sync) {
                Err(error)
                    if is_dividing(&error)
                        && !self.consumer.assignment_lost()
                        && began.elapsed() < LONGEST_DIVISION =>
                {
                    std::thread::sleep(AGAIN);
                }
                told => return told,
            }
        }
    }

    /// Records of its partitions that it has not taken yet, as far as the client knows: nobody is asked.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.consumer.context().waiting()
    }

    /// What is not read yet of the partitions that this member has, by the brokers' last word.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn lag(&self) -> Result<Vec<(TopicPartition, u64)>, KafkaError> {
        let lag = |(partition, at, end): (TopicPartition, i64, i64)| {
            (partition, u64::try_from(end.saturating_sub(at)).unwrap_or_default())
        };
        Ok(self.ends()?.into_iter().map(lag).collect())
    }

    /// Of each partition that this member has the next offset, and that behind the last record.
    ///
    /// # Errors
    /// As for [`RawReader::lag`].
    pub fn ends(&self) -> Result<Vec<(TopicPartition, i64, i64)>, KafkaError> {
        let ask = |error| KafkaError::of("cannot ask for the lag", error);
        let mut ends = Vec::new();
        for element in self.consumer.position().map_err(ask)?.elements() {
            let partition = TopicPartition { topic: element.topic().into(), partition: element.partition() };
            let ends_at = self.consumer.fetch_watermarks(&partition.topic, partition.partition, ANSWER);
            let (low, high) = ends_at.map_err(ask)?;
            let at = match element.offset() {
                Offset::Offset(at) => at,
                // Nothing was read yet.
                _ => {
                    let committed = self.committed_of(std::slice::from_ref(&partition))?;
                    committed.first().copied().flatten().unwrap_or(low)
                }
            };
            ends.push((partition, at, high));
        }
        Ok(ends)
    }
}

impl Drop for RawReader {
    /// Leaves the group. What is read and not committed is read by others.
    fn drop(&mut self) {
        let context = self.consumer.context();
        context.leave();
        if let Some(list) = self.turn.leaving.take() {
            Change::Revoked(list).carry_out(&self.consumer);
        }
        while let Some(change) = context.next_change() {
            change.carry_out(&self.consumer);
        }
    }
}

/// Notes that a record was read; most come from the same partition as the one before.
fn note(read: &mut Vec<Read>, current: usize, message: &BorrowedMessage<'_>) -> usize {
    let (topic, partition, next) = (message.topic(), message.partition(), message.offset() + 1);
    let is = |read: &Read| read.partition.partition == partition && *read.partition.topic == *topic;
    let at = match read.get(current).is_some_and(is) {
        true => Some(current),
        false => read.iter().position(is),
    };
    let at = at.unwrap_or_else(|| {
        let partition = TopicPartition { topic: topic.into(), partition };
        read.push(Read { partition, next, new_from: None, is_put_back: false });
        read.len() - 1
    });
    read[at].next = next;
    read[at].is_put_back = false;
    read[at].new_from.get_or_insert(message.offset());
    at
}
