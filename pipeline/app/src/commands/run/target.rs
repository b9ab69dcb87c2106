//! The committer's target in `run`: the commit log.
//!
//! Enters: commits. Leaves: durable ones. Once a second the checkpoints go into the store, and what no sink, no
//! restart and no count needs any more is deleted.

use std::sync::Arc;

use threatlockdown_analysis::{StageHandle, Target, TargetError};
use threatlockdown_event::{AlertId, EventId};
use threatlockdown_topics::journal::JOURNAL_STREAM;
use threatlockdown_topics::{Commit, CommitLog, Journal, LogPosition, Store};

use super::sinks::Deliveries;

/// See the module.
pub(super) struct LogTarget {
    pub(super) log: CommitLog,
    pub(super) stateful: StageHandle,
    pub(super) store: Arc<Store>,
    /// Where there is a push source.
    pub(super) journal: Option<Arc<Journal>>,
    pub(super) deliveries: Deliveries,
}

impl LogTarget {
    /// After the last commit.
    pub(super) fn end(&self) -> LogPosition {
        self.log.end()
    }
}

impl Target for LogTarget {
    fn is_known(&self, id: &AlertId) -> bool {
        self.log.is_recent(id)
    }

    fn is_counted(&self, event: &EventId) -> bool {
        self.log.is_counted(event)
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), TargetError> {
        self.log.append(commit).map(drop).map_err(|error| TargetError::Retry(error.to_string()))
    }

    fn tick(&mut self) {
        if let Err(error) = self.log.snapshot() {
            tracing::warn!(%error, "cannot store checkpoints; the next start reads more of the log");
        }
        if let Some(slowest) = self.deliveries.slowest() {
            self.log.expire(slowest.min(self.stateful.needs()));
        }
        if let Some(journal) = &self.journal
            && let Some(committed) = self.store.checkpoint(JOURNAL_STREAM)
        {
            journal.expire(&committed);
        }
    }
}
