//! Delivers what the commit log holds to where it is wanted: files, standard output.
//!
//! ```text
//! commit log ── LogReader ──▶ delivery (one thread per sink) ── deliver, flush ──▶ sink
//!                                   └── cursor + the sink's state ──▶ store
//! ```
//!
//! A [`Sink`] knows its target and nothing of logs and cursors; [`delivery`] knows those and nothing of the target. A
//! sink that fails is tried again from its last cursor; the others go on meanwhile.

pub mod delivery;
pub mod file;
mod pretty;
mod sink;
pub mod stdout;

pub use delivery::{Delivery, DeliveryOptions, spawn};
pub use file::{Content, FileSink, FileSinkOptions};
pub use sink::{Sink, SinkError};
pub use stdout::{Format, StdoutSink};
