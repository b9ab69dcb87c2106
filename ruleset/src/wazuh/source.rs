//! One rule file while it is read: its text, where its lines begin, and the faults found in it.
//!
//! Enters: the bytes of a file. Leaves: [`Place`]s for byte offsets and the file's diagnostics. Offsets stay byte
//! offsets until something has to be told to a person. What a rule says can be stitched together from several parts
//! of the file (repeated elements, comments cut out, variables put in), so a [`Text`] remembers where each part of it
//! stood: a fault inside a pattern is shown where the user wrote it.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::ir::Place;
use crate::wazuh::Origin;

/// A file may be this long; a rule set of that size would be a mistake.
pub(super) const MAX_FILE_BYTES: usize = 16 << 20;
/// Faults told for one file. A file with more is not a rule file, or one fault has caused the others.
const MAX_FAULTS: usize = 500;
/// Distance of the marks at which characters are counted in advance, so that columns in very long lines stay cheap.
const MARK_BYTES: usize = 1024;

/// A rule file's text with what is needed to name places in it.
pub(super) struct Source<'t> {
    /// Path as it was given.
    pub(super) path: Arc<str>,
    /// The whole text.
    pub(super) text: &'t str,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    /// Characters before each multiple of [`MARK_BYTES`].
    marks: Vec<usize>,
}

impl<'t> Source<'t> {
    /// Reads `bytes` as a rule file; a file that cannot be read as text at all gives its one fault.
    pub(super) fn new(path: &Arc<str>, bytes: &'t [u8]) -> Result<Self, Diagnostic> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(Diagnostic::error(
                Place::new(path, 1, 1),
                "",
                format!("the file has {} bytes, the limit is {MAX_FILE_BYTES}", bytes.len()),
                "split it into several files",
            ));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::index(path, text)),
            Err(error) => Err(not_utf8(path, bytes, error.valid_up_to())),
        }
    }

    fn index(path: &Arc<str>, text: &'t str) -> Self {
        let mut lines = vec![0];
        lines.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        let mut marks = vec![0];
        let mut total = 0;
        for chunk in text.as_bytes().chunks(MARK_BYTES) {
            total += characters(chunk);
            marks.push(total);
        }
        Self { path: Arc::clone(path), text, lines, marks }
    }

    /// The place of a byte offset.
    pub(super) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let column = self.characters_before(offset) - self.characters_before(start) + 1;
        Place::new(&self.path, clamp(line), clamp(column))
    }

    /// The line that `offset` stands in, cut to what fits a message.
    pub(super) fn line(&self, offset: usize) -> &'t str {
        let rest = self.text.get(offset..).unwrap_or_default();
        shorten(rest.lines().next().unwrap_or_default())
    }

    fn characters_before(&self, offset: usize) -> usize {
        let mark = offset / MARK_BYTES;
        let counted = self.marks.get(mark).copied().unwrap_or_default();
        counted + characters(self.text.as_bytes().get(mark * MARK_BYTES..offset).unwrap_or_default())
    }
}

/// Characters that begin in `bytes`.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count()
}

fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Text for a message: the first 120 characters.
pub(super) fn shorten(text: &str) -> &str {
    text.char_indices().nth(120).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

fn not_utf8(path: &Arc<str>, bytes: &[u8], valid: usize) -> Diagnostic {
    let before = bytes.get(..valid).unwrap_or_default();
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let column = characters(before.get(start..).unwrap_or_default()) + 1;
    let byte = bytes.get(valid).copied().unwrap_or_default();
    Diagnostic::error(
        Place::new(path, clamp(line), clamp(column)),
        format!("\\x{byte:02x}"),
        "the file is not UTF-8 text",
        "save the file as UTF-8; a pattern can name a byte as \\xNN with type=\"pcre2\"",
    )
}

/// Collects the faults of one file.
pub(super) struct Faults<'s> {
    source: &'s Source<'s>,
    origin: Origin,
    found: Vec<Diagnostic>,
    errors: usize,
}

impl<'s> Faults<'s> {
    pub(super) fn new(source: &'s Source<'s>, origin: Origin) -> Self {
        Self { source, origin, found: Vec::new(), errors: 0 }
    }

    /// The file can or could not be used at `offset`.
    pub(super) fn error(
        &mut self,
        offset: usize,
        text: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors += 1;
        let place = self.source.place(offset);
        self.push(Diagnostic::error(place, shorten(text), message, help));
    }

