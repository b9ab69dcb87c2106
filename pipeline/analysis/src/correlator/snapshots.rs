//! When the stage writes down what it knows.
//!
//! Enters: how far the log has been read. Leaves: a file, now and then. A snapshot counts only when all alerts before it
//! are durable: until then it waits in memory, for a restart from it would not tell them again.

use std::io;

use threatlockdown_topics::{Kept, LogPosition};

/// Bytes of the log between two snapshots, at least …
const EVERY: u64 = 64 * 1024 * 1024;
/// … and by how much they exceed the last snapshot, so that writing snapshots stays a small part of all writing.
const SHARE: u64 = 4;

/// The snapshot that is there, and the one that is to be.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// Where the one on disk stands.
    pub(super) at: LogPosition,
    /// Its size.
    pub(super) bytes: u64,
    pub(super) pending: Option<Pending>,
}

/// One that is made and not yet written.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    pub(super) at: LogPosition,
    /// The log is needed from here on to go on from it.
    pub(super) needs: LogPosition,
    /// Alerts up to here have to be durable before it may count.
    pub(super) after: LogPosition,
}

impl Snapshots {
    /// Whether it is time for one, when so much of the log was read since the last.
    pub(super) fn is_due(&self, read: u64) -> bool {
        self.pending.is_none() && read >= EVERY.max(self.bytes.saturating_mul(SHARE))
    }

    /// Writes the one that is pending, if alerts are durable far enough; what the log is needed from then on.
    pub(super) fn write(&mut self, kept: &Kept, durable: LogPosition) -> io::Result<Option<LogPosition>> {
        let Some(pending) = self.pending.take_if(|pending| pending.after <= durable) else { return Ok(None) };
        kept.save(&pending.bytes)?;
        self.at = pending.at;
        self.bytes = pending.bytes.len() as u64;
        Ok(Some(pending.needs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_waits_for_the_alerts_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::at(dir.path().join("snapshot"));
        let at = |offset| LogPosition { segment: 1, offset };
        let mut snapshots = Snapshots::default();
        assert!(snapshots.is_due(EVERY) && !snapshots.is_due(EVERY - 1));
        let bytes = vec![7; 100];
        snapshots.pending = Some(Pending { bytes: bytes.clone(), at: at(50), needs: at(20), after: at(40) });
        assert!(!snapshots.is_due(u64::MAX), "one at a time");
        assert_eq!(snapshots.write(&kept, at(39)).unwrap(), None);
        assert_eq!(kept.load().unwrap(), None);
        assert_eq!(snapshots.write(&kept, at(40)).unwrap(), Some(at(20)));
        assert_eq!((kept.load().unwrap(), snapshots.at), (Some(bytes), at(50)));
        assert_eq!(snapshots.write(&kept, at(90)).unwrap(), None);
        // A large one is not written for a little.
        snapshots.bytes = EVERY;
        assert!(!snapshots.is_due(EVERY * SHARE - 1) && snapshots.is_due(EVERY * SHARE));
    }
}
