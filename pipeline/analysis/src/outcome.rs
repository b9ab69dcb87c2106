//! What analysis made of one unit, on its way to the committer.

use std::sync::Arc;

use threatlockdown_event::{Alert, Millis, Reason};
use threatlockdown_topics::raw::Permit;
use threatlockdown_topics::{Candidate, Marker};

/// What analysis made of one unit.
pub struct Outcome {
    /// The unit's stream.
    pub stream: Arc<str>,
    /// The unit's place in the stream.
    pub sequence: u64,
    /// Position to store once this is durable.
    pub checkpoint: Option<Vec<u8>>,
    /// When the unit was read.
    pub ingested: Millis,
    /// In the order of the records.
    pub alerts: Vec<Alert>,
    /// Reason and JSON line of each record that could not be processed.
    pub dead_letters: Vec<(Reason, Vec<u8>)>,
    /// Events whose verdict depends on earlier ones, in the order of the records.
    pub candidates: Vec<Candidate>,
    /// What the stateful stage is to know of the progress.
    pub markers: Vec<Marker>,
    /// Records judged, dead letters not counted.
    pub events: u64,
    /// Bytes of all records.
    pub bytes: u64,
    /// The unit's share of the memory budget; given back when the outcome is committed.
    pub permit: Option<Permit>,
}

impl Outcome {
    /// Nothing yet, as an outcome of this stream.
    #[must_use]
    pub fn empty(stream: Arc<str>, sequence: u64) -> Self {
        Self {
            stream,
            sequence,
            checkpoint: None,
            ingested: Millis::now(),
            alerts: Vec::new(),
            dead_letters: Vec::new(),
            candidates: Vec::new(),
            markers: Vec::new(),
            events: 0,
            bytes: 0,
            permit: None,
        }
    }
}
