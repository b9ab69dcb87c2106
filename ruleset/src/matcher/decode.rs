//! From the bytes of a record to its decoder, its log and its tape.
//!
//! Enters: a record. Leaves: [`Decoded`], with the JSON of the record on the worker's tape. Records of JSON sources must
//! be JSON; lines of text sources are looked at the way the reference does: header first, then whether what remains
//! looks like JSON, and then broken JSON is a line without fields, not a fault.

use std::borrow::Cow;

use memchr::memmem::Finder;
use simd_json::{Buffers, ErrorType, Tape};

use super::fields::{Collector, Fields};
use super::{Fault, Input, overflow};
use crate::decode::extract::Reading;
use crate::decode::header::{self, Header};
use crate::decode::mapping::Format;
use crate::decode::tree::Work;
use crate::ir::{Category, DecoderIndex};
use crate::program::{Binding, DecoderId, Program};

/// Copies of a record that the parser may write into.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: Vec<u8>,
    /// For records that have to be changed before the parser takes them.
    mended: Vec<u8>,
    nul_escape: Finder<'static>,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: Vec::new(), mended: Vec::new(), nul_escape: Finder::new(br"\u0000") }
    }
}

/// A record after decoding.
#[derive(Debug)]
pub(crate) struct Decoded<'a> {
    /// The decoder that gives name, type and what is seen for the first time.
    pub(crate) decoder: Option<DecoderIndex>,
    /// Its id as `<decoded_as>` means it.
    pub(crate) decoder_id: Option<DecoderId>,
    /// Its type; nothing for types that no rule root takes.
    pub(crate) category: Option<Category>,
    pub(crate) header: Header<'a>,
    /// The record is JSON, whatever its decoder.
    pub(crate) is_json: bool,
    /// How the record's JSON is read.
    pub(crate) reading: Reading,
    /// Id of the rule that the event itself names.
    pub(crate) rule: Option<u32>,
    /// The part of the log that the location is completed with, and that is the host.
    pub(crate) relocated: Option<&'a [u8]>,
    /// The bytes were not UTF-8; values were read with U+FFFD in their place.
    pub(crate) lossy: bool,
}

impl Decoded<'_> {
    /// Name of the decoder.
    pub(crate) fn decoder_name<'p>(&self, program: &'p Program) -> Option<&'p str> {
        self.decoder.map(|decoder| program.decoders.get(decoder).name.as_str())
    }
}

/// What decoding works with.
pub(super) struct Decoding<'s, 'p> {
    pub(super) program: &'p Program,
    pub(super) work: &'s mut Work,
    pub(super) fields: &'s mut Fields,
}

impl Decoding<'_, '_> {
    /// A record of a source whose records are JSON, on the tape already. `as_text`: rules see just this record, so
    /// that decoders look at it.
    pub(super) fn json<'a>(
        &mut self,
        record: &'a [u8],
        decoder: Option<DecoderIndex>,
        as_text: bool,
        reading: Reading,
    ) -> Decoded<'a> {
        let header = Header { timestamp: None, hostname: None, program_name: None, log: record };
        if as_text {
            let mut decoded = self.run(record, header, is_broken_over_lines(record));
            decoded.reading = Reading { discard_null: decoded.reading.discard_null, ..reading };
            return decoded;
        }
        Decoded {
            decoder,
            decoder_id: decoder.map(|decoder| self.program.decoders.get(decoder).id),
            category: Some(Category::Syslog),
            header,
            is_json: true,
            reading,
            rule: None,
            relocated: None,
            lossy: false,
        }
    }

    /// A line of a text source; it ends at the first NUL.
    pub(super) fn text<'a>(&mut self, record: &'a [u8]) -> Decoded<'a> {
        let end = memchr::memchr(0, record).unwrap_or(record.len());
        self.run(record, header::parse(&record[..end]), false)
    }

    /// `as_line`: decoders see blanks instead of line ends and tabs, so that every place stays what it is. They expect JSON
    /// on one line, and within strings it has neither.
    fn run<'a>(&mut self, record: &'a [u8], header: Header<'a>, as_line: bool) -> Decoded<'a> {
        let decoders = &self.program.decoders;
        // The log is a part of the record.
        let offset = (header.log.as_ptr() as usize).saturating_sub(record.as_ptr() as usize);
        let mut sink = Collector { program: self.program, fields: self.fields, offset };
        let mut line = std::mem::take(&mut self.work.line);
        line.clear();
        if as_line {
            line.extend(header.log.iter().map(|&byte| if byte.is_ascii_whitespace() { b' ' } else { byte }));
        }
        let log = if as_line { line.as_slice() } else { header.log };
        let result = decoders.decode(log, header.program_name, self.work, &mut sink);
        self.work.line = line;
        let part = |range: Option<(usize, usize)>| range.and_then(|(start, end)| header.log.get(start..end));
        let relocated = part(self.fields.location);
        let header = Header {
            log: part(self.fields.log).unwrap_or(header.log),
            hostname: relocated.or(header.hostname),
            ..header
        };
        let discard_null = self.fields.json.is_some_and(|json| json.options.discard_null);
        let csv = self.fields.json.is_some_and(|json| json.options.csv_arrays);
        Decoded {
            decoder: result.decoder,
            decoder_id: result.decoder.map(|decoder| decoders.get(decoder).id),
            category: result.category,
            header,
            is_json: false,
            reading: Reading { discard_null, csv, ..Reading::default() },
            rule: result.rule,
            relocated,
            lossy: false,
        }
    }
}

