//! Small durable state in one redb file, and the lock of the data directory.
//!
//! Enters: what commits changed (once a second, in one transaction with the log position they go up to) and the
//! cursors of the sinks. Leaves: the same after a restart. Checkpoints are answered from memory, where the commit log
//! also applies what is not in the file yet: the log is the truth, this file only spares reading all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::InMemoryBackend;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};

use crate::codec::{DecodeError, Decoder, put_bytes, put_u64};
use crate::segment::{HEADER_BYTES, LogPosition};
use crate::sliding::Change;

const CHECKPOINTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("checkpoints");
const CURSORS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("cursors");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Rows of a [`crate::sliding::Sliding`] set.
pub(crate) type Rows = TableDefinition<'static, u64, &'static [u8]>;
/// Ids of recent alerts.
pub(crate) const RECENT_ALERTS: Rows = TableDefinition::new("recent_alerts");
/// Ids of recent candidates' events.
pub(crate) const RECENT_CANDIDATES: Rows = TableDefinition::new("recent_candidates");
/// Idempotency keys of recent requests.
pub(crate) const REQUEST_KEYS: Rows = TableDefinition::new("request_keys");

const FORMAT: &str = "format";
const FORMAT_VERSION: u8 = 1;
const SNAPSHOT: &str = "snapshot";
const CURSOR_VERSION: u8 = 1;

/// Everything in the file that is read often is also in memory.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Durable state of one data directory; whoever has it, has the directory to itself.
pub struct Store {
    path: PathBuf,
    /// `None` after a failed transaction: redb wants to be opened anew after one, which the next access does.
    database: Mutex<Option<Database>>,
    /// Not held during a transaction, so that asking for a checkpoint never waits for the disk.
    streams: Mutex<Streams>,
    #[allow(dead_code, reason = "held: the lock ends with the file handle, also when the process is killed")]
    lock: Option<File>,
}

/// How far a sink has delivered, and what it needs to go on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// After the last commit that was delivered.
    pub position: LogPosition,
    /// The sink's own (for example the length of a file).
    pub state: Vec<u8>,
}

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Two processes may not share a data directory.
    #[error("the data directory {} is in use by another process: stop that one, or choose another directory", directory.display())]
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Without it nobody knows what of the commit log was delivered, nor what came before it.
    #[error(
        "{} is missing or empty, but the commits in {} belong to it; without it everything would be delivered again. \
         Put the file back, or move the data directory away to begin anew", path.display(), commits.display()
    )]
    Missing {
        /// The database file.
        path: PathBuf,
        /// Folder of the commit log.
        commits: PathBuf,
    },
    /// The database refused.
    #[error(
        "the state in {} cannot be used: {source}; if this stays so, put the file back from a copy, \
         or begin anew with another data directory", path.display()
    )]
    Database {
        /// The database file.
        path: PathBuf,
        /// What it said.
        source: Box<redb::Error>,
    },
    /// A value in the database does not decode.
    #[error("the state in {} cannot be used: {what}: {detail}", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// Which value.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
}

#[derive(Default)]
struct Streams {
    committed: BTreeMap<Arc<str>, Vec<u8>>,
    /// What the next snapshot has to write or remove.
    changed: BTreeSet<Arc<str>>,
}

impl Store {
    /// Takes the data directory, which is created where it is missing, and opens its state.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has the directory; otherwise what the system or the database said.
    pub fn open(data_dir: &Path) -> Result<Arc<Store>, StoreError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { action, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o750).create(data_dir).map_err(io("create", data_dir))?;
        let lock_path = data_dir.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(&lock_path);
        let lock = lock.map_err(io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { directory: data_dir.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock", &lock_path)(source)),
        }
        let path = data_dir.join("state.redb");
        let is_missing = std::fs::metadata(&path).map_or(true, |metadata| metadata.len() == 0);
        if is_missing {
            let commits = data_dir.join("commit");
            if has_records(&commits) {
                return Err(StoreError::Missing { path, commits });
            }
            create(data_dir, &path)?;
        }
        let store = Store { path, database: Mutex::new(None), streams: Mutex::default(), lock: Some(lock) };
        store.prepare()?;
        Ok(Arc::new(store))
    }

