//! The appending end of a log.
//!
//! Enters: frames. Leaves: durable frames, and the news of them to readers. An append that fails leaves the log as it
//! was before, so that the same one can be tried again: that is how a full disk is survived.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::AppendFile;
use super::recover::{Left, examine};
use super::{FRAME_BYTES, HEADER_BYTES, LogError, LogPosition, MAX_PAYLOAD, Opener, SegmentReader, Tail};
use super::{checksum, header, segment_path};

/// What a log is opened with.
pub(crate) struct Settings {
    pub(crate) directory: PathBuf,
    /// Tells the logs apart, so that a segment in the wrong folder is noticed.
    pub(crate) kind: u8,
    /// A segment that has reached this size is closed and the next one begun.
    pub(crate) segment_bytes: u64,
    /// A position that was reached before, as someone else remembers it.
    pub(crate) durable: Option<LogPosition>,
    pub(crate) opener: Opener,
}

/// A log, open for appending. There is one at a time: the lock of the data directory sees to that.
pub(crate) struct SegmentedLog {
    settings: Settings,
    file: Box<dyn AppendFile>,
    /// After the last good frame.
    end: LogPosition,
    /// A failed append may have left bytes behind `end`, and cutting them off failed too.
    dirty: bool,
    tail: Arc<Tail>,
}

/// Empties `frame` and keeps room for the frame's head; the payload is to be added behind it.
pub(crate) fn start_frame(frame: &mut Vec<u8>) {
    frame.clear();
    frame.resize(FRAME_BYTES, 0);
}

impl SegmentedLog {
    /// Opens the log in a directory, which is created where it is missing; cuts off a torn tail.
    pub(crate) fn open(settings: Settings) -> Result<Self, LogError> {
        let directory = settings.directory.as_path();
        if !directory.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(directory)
                .map_err(LogError::io("create", directory))?;
            sync_directory(directory.parent().unwrap_or(directory))?;
        }
        let mut sizes = segments(directory)?;
        let Some((&segment, _)) = sizes.last_key_value() else {
            return Self::create(settings);
        };
        let durable = settings.durable.unwrap_or_default();
        let path = segment_path(directory, segment);
        let known = if durable.segment == segment { durable.offset } else { 0 };
        let left = examine(&path, segment, settings.kind, known)?;
        let mut file = (settings.opener)(&path).map_err(LogError::io("open", &path))?;
        let good = match left {
            Left::Unfinished => {
                write_header(file.as_mut(), settings.kind, &path)?;
                HEADER_BYTES
            }
            Left::Frames { good, torn } => {
                if torn > 0 {
                    tracing::warn!(file = %path.display(), offset = good, bytes = torn, "cutting off an unfinished record");
                    file.cut(good).map_err(LogError::io("truncate", &path))?;
                }
                good
            }
        };
        // A frame may be complete and yet only in the page cache, if only the process was killed: nobody may build on
        // it before it is durable.
        file.sync().map_err(LogError::io("sync", &path))?;
        sync_directory(directory)?;
        sizes.insert(segment, good);
        let end = LogPosition { segment, offset: good };
        if end < durable {
            return Err(LogError::Behind { directory: directory.to_owned(), end, wanted: durable });
        }
        Ok(Self { settings, file, end, dirty: false, tail: Arc::new(Tail::new(sizes)) })
    }

    /// An empty log. Where one was there before, numbers go on, so that old positions do not come to mean new records.
    fn create(settings: Settings) -> Result<Self, LogError> {
        let segment = settings.durable.map_or(1, |durable| durable.segment + 1);
        if let Some(durable) = settings.durable {
            tracing::warn!(log = %settings.directory.display(), position = %durable, "the log is gone; beginning a new one");
        }
        let file = create_segment(&settings, segment)?;
        let end = LogPosition::start_of(segment);
        let tail = Arc::new(Tail::new(BTreeMap::from([(segment, end.offset)])));
        Ok(Self { settings, file, end, dirty: false, tail })
    }

    /// Appends one frame that was begun with [`start_frame`]. It is durable on return. On error the log is as before.
    pub(crate) fn append(&mut self, frame: &mut [u8]) -> Result<LogPosition, LogError> {
        let len = frame.len().saturating_sub(FRAME_BYTES);
        if len > MAX_PAYLOAD {
            return Err(LogError::TooLarge { directory: self.settings.directory.clone(), bytes: len });
        }
        self.clean()?;
        if self.end.offset >= self.settings.segment_bytes && self.end.offset > HEADER_BYTES {
            let segment = self.end.segment + 1;
            self.file = create_segment(&self.settings, segment)?;
            self.end = LogPosition::start_of(segment);
            self.tail.advance(self.end);
        }
        let (head, payload) = frame.split_at_mut(FRAME_BYTES);
        head[..4].copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        head[4..].copy_from_slice(&checksum(self.end, payload).to_le_bytes());
        if let Err(error) = self.write(frame) {
            self.dirty = true;
            // Where this fails as well, the next append tries again before it writes.
            let _ = self.clean();
            return Err(error);
        }
        self.end.offset += frame.len() as u64;
        self.tail.advance(self.end);
        Ok(self.end)
    }

    pub(crate) fn end(&self) -> LogPosition {
        self.end
    }

    pub(crate) fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.settings.directory
    }

    pub(crate) fn reader(&self, from: Option<LogPosition>) -> SegmentReader {
        SegmentReader::new(self.settings.directory.clone(), self.settings.kind, self.tail(), from)
    }

    fn write(&mut self, frame: &[u8]) -> Result<(), LogError> {
        let path = self.path();
        self.file.write_at(frame, self.end.offset).map_err(LogError::io("write", &path))?;
        self.file.sync().map_err(LogError::io("sync", &path))
    }

    fn clean(&mut self) -> Result<(), LogError> {
        if self.dirty {
            let path = self.path();
            self.file.cut(self.end.offset).map_err(LogError::io("truncate", &path))?;
            self.file.sync().map_err(LogError::io("sync", &path))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        segment_path(&self.settings.directory, self.end.segment)
    }
}

