//! The file source: follows files as they grow, rotate, are cut and are compressed.
//!
//! Enters: paths, directories and patterns. Leaves: units, each with the checkpoint from which reading goes on. One thread
//! for each configured source looks at its files in turn and reads one unit of each, so that a huge file does not starve
//! the others. It polls (four times a second the files, once a second the directories): that is as good on network file
//! systems as on local ones, and a few thousand `stat` calls are nothing beside reading.
//!
//! What a file goes through:
//!
//! ```text
//! Present ── name gone ──▶ Lost (read on while open) ── quiet ──▶ Gone (remembered) ── an hour ──▶ retired
//!    │ cut, or overwritten: a new origin of the same stream          │
//!    └ renamed: goes on under its new name        Present again ◀────┘ its compressed copy appeared: goes on in that
//! ```

mod checkpoint;
mod identity;
mod recognition;
mod tracked;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use threatlockdown_event::identity::hash;
use threatlockdown_topics::Closed;

use self::checkpoint::Checkpoint;
pub use self::checkpoint::CheckpointError;
use self::identity::{Hex, Ordinals};
use self::tracked::{Presence, Tracked, WARN_EVERY, file_id, seen};
use crate::compression::Codec;
use crate::feed::{Feed, StreamCursor};
use crate::metrics::add;
use crate::own::OwnFiles;
use crate::read::{unreadable_batch, unreadable_id};
use crate::stop::Stop;
use crate::walk::{Found, check_pattern};

/// What a file source reads, and how.
#[derive(Debug, Clone)]
pub struct FileConfig {
    /// Paths, directories and patterns (`*`, `?`, `[…]`, `**`). What does not exist yet is waited for.
    pub paths: Vec<String>,
    /// Read what is there to its end, and return.
    pub once: bool,
    /// How often to look.
    pub timing: Timing,
    /// What is never read, because this process writes it.
    pub own: OwnFiles,
    /// Earlier processes may have read the files on other machines. Device and inode differ from mount to mount, so what these
    /// have read is known again by its contents.
    pub travels: bool,
}

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two looks at the known files.
    pub poll: Duration,
    /// Between two looks at the directories.
    pub rescan: Duration,
    /// After so long without change nothing more is expected of a rotated or compressed file.
    pub quiet: Duration,
    /// How long a file that is gone is remembered, to recognise its compressed copy.
    pub remember: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(250),
            rescan: Duration::from_secs(1),
            quiet: Duration::from_secs(5),
            remember: Duration::from_secs(3600),
        }
    }
}

/// Why a file source cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A pattern that is none.
    #[error("bad pattern {pattern:?}: {cause}")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong.
        #[source]
        cause: glob::PatternError,
    },
    /// A checkpoint that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Looking at the directories takes at most one part in so many of the time.
const SCAN_SHARE: u32 = 20;

/// Most open files of a source. To open another one, files that nothing happens to are closed.
const MAX_OPEN: usize = 256;

/// See the module.
pub struct FileSource {
    paths: Vec<String>,
    shared: Shared,
    stop: Stop,
    files: Vec<Tracked>,
    next_scan: Option<Instant>,
    /// For what cannot be said in the stream of a file.
    trouble: StreamCursor,
    own: OwnFiles,
    /// Own files that were found, and told of.
    passed_over: HashSet<PathBuf>,
    /// Paths whose trouble was told, and when.
    warned: HashMap<PathBuf, Instant>,
    streams: u64,
    /// How many files are open.
    opened: usize,
    /// Whether a file that is not compressed was ever known: only of such can a compressed one be the copy.
    knows_plain: bool,
    travels: bool,
    /// Whether a file may not be found yet that was read elsewhere.
    knows_returning: bool,
    /// Whether the last look found any file at all.
    finds: bool,
    max_open: usize,
}

/// What the files of a source share.
struct Shared {
    feed: Feed,
    timing: Timing,
    once: bool,
    ordinals: Ordinals,
}

/// What opening a file came to.
enum Opening {
    /// It can be read.
    Opened,
    /// It has to be waited for.
    NotYet,
    /// It turned out to be a file that has another entry: look again.
    Sorted,
}