    /// One that is of no directory and ends with the process, for checkpoints that are durable elsewhere.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Arc<Store>, StoreError> {
        // Redb opens it anew after a fault, which must not make a file.
        let path = PathBuf::new();
        let made = Database::builder().set_cache_size(0).create_with_backend(InMemoryBackend::new());
        let database = made
            .map_err(|source| StoreError::Database { path: path.clone(), source: Box::new(source.into()) })?;
        let (database, streams) = (Mutex::new(Some(database)), Mutex::default());
        let store = Store { path, database, streams, lock: None };
        store.prepare()?;
        Ok(Arc::new(store))
    }

    /// Committed position of a stream; `None` where nothing of it was committed yet, or it was retired.
    #[must_use]
    pub fn checkpoint(&self, stream: &str) -> Option<Vec<u8>> {
        self.streams().committed.get(stream).cloned()
    }

    /// Committed positions of all streams whose name begins with `prefix`, ordered by name.
    #[must_use]
    pub fn checkpoints(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let streams = self.streams();
        let from = streams.committed.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let matching = from.take_while(|(stream, _)| stream.starts_with(prefix));
        matching.map(|(stream, value)| (stream.to_string(), value.clone())).collect()
    }

    /// Where a sink goes on; `None` for one that never delivered.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn cursor(&self, sink: &str) -> Result<Option<Cursor>, StoreError> {
        let stored = self.read(|txn| read_value(txn, CURSORS, sink))?;
        let cursor = stored.map(|bytes| decode_cursor(&bytes)).transpose();
        cursor.map_err(|error| self.corrupt(&format!("cursor of {sink}"), error))
    }

    /// Stores where a sink goes on. Durable on return.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_cursor(&self, sink: &str, cursor: &Cursor) -> Result<(), StoreError> {
        let mut bytes = vec![CURSOR_VERSION];
        put_u64(&mut bytes, cursor.position.segment);
        put_u64(&mut bytes, cursor.position.offset);
        put_bytes(&mut bytes, &cursor.state);
        self.write(|txn| {
            txn.open_table(CURSORS)?.insert(sink, bytes.as_slice())?;
            Ok(())
        })
    }

    /// Puts the checkpoints of somebody who knows better in the place of those that are here. The file stays as it is.
    pub fn replace(&self, checkpoints: impl IntoIterator<Item = (Arc<str>, Vec<u8>)>) {
        self.streams().committed = checkpoints.into_iter().collect();
    }

    /// Takes over the checkpoints of a durable commit. An empty one retires its stream.
    pub fn apply(&self, checkpoints: Vec<(Arc<str>, Vec<u8>)>) {
        let mut streams = self.streams();
        for (stream, value) in checkpoints {
            streams.changed.insert(Arc::clone(&stream));
            if value.is_empty() {
                streams.committed.remove(&stream);
            } else {
                streams.committed.insert(stream, value);
            }
        }
    }

    /// Log position up to which the file knows the commits.
    pub(crate) fn snapshot_position(&self) -> Result<Option<LogPosition>, StoreError> {
        let stored = self.read(|txn| read_value(txn, META, SNAPSHOT))?;
        let position = stored.map(|bytes| decode_position(&mut Decoder::new(&bytes))).transpose();
        position.map_err(|error| self.corrupt("position of the snapshot", error))
    }

    /// Writes what changed since the last snapshot, in one transaction. To be called by the one who calls `apply`.
    pub(crate) fn snapshot(
        &self,
        position: LogPosition,
        recent: &[(Rows, Change)],
    ) -> Result<(), StoreError> {
        let changed: Vec<(Arc<str>, Option<Vec<u8>>)> = {
            let streams = self.streams();
            let value = |stream: &Arc<str>| (Arc::clone(stream), streams.committed.get(stream).cloned());
            streams.changed.iter().map(value).collect()
        };
        let mut encoded = Vec::with_capacity(16);
        put_u64(&mut encoded, position.segment);
        put_u64(&mut encoded, position.offset);
        self.write(|txn| {
            let mut checkpoints = txn.open_table(CHECKPOINTS)?;
            for (stream, value) in &changed {
                match value {
                    Some(value) => checkpoints.insert(stream.as_ref(), value.as_slice())?,
                    None => checkpoints.remove(stream.as_ref())?,
                };
            }
            for (table, change) in recent {
                write_rows(txn, *table, change)?;
            }
            txn.open_table(META)?.insert(SNAPSHOT, encoded.as_slice())?;
            Ok(())
        })?;
        let mut streams = self.streams();
        for (stream, _) in &changed {
            streams.changed.remove(stream);
        }
        Ok(())
    }

    /// Adds and removes rows of a sliding set.
    pub(crate) fn change_rows(&self, table: Rows, change: &Change) -> Result<(), StoreError> {
        self.write(|txn| write_rows(txn, table, change))
    }

    /// All rows of a sliding set, oldest first.
    pub(crate) fn rows(&self, table: Rows) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.read(|txn| {
            let Some(table) = present(txn.open_table(table))? else { return Ok(Vec::new()) };
            let mut rows = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                rows.push((key.value(), value.value().to_vec()));
            }
            Ok(rows)
        })
    }

    pub(crate) fn corrupt(&self, what: &str, error: DecodeError) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), what: what.to_owned(), detail: error.to_string() }
    }

    /// Checks the format and loads the checkpoints.
    fn prepare(&self) -> Result<(), StoreError> {
        let format = self.read(|txn| read_value(txn, META, FORMAT))?;
        match format.as_deref() {
            Some([FORMAT_VERSION]) => {}
            None => self.write(|txn| {
                txn.open_table(META)?.insert(FORMAT, [FORMAT_VERSION].as_slice())?;
                Ok(())
            })?,
            Some(other) => {
                let version = other.first().copied().unwrap_or_default();
                return Err(self.corrupt("format", DecodeError::Version(version)));
            }
        }
        let committed = self.read(|txn| {
            let Some(table) = present(txn.open_table(CHECKPOINTS))? else { return Ok(BTreeMap::new()) };
            let mut committed = BTreeMap::new();
            for row in table.iter()? {
                let (stream, value) = row?;
                committed.insert(Arc::from(stream.value()), value.value().to_vec());
            }
            Ok(committed)
        })?;
        self.streams().committed = committed;
        Ok(())
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.access(|database| work(&database.begin_read()?))
    }

    /// One transaction, durable on return; what fails inside leaves nothing behind.
    fn write(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        self.access(|database| {
            let mut txn = database.begin_write()?;
            // Spares reading the whole file at the next start if this process is killed.
            txn.set_quick_repair(true);
            work(&txn)?;
            txn.commit()?;
            Ok(())
        })
    }

    fn access<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.opened(&mut held).and_then(work);
        if result.is_err() {
            *held = None;
        }
        result.map_err(|error| StoreError::Database { path: self.path.clone(), source: Box::new(error) })
    }

    fn opened<'a>(&self, held: &'a mut Option<Database>) -> Result<&'a Database, redb::Error> {
        match held {
            Some(database) => Ok(database),
            None => {
                let database = Database::builder().set_cache_size(CACHE_BYTES).create(&self.path)?;
                Ok(held.insert(database))
            }
        }
    }
}

