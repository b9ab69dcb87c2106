//! Alerts or dead letters as lines of a file, each exactly once.
//!
//! Enters: commits. Leaves: lines, appended. The state that goes with the cursor is the identity of the file and its
//! length; resuming cuts the file back to that length, and what was behind it is delivered again.
//!
//! One rule keeps this true through rotation, whoever rotates: nothing is written to a file before its identity and
//! length are stored. So a kill at any moment finds either the file that the state names, longer or not, or another
//! one that has none of the lines since; see `rotate` for the renaming itself.
//!
//! A path that leads to something else than a regular file (a pipe, a device) is written to without a state.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use threatlockdown_topics::Commit;

use crate::sink::{Sink, SinkError};
use state::{Identity, State};

mod rotate;
mod state;
#[cfg(test)]
mod tests;

/// A line buffer larger than this is not kept for the next commit.
const KEPT_BUFFER: usize = 4 * 1024 * 1024;

/// Which part of a commit a file gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Alerts.
    Alerts,
    /// Dead letters.
    DeadLetters,
}

/// Settings of a file sink.
#[derive(Debug, Clone)]
pub struct FileSinkOptions {
    /// The file; missing folders are created.
    pub path: PathBuf,
    /// What it gets.
    pub content: Content,
    /// Size from which the file is rotated.
    pub rotate_bytes: u64,
    /// How many rotated files are kept, at least one: `<path>.1` is the youngest.
    pub keep: u32,
}

impl FileSinkOptions {
    /// The usual settings for a file.
    #[must_use]
    pub fn new(path: PathBuf, content: Content) -> Self {
        Self { path, content, rotate_bytes: 512 * 1024 * 1024, keep: 5 }
    }
}

/// Appends lines to a file.
pub struct FileSink {
    name: String,
    options: FileSinkOptions,
    open: Option<Target>,
    /// Size from which it is rotated; moves on where that fails.
    rotate_at: u64,
    lines: Vec<u8>,
}

/// What the path led to when it was opened.
struct Target {
    file: File,
    /// `None` where it is no regular file.
    identity: Option<Identity>,
    /// Where the next line goes.
    length: u64,
    /// Whether there are lines since the last sync.
    unsynced: bool,
    /// Whether the identity and a length of this file are stored.
    recorded: bool,
}

impl FileSink {
    /// A sink of this name; the file is opened by the first delivery.
    #[must_use]
    pub fn new(name: String, options: FileSinkOptions) -> Self {
        let rotate_at = options.rotate_bytes.max(1);
        Self { name, options, open: None, rotate_at, lines: Vec::new() }
    }

    fn write_lines(&mut self, commit: &Commit) -> Result<(), SinkError> {
        self.lines.clear();
        let mut add = |line: &[u8]| {
            self.lines.extend_from_slice(line);
            self.lines.push(b'\n');
        };
        match self.options.content {
            Content::Alerts => commit.alerts.iter().for_each(|alert| add(&alert.json)),
            Content::DeadLetters => commit.dead_letters.iter().for_each(|letter| add(letter)),
        }
        if self.lines.is_empty() {
            return Ok(());
        }
        let target = self.open.as_mut().ok_or_else(|| not_open(&self.options.path))?;
        debug_assert!(target.recorded, "a file is written to only when a state names it");
        target.write(&self.lines).map_err(failed("write to", &self.options.path))?;
        if self.lines.capacity() > KEPT_BUFFER {
            self.lines = Vec::new();
        }
        Ok(())
    }

