//! Units of records, as they come from Kafka.
//!
//! Enters: records of any partition, one by one. Leaves: units, each of records of one partition that have the same context.
//! Records without the pipeline's headers are somebody else's: what they are follows from their topic. What a later release wrote
//! is not judged as somebody else's: its event would have another id here than there.

use std::sync::Arc;

use threatlockdown_event::identity::hash;
use threatlockdown_event::unit::{MAX_UNIT_RECORDS, UNIT_BYTES};
use threatlockdown_event::{Context, Record, Unit};
use threatlockdown_topics::Lane;
use threatlockdown_topics::kafka::{Names, RawHead, Received, TopicPartition};

use super::foreign::{FOREIGN, later};
use super::turn::Trouble;

/// What somebody else wrote within so many milliseconds counts as received together; what the pipeline wrote tells it exactly.
const TOGETHER: u64 = 1000;

/// See the module.
#[derive(Default)]
pub(super) struct Gather {
    unit: Option<Building>,
    last: Option<RawHead>,
    foreign: Option<(TopicPartition, Arc<Context>)>,
    sequence: u64,
}

struct Building {
    partition: TopicPartition,
    unit: Unit,
}

impl Gather {
    /// Takes a record; the unit that is complete with it, or before it.
    ///
    /// # Errors
    /// When a later release wrote it; it is not taken.
    pub(super) fn push(
        &mut self,
        names: &Names,
        partition: &TopicPartition,
        record: &Received<'_>,
    ) -> Result<Option<Unit>, Trouble> {
        let (context, place) = self.head(names, partition, record)?;
        let (bytes, received) = (record.payload(), record.timestamp());
        let is_foreign = self.foreign.as_ref().is_some_and(|(_, foreign)| Arc::ptr_eq(foreign, &context));
        let fits = self.unit.as_ref().is_some_and(|building| {
            let Building { partition: own, unit } = building;
            own == partition
                && (Arc::ptr_eq(&unit.context, &context) || unit.context == context)
                && unit.records.len() < MAX_UNIT_RECORDS
                && unit.buffer.len() + bytes.len() <= UNIT_BYTES
                && (received.0 - unit.ingested.0).unsigned_abs() <= if is_foreign { TOGETHER } else { 0 }
        });
        let done = if fits { None } else { self.take() };
        let sequence = self.sequence;
        let building = self.unit.get_or_insert_with(|| Building {
            partition: partition.clone(),
            unit: Unit {
                stream: stream(partition),
                sequence,
                checkpoint: None,
                context,
                ingested: received,
                buffer: Vec::with_capacity(UNIT_BYTES / 8),
                records: Vec::new(),
                dead_letters: Vec::new(),
            },
        });
        let Unit { buffer, records, .. } = &mut building.unit;
        let start = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        buffer.extend_from_slice(bytes);
        records.push(Record { start, len, origin: place });
        Ok(done)
    }

    /// The unit so far.
    pub(super) fn take(&mut self) -> Option<Unit> {
        let building = self.unit.take()?;
        self.sequence += 1;
        Some(building.unit)
    }

    fn head(
        &mut self,
        names: &Names,
        partition: &TopicPartition,
        record: &Received<'_>,
    ) -> Result<(Arc<Context>, u64), Trouble> {
        if let Some(head) = record.head(self.last.as_ref()) {
            let found = (Arc::clone(&head.context), head.place);
            self.last = Some(head);
            return Ok(found);
        }
        if names.is_own_raw(&partition.topic)
            && let Some(version) = record.later_head()
        {
            return Err(later(record, version));
        }
        let place = u64::try_from(record.offset()).unwrap_or_default();
        if let Some((known, context)) = &self.foreign
            && known == partition
        {
            return Ok((Arc::clone(context), place));
        }
        let context = Arc::new(foreign(names, partition));
        self.foreign = Some((partition.clone(), Arc::clone(&context)));
        Ok((context, place))
    }
}

/// Name of the stream of a partition.
pub(super) fn stream(partition: &TopicPartition) -> Arc<str> {
    format!("{}/{}", partition.topic, partition.partition).into()
}

/// The log source of a topic: of one that nobody has named, its name.
pub(super) fn source<'t>(names: &'t Names, topic: &'t str) -> &'t str {
    names.source(topic).unwrap_or(topic)
}

/// The lane of a partition.
pub(super) fn lane(names: &Names, partition: &TopicPartition) -> Lane {
    Lane { stream: stream(partition), source: source(names, &partition.topic).into() }
}

fn foreign(names: &Names, partition: &TopicPartition) -> Context {
    let origin = stream(partition);
    Context {
        source: source(names, &partition.topic).into(),
        connector: FOREIGN.into(),
        location: Arc::clone(&partition.topic),
        account: None,
        envelope: Vec::new(),
        origin_id: hash(&[FOREIGN.as_bytes(), origin.as_bytes()]),
        origin,
    }
}
