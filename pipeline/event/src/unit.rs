//! Raw records on their way from a connector to analysis.
//!
//! Enters: what a connector read. Leaves: the same bytes, untouched; analysis borrows each record from the unit's one
//! buffer. A unit is also the step of progress: its checkpoint is stored when all that came of it is durable, in the
//! order of [`Unit::sequence`] within a stream.

use std::sync::Arc;

use crate::{DeadLetter, Millis};

/// Most records in one unit, so that memory and the size of a commit stay bounded.
pub const MAX_UNIT_RECORDS: usize = 5_000;

/// Bytes after which a connector closes a unit. Near the size of a second-level cache: larger units were no faster.
pub const UNIT_BYTES: usize = 512 * 1024;

/// Default for the largest single event; a larger one becomes a dead letter.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 1024 * 1024;

/// A bounded run of raw records of one stream.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Name of the stream, the same after a restart: `<connector>/<what the connector reads>`.
    pub stream: Arc<str>,
    /// 0, 1, 2 … within the stream, counted anew in each process.
    pub sequence: u64,
    /// Where to go on once this unit is durable, in the connector's own form; `None` where there is nothing to go on from.
    pub checkpoint: Option<Vec<u8>>,
    /// What all records of the unit share.
    pub context: Arc<Context>,
    /// When the unit was read.
    pub ingested: Millis,
    /// The bytes that [`Record`]s point into.
    pub buffer: Vec<u8>,
    /// The records, in order.
    pub records: Vec<Record>,
    /// What could not become a record, with the reason; durable together with the unit.
    pub dead_letters: Vec<DeadLetter>,
}

impl Unit {
    /// The bytes of one record of this unit.
    #[must_use]
    pub fn bytes(&self, record: &Record) -> &[u8] {
        self.buffer.get(record.start as usize..(record.start + record.len) as usize).unwrap_or_default()
    }
}

/// One raw record: a range of its unit's buffer and its place at the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// First byte in [`Unit::buffer`].
    pub start: u32,
    /// Length in bytes, without any line end.
    pub len: u32,
    /// Byte offset (files, after decompression) or index (requests) of the record in its origin.
    pub origin: u64,
}

/// What all records of a unit share: the record headers of the raw topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The log source, which chooses decoder and mapping: `aws.cloudtrail`, `azure.log_analytics`, `syslog` …
    pub source: Arc<str>,
    /// The operator's name for the connector instance.
    pub connector: Arc<str>,
    /// What rules see as the location when the mapping of the source has none of its own: a path, a peer address.
    pub location: Arc<str>,
    /// Account, tenant, subscription or host, where the connector knows it.
    pub account: Option<Arc<str>>,
    /// Facts that are not in the records but that the mapping may show to rules: `log_file`, `s3bucket`, `tag` …
    pub envelope: Vec<(String, String)>,
    /// Readable name of the origin, to find a record again: a path, an object key, a request id.
    pub origin: Arc<str>,
    /// Identity of the origin, from which event ids are made where the payload has no key of its own.
    pub origin_id: [u8; 16],
}

impl Context {
    /// The value of an envelope fact.
    #[must_use]
    pub fn envelope(&self, name: &str) -> Option<&str> {
        self.envelope.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