impl FileSource {
    /// The streams of a source's files begin with this.
    #[must_use]
    pub fn stream_prefix(connector: &str) -> String {
        format!("{connector}/file/")
    }

    /// A source that goes on from `checkpoints`: those of the streams with [`FileSource::stream_prefix`].
    ///
    /// # Errors
    /// Bad patterns and unusable checkpoints.
    pub fn new(
        config: FileConfig,
        feed: Feed,
        checkpoints: Vec<(String, Vec<u8>)>,
        stop: Stop,
    ) -> Result<Self, FileError> {
        for pattern in &config.paths {
            if !Path::new(pattern).exists() {
                check_pattern(pattern)
                    .map_err(|cause| FileError::Pattern { pattern: pattern.clone(), cause })?;
            }
        }
        let now = Instant::now();
        let mut ordinals = Ordinals::default();
        let mut files = Vec::new();
        let mut knows_plain = false;
        for (stream, bytes) in checkpoints {
            if bytes.is_empty() {
                continue;
            }
            let mark = Checkpoint::parse(&stream, &bytes)?;
            ordinals.note(mark.first, mark.ordinal);
            knows_plain |= !mark.compressed;
            let known = Tracked::known(&stream, mark, now);
            files.push(if config.travels { known.left_elsewhere() } else { known });
        }
        let trouble = StreamCursor::new(&format!("{}-", Self::stream_prefix(&feed.connector)));
        let shared = Shared { feed, timing: config.timing, once: config.once, ordinals };
        let knows_returning = config.travels && !files.is_empty();
        Ok(Self {
            paths: config.paths,
            shared,
            stop,
            files,
            next_scan: None,
            trouble,
            own: config.own,
            passed_over: HashSet::new(),
            warned: HashMap::new(),
            streams: 0,
            opened: 0,
            knows_plain,
            travels: config.travels,
            knows_returning,
            finds: false,
            max_open: MAX_OPEN,
        })
    }

    /// Follows the files until told to stop, or with `once` until all is read.
    ///
    /// # Errors
    /// [`Closed`] when the topic takes no more.
    pub fn run(mut self) -> Result<(), Closed> {
        while !self.stop.is_set() {
            if self.turn(Instant::now())? {
                continue;
            }
            self.shared.feed.stats.is_caught_up.store(true, Ordering::Relaxed);
            if self.shared.once
                && self.files.iter().all(|file| file.at_end || file.presence != Presence::Present)
            {
                return Ok(());
            }
            self.stop.wait(self.shared.timing.poll);
        }
        Ok(())
    }

    /// Looks at everything once and publishes at most one unit of each file; whether there was anything
    /// to do.
    fn turn(&mut self, now: Instant) -> Result<bool, Closed> {
        if self.next_scan.is_none_or(|at| now >= at) {
            let first = self.next_scan.is_none();
            let begun = Instant::now();
            self.next_scan = now.checked_add(self.shared.timing.rescan);
            if first || !self.shared.once {
                self.scan(now)?;
            }
            // A hundred thousand files take a while to list: that must not become all that is done.
            let pause = begun.elapsed().saturating_mul(SCAN_SHARE);
            if let Some(at) = self.next_scan.filter(|_| pause > self.shared.timing.rescan) {
                self.next_scan = at.checked_add(pause);
            }
        }
        let mut busy = false;
        self.opened = self.files.iter().filter(|file| file.open.is_some()).count();
        for index in 0..self.files.len() {
            if self.stop.is_set() {
                return Ok(false);
            }
            let before = self.files[index].open.is_some();
            if !before && !self.has_room() {
                continue;
            }
            busy |= self.look(index, now)?;
            self.opened += usize::from(self.files[index].open.is_some());
            self.opened -= usize::from(before);
        }
        self.files.retain(|file| !file.merged);
        self.retire(now)?;
        Ok(busy)
    }

