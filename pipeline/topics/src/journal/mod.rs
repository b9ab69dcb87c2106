//! The write-ahead journal of the push sources: what a request brought is durable here before it is answered.
//!
//! Enters: one [`Entry`] per request, from any number of threads. Leaves: the answer, through a callback, once the
//! entry is durable; and the entry itself, through the [`JournalReader`], which publishes it like any pull source
//! would, with the position in the journal as its checkpoint. A key that a sender repeats is answered as before and
//! its records are not read twice.
//!
//! One thread writes (`writer`): it takes what is queued as one frame, syncs once, and calls back.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::codec::DecodeError;
use crate::segment::{LogError, Opener, SegmentedLog, Settings, open_file};
use crate::store::Store;

mod entry;
mod keys;
mod position;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::Entry;
pub use reader::JournalReader;

use keys::Keys;
pub use position::EntryPlace;
use position::JournalPosition;
use writer::{Queue, Shared, Waiting};

/// The stream whose checkpoint is the position in the journal.
pub const JOURNAL_STREAM: &str = "journal";

const KIND: u8 = b'j';

/// Largest entry that is taken; connectors have lower limits of their own.
const MAX_ENTRY_BYTES: u64 = 128 * 1024 * 1024;

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is on disk.
    Durable {
        /// The answer to give: that of the first request where this is a repetition.
        response: Vec<u8>,
        /// Whether the same key and body were in the journal before.
        repeated: bool,
    },
    /// The key was used before, with another body.
    KeyReused,
    /// Too much is unread or queued: the sender has to wait.
    Full,
    /// The disk refused or the journal is closed, with the reason.
    Failed(String),
}

/// Settings of the journal.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Most bytes of entries that are not committed yet.
    pub max_bytes: u64,
    /// A segment that has reached this size is closed and the next one begun.
    pub segment_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { max_bytes: 1024 * 1024 * 1024, segment_bytes: 64 * 1024 * 1024 }
    }
}

/// The appending end of the journal, to be shared by reference; dropping it finishes what is queued.
pub struct Journal {
    shared: Arc<Shared>,
    /// Taken by the first who closes.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in `<data_dir>/journal`. The commit log has to be open already, because the position from
    /// which entries are read again is in its commits.
    ///
    /// # Errors
    /// When files cannot be read or written, or hold something else than was written.
    #[allow(clippy::needless_pass_by_value, reason = "options are taken over, whatever they will hold")]
    pub fn open(
        data_dir: &Path,
        store: Arc<Store>,
        options: JournalOptions,
    ) -> Result<(Journal, JournalReader), LogError> {
        Self::open_with(data_dir, store, &options, Arc::new(open_file))
    }

    pub(crate) fn open_with(
        data_dir: &Path,
        store: Arc<Store>,
        options: &JournalOptions,
        opener: Opener,
    ) -> Result<(Journal, JournalReader), LogError> {
        let committed =
            committed(&store).map_err(|error| store.corrupt("checkpoint of the journal", error))?;
        let log = SegmentedLog::open(Settings {
            directory: data_dir.join("journal"),
            kind: KIND,
            segment_bytes: options.segment_bytes,
            durable: committed.map(|position| position.frame),
            opener,
        })?;
        let keys = Keys::rebuild(&store, log.reader(None))?;
        let reader = JournalReader::new(log.reader(committed.map(|position| position.frame)), committed);
        let shared =
            Arc::new(Shared::new(log.tail(), log.directory().to_owned(), store, keys, options.max_bytes));
        let thread = writer::spawn(Arc::clone(&shared), log)?;
        Ok((Journal { shared, thread: Mutex::new(Some(thread)) }, reader))
    }

    /// Queues an entry. `done` is called once: from here when the entry is refused, else from the journal's thread,
    /// where it should only pass the answer on. Does not wait for the disk.
    pub fn append(&self, entry: Entry, done: Box<dyn FnOnce(Appended) + Send>) {
        let bytes = entry.encoded_bytes();
        if bytes > MAX_ENTRY_BYTES {
            return done(Appended::Failed(format!(
                "a request of {bytes} bytes is too large for the journal"
            )));
        }
        let unread = self.unread_bytes();
        let mut queue = self.shared.queue();
        let refused = if queue.closed {
            Appended::Failed(String::from("the journal is closed"))
        } else if self.shared.has_no_room(&queue, unread, bytes) {
            Appended::Full
        } else {
            queue.bytes += bytes;
            queue.waiting.push_back(Waiting { entry, bytes, done });
            drop(queue);
            self.shared.arrived.notify_one();
            return;
        };
        drop(queue);
        done(refused);
    }

    /// Whether an entry of any size would be refused with [`Appended::Full`]: so that a request can be turned away
    /// before its body is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let unread = self.unread_bytes();
        self.shared.has_no_room(&self.shared.queue(), unread, 1)
    }

    /// Bytes of entries in the journal that are not committed yet.
    #[must_use]
    pub fn unread_bytes(&self) -> u64 {
        self.shared.unread_bytes()
    }

    /// Deletes the segments that lie whole before `committed`, the checkpoint of [`JOURNAL_STREAM`]; the idempotency
    /// keys in them go into the store before.
    pub fn expire(&self, committed: &[u8]) {
        match JournalPosition::decode(committed) {
            Ok(position) => self.shared.expire(position),
            Err(error) => tracing::error!(%error, "a checkpoint of the journal does not decode"),
        }
    }

    /// Takes no more entries, and returns when those that are queued are written and answered.
    pub fn close(&self) {
        self.shared.queue().closed = true;
        self.shared.arrived.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// A journal in which nothing is unread takes one entry of any size, or it would never be taken.
    fn has_no_room(&self, queue: &Queue, unread: u64, bytes: u64) -> bool {
        let ahead = unread.saturating_add(queue.bytes);
        queue.is_full(bytes) || (ahead > 0 && ahead.saturating_add(bytes) > self.max_bytes)
    }
}

fn committed(store: &Store) -> Result<Option<JournalPosition>, DecodeError> {
    store.checkpoint(JOURNAL_STREAM).map(|bytes| JournalPosition::decode(&bytes)).transpose()
}
