//! One followed file: opening it where it was left, reading a unit of it, noticing what happened to it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use threatlockdown_event::identity::hash;
use threatlockdown_event::{Context, Reason};
use threatlockdown_topics::Closed;

use super::checkpoint::Checkpoint;
use super::identity::{HEAD_BYTES, Hex, Ordinals, Positioned, Print, TAIL_BYTES, head, skip, tail_is};
use super::{Shared, Timing};
use crate::compression::{Codec, Decompressed};
use crate::feed::{StreamCursor, origin_id};
use crate::formats::Batch;
use crate::metrics::add;
use crate::pump::{Pump, classify};
use crate::read::unreadable_id;

/// Device and inode.
pub(super) type FileId = (u64, u64);

/// Size and time of change: what differs when there may be news.
pub(super) type Seen = (u64, i64);

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Under a name that is asked for.
    Present,
    /// Deleted, or renamed to something else; read on as long as it is open.
    Lost { since: Instant },
    /// Done with. Remembered for a while, because it may come back compressed.
    Gone { since: Instant },
}

/// See the module.
pub(super) struct Tracked {
    pub(super) cursor: StreamCursor,
    pub(super) path: PathBuf,
    /// The name before the last renaming: what is there now comes after this file.
    pub(super) came_from: Option<PathBuf>,
    pub(super) id: FileId,
    pub(super) presence: Presence,
    /// How far it is published; `None` before the first record.
    pub(super) mark: Option<Checkpoint>,
    pub(super) seen: Seen,
    /// When `seen` changed last.
    pub(super) changed: Instant,
    pub(super) open: Option<Open>,
    /// Everything that was there is read.
    pub(super) at_end: bool,
    /// Not to be touched before.
    pub(super) retry_at: Option<Instant>,
    /// When its unreadability was last told.
    pub(super) warned: Option<Instant>,
    /// Replaced by another entry; to be dropped.
    pub(super) merged: bool,
    /// Read by an earlier process, perhaps elsewhere, and not found yet by this one.
    pub(super) returning: bool,
    context: Option<Arc<Context>>,
    /// First record and ordinal of what this file held before it was cut.
    predecessor: Option<(Hex, u64)>,
}

/// An open file.
pub(super) struct Open {
    pub(super) file: Arc<File>,
    pub(super) pump: Pump<Positioned>,
}

pub(super) fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

pub(super) fn seen(metadata: &Metadata) -> Seen {
    (metadata.len(), metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()))
}