    /// Moves to another file where this one is full, or where someone else has moved, removed or emptied it.
    fn move_on(&mut self) -> Result<(), SinkError> {
        let path = &self.options.path;
        let Some(Target { identity: Some(identity), length, .. }) = self.open else { return Ok(()) };
        let found = match fs::metadata(path) {
            Ok(metadata) => Some((Identity::from(&metadata), metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read", path)(error)),
        };
        if let Some((same, found)) = found
            && same == identity
            && found >= length
        {
            if length < self.rotate_at || !rotate::is_in_place(path) {
                return Ok(());
            }
            if let Err(error) = rotate::rotate(path, self.options.keep) {
                tracing::warn!(file = %path.display(), %error, "cannot rotate the file; it goes on growing");
                self.rotate_at = length.saturating_add(self.options.rotate_bytes.max(1));
                return Ok(());
            }
        } else {
            tracing::info!(file = %path.display(), "the file was moved or emptied; going on at the end of what is there");
        }
        self.rotate_at = self.options.rotate_bytes.max(1);
        self.open = Some(open(path, None)?);
        Ok(())
    }
}

impl Sink for FileSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn resume(&mut self, state: &[u8]) -> Result<(), SinkError> {
        self.open = None;
        let stored = State::decode(state).map_err(SinkError::State)?;
        self.open = Some(open(&self.options.path, stored)?);
        Ok(())
    }

    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
        self.write_lines(commit)
    }

    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        let path = &self.options.path;
        let target = self.open.as_mut().ok_or_else(|| not_open(path))?;
        let Some(identity) = target.identity else { return Ok(Vec::new()) };
        if target.unsynced {
            target.file.sync_data().map_err(failed("sync", path))?;
            target.unsynced = false;
        }
        Ok(State { identity, length: target.length }.encode())
    }

    fn stored(&mut self) -> Result<(), SinkError> {
        if let Some(target) = &mut self.open {
            target.recorded = true;
        }
        self.move_on()
    }

    fn wants_flush(&self) -> bool {
        let full =
            |target: &Target| target.identity.is_some() && target.unsynced && target.length >= self.rotate_at;
        self.open.as_ref().is_some_and(|target| !target.recorded || full(target))
    }
}

impl Target {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.identity.is_none() {
            self.file.write_all(lines)?;
            return self.file.flush();
        }
        self.unsynced = true;
        self.file.write_all(lines)?;
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// Opens the path for appending, from the stored length on where it still leads to the same file.
fn open(path: &Path, stored: Option<State>) -> Result<Target, SinkError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o750).create(folder).map_err(failed("create", folder))?;
    }
    // A device or a pipe may be for writing only.
    let special = fs::metadata(path).is_ok_and(|found| !found.is_file());
    let file = OpenOptions::new().read(!special).append(true).create(true).mode(0o640).open(path);
    let mut file = file.map_err(failed("open", path))?;
    let metadata = file.metadata().map_err(failed("read", path))?;
    if !metadata.is_file() {
        return Ok(Target { file, identity: None, length: 0, unsynced: false, recorded: true });
    }
    // The name has to be as durable as the lines that a state will count on.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))?;

    let identity = Identity::from(&metadata);
    let found = metadata.len();
    let (mut length, mut recorded) = (found, false);
    match stored {
        Some(stored) if stored.identity == identity && found >= stored.length => {
            (length, recorded) = (stored.length, true);
            if found > length {
                file.set_len(length).map_err(failed("truncate", path))?;
            }
        }
        Some(stored) if stored.identity == identity => {
            tracing::warn!(file = %path.display(), found, delivered = stored.length, "the file is shorter than what was delivered; appending at its end");
        }
        Some(stored) => {
            let moved = rotate::cut_rotated(path, stored).map_err(failed("truncate", path))?;
            if !moved {
                tracing::warn!(file = %path.display(), "the file was replaced by another one; appending at its end");
            }
        }
        None => {}
    }
    if !recorded {
        length = complete_last_line(&mut file, found).map_err(failed("write to", path))?;
    }
    Ok(Target { file, identity: Some(identity), length, unsynced: !recorded, recorded })
}

/// Where a file that someone else wrote ends within a line, that line is ended. Returns the length.
fn complete_last_line(file: &mut File, length: u64) -> io::Result<u64> {
    let Some(last) = length.checked_sub(1) else { return Ok(length) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    if byte == *b"\n" {
        return Ok(length);
    }
    file.write_all(b"\n")?;
    Ok(length + 1)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SinkError {
    move |source| SinkError::Io { action, target: path.display().to_string(), source }
}

fn not_open(path: &Path) -> SinkError {
    failed("write to", path)(io::Error::from(io::ErrorKind::NotConnected))
}