/// The segments in a directory with the lengths of their files.
fn segments(directory: &Path) -> Result<BTreeMap<u64, u64>, LogError> {
    let mut sizes = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(LogError::io("list", directory))? {
        let entry = entry.map_err(LogError::io("list", directory))?;
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|name| name.parse().ok());
        if let Some(number) = number {
            let length = entry.metadata().map_err(LogError::io("read", &entry.path()))?.len();
            sizes.insert(number, length);
        }
    }
    for (segment, next) in sizes.keys().zip(sizes.keys().skip(1)) {
        if segment + 1 != *next {
            let missing = segment_path(directory, segment + 1);
            return Err(LogError::corrupt(&missing, 0, "the file is missing between others"));
        }
    }
    Ok(sizes)
}

/// A new segment, durable with its header. One that an earlier attempt left half made is made again.
fn create_segment(settings: &Settings, segment: u64) -> Result<Box<dyn AppendFile>, LogError> {
    let path = segment_path(&settings.directory, segment);
    let mut file = (settings.opener)(&path).map_err(LogError::io("create", &path))?;
    write_header(file.as_mut(), settings.kind, &path)?;
    sync_directory(&settings.directory)?;
    Ok(file)
}

fn write_header(file: &mut dyn AppendFile, kind: u8, path: &Path) -> Result<(), LogError> {
    file.cut(0).map_err(LogError::io("truncate", path))?;
    file.write_at(&header(kind), 0).map_err(LogError::io("write", path))?;
    file.sync().map_err(LogError::io("sync", path))
}

/// Makes the names in a directory durable.
fn sync_directory(directory: &Path) -> Result<(), LogError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(LogError::io("sync", directory))
}
