//! Delivers alerts to where they are wanted: files, standard output, OpenSearch.
//!
//! ```text
//! commit log ── LogReader ──▶ delivery (one thread per sink) ── deliver, flush ──▶ sink
//!                                   └── cursor + the sink's state ──▶ store
//! ```
//!
//! A [`Sink`] knows its target and nothing of logs and cursors; [`delivery`] knows those and nothing of the target. A
//! sink that fails is tried again from its last cursor; the others go on meanwhile. What a target will never take is
//! [`Refused`], with its reason, and goes to dead letters before the cursor moves on.

pub mod delivery;
pub mod file;
pub mod opensearch;
mod pretty;
mod refused;
mod sink;
pub mod stdout;

pub use delivery::{Delivery, DeliveryOptions, spawn};
pub use file::{Content, FileSink, FileSinkOptions};
pub use opensearch::OpenSearchSink;
pub use refused::{KeepsRefused, Refused};
pub use sink::{Sink, SinkError};
pub use stdout::{Format, StdoutSink};
