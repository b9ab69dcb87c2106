//! Gathers the records of a stream in the buffer that becomes a unit's buffer.
//!
//! Enters: decompressed bytes, read straight into the buffer. Leaves: [`Batch`]es of at most a unit's size. Nothing is
//! copied but the beginning of a record at the end of a batch. A record over the limit passes through in bounded memory:
//! its first bytes are kept, the rest is hashed and forgotten.

use std::io::{self, Read};

use sha2::{Digest, Sha256};
use threatlockdown_event::dead_letter::KEPT_BYTES;
use threatlockdown_event::unit::{DEFAULT_MAX_EVENT_BYTES, MAX_UNIT_RECORDS, UNIT_BYTES};
use threatlockdown_event::{Reason, Record};

use super::{BOM, Format, Piece, Resume, Splitter};

/// How much one [`Framer::fill`] reads at most.
const CHUNK: usize = 128 * 1024;

/// Sizes that a framer keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest record.
    pub max_event_bytes: usize,
    /// A batch is full when it holds so many bytes.
    pub batch_bytes: usize,
    /// Most records, accepted and rejected, of a batch.
    pub batch_records: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            batch_bytes: UNIT_BYTES,
            batch_records: MAX_UNIT_RECORDS,
        }
    }
}

/// What could not become a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Class.
    pub reason: Reason,
    /// Words.
    pub detail: String,
    /// Offset of the first byte in the stream.
    pub start: u64,
    /// The bytes, or the first [`KEPT_BYTES`] of them.
    pub bytes: Vec<u8>,
    /// Length of all of it.
    pub length: u64,
    /// SHA-256 of all of it, where only a part is kept.
    pub sha256: Option<[u8; 32]>,
}

/// Some records in a row.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// What the records point into.
    pub buffer: Vec<u8>,
    /// Offset of its first byte in the stream.
    pub base: u64,
    /// The records; their origin is the offset in the stream.
    pub records: Vec<Record>,
    /// What lay between them and is none.
    pub rejected: Vec<Rejected>,
    /// Everything before this offset is done.
    pub end: u64,
    /// Where to begin when the stream is read again; what ends at or before `end` is then to be skipped.
    pub resume: Resume,
}

/// See the module.
pub struct Framer {
    splitter: Splitter,
    format: Format,
    limits: Limits,
    /// Bytes of the stream from `base` on.
    buffer: Vec<u8>,
    base: u64,
    /// How much of the buffer the splitter has seen.
    seen: usize,
    records: Vec<Record>,
    rejected: Vec<Rejected>,
    rejected_bytes: usize,
    /// End of the last piece.
    end: u64,
    /// Pieces that begin before this offset are known from an earlier reading.
    skip_before: u64,
    /// The beginning of the first piece, for the identity of the stream.
    first: Option<Vec<u8>>,
    giant: Option<Giant>,
}

/// How much of the first record goes into the identity of the stream.
const FIRST_BYTES: usize = 1024;

/// A piece that is too long to be kept.
struct Giant {
    start: u64,
    kept: Vec<u8>,
    hasher: Sha256,
    hashed: u64,
}

impl Framer {
    /// A framer for the stream that goes on at `resume.offset`, where everything before `done` was read before.
    #[must_use]
    pub fn new(format: Format, resume: Resume, done: u64, limits: Limits) -> Self {
        Self {
            splitter: Splitter::new(format, resume),
            format,
            limits,
            buffer: Vec::new(),
            base: resume.offset,
            seen: 0,
            records: Vec::new(),
            rejected: Vec::new(),
            rejected_bytes: 0,
            end: done.max(resume.offset),
            skip_before: done,
            first: None,
            giant: None,
        }
    }

    /// Reads once and splits what came; the number of bytes, 0 at the end. Not to be called while the batch is full.
    ///
    /// # Errors
    /// What the reader says; nothing is lost of what was read before.
    pub fn fill(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        debug_assert!(!self.is_full());
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let read = loop {
            match reader.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        if self.buffer.len() == old {
            // Nothing may come for long.
            self.buffer.shrink_to_fit();
        }
        self.split();
        read
    }

    /// Takes bytes that are in memory already.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.split();
    }