/// Whether the first member of an object stands on another line than its brace, as in JSON that is written for people.
fn is_broken_over_lines(record: &[u8]) -> bool {
    let Some(rest) = record.strip_prefix(b"{") else { return false };
    rest.iter().take_while(|byte| byte.is_ascii_whitespace()).any(|byte| *byte != b' ')
}

/// Parses the record of a JSON source.
pub(super) fn parse_record<'t>(
    record: &[u8],
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) -> Result<Parsed, Fault> {
    parse(record, Tail::Refused, room, buffers, tape)
}

/// The tape of a record that the reader has taken, or of the JSON in its text.
pub(super) fn show<'t>(
    binding: &Binding,
    input: &Input<'_>,
    text: &[u8],
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) {
    match binding.mapping.format {
        // It was valid, so there is no fault.
        Format::Json => drop(parse_record(input.record, room, buffers, tape)),
        Format::Text => {
            parse_text(text, room, buffers, tape);
        }
    }
}

/// Parses the JSON at the start of a text; without any the tape stays empty.
pub(super) fn parse_text<'t>(
    text: &[u8],
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) -> Parsed {
    parse(text, Tail::Tolerated, room, buffers, tape).unwrap_or_else(|_| {
        tape.0.clear();
        Parsed::default()
    })
}

/// Whether bytes may follow the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Refused,
    Tolerated,
}

/// What had to be done to a record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Parsed {
    /// Bytes were replaced because they were not UTF-8.
    pub(super) lossy: bool,
    /// Numbers were too large for any type.
    pub(super) has_infinities: bool,
    /// Texts may hold U+0000; nothing else on a tape can.
    pub(super) may_have_nul: bool,
}

/// Fills the tape. The parser checks everything itself,
/// so that only a record that it refuses is looked at again.
fn parse<'t>(
    record: &[u8],
    tail: Tail,
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) -> Result<Parsed, Fault> {
    let Room { bytes, mended, nul_escape } = room;
    bytes.clear();
    bytes.extend_from_slice(record);
    let mut parsed = Parsed::default();
    if let Err(error) = simd_json::fill_tape(bytes, buffers, tape) {
        tape.0.clear();
        parsed.lossy = mend(record, tail, mended).ok_or_else(|| fault(&error))?;
        simd_json::fill_tape(mended, buffers, tape).map_err(|error| fault(&error))?;
        parsed.has_infinities = overflow::restore(&mut tape.0);
    }
    parsed.may_have_nul = nul_escape.find(record).is_some();
    Ok(parsed)
}