/// When a file changed, on the clock that does not jump.
fn change_time(seen: Seen, now: Instant) -> Instant {
    let since_epoch = Duration::from_nanos(u64::try_from(seen.1).unwrap_or_default());
    let age = SystemTime::now().duration_since(UNIX_EPOCH + since_epoch).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

impl Tracked {
    /// A file that was not known.
    pub(super) fn new(stream: &str, path: PathBuf, metadata: &Metadata, now: Instant) -> Self {
        let seen = seen(metadata);
        Self {
            changed: change_time(seen, now),
            presence: Presence::Present,
            id: file_id(metadata),
            seen,
            ..Self::empty(stream, path, now)
        }
    }

    /// A file that an earlier process has read.
    pub(super) fn known(stream: &str, mark: Checkpoint, now: Instant) -> Self {
        let path = PathBuf::from(&mark.path);
        Self { id: (mark.dev, mark.ino), mark: Some(mark), ..Self::empty(stream, path, now) }
    }

    /// The earlier process may have run on another machine: its device and inode say nothing here.
    pub(super) fn left_elsewhere(mut self) -> Self {
        self.id = (0, 0);
        if let Some(mark) = &mut self.mark {
            (mark.dev, mark.ino) = self.id;
        }
        self.returning = true;
        self
    }

    /// It was found, and this is what it is here.
    pub(super) fn is_back(&mut self, id: FileId) {
        self.id = id;
        self.returning = false;
    }

    /// Whether it was read to an end that is one for good, and has not changed since.
    pub(super) fn was_finished(&self, metadata: &Metadata) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.finished == Some(seen(metadata)))
    }

    fn empty(stream: &str, path: PathBuf, now: Instant) -> Self {
        Self {
            cursor: StreamCursor::new(stream),
            path,
            came_from: None,
            id: (0, 0),
            presence: Presence::Lost { since: now },
            mark: None,
            seen: (0, 0),
            changed: now,
            open: None,
            at_end: false,
            retry_at: None,
            warned: None,
            merged: false,
            returning: false,
            context: None,
            predecessor: None,
        }
    }

    /// Takes note of a file's size and time.
    pub(super) fn note(&mut self, seen: Seen, now: Instant) {
        if self.seen != seen {
            self.seen = seen;
            self.changed = change_time(seen, now);
            self.at_end = self.mark.as_ref().is_some_and(|mark| mark.finished == Some(seen));
        }
    }

    /// Takes note of where the file is.
    pub(super) fn is_at(&mut self, path: PathBuf, seen: Seen, now: Instant) {
        if self.path != path {
            self.came_from = Some(std::mem::replace(&mut self.path, path));
        }
        self.presence = Presence::Present;
        self.note(seen, now);
    }

    /// Whether nothing has changed for so long that nothing is expected to.
    pub(super) fn is_quiet(&self, now: Instant, timing: &Timing) -> bool {
        now.saturating_duration_since(self.changed) >= timing.quiet
    }

    /// Begins to read the file at the place where it was left.
    pub(super) fn start(&mut self, file: Arc<File>, codec: Codec, shared: &Shared) -> io::Result<()> {
        let options = &shared.feed.options;
        let progress = self.mark.as_ref().map(|mark| mark.progress(&shared.feed.source));
        let at = progress.map_or(0, |progress| progress.resume.offset);
        let reader = |at| Positioned { file: Arc::clone(&file), at };
        let input = if codec == Codec::Plain {
            Decompressed::plain(reader(at))
        } else {
            let mut input = Decompressed::new(reader(0), options.guards)?;
            skip(&mut input, at)?;
            input
        };
        let pump = Pump::new(input, &shared.feed.source, options, progress);
        self.open = Some(Open { file, pump });
        self.at_end = false;
        Ok(())
    }

    /// What the file holds is not what was read of it: what comes now is a new origin.
    pub(super) fn begin_anew(&mut self, shared: &Shared) {
        add(&shared.feed.stats.truncations, 1);
        tracing::info!(path = %self.path.display(), "file was cut or overwritten, reading it from its beginning");
        self.predecessor = self.mark.take().map(|mark| (mark.first, mark.ordinal)).or(self.predecessor);
        self.context = None;
        self.open = None;
        self.at_end = false;
    }

    /// Reads and publishes at most one unit; whether there was something to do.
    pub(super) fn advance(&mut self, shared: &mut Shared, now: Instant) -> Result<bool, Closed> {
        let Some(open) = &self.open else { return Ok(false) };
        match open.file.metadata() {
            Ok(metadata) => self.note(seen(&metadata), now),
            Err(error) => return self.failed(&error, shared, now),
        }
        if self.at_end {
            return if self.is_closing(shared, now) { self.close(shared, now) } else { Ok(false) };
        }
        match self.was_cut() {
            Ok(false) => {}
            Ok(true) => return self.cut(shared),
            Err(error) => return self.failed(&error, shared, now),
        }
        let Some(open) = &mut self.open else { return Ok(false) };
        while !open.pump.is_full() {
            match open.pump.fill() {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(_) => {}
                Err(error) => return self.failed(&error, shared, now),
            }
        }
        if self.at_end && self.is_closing(shared, now) {
            return self.close(shared, now);
        }
        self.publish(shared, false)
    }

    /// Whether the end that was reached is one for good.
    fn is_closing(&self, shared: &Shared, now: Instant) -> bool {
        let Some(open) = &self.open else { return false };
        if shared.once {
            return true;
        }
        let quiet = self.is_quiet(now, &shared.timing);
        if open.pump.codec() != Codec::Plain {
            return quiet || !open.pump.is_unfinished();
        }
        match self.presence {
            Presence::Lost { since } => quiet && now.saturating_duration_since(since) >= shared.timing.quiet,
            _ => quiet && self.came_from.is_some() && open.pump.is_unfinished(),
        }
    }

    /// Publishes what the file ends with.
    fn close(&mut self, shared: &mut Shared, now: Instant) -> Result<bool, Closed> {
        let Some(open) = &mut self.open else { return Ok(false) };
        if open.pump.is_unfinished() {
            open.pump.finish();
        }
        let compressed = open.pump.codec() != Codec::Plain;
        let published = self.publish(shared, compressed)?;
        if compressed {
            self.open = None;
            // Kept for files that go on; there may be very many that do not.
            self.context = None;
        } else if let Presence::Lost { .. } = self.presence {
            self.open = None;
            self.presence = Presence::Gone { since: now };
        }
        Ok(published)
    }

    /// Whether the open file no longer holds what was read of it.
    fn was_cut(&self) -> io::Result<bool> {
        let Some(open) = self.open.as_ref().filter(|open| open.pump.codec() == Codec::Plain) else {
            return Ok(false);
        };
        let held = open.pump.held();
        let last = Print::of(&held[held.len().saturating_sub(TAIL_BYTES)..]);
        if self.seen.0 < open.pump.position() || !tail_is(&open.file, open.pump.position(), &last)? {
            return Ok(true);
        }
        match &self.mark {
            Some(mark) => Ok(!tail_is(&open.file, mark.offset, &mark.tail)?),
            None => Ok(false),
        }
    }

    /// The file was cut. What is held of an incomplete record will not be completed.
    fn cut(&mut self, shared: &mut Shared) -> Result<bool, Closed> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let unpublished_only = match &self.mark {
            Some(mark) => {
                self.seen.0 >= mark.offset && tail_is(&open.file, mark.offset, &mark.tail).unwrap_or(false)
            }
            None => false,
        };
        if unpublished_only {
            self.open = None;
            return Ok(true);
        }
        open.pump.finish();
        self.publish(shared, false)?;
        self.begin_anew(shared);
        Ok(true)
    }

    /// Publishes what is ready; with `finished` also when that is only the news that the end was reached.
    fn publish(&mut self, shared: &mut Shared, finished: bool) -> Result<bool, Closed> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let told = self.mark.as_ref().is_none_or(|mark| mark.finished == Some(self.seen));
        if open.pump.is_empty() && (!finished || told) {
            return Ok(false);
        }
        let batch = open.pump.take();
        self.send(batch, finished, shared)?;
        Ok(true)
    }

    fn send(&mut self, batch: Batch, finished: bool, shared: &mut Shared) -> Result<(), Closed> {
        let Some(open) = &self.open else { return Ok(()) };
        let mut mark = match self.mark.take() {
            Some(mark) => mark,
            None => self.first_mark(open.pump.first(), shared),
        };
        (mark.dev, mark.ino) = self.id;
        mark.compressed = open.pump.codec() != Codec::Plain;
        mark.records += batch.records.len() as u64;
        mark.finished = finished.then_some(self.seen);
        self.predecessor = None;
        let before = mark.offset;
        if let Some(format) = open.pump.format() {
            mark.advance(format, batch.resume, batch.end);
        }
        let end = (batch.end.saturating_sub(batch.base) as usize).min(batch.buffer.len());
        if end > 0 {
            mark.tail = Print::of(&batch.buffer[end.saturating_sub(TAIL_BYTES)..end]);
        } else if mark.offset != before {
            mark.tail = Print::of(b"");
        }
        if mark.head.len < HEAD_BYTES {
            mark.head = current_head(open).unwrap_or(mark.head);
        }
        let context = self.context.get_or_insert_with(|| shared.feed.context(&mark.path, mark.origin.0));
        let checkpoint = mark.to_bytes();
        self.mark = Some(mark);
        shared.feed.publish(&mut self.cursor, context, batch, Some(checkpoint))
    }

    fn first_mark(&self, first: Option<&[u8]>, shared: &mut Shared) -> Checkpoint {
        let path = self.path.to_string_lossy().into_owned();
        let source = &shared.feed.source;
        let (key, ordinal, origin) = match first {
            Some(first) => {
                let key = Hex(hash(&[b"first", first]));
                let ordinal = shared.ordinals.assign(key);
                (key, ordinal, origin_id(source, first, ordinal))
            }
            None => {
                let origin = unreadable_id(source, &path);
                (Hex(origin), shared.ordinals.assign(Hex(origin)), origin)
            }
        };
        release(self.predecessor, &mut shared.ordinals);
        Checkpoint::new(path, self.id, key, ordinal, origin)
    }

    /// Reading failed. An object that ends early may still be on its way; what cannot be read may be readable later.
    fn failed(&mut self, error: &io::Error, shared: &mut Shared, now: Instant) -> Result<bool, Closed> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let (reason, _) = classify(error, open.pump.codec());
        let growing = reason == Reason::Truncated && !self.is_quiet(now, &shared.timing);
        if shared.once || (reason != Reason::Unreadable && !growing) {
            add(&shared.feed.stats.errors, 1);
            tracing::warn!(path = %self.path.display(), %error, "file cannot be read to its end");
            let records = self.mark.as_ref().map_or(0, |mark| mark.records);
            if let Some(batch) = self.open.as_mut().map(|open| open.pump.fail(error, records)) {
                self.send(batch, true, shared)?;
            }
            self.open = None;
            self.at_end = true;
            return Ok(true);
        }
        let published = self.publish(shared, false)?;
        self.open = None;
        if growing {
            self.retry_at = self.changed.checked_add(shared.timing.quiet);
        } else {
            self.unreadable(error, shared, now);
        }
        Ok(published)
    }

    /// Notes and, once a minute, tells that the file cannot be read.
    pub(super) fn unreadable(&mut self, error: &io::Error, shared: &Shared, now: Instant) {
        self.retry_at = now.checked_add(shared.timing.rescan);
        if self.warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN_EVERY) {
            add(&shared.feed.stats.errors, 1);
            tracing::warn!(path = %self.path.display(), %error, "file cannot be read, will be tried again");
            self.warned = Some(now);
        }
    }

    /// Gives the identity back that this file had.
    pub(super) fn forget(&self, ordinals: &mut Ordinals) {
        release(self.predecessor, ordinals);
        release(self.mark.as_ref().map(|mark| (mark.first, mark.ordinal)), ordinals);
    }
}

/// How often the same trouble is told.
pub(super) const WARN_EVERY: Duration = Duration::from_secs(60);

fn release(identity: Option<(Hex, u64)>, ordinals: &mut Ordinals) {
    if let Some((first, ordinal)) = identity {
        ordinals.release(first, ordinal);
    }
}

/// The fingerprint of the beginning, of what was read of it.
fn current_head(open: &Open) -> io::Result<Print> {
    if open.pump.codec() != Codec::Plain {
        return Ok(Print::of(&head(&open.file)?));
    }
    let mut bytes = [0; HEAD_BYTES];
    let wanted = usize::try_from(open.pump.position()).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
    let count = open.file.read_at(&mut bytes[..wanted], 0)?;
    Ok(Print::of(&bytes[..count]))
}