/// Makes a new database beside its place and moves it there: a kill while redb writes the first pages leaves a file that
/// it does not know as its own.
fn create(data_dir: &Path, path: &Path) -> Result<(), StoreError> {
    let begun = path.with_extension("redb.new");
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { action, path, source }
    };
    // redb would create it readable for all.
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&begun);
    drop(file.map_err(io("create", &begun))?);
    let database = Database::builder().create(&begun);
    drop(
        database.map_err(|source| StoreError::Database {
            path: begun.clone(),
            source: Box::new(source.into()),
        })?,
    );
    std::fs::rename(&begun, path).map_err(io("rename", &begun))?;
    File::open(data_dir).and_then(|directory| directory.sync_all()).map_err(io("sync", data_dir))
}

/// Whether a log's folder holds more than an empty log. The state is always there before the first record.
fn has_records(log: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(log) else { return false };
    let is_filled = |entry: std::fs::DirEntry| {
        Path::new(&entry.file_name()).extension() == Some("log".as_ref())
            && entry.metadata().is_ok_and(|metadata| metadata.len() > HEADER_BYTES)
    };
    entries.flatten().any(is_filled)
}

fn write_rows(txn: &WriteTransaction, table: Rows, change: &Change) -> Result<(), redb::Error> {
    let mut table = txn.open_table(table)?;
    if let Some((key, row)) = &change.add {
        table.insert(key, row.as_slice())?;
    }
    // The row that holds the first entry to keep stays, and those after it.
    let keep = table.range(..=change.keep_from)?.next_back().transpose()?.map(|(key, _)| key.value());
    if let Some(keep) = keep {
        table.retain_in(..keep, |_, _| false)?;
    }
    Ok(())
}

fn read_value(
    txn: &ReadTransaction,
    table: TableDefinition<'_, &str, &[u8]>,
    key: &str,
) -> Result<Option<Vec<u8>>, redb::Error> {
    let Some(table) = present(txn.open_table(table))? else { return Ok(None) };
    Ok(table.get(key)?.map(|value| value.value().to_vec()))
}

/// A table that nothing was written to yet does not exist.
fn present<T>(opened: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn decode_position(decoder: &mut Decoder<'_>) -> Result<LogPosition, DecodeError> {
    Ok(LogPosition { segment: decoder.u64()?, offset: decoder.u64()? })
}

fn decode_cursor(bytes: &[u8]) -> Result<Cursor, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    decoder.version(CURSOR_VERSION)?;
    let position = decode_position(&mut decoder)?;
    let state = decoder.bytes()?.to_vec();
    decoder.finish()?;
    Ok(Cursor { position, state })
}

#[cfg(test)]
mod tests;