/// Makes of a record that the parser refused one that it may take; `None` when there is nothing to be done. True when
/// bytes were not UTF-8.
fn mend(record: &[u8], tail: Tail, mended: &mut Vec<u8>) -> Option<bool> {
    let text = String::from_utf8_lossy(record);
    let lossy = matches!(text, Cow::Owned(_));
    let value = match tail {
        Tail::Refused => text.as_bytes(),
        Tail::Tolerated => first_value(text.as_bytes()),
    };
    mended.clear();
    let numbers = overflow::replace(value, mended);
    (lossy || numbers || value.len() < text.len()).then_some(lossy)
}

fn first_value(text: &[u8]) -> &[u8] {
    let mut stream = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    match stream.next() {
        Some(Ok(_)) => &text[..stream.byte_offset()],
        _ => text,
    }
}

fn fault(error: &simd_json::Error) -> Fault {
    match error.error() {
        ErrorType::DepthLimitExceeded => Fault::TooDeep,
        kind => Fault::Malformed(format!("{kind:?} at byte {}", error.index())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tapes::Tapes;
    use super::*;

    fn json(record: &[u8]) -> Result<(bool, Vec<String>), Fault> {
        let (mut room, mut buffers, mut tape) =
            (Room::default(), Buffers::with_max_depth(64, 16), Tape(Vec::new()));
        let Parsed { lossy, .. } = parse_record(record, &mut room, &mut buffers, &mut tape)?;
        let texts = (0..tape.0.len()).map(|at| {
            let mut text = String::new();
            crate::decode::text::write_value(&tape.0, at, &mut text);
            text
        });
        Ok((lossy, texts.skip(1).collect()))
    }

    #[test]
    fn json_records_must_be_json() {
        for record in [&b"{\"a\":"[..], b"", b"{\"a\":1}x", b"{\"a\":1}{}", b"{\"a\":1}\0", b"\xff"] {
            let fault = json(record).unwrap_err();
            assert!(matches!(fault, Fault::Malformed(_)), "{fault:?}");
        }
        assert_eq!(json("[".repeat(100_000).as_bytes()), Err(Fault::TooDeep));
        assert!(json(b"{\"a\":\"\xff\"}").unwrap().0);
    }

    #[test]
    fn texts_may_go_on_after_their_json() {
        let nodes = |text: &str| {
            let (mut room, mut buffers, mut tape) =
                (Room::default(), Buffers::with_max_depth(64, 16), Tape(Vec::new()));
            parse_text(text.as_bytes(), &mut room, &mut buffers, &mut tape);
            tape.0.len()
        };
        assert_eq!(nodes(r#"{"a":1} trailing"#), 3);
        assert_eq!(nodes(r#"{"a":1} {"b":2}"#), 3);
        assert_eq!(nodes(r#"{"a":"#), 0);
        assert_eq!(nodes("x"), 0);
    }

    #[test]
    fn numbers_too_large_for_any_type_are_infinite() {
        let (_, texts) = json(br#"{"a":1e999,"b":"1e999","c":[-1e400, 2, "x\"1e999"]}"#).unwrap();
        assert_eq!(texts[..4], ["a", "inf", "b", "1e999"]);
        assert_eq!(texts[5], r#"[null, 2, "x\"1e999"]"#);
        assert!(json(br#"{"a":1e999,"b":01e999}"#).is_err());
    }

    #[test]
    fn texts_and_names_are_whole_and_end_at_nul_for_the_reference() {
        let record = br#"{"a\u0000b":"c\u0000d","e":["\u0000", 1, null]}"#;
        let (_, texts) = json(record).unwrap();
        assert_eq!(texts[..3], ["a\0b", "c\0d", "e"]);
        let (mut room, mut buffers, mut tapes) =
            (Room::default(), Buffers::with_max_depth(64, 16), Tapes::new().reset());
        let parsed = parse_record(record, &mut room, &mut buffers, &mut tapes.whole).unwrap();
        assert!(parsed.may_have_nul && !tapes.differ());
        tapes.cut_at_nul();
        let strings = tapes.seen().iter().filter_map(|node| match node {
            simd_json::Node::String(text) => Some(*text),
            _ => None,
        });
        assert_eq!(strings.collect::<Vec<_>>(), ["a", "c", "e", ""]);
        assert_eq!(tapes.seen().len(), tapes.whole.0.len());
    }
}
