//! What this release cannot read: records of a later one, and of somebody else.
//!
//! Enters: such a record. Leaves: for a later release's the word that this copy has to wait for one of that release; for somebody
//! else's a dead letter with its bytes, since nobody will ever read it otherwise.

use threatlockdown_event::{DeadLetter, Millis, Reason};
use threatlockdown_topics::kafka::Received;

use super::turn::Trouble;

/// What a connector's name is where a record was written by somebody else.
pub(super) const FOREIGN: &str = "kafka";

/// A later release wrote it, in this version of its form.
pub(super) fn later(record: &Received<'_>, version: u64) -> Trouble {
    let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
    Trouble::Later(format!(
        "the record at offset {offset} of {topic}, partition {partition}, was written by a later release (its `v` is {version}): upgrade this copy"
    ))
}

/// The dead letter of a record in a topic of the pipeline that nobody of the pipeline wrote.
pub(super) fn letter(record: &Received<'_>, why: &str) -> DeadLetter {
    let bytes = record.payload();
    DeadLetter {
        reason: Reason::Malformed,
        detail: format!("a record that is not this pipeline's: {why}"),
        source: record.topic().to_owned(),
        connector: FOREIGN.to_owned(),
        origin: format!("{}/{}:{}", record.topic(), record.partition(), record.offset()),
        ingested: Millis::now(),
        record: bytes.to_vec(),
        length: bytes.len() as u64,
        sha256: None,
        // It never was a record of a log source, so there is nothing that it could be sent back as.
        context: None,
        place: u64::try_from(record.offset()).unwrap_or_default(),
    }
}
