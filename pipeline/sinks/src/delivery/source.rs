//! Where delivery takes commits from, and where it stores how far it came.
//!
//! The contract: what [`Source::store`] was given comes back from [`Source::resume`], and all that came after it comes again.

use std::sync::Arc;
use std::time::Duration;

use threatlockdown_topics::{Commit, Cursor, LogPosition, LogReader, Store};

/// Commits, and the memory of which of them are delivered.
pub trait Source: Send {
    /// Goes back to what was stored last, and returns the sink's state that was stored with it; empty where there is none.
    ///
    /// # Errors
    /// When it cannot be reached; it is called again later.
    fn resume(&mut self) -> Result<Vec<u8>, SourceError>;

    /// The next commit, if one comes within the time.
    ///
    /// # Errors
    /// After one, `resume` is called.
    fn next(&mut self, wait: Duration) -> Result<Option<Commit>, SourceError>;

    /// Whether nothing more can come before `store`.
    fn wants_store(&self) -> bool {
        false
    }

    /// Stores that all that came is delivered, and the sink's state, in one step.
    ///
    /// # Errors
    /// With [`SourceError::Again`] the same call can be made again; with the others it is not stored.
    fn store(&mut self, state: &[u8]) -> Result<(), SourceError>;

    /// After the last commit that came; the default where there are no positions.
    fn position(&self) -> LogPosition {
        LogPosition::default()
    }

    /// Records that have not come yet, where that can be told.
    fn lag(&mut self) -> u64 {
        0
    }
}

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The same call can succeed.
    #[error("{0}")]
    Again(String),
    /// What was taken since the last `store` has to be taken again.
    #[error("{0}")]
    Back(String),
    /// Only the operator can mend it.
    #[error("{0}")]
    Stop(String),
}

/// The commit log of this process; cursors lie in its store.
pub(super) struct LogSource {
    reader: LogReader,
    store: Arc<Store>,
    sink: String,
}

impl LogSource {
    pub(super) fn new(reader: LogReader, store: Arc<Store>, sink: String) -> Self {
        Self { reader, store, sink }
    }
}

impl Source for LogSource {
    fn resume(&mut self) -> Result<Vec<u8>, SourceError> {
        let cursor = self.store.cursor(&self.sink).map_err(|error| SourceError::Back(error.to_string()))?;
        let (position, state) =
            cursor.map_or((None, Vec::new()), |cursor| (Some(cursor.position), cursor.state));
        self.reader.seek(position);
        Ok(state)
    }

    fn next(&mut self, wait: Duration) -> Result<Option<Commit>, SourceError> {
        let next = self.reader.next(wait).map_err(|error| SourceError::Back(error.to_string()))?;
        Ok(next.map(|(_, commit)| commit))
    }

    fn store(&mut self, state: &[u8]) -> Result<(), SourceError> {
        let cursor = Cursor { position: self.reader.position(), state: state.to_vec() };
        self.store.set_cursor(&self.sink, &cursor).map_err(|error| SourceError::Again(error.to_string()))
    }

    fn position(&self) -> LogPosition {
        self.reader.position()
    }
}