    fn look(&mut self, index: usize, now: Instant) -> Result<bool, Closed> {
        let file = &mut self.files[index];
        if file.merged || (file.retry_at.is_some_and(|at| now < at) && !self.shared.once) {
            return Ok(false);
        }
        if file.open.is_some() {
            return file.advance(&mut self.shared, now);
        }
        if file.presence != Presence::Present {
            if let Presence::Lost { since } = file.presence {
                file.presence = Presence::Gone { since };
            }
            return Ok(false);
        }
        if file.at_end || self.comes_after_another(index) {
            return Ok(false);
        }
        match self.open(index, now) {
            Ok(Opening::Opened) => self.files[index].advance(&mut self.shared, now),
            Ok(Opening::NotYet) => Ok(false),
            Ok(Opening::Sorted) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.next_scan = if self.shared.once { self.next_scan } else { Some(now) };
                self.files[index].at_end |= self.shared.once;
                Ok(false)
            }
            Err(error) => {
                let file = &mut self.files[index];
                file.unreadable(&error, &self.shared, now);
                file.at_end |= self.shared.once;
                let path = file.path.clone();
                self.trouble(&path, &error)?;
                Ok(false)
            }
        }
    }

    /// The file before it under this name has to be read to its end first.
    fn comes_after_another(&self, index: usize) -> bool {
        let this = &self.files[index];
        self.opened > 0
            && this.mark.is_none()
            && self.files.iter().filter(|file| file.open.is_some() && !file.at_end).any(|file| {
                let there = file.came_from.as_ref() == Some(&this.path) || file.path == this.path;
                there && file.id != this.id
            })
    }

    fn open(&mut self, index: usize, now: Instant) -> io::Result<Opening> {
        let tracked = &mut self.files[index];
        let file = Arc::new(File::open(&tracked.path)?);
        let metadata = file.metadata()?;
        if file_id(&metadata) != tracked.id {
            // Replaced since the last look; the next one will tell.
            self.next_scan = None;
            return Ok(Opening::NotYet);
        }
        tracked.note(seen(&metadata), now);
        let mut magic = [0; 4];
        let count = file.read_at(&mut magic, 0)?;
        let codec = Codec::of(&magic[..count]);
        self.knows_plain |= codec == Codec::Plain;
        if count < magic.len()
            && matches!(magic[0], 0x1f | 0x28)
            && !tracked.is_quiet(now, &self.shared.timing)
        {
            // Perhaps the beginning of a compressed object.
            return Ok(Opening::NotYet);
        }
        if tracked.mark.is_some() {
            if !self.verify(index, &file, codec, metadata.len(), now)? {
                return Ok(Opening::Sorted);
            }
        } else if let Some(opening) = self.recognise(index, &file, codec, now)? {
            return Ok(opening);
        } else if codec != Codec::Plain && !self.is_new_object(index, &file, now)? {
            let file = &mut self.files[index];
            file.retry_at = now.checked_add(self.shared.timing.rescan);
            return Ok(if file.merged { Opening::Sorted } else { Opening::NotYet });
        }
        self.files[index].start(file, codec, &self.shared)?;
        Ok(Opening::Opened)
    }

    /// Finds new files, new names of known ones, and what is no longer there.
    fn scan(&mut self, now: Instant) -> Result<(), Closed> {
        let mut found = Found::default();
        for pattern in &self.paths {
            found.add_pattern(pattern);
        }
        for (path, error) in found.failed {
            self.trouble(&path, &error)?;
        }
        let by_id: HashMap<_, _> =
            self.files.iter().enumerate().map(|(index, file)| (file.id, index)).collect();
        let mut present = HashSet::new();
        let mut begun = HashSet::new();
        let returning = self.returning_objects();
        self.finds = !found.files.is_empty();
        for path in found.files {
            let metadata = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => metadata,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.trouble(&path, &error)?;
                    continue;
                }
            };
            let id = file_id(&metadata);
            let known = by_id.get(&id).copied();
            let as_before = known.is_some_and(|index| self.files[index].path == path);
            if !as_before && self.is_own(&path, &metadata) {
                continue;
            }
            if let Some(index) = known {
                // A second name of the same file is no second file.
                if present.insert(index) {
                    self.files[index].is_at(path, seen(&metadata), now);
                }
            } else if metadata.len() > 0 && begun.insert(id) {
                let returning = returning.get(&path).copied();
                if let Some(index) = returning.filter(|&index| self.files[index].was_finished(&metadata)) {
                    present.insert(index);
                    self.files[index].is_back(id);
                    self.files[index].is_at(path, seen(&metadata), now);
                    continue;
                }
                let stream = self.new_stream(self.files.len());
                self.files.push(Tracked::new(&stream, path, &metadata, now));
            }
        }
        for &index in by_id.values() {
            let file = &mut self.files[index];
            if file.presence == Presence::Present && !present.contains(&index) {
                file.presence = Presence::Lost { since: now };
            }
        }
        Ok(())
    }

    /// Whether this process writes the file itself; told once.
    fn is_own(&mut self, path: &Path, metadata: &fs::Metadata) -> bool {
        let own = self.own.holds(path, metadata);
        // The commit log alone has a new file every so often: more than a few say nothing new.
        if own && self.passed_over.len() < 16 && self.passed_over.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), "not read: this process writes it itself");
        }
        own
    }

    /// A name that no stream has had: the checkpoints of streams outlive processes.
    fn new_stream(&mut self, salt: usize) -> String {
        self.streams += 1;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let parts = [time, u128::from(std::process::id()), u128::from(self.streams), salt as u128];
        let parts = parts.map(u128::to_le_bytes);
        let id = hash(&[&parts[0], &parts[1], &parts[2], &parts[3]]);
        format!("{}{}", Self::stream_prefix(&self.shared.feed.connector), String::from(Hex(id)))
    }

    /// Tells of a path that cannot be looked at: once a minute in the log, and as a dead letter if it is not tried again.
    fn trouble(&mut self, path: &Path, error: &io::Error) -> Result<(), Closed> {
        if self.shared.once {
            let name = path.to_string_lossy();
            let context = self.shared.feed.context(&name, unreadable_id(&self.shared.feed.source, &name));
            return self.shared.feed.publish(&mut self.trouble, &context, unreadable_batch(error), None);
        }
        let now = Instant::now();
        self.warned.retain(|_, at| now.saturating_duration_since(*at) < WARN_EVERY);
        if !self.warned.contains_key(path) && self.files.iter().all(|file| file.path != path) {
            add(&self.shared.feed.stats.errors, 1);
            tracing::warn!(path = %path.display(), %error, "cannot be looked at, will be tried again");
            self.warned.insert(path.to_owned(), now);
        }
        Ok(())
    }

    /// Forgets files that are gone for long.
    fn retire(&mut self, now: Instant) -> Result<(), Closed> {
        let remember = self.shared.timing.remember;
        let over = |file: &Tracked| match file.presence {
            Presence::Gone { since } => now.saturating_duration_since(since) >= remember,
            _ => false,
        };
        // A folder in which nothing is any more may be one that is not mounted here.
        let may_be_elsewhere = self.travels && !self.finds;
        if self.shared.once || may_be_elsewhere || !self.files.iter().any(over) {
            return Ok(());
        }
        let (old, kept) = std::mem::take(&mut self.files).into_iter().partition(over);
        self.files = kept;
        for mut file in old {
            file.forget(&mut self.shared.ordinals);
            if let Some(mark) = &file.mark {
                let context = self.shared.feed.context(&mark.path, mark.origin.0);
                self.shared.feed.publish(&mut file.cursor, &context, Default::default(), Some(Vec::new()))?;
            }
        }
        Ok(())
    }

    /// Whether one more file may be opened. Makes room by closing those that were quiet for longest, some at a time.
    fn has_room(&mut self) -> bool {
        if self.opened < self.max_open {
            return true;
        }
        let idle = |file: &Tracked| file.open.is_some() && file.at_end && file.presence == Presence::Present;
        let mut quiet: Vec<_> = self.files.iter_mut().filter(|file| idle(file)).collect();
        quiet.sort_by_key(|file| file.changed);
        for file in quiet.into_iter().take(self.max_open.div_ceil(4)) {
            file.open = None;
            self.opened -= 1;
        }
        self.opened < self.max_open
    }
}

#[cfg(test)]
mod tests;