    /// Whether the batch has to be taken before more is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.records.len() + self.rejected.len() >= self.limits.batch_records
            || (!self.is_empty() && self.seen + self.rejected_bytes >= self.limits.batch_bytes)
    }

    /// Whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rejected.is_empty()
    }

    /// Whether the stream would end in the middle of something.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.splitter.is_unfinished()
    }

    /// Bytes that were read and are not part of a batch yet; the last ones are the last that were read.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        &self.buffer
    }

    /// Offset behind the last byte that was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    /// The beginning of the first record, once there is one.
    #[must_use]
    pub fn first(&self) -> Option<&[u8]> {
        self.first.as_deref()
    }

    /// The records so far. Splits on in what was read already: ask [`Framer::is_full`] again.
    pub fn take(&mut self) -> Batch {
        let keep = self.index(self.splitter.needed_from()).min(self.seen);
        // A stream that filled this batch will fill the next one as well.
        let room = if self.seen * 2 > self.limits.batch_bytes { self.limits.batch_bytes + CHUNK } else { 0 };
        let mut carried = Vec::with_capacity(room + self.buffer.len() - keep);
        carried.extend_from_slice(&self.buffer[keep..]);
        let mut buffer = std::mem::replace(&mut self.buffer, carried);
        buffer.truncate(keep);
        if buffer.len() < buffer.capacity() / 2 {
            buffer.shrink_to_fit();
        }
        let base = self.base;
        self.base += keep as u64;
        self.seen -= keep;
        self.rejected_bytes = 0;
        let batch = Batch {
            buffer,
            base,
            records: std::mem::take(&mut self.records),
            rejected: std::mem::take(&mut self.rejected),
            end: self.end,
            resume: self.splitter.resume(),
        };
        self.split();
        batch
    }

    /// The stream has ended: what it ends with becomes a record (a line) or is rejected.
    pub fn finish(&mut self) {
        if let Some(piece) = self.splitter.finish() {
            self.keep(piece);
        }
    }

    /// The stream cannot be read on: what is held of an incomplete record, as much as is kept of it.
    pub fn abandon(&mut self) -> Rejected {
        let start = self.splitter.needed_from();
        let end = self.splitter.position();
        let rejected = self.reject(Reason::Truncated, String::new(), start, end, KEPT_BYTES);
        self.end = end;
        // What was held is told; there is nothing that it could still become.
        let _ = self.splitter.finish();
        rejected
    }

    fn split(&mut self) {
        while self.seen < self.buffer.len() && !self.is_full() {
            let (used, piece) = self.splitter.next(&self.buffer[self.seen..]);
            self.seen += used;
            if let Some(piece) = piece {
                self.keep(piece);
            }
        }
        self.forget();
    }

    fn keep(&mut self, piece: Piece) {
        let (start, end) = match piece {
            Piece::Record { start, end } | Piece::Bad { start, end, .. } => (start, end),
        };
        let known = start < self.skip_before;
        if self.format == Format::Lines {
            self.keep_line(start, end, known);
        } else if let Piece::Bad { detail, rest, .. } = piece {
            let cut = if rest { KEPT_BYTES } else { self.limits.max_event_bytes };
            self.keep_bad(start, end, detail, cut, known);
        } else {
            self.keep_record(start, end, known);
        }
        self.giant = None;
        self.end = self.end.max(end);
    }

    fn keep_line(&mut self, start: u64, end: u64, known: bool) {
        let (mut first, mut last) = (start, end);
        if self.giant.is_none() {
            let line = &self.buffer[self.index(start)..self.index(end)];
            if start == 0 && line.starts_with(BOM) {
                first += BOM.len() as u64;
            }
            let line = &self.buffer[self.index(first)..self.index(end)];
            if line.trim_ascii().is_empty() {
                return;
            }
            last -= u64::from(line.ends_with(b"\r"));
        }
        self.keep_record(first, last, known);
    }

    fn keep_record(&mut self, start: u64, end: u64, known: bool) {
        self.note_first(start, end);
        if known {
            return;
        }
        if end - start > self.limits.max_event_bytes as u64 {
            let limit = self.limits.max_event_bytes;
            let detail = format!("longer than {limit} bytes");
            let rejected = self.reject(Reason::Oversize, detail, start, end, KEPT_BYTES);
            self.push_rejected(rejected);
            return;
        }
        // A batch is far smaller than 4 GiB: it ends with the chunk in which it exceeds its size.
        let at = self.index(start) as u32;
        self.records.push(Record { start: at, len: (end - start) as u32, origin: start });
    }

    fn keep_bad(&mut self, start: u64, end: u64, detail: &str, cut: usize, known: bool) {
        let mut end = end;
        if self.giant.is_none() {
            let bytes = &self.buffer[self.index(start)..self.index(end)];
            let trimmed = bytes.trim_ascii_end().len();
            if trimmed == 0 && !bytes.is_empty() {
                return;
            }
            end = start + trimmed as u64;
        }
        self.note_first(start, end);
        if !known {
            let rejected = self.reject(Reason::Malformed, detail.to_owned(), start, end, cut);
            self.push_rejected(rejected);
        }
    }

    fn push_rejected(&mut self, rejected: Rejected) {
        self.rejected_bytes += rejected.bytes.len();
        self.rejected.push(rejected);
    }

    fn note_first(&mut self, start: u64, end: u64) {
        if self.first.is_none() {
            let bytes = match &self.giant {
                Some(giant) if giant.start == start => &giant.kept[..],
                _ => &self.buffer[self.index(start)..self.index(end)],
            };
            self.first = Some(bytes[..bytes.len().min(FIRST_BYTES)].to_vec());
        }
    }

    /// The bytes from `start` to `end`; if they are more than `cut`, their beginning and their hash.
    fn reject(&mut self, reason: Reason, detail: String, start: u64, end: u64, cut: usize) -> Rejected {
        let length = end - start;
        if let Some(mut giant) = self.giant.take() {
            let hashed_to = self.index(giant.start + giant.hashed);
            giant.hasher.update(&self.buffer[hashed_to..self.index(end)]);
            let sha256 = Some(giant.hasher.finalize().into());
            return Rejected { reason, detail, start, bytes: giant.kept, length, sha256 };
        }
        let bytes = &self.buffer[self.index(start)..self.index(end)];
        if length <= cut as u64 {
            return Rejected { reason, detail, start, bytes: bytes.to_vec(), length, sha256: None };
        }
        let sha256 = Some(Sha256::digest(bytes).into());
        Rejected {
            reason,
            detail,
            start,
            bytes: bytes[..bytes.len().min(KEPT_BYTES)].to_vec(),
            length,
            sha256,
        }
    }

    /// Drops bytes that no piece will need, so that memory does not grow with what lies between records.
    fn forget(&mut self) {
        let needed = self.splitter.needed_from();
        if self.giant.as_ref().is_some_and(|giant| giant.start != needed) {
            self.giant = None;
        }
        let position = self.splitter.position();
        let too_long = position - needed.min(position) > self.limits.max_event_bytes as u64;
        if too_long && self.giant.is_none() {
            let bytes = &self.buffer[self.index(needed)..self.seen];
            let kept = bytes[..bytes.len().min(KEPT_BYTES)].to_vec();
            self.giant = Some(Giant { start: needed, kept, hasher: Sha256::new(), hashed: 0 });
        }
        if let Some(giant) = &mut self.giant {
            let from = (giant.start + giant.hashed - self.base) as usize;
            giant.hasher.update(&self.buffer[from..self.seen]);
            giant.hashed += (self.seen - from) as u64;
        }
        if self.is_empty() {
            let unneeded = if self.giant.is_some() { self.seen } else { self.index(needed).min(self.seen) };
            if unneeded > 0 {
                self.buffer.drain(..unneeded);
                self.base += unneeded as u64;
                self.seen -= unneeded;
            }
        }
    }

    fn index(&self, offset: u64) -> usize {
        offset.saturating_sub(self.base) as usize
    }
}

#[cfg(test)]
mod tests;
