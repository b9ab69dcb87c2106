//! What each source counts. Plain numbers: the binary exports them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use threatlockdown_event::Unit;

/// Counters of one configured source.
#[derive(Debug, Default)]
pub struct SourceStats {
    /// Records published.
    pub events: AtomicU64,
    /// Bytes of those records.
    pub bytes: AtomicU64,
    /// Units published.
    pub units: AtomicU64,
    /// What could not become a record.
    pub dead_letters: AtomicU64,
    /// Files that were cut or overwritten in place and were begun anew.
    pub truncations: AtomicU64,
    /// Failed reads, and requests that were refused for a reason on this side.
    pub errors: AtomicU64,
    /// Requests that were answered with an error that the client has to mend.
    pub refused: AtomicU64,
    /// Time of the last publication, in milliseconds since the epoch.
    pub last_event_millis: AtomicU64,
    /// What was there at the start has been read.
    pub is_caught_up: AtomicBool,
}

impl SourceStats {
    /// Counts a unit that is about to be published.
    pub fn unit(&self, unit: &Unit) {
        let bytes: u64 = unit.records.iter().map(|record| u64::from(record.len)).sum();
        add(&self.events, unit.records.len() as u64);
        add(&self.bytes, bytes);
        add(&self.units, 1);
        add(&self.dead_letters, unit.dead_letters.len() as u64);
        self.last_event_millis.store(u64::try_from(unit.ingested.0).unwrap_or_default(), Ordering::Relaxed);
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
