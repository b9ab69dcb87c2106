//! Everything between the stages: the raw topic in memory, and on disk the commit log, the journal and the state store.
//!
//! ```text
//! connectors ── raw topic (memory, bounded) ──▶ analysis ── commit log (disk) ──▶ one reader per sink
//!      ▲                                                        │ checkpoints
//!      └── journal (disk: what push sources were sent) ◀────────┴──▶ store (redb: snapshot, cursors, keys)
//! ```
//!
//! Exactly once rests on one atomic append: a [`Commit`] holds the alerts of some units *and* the checkpoints that say
//! these units are done. After a kill either both are there or neither is, and what is not there is read again.
//! Both logs are a [`segment`] log; all of this crate is synchronous and meant for threads.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use threatlockdown_topics::{Commit, CommitLog, CommitLogOptions, Store};
//!
//! let dir = tempfile::tempdir()?;
//! let store = Store::open(dir.path())?;
//! let mut log = CommitLog::open(dir.path(), store.clone(), CommitLogOptions::default())?;
//! let mut reader = log.reader(store.cursor("file")?.map(|cursor| cursor.position));
//!
//! let commit = Commit { checkpoints: vec![("file/a.log".into(), b"120".to_vec())], ..Commit::default() };
//! let end = log.append(&commit)?;
//! assert_eq!(reader.next(Duration::ZERO)?, Some((end, commit)));
//! assert_eq!(store.checkpoint("file/a.log"), Some(b"120".to_vec()));
//! # Ok(())
//! # }
//! ```

mod codec;
pub mod commit_log;
pub mod journal;
pub mod kafka;
pub mod keep;
pub mod raw;
pub mod segment;
mod sliding;
pub mod store;

pub use commit_log::{Candidate, Commit, CommitLog, CommitLogOptions, Held, Lane, LogEnd, LogReader, Marker};
pub use journal::{Appended, Entry, EntryPlace, JOURNAL_STREAM, Journal, JournalOptions, JournalReader};
pub use keep::Kept;
pub use raw::{Closed, Consumer, Delivered, Permit, Publisher, Taken, raw_topic};
pub use segment::{LogError, LogPosition};
pub use store::{Cursor, Store, StoreError};
