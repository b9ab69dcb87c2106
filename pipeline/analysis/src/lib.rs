//! The scaled stage: raw records in, committed alerts out.
//!
//! ```text
//! raw topic ─▶ worker (one OS thread each): decode → match → alert ─▶ Outcome ─▶ committer (one thread) ─▶ Target
//!                                                                         ▲                                   │ candidates,
//!                                   composite alerts, as an Outcome too ──┴── correlator (one thread) ◀───────┘ markers
//! ```
//!
//! Workers judge each event by itself and set apart what depends on earlier ones; the [`correlator`] counts that in the
//! order of event time. Workers take units as they come, from any stream; the [`committer`] puts their outcomes back into the order of each
//! stream and hands them to a [`Target`] in batches: alerts, dead letters and the checkpoints that they allow, as one
//! atomic step. In `run` the target is the commit log, in `scan` it is standard output. Nothing here knows a connector
//! or a sink.

mod active;
pub mod alert;
pub mod cluster;
pub mod committer;
pub mod correlator;
mod gate;
pub mod metrics;
pub mod outcome;
pub mod worker;

pub use active::{ActiveProgram, Latest};
pub use committer::{Committer, CommitterHandle, Target, TargetError};
pub use correlator::{Correlator, CorrelatorOptions, Stage, StageHandle, StageOptions};
pub use metrics::Metrics;
pub use outcome::Outcome;
pub use worker::{Composites, WorkerOptions, spawn_workers};