    /// The reference leaves the rule out and goes on: how bad that is depends on whose file it is.
    pub(super) fn left_out(
        &mut self,
        offset: usize,
        text: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors += 1;
        let place = self.source.place(offset);
        let fault = Diagnostic::error(place, shorten(text), message, help);
        self.push(self.origin.left_out(fault));
    }

    /// It works as it is written, but it may be a slip of the pen. Only for those who can mend it: an installation's
    /// files are taken as they lie.
    pub(super) fn advice(
        &mut self,
        offset: usize,
        text: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.origin == Origin::User {
            self.warning(offset, text, message, help);
        }
    }

    /// It works, but probably not as meant.
    pub(super) fn warning(
        &mut self,
        offset: usize,
        text: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let place = self.source.place(offset);
        self.push(Diagnostic::warning(place, shorten(text), message, help));
    }

    /// How many faults there were so far that leave something out: what grew it is broken.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether there are so many that going on makes no sense.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() > MAX_FAULTS
    }

    /// Whose file it is.
    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// The file the faults are in.
    pub(super) fn source(&self) -> &'s Source<'s> {
        self.source
    }

    /// All of them, in the order of the file.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|fault| (fault.place.line, fault.place.column));
        self.found
    }

    fn push(&mut self, fault: Diagnostic) {
        if self.found.len() < MAX_FAULTS {
            self.found.push(fault);
        } else if self.found.len() == MAX_FAULTS {
            // An error whatever the fault was: nobody has seen the rest of the file's faults.
            self.found.push(Diagnostic {
                severity: Severity::Error,
                text: String::new(),
                message: format!("the file has more than {MAX_FAULTS} faults, the others are not shown"),
                help: "mend the first ones, they may have caused the others".to_owned(),
                place: fault.place,
            });
        }
    }
}

/// Text put together from parts of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    /// The text itself.
    pub(super) value: String,
    pieces: Vec<Piece>,
}

/// From `start` of the text on, byte `start + n` stood at `origin + n` of the file, or all of it at `origin`.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    origin: usize,
    verbatim: bool,
}

impl Text {
    /// Text that stands at `origin` as it is.
    pub(super) fn verbatim(value: &str, origin: usize) -> Self {
        let mut text = Self::default();
        text.push(value, origin);
        text
    }

    /// Appends text that stands at `origin` as it is.
    pub(super) fn push(&mut self, value: &str, origin: usize) {
        if !value.is_empty() || self.pieces.is_empty() {
            self.pieces.push(Piece { start: self.value.len(), origin, verbatim: true });
            self.value.push_str(value);
        }
    }

    /// Appends text that came in for something that stands at `origin`.
    pub(super) fn push_replacement(&mut self, value: &str, origin: usize) {
        if !value.is_empty() || self.pieces.is_empty() {
            self.pieces.push(Piece { start: self.value.len(), origin, verbatim: false });
            self.value.push_str(value);
        }
    }

    /// Appends another text with its origins.
    pub(super) fn append(&mut self, other: &Self) {
        let shift = self.value.len();
        self.pieces.extend(other.pieces.iter().map(|piece| Piece { start: piece.start + shift, ..*piece }));
        self.value.push_str(&other.value);
    }

    /// Appends a part of this text to `to`, with its origins.
    pub(super) fn copy(&self, range: std::ops::Range<usize>, to: &mut Self) {
        let mut at = range.start;
        while at < range.end {
            let index = self.pieces.partition_point(|piece| piece.start <= at);
            let end = self.pieces.get(index).map_or(range.end, |next| next.start.min(range.end));
            let Some(part) = self.value.get(at..end) else { return };
            match index.checked_sub(1).and_then(|index| self.pieces.get(index)) {
                Some(piece) if !piece.verbatim => to.push_replacement(part, piece.origin),
                _ => to.push(part, self.origin(at)),
            }
            at = end;
        }
    }

    /// Where byte `offset` of the text stood in the file.
    pub(super) fn origin(&self, offset: usize) -> usize {
        let index = self.pieces.partition_point(|piece| piece.start <= offset);
        match index.checked_sub(1).and_then(|index| self.pieces.get(index)) {
            Some(piece) if piece.verbatim => piece.origin + (offset - piece.start),
            Some(piece) => piece.origin,
            None => 0,
        }
    }
}
