//! Where a source puts what it has read: batches become units of a stream and are published.

use std::sync::Arc;

use threatlockdown_event::identity::hash;
use threatlockdown_event::{Context, DeadLetter, Millis, Unit};
use threatlockdown_topics::{Closed, Publisher};

use crate::formats::{Batch, Rejected};
use crate::metrics::SourceStats;
use crate::pump::ReadOptions;

/// What all streams of one configured source share.
#[derive(Clone)]
pub struct Feed {
    /// The log source.
    pub source: Arc<str>,
    /// The operator's name for the source.
    pub connector: Arc<str>,
    /// Facts that the operator knows and the records do not hold, shown to rules by the mapping: `s3bucket` …
    pub envelope: Vec<(String, String)>,
    /// How it is read.
    pub options: ReadOptions,
    /// Where records go.
    pub publisher: Publisher,
    /// What it counts.
    pub stats: Arc<SourceStats>,
}

/// A stream and how many units it has had.
#[derive(Debug, Clone)]
pub struct StreamCursor {
    /// Name of the stream.
    pub stream: Arc<str>,
    /// Sequence of the next unit.
    pub sequence: u64,
}

impl StreamCursor {
    /// A stream without units.
    #[must_use]
    pub fn new(stream: &str) -> Self {
        Self { stream: stream.into(), sequence: 0 }
    }
}

impl Feed {
    /// What records of the file or stream `origin` share.
    pub(crate) fn context(&self, origin: &str, origin_id: [u8; 16]) -> Arc<Context> {
        let log_file = ("log_file".to_owned(), origin.to_owned());
        // The first of a name counts, so the operator's word goes before ours.
        let envelope = self.envelope.iter().cloned().chain([log_file]).collect();
        Arc::new(Context {
            source: Arc::clone(&self.source),
            connector: Arc::clone(&self.connector),
            location: origin.into(),
            account: None,
            envelope,
            origin: origin.into(),
            origin_id,
        })
    }

    /// Publishes a batch as the next unit of the stream.
    pub(crate) fn publish(
        &self,
        cursor: &mut StreamCursor,
        context: &Arc<Context>,
        batch: Batch,
        checkpoint: Option<Vec<u8>>,
    ) -> Result<(), Closed> {
        let ingested = Millis::now();
        let letters = batch.rejected.into_iter().map(|rejected| dead_letter(context, ingested, rejected));
        let unit = Unit {
            stream: Arc::clone(&cursor.stream),
            sequence: cursor.sequence,
            checkpoint,
            context: Arc::clone(context),
            ingested,
            dead_letters: letters.collect(),
            buffer: batch.buffer,
            records: batch.records,
        };
        self.stats.unit(&unit);
        self.publisher.publish(unit)?;
        cursor.sequence += 1;
        Ok(())
    }
}

/// Identity of an origin: a function of what is in it, not of where it lies or when it is read. `ordinal` tells apart
/// what begins with the same record.
pub(crate) fn origin_id(source: &str, first: &[u8], ordinal: u64) -> [u8; 16] {
    hash(&[b"file", source.as_bytes(), first, &ordinal.to_be_bytes()])
}

fn dead_letter(context: &Arc<Context>, ingested: Millis, rejected: Rejected) -> DeadLetter {
    DeadLetter {
        reason: rejected.reason,
        detail: rejected.detail,
        source: context.source.to_string(),
        connector: context.connector.to_string(),
        origin: format!("{}:{}", context.origin, rejected.start),
        ingested,
        record: rejected.bytes,
        length: rejected.length,
        sha256: rejected.sha256,
        context: Some(Arc::clone(context)),
        place: rejected.start,
    }
}
