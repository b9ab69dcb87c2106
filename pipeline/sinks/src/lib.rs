//! Delivers what the commit log, or topics in Kafka, hold to where it is wanted: files, standard output, topics,
//! webhooks, OpenSearch.
//!
//! ```text
//! commit log or topics ── Source ──▶ delivery (one thread per sink) ── deliver, flush ──▶ sink
//!                            ▲             └── how far, and the sink's state ─┐
//!                            └────────────────────────────────────────────────┘
//! ```
//!
//! A [`Sink`] knows its target and nothing of logs and cursors; a [`Source`] knows those; [`delivery`] knows both contracts
//! and nothing of the target. A sink that fails is tried again from what was stored last; the others go on meanwhile.

pub mod delivery;
pub mod file;
mod filter;
pub mod opensearch;
mod pretty;
mod rejections;
mod renewable;
mod sink;
pub mod stdout;
mod tls;
pub mod topic;
pub mod webhook;

pub use delivery::{
    Delivery, DeliveryOptions, KafkaSource, KafkaSourceOptions, Outbox, Source, SourceError, Wanted, spawn,
    spawn_from,
};
pub use file::{Content, FileSink, FileSinkOptions};
pub use filter::AlertFilter;
pub use opensearch::OpenSearchSink;
pub use rejections::{FileRejections, Rejections, TopicRejections};
pub use renewable::Renewable;
pub use sink::{Sink, SinkError};
pub use stdout::{Format, StdoutSink};
pub use topic::TopicSink;
pub use webhook::{WebhookOptions, WebhookSink};
