//! Sources: read what providers and hosts wrote, publish it as raw records.
//!
//! ```text
//! file, stdin ── pump (decompress → format → split) ── Unit + checkpoint ──▶ raw topic
//! http ── journal (durable, then 200) ── journal reader ── Unit + checkpoint ──▶ raw topic
//! ```
//!
//! Records leave as the very bytes that were read. What cannot be a record becomes a dead letter of the same unit, so
//! nothing that was read is ever without a trace. A checkpoint says where to go on when its unit is durable; identity
//! depends on content only, so what is read twice is the same event twice.

pub mod compression;
pub mod feed;
pub mod file;
pub mod formats;
pub mod http;
pub mod metrics;
pub mod own;
mod pattern;
mod pump;
pub mod read;
pub mod stdin;
pub mod stop;
pub mod walk;

pub use feed::{Feed, StreamCursor};
pub use file::{FileConfig, FileError, FileSource, Timing};
pub use metrics::SourceStats;
pub use own::OwnFiles;
pub use pump::ReadOptions;
pub use read::{AtRest, ReadError, ReadSummary};
pub use stdin::read_stdin;
pub use stop::Stop;
