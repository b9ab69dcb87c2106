//! One stream of bytes on its way to batches of records: decompress, find the format, split.
//!
//! Enters: a reader, and where an earlier reading got to. Leaves: [`Batch`]es. Files at rest, followed files and standard
//! input all come through here, so they cannot differ in what they make of the same bytes.

use std::io::{self, Read};

use threatlockdown_event::Reason;

use crate::compression::{Codec, Decompressed, Guards, guard_error};
use crate::formats::{Batch, DETECT_BYTES, Format, Framer, Limits, Rejected, Resume, detect};

/// How streams are read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOptions {
    /// Sizes of records and units.
    pub limits: Limits,
    /// Bounds of decompression.
    pub guards: Guards,
}

/// How far an earlier reading got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) format: Format,
    pub(crate) resume: Resume,
    pub(crate) done: u64,
}

/// See the module.
pub(crate) struct Pump<R: Read> {
    input: Decompressed<R>,
    source: String,
    limits: Limits,
    /// The first bytes, until they tell the format.
    head: Vec<u8>,
    framer: Option<(Format, Framer)>,
}

impl<R: Read> Pump<R> {
    /// From the beginning, or from `progress`: then `input` stands at its resume offset.
    pub(crate) fn new(
        input: Decompressed<R>,
        source: &str,
        options: &ReadOptions,
        progress: Option<Progress>,
    ) -> Self {
        let limits = options.limits;
        let framer =
            progress.map(|from| (from.format, Framer::new(from.format, from.resume, from.done, limits)));
        Self { input, source: source.to_owned(), limits, head: Vec::new(), framer }
    }

    /// Reads once; 0 at the end, which for a growing file may be not the end for ever. Not to be called while full.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        if let Some((_, framer)) = &mut self.framer {
            return framer.fill(&mut self.input);
        }
        let old = self.head.len();
        self.head.resize(old + DETECT_BYTES, 0);
        let read = self.input.read(&mut self.head[old..]);
        self.head.truncate(old + *read.as_ref().unwrap_or(&0));
        if let Some(format) = detect(&self.source, &self.head) {
            self.begin(format);
        } else if self.head.len() >= DETECT_BYTES {
            self.begin(Format::Lines);
        }
        read
    }

    fn begin(&mut self, format: Format) {
        let mut framer = Framer::new(format, Resume::default(), 0, self.limits);
        framer.push(&std::mem::take(&mut self.head));
        self.framer = Some((format, framer));
    }

    pub(crate) fn codec(&self) -> Codec {
        self.input.codec()
    }

    /// `None` until the first bytes that are not white space.
    pub(crate) fn format(&self) -> Option<Format> {
        self.framer.as_ref().map(|(format, _)| *format)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.framer.as_ref().is_some_and(|(_, framer)| framer.is_full())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.framer.as_ref().is_none_or(|(_, framer)| framer.is_empty())
    }

    /// Whether the stream would end in the middle of something.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.framer.as_ref().map_or(!self.head.is_empty(), |(_, framer)| framer.is_unfinished())
    }

    /// Bytes that were read and are not part of a batch yet.
    pub(crate) fn held(&self) -> &[u8] {
        self.framer.as_ref().map_or(&self.head, |(_, framer)| framer.held())
    }

    /// Offset behind the last plain byte that was read.
    pub(crate) fn position(&self) -> u64 {
        self.framer.as_ref().map_or(self.head.len() as u64, |(_, framer)| framer.position())
    }

    /// The beginning of the first record.
    pub(crate) fn first(&self) -> Option<&[u8]> {
        self.framer.as_ref().and_then(|(_, framer)| framer.first())
    }

    pub(crate) fn take(&mut self) -> Batch {
        self.framer.as_mut().map(|(_, framer)| framer.take()).unwrap_or_default()
    }

    /// The stream has ended: a last line without a line end is a record, an incomplete value a reject.
    pub(crate) fn finish(&mut self) {
        if self.framer.is_none() && !self.head.is_empty() {
            self.begin(Format::Lines);
        }
        if let Some((_, framer)) = &mut self.framer {
            framer.finish();
        }
    }

    /// What is left after `error`: the last records, and why there are no more after these and the `published` ones.
    pub(crate) fn fail(&mut self, error: &io::Error, published: u64) -> Batch {
        let mut batch = Batch { end: self.position(), ..Batch::default() };
        let (mut start, mut bytes, mut length, mut sha256) = (batch.end, Vec::new(), 0, None);
        if let Some((_, framer)) = &mut self.framer {
            let held = framer.abandon();
            batch = framer.take();
            (start, bytes, length, sha256) = (held.start, held.bytes, held.length, held.sha256);
        }
        let found = published + batch.records.len() as u64;
        let (reason, what) = classify(error, self.codec());
        let detail = format!(
            "{what}: {error}; decoded_records={found}, after {} bytes of text from {} bytes of the object",
            self.position(),
            self.input.consumed(),
        );
        batch.rejected.push(Rejected { reason, detail, start, bytes, length, sha256 });
        batch
    }
}

/// A decoder's complaint is about the content; everything else is about reading it.
pub(crate) fn classify(error: &io::Error, codec: Codec) -> (Reason, &'static str) {
    if guard_error(error).is_some() {
        (Reason::Decompression, "refused to decompress further")
    } else if codec == Codec::Plain || error.raw_os_error().is_some() {
        (Reason::Unreadable, "cannot be read")
    } else {
        (Reason::Truncated, "compressed data ends early or is corrupt")
    }
}
