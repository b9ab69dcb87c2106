//! Reads a log from a position on, with a file handle of its own.
//!
//! Enters: a position. Leaves: one decoded frame at a time, and the position after it. The position moves only when a
//! frame was read and decoded, so a corrupt one is reported again at every attempt and never skipped.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tail::{Found, Tail};
use super::{
    FRAME_BYTES, HEADER_BYTES, LogError, LogPosition, MAX_PAYLOAD, check_header, checksum,
    parse_frame_header, segment_path,
};
use crate::codec::DecodeError;

/// A payload larger than this is not kept as a buffer for the next one.
const KEPT_BUFFER: usize = 1024 * 1024;

/// A reader of one log.
pub(crate) struct SegmentReader {
    directory: PathBuf,
    kind: u8,
    tail: Arc<Tail>,
    position: LogPosition,
    open: Option<(u64, File)>,
    buffer: Vec<u8>,
}

/// One frame, decoded.
#[derive(Debug)]
pub(crate) struct Frame<T> {
    pub(crate) start: LogPosition,
    pub(crate) end: LogPosition,
    pub(crate) value: T,
}

impl SegmentReader {
    pub(crate) fn new(directory: PathBuf, kind: u8, tail: Arc<Tail>, from: Option<LogPosition>) -> Self {
        let position = from.unwrap_or_else(|| tail.start());
        Self { directory, kind, tail, position, open: None, buffer: Vec::new() }
    }

    pub(crate) fn position(&self) -> LogPosition {
        self.position
    }

    pub(crate) fn seek(&mut self, position: Option<LogPosition>) {
        self.position = position.unwrap_or_else(|| self.tail.start());
    }

    pub(crate) fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    /// Waits up to `timeout` for a frame and decodes it.
    pub(crate) fn next<T>(
        &mut self,
        timeout: Duration,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<Frame<T>>, LogError> {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now);
        loop {
            self.position.offset = self.position.offset.max(HEADER_BYTES);
            match self.tail.wait(self.position, deadline) {
                Found::Nothing => return Ok(None),
                Found::NextSegment => self.position = LogPosition::start_of(self.position.segment + 1),
                Found::Frame { limit } => return self.read(limit, decode).map(Some),
                Found::Beyond { end } => {
                    return Err(LogError::Behind {
                        directory: self.directory.clone(),
                        end,
                        wanted: self.position,
                    });
                }
                Found::Deleted { oldest } => {
                    // Only possible for one who did not take part while segments were deleted, such as a sink that
                    // was absent from the configuration for a time.
                    tracing::error!(
                        log = %self.directory.display(), from = %self.position, oldest,
                        "records were deleted before they were read here; going on with the oldest that are kept"
                    );
                    self.position = LogPosition::start_of(oldest);
                }
            }
        }
    }

    fn read<T>(
        &mut self,
        limit: u64,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Frame<T>, LogError> {
        let start = self.position;
        let path = segment_path(&self.directory, start.segment);
        if self.open.as_ref().is_none_or(|(segment, _)| *segment != start.segment) {
            let file = File::open(&path).map_err(LogError::io("open", &path))?;
            let mut head = [0; HEADER_BYTES as usize];
            file.read_exact_at(&mut head, 0).map_err(LogError::io("read", &path))?;
            check_header(head, self.kind, &path)?;
            self.open = Some((start.segment, file));
        }
        let Some((_, file)) = &self.open else { return Err(LogError::corrupt(&path, 0, "it is not open")) };

        let corrupt = |detail: String| LogError::corrupt(&path, start.offset, detail);
        let room = usize::try_from(limit - start.offset).unwrap_or(usize::MAX);
        if room < FRAME_BYTES {
            return Err(corrupt(format!("{room} bytes cannot be a record")));
        }
        let mut head = [0; FRAME_BYTES];
        file.read_exact_at(&mut head, start.offset).map_err(LogError::io("read", &path))?;
        let (len, expected) = parse_frame_header(head);
        if len > MAX_PAYLOAD || len > room - FRAME_BYTES {
            return Err(corrupt(format!("a record of {len} bytes does not fit the {room} that are left")));
        }
        self.buffer.resize(len, 0);
        let payload = &mut self.buffer[..len];
        file.read_exact_at(payload, start.offset + FRAME_BYTES as u64)
            .map_err(LogError::io("read", &path))?;
        if checksum(start, payload) != expected {
            return Err(corrupt(format!("the checksum of a record of {len} bytes does not match")));
        }
        let value =
            decode(payload).map_err(|error| corrupt(format!("the record does not decode: {error}")))?;
        if self.buffer.capacity() > KEPT_BUFFER {
            // Now, and not before the next: that may be long after, and what was decoded takes as much again.
            self.buffer = Vec::new();
        }
        let end = LogPosition { segment: start.segment, offset: start.offset + (FRAME_BYTES + len) as u64 };
        self.position = end;
        Ok(Frame { start, end, value })
    }
}
