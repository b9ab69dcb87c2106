//! The records of a body: split, each checked.
//!
//! JSON is checked here, unlike in files, because the client is still there to be told.

use memchr::memchr_iter;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::IngestOptions;
use super::answer::Refusal;
use crate::formats::{Batch, Format, Framer, Limits, Resume, detect};

/// Deepest nesting of a record that is accepted.
const MAX_DEPTH: usize = 128;

/// Most rejected records that an answer lists; the rest is counted.
const LISTED: usize = 1000;

/// What a body holds.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) records: Vec<Vec<u8>>,
    rejected: Vec<Rejection>,
    rejected_total: usize,
}

#[derive(Debug, Serialize)]
struct Rejection {
    /// Line in the body, or place in the array, counted from 1.
    line: usize,
    error: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    accepted: usize,
    rejected: &'a [Rejection],
    /// Only where the list is cut short.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_total: Option<usize>,
}

impl Parsed {
    /// Whether there was something, and nothing of it is valid.
    pub(super) fn is_all_bad(&self) -> bool {
        self.records.is_empty() && self.rejected_total > 0
    }

    /// The body of the answer.
    pub(super) fn answer(&self) -> Vec<u8> {
        let cut = self.rejected_total > self.rejected.len();
        let answer = Answer {
            accepted: self.records.len(),
            rejected: &self.rejected,
            rejected_total: cut.then_some(self.rejected_total),
        };
        // Strings and numbers only: serialising them cannot fail.
        serde_json::to_vec(&answer).unwrap_or_default()
    }

    fn reject(&mut self, line: usize, error: String) {
        self.rejected_total += 1;
        if self.rejected.len() < LISTED {
            self.rejected.push(Rejection { line, error });
        }
    }
}

/// Splits the body and checks what comes out.
pub(super) fn parse(source: &str, body: &[u8], options: &IngestOptions) -> Result<Parsed, Refusal> {
    let mut parsed = Parsed::default();
    let Some(format) = detect(source, body) else { return Ok(parsed) };
    let limits = Limits { max_event_bytes: options.max_event_bytes, ..Limits::default() };
    let mut framer = Framer::new(format, Resume::default(), 0, limits);
    let mut places = Places::new(body, format);
    let mut rest = body;
    // Reading from memory does not fail, and ends with 0.
    while framer.fill(&mut rest).is_ok_and(|count| count > 0) {
        while framer.is_full() {
            take(framer.take(), format, &mut places, &mut parsed);
            check_count(&parsed, options)?;
        }
    }
    framer.finish();
    take(framer.take(), format, &mut places, &mut parsed);
    check_count(&parsed, options)?;
    Ok(parsed)
}

fn check_count(parsed: &Parsed, options: &IngestOptions) -> Result<(), Refusal> {
    if parsed.records.len() > options.max_records {
        return Err(Refusal::TooLarge(format!("the body holds more than {} records", options.max_records)));
    }
    Ok(())
}

/// Records and rejected ones of a batch, in the order of the body.
fn take(batch: Batch, format: Format, places: &mut Places<'_>, parsed: &mut Parsed) {
    let mut rejected = batch.rejected.into_iter().peekable();
    for record in &batch.records {
        while let Some(bad) = rejected.next_if(|bad| bad.start < record.origin) {
            parsed.reject(places.next(bad.start), bad.detail);
        }
        let bytes = &batch.buffer[record.start as usize..][..record.len as usize];
        let line = places.next(record.origin);
        match check(bytes, format) {
            Ok(()) => parsed.records.push(bytes.to_vec()),
            Err(error) => parsed.reject(line, error),
        }
    }
    for bad in rejected {
        parsed.reject(places.next(bad.start), bad.detail);
    }
}

fn check(record: &[u8], format: Format) -> Result<(), String> {
    if format == Format::Lines {
        return Ok(());
    }
    if depth(record) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH}"));
    }
    serde_json::from_slice::<IgnoredAny>(record).map(|_| ()).map_err(|error| error.to_string())
}

/// Deepest nesting outside of strings.
fn depth(record: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in record {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Tells the client where a record is: by line, or by number where records share lines.
struct Places<'a> {
    body: &'a [u8],
    by_line: bool,
    /// Everything before this offset is counted.
    at: usize,
    line: usize,
    number: usize,
}

impl<'a> Places<'a> {
    fn new(body: &'a [u8], format: Format) -> Self {
        let array = body.trim_ascii_start().starts_with(b"[");
        Self { body, by_line: format == Format::Lines || !array, at: 0, line: 1, number: 0 }
    }

    fn next(&mut self, offset: u64) -> usize {
        self.number += 1;
        if !self.by_line {
            return self.number;
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.body.len());
        if offset > self.at {
            self.line += memchr_iter(b'\n', &self.body[self.at..offset]).count();
            self.at = offset;
        }
        self.line
    }
}
