//! The scaled stage over Kafka: the same workers and the same correlator, on any number of machines.
//!
//! ```text
//! raw.* ─▶ Analyzer (group): judge, set apart ─▶ alerts, deadletter
//!                                             └▶ correlate ─▶ Owner (group): count ─▶ alerts
//!                                                               └▶ memory (snapshots)
//! ```
//!
//! Enters: records. Leaves: alerts, dead letters. Both kinds of threads consume, process and produce in transactions that hold
//! the offsets too, so that a kill at any moment leaves each record done with all that came of it, or not done at all. A
//! partition of `correlate` is the commit log of one correlator: what it writes is a pure function of that log, so that its
//! next owner, wherever it runs, goes on as this one would have.

mod analyzer;
mod foreign;
mod gather;
mod owner;
mod route;
mod silence;
mod snapshot;
mod status;
mod turn;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use threatlockdown_topics::kafka::Settings;

pub use self::analyzer::Analyzer;
pub use self::owner::Owner;
pub use self::status::Status;
use crate::active::{ActiveProgram, Latest};
use crate::correlator::{CorrelatorOptions, Patience};
use crate::metrics::Metrics;
use crate::worker::WorkerOptions;

/// How threads of a cluster work.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The brokers, and who this is.
    pub settings: Settings,
    /// Partitions of the topic `correlate`.
    pub partitions: u32,
    /// How records are judged.
    pub worker: WorkerOptions,
    /// How candidates are counted; its bytes are those of all partitions together.
    pub correlator: CorrelatorOptions,
    /// After so long a silence a partition of raw records holds nothing back.
    pub patience: Patience,
    /// So long at most a correlator waits at its very beginning for word of all partitions of raw records.
    pub catch_up: Duration,
    /// Bytes that a reader fetches ahead.
    pub ahead_bytes: usize,
}

/// What all threads of a process share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// See there.
    pub options: Arc<ClusterOptions>,
    /// The rules in force.
    pub active: Arc<ActiveProgram>,
    /// Where other copies have theirs from.
    pub latest: Arc<dyn Latest>,
    /// What is counted.
    pub metrics: Metrics,
    /// What others see, and the word to end.
    pub status: Status,
}
