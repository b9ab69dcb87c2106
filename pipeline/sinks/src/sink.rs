//! What a target of alerts has to be able to do.
//!
//! The contract that makes exactly once possible: a state that [`Sink::flush`] returned is stored together with the
//! log position, atomically, and [`Sink::resume`] brings the target back to what that state stands for. A sink that
//! cannot take anything back ignores states and delivers at least once.

use std::io;

use threatlockdown_topics::Commit;

/// A target of alerts or dead letters.
pub trait Sink: Send {
    /// Name of the sink in configuration, logs and metrics; the same after a restart, because the cursor is kept by it.
    fn name(&self) -> &str;

    /// Brings the target to what a stored state stands for: before the first delivery, and after every error. Empty
    /// where nothing was stored yet.
    ///
    /// # Errors
    /// When the target cannot be reached; it is called again later.
    fn resume(&mut self, state: &[u8]) -> Result<(), SinkError>;

    /// Delivers one commit; it need not be durable yet.
    ///
    /// # Errors
    /// When the target refuses. After that `resume` is called, and all since the last stored state comes again.
    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError>;

    /// Makes durable what was delivered, and returns the state to store with the cursor.
    ///
    /// # Errors
    /// As for `deliver`.
    fn flush(&mut self) -> Result<Vec<u8>, SinkError>;

    /// The state that `flush` returned last is stored.
    ///
    /// # Errors
    /// As for `deliver`.
    fn stored(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Whether nothing should be delivered before the next `flush` and `stored`; asked between deliveries, and while there
    /// is nothing to deliver.
    fn wants_flush(&self) -> bool {
        false
    }
}

/// Why a sink cannot deliver.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The operating system refused.
    #[error("cannot {action} {target}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// The target did not take it.
    #[error("cannot deliver to {target}: {reason}")]
    Refused {
        /// To what.
        target: String,
        /// What it said.
        reason: String,
    },
    /// The stored state does not decode.
    #[error("the stored state of the sink cannot be used: {0}")]
    State(String),
    /// The receiver has gone and will not come back: delivery to it ends, without being a failure.
    #[error("{0}")]
    Finished(String),
}
