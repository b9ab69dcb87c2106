//! From the bytes of a record to its decoder, its log and its tape.
//!
//! Enters: a record. Leaves: [`Decoded`], with the JSON of the record on the worker's tape. Records of JSON sources must
//! be JSON; lines of text sources are looked at the way the reference does: header first, then whether what remains
//! looks like JSON, and then broken JSON is a line without fields, not a fault.

use std::borrow::Cow;

use memchr::memmem::Finder;
use simd_json::{Buffers, ErrorType, Node, Tape};

use super::{Fault, overflow};
use crate::decode::header::{self, Header};
use crate::program::Decoder;

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
    pub(crate) decoder: Option<Decoder>,
    pub(crate) header: Header<'a>,
    /// Field that the decoder for tagged text lines took.
    pub(crate) tag: Option<&'a str>,
    /// The bytes were not UTF-8; values were read with U+FFFD in their place.
    pub(crate) lossy: bool,
    /// Numbers were too large for any type.
    pub(crate) has_infinities: bool,
}

/// A record of a source whose records are JSON. `as_is`: rules see just this record, so that it may be of the kind that
/// has a decoder of its own.
pub(crate) fn json_record<'a, 't>(
    record: &'a [u8],
    as_is: bool,
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) -> Result<Decoded<'a>, Fault> {
    let Parsed { lossy, has_infinities } = parse(record, Tail::Refused, room, buffers, tape)?;
    let header = Header { timestamp: None, hostname: None, program_name: None, log: record };
    let decoder = if as_is && is_ms_graph(record) { Decoder::JsonMsGraph } else { Decoder::Json };
    Ok(Decoded { decoder: Some(decoder), header, tag: None, lossy, has_infinities })
}

/// A line of a text source; it ends at the first NUL.
pub(crate) fn text_record<'a, 't>(
    record: &'a [u8],
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) -> Decoded<'a> {
    let end = memchr::memchr(0, record).unwrap_or(record.len());
    let header = header::parse(&record[..end]);
    let log = header.log;
    let mut decoded = Decoded { decoder: None, header, tag: None, lossy: false, has_infinities: false };
    if decoded.header.program_name.is_some() {
        // The reference looks at such lines with the decoders for programs only, and these here are not.
        return decoded;
    }
    if is_ms_graph(log) {
        decoded.decoder = Some(Decoder::JsonMsGraph);
    } else if looks_like_json(log) {
        decoded.decoder = Some(Decoder::Json);
    } else if let Some(tagged) = strip_ignoring_case(log, AZURE_TAG) {
        decoded.decoder = Some(Decoder::AzureStorage);
        decoded.tag = azure_storage_tag(tagged);
    }
    if matches!(decoded.decoder, Some(Decoder::Json | Decoder::JsonMsGraph)) {
        match parse(log, Tail::Tolerated, room, buffers, tape) {
            Ok(parsed) => decoded.lossy = parsed.lossy,
            Err(_) => tape.0.clear(),
        }
    }
    decoded
}

const AZURE_TAG: &[u8] = b"azure_tag: azure-storage. ";

fn azure_storage_tag(text: &[u8]) -> Option<&str> {
    let value = strip_ignoring_case(text, b"azure_storage_tag: ")?;
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok().filter(|tag| !tag.is_empty())
}

fn strip_ignoring_case<'t>(text: &'t [u8], prefix: &[u8]) -> Option<&'t [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Letter case aside. What stands between name and value is looked for, which has no case.
fn is_ms_graph(log: &[u8]) -> bool {
    const MEMBER: &[u8] = br#""integration":"ms-graph""#;
    const NAME: usize = br#""integration"#.len();
    memchr::memmem::find_iter(log, br#"":""#).any(|at| {
        let member = at.checked_sub(NAME).and_then(|start| log.get(start..start + MEMBER.len()));
        member.is_some_and(|member| member.eq_ignore_ascii_case(MEMBER))
    })
}

/// `{`, blanks, `"` at the start.
fn looks_like_json(log: &[u8]) -> bool {
    log.strip_prefix(b"{")
        .and_then(|rest| rest.iter().find(|byte| **byte != b' '))
        .is_some_and(|byte| *byte == b'"')
}

/// Whether bytes may follow the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Refused,
    Tolerated,
}

/// What had to be done to a record.
#[derive(Default)]
struct Parsed {
    /// Bytes were replaced because they were not UTF-8.
    lossy: bool,
    /// See [`Decoded::has_infinities`].
    has_infinities: bool,
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
    if nul_escape.find(record).is_some() {
        cut_at_nul(&mut tape.0);
    }
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

/// The reference keeps names and texts up to their first NUL.
fn cut_at_nul(tape: &mut [Node<'_>]) {
    for node in tape {
        if let Node::String(text) = node
            && let Some(end) = memchr::memchr(0, text.as_bytes())
        {
            *text = &text[..end];
        }
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
    use super::*;

    fn decode(line: &str) -> (Option<&'static str>, usize, Option<String>) {
        let (mut bytes, mut buffers, mut tape) =
            (Room::default(), Buffers::with_max_depth(64, 16), Tape(Vec::new()));
        let decoded = text_record(line.as_bytes(), &mut bytes, &mut buffers, &mut tape);
        (decoded.decoder.map(Decoder::name), tape.0.len(), decoded.tag.map(str::to_owned))
    }

    #[test]
    fn text_lines_choose_their_decoder() {
        assert_eq!(decode(r#"{"a":1}"#), (Some("json"), 3, None));
        assert_eq!(decode(r#"{ "a":1} trailing"#), (Some("json"), 3, None));
        assert_eq!(decode(r#"{"a":"#), (Some("json"), 0, None));
        assert_eq!(decode("{a}"), (None, 0, None));
        assert_eq!(decode(r#"{"integration":"ms-graph","ms-graph":{}}"#).0, Some("json-msgraph"));
        assert_eq!(
            decode("azure_tag: azure-storage. azure_storage_tag: logs. 2018/03/30 x"),
            (Some("azure-storage"), 0, Some("logs.".into()))
        );
        assert_eq!(decode("AZURE_TAG: azure-storage. x").0, Some("azure-storage"));
        assert_eq!(decode(r#"{"Integration":"MS-Graph","a":1}"#), (Some("json-msgraph"), 5, None));
        assert_eq!(decode(r#"{ "a":1} {"b":2}"#), (Some("json"), 3, None));
        assert_eq!(decode("{\"a\":1}\0{"), (Some("json"), 3, None));
        assert_eq!(decode(r#"{ "a":"1\u0000"}"#), (Some("json"), 3, None));
    }

    #[test]
    fn lines_of_programs_are_left_to_the_decoders_of_programs() {
        assert_eq!(decode(r#"Dec 29 10:00:01 host app: {"a":1}"#).0, None);
        assert_eq!(decode(r#"Dec 29 10:00:01 host {"a":1}"#).0, Some("json"));
    }

    fn json(record: &[u8], as_is: bool) -> Result<(Decoder, bool, Vec<String>), Fault> {
        let (mut room, mut buffers, mut tape) =
            (Room::default(), Buffers::with_max_depth(64, 16), Tape(Vec::new()));
        let decoded = json_record(record, as_is, &mut room, &mut buffers, &mut tape)?;
        let texts = (0..tape.0.len()).map(|at| {
            let mut text = String::new();
            crate::decode::text::write_value(&tape.0, at, &mut text);
            text
        });
        Ok((decoded.decoder.unwrap(), decoded.lossy, texts.skip(1).collect()))
    }

    #[test]
    fn json_records_must_be_json() {
        for record in [&b"{\"a\":"[..], b"", b"{\"a\":1}x", b"{\"a\":1}{}", b"{\"a\":1}\0", b"\xff"] {
            let fault = json(record, true).unwrap_err();
            assert!(matches!(fault, Fault::Malformed(_)), "{fault:?}");
        }
        assert_eq!(json("[".repeat(100_000).as_bytes(), true), Err(Fault::TooDeep));
        assert!(json(b"{\"a\":\"\xff\"}", true).unwrap().1);
    }

    #[test]
    fn numbers_too_large_for_any_type_are_infinite() {
        let (_, _, texts) = json(br#"{"a":1e999,"b":"1e999","c":[-1e400, 2, "x\"1e999"]}"#, true).unwrap();
        assert_eq!(texts[..4], ["a", "inf", "b", "1e999"]);
        assert_eq!(texts[5], r#"[null, 2, "x\"1e999"]"#);
        assert!(json(br#"{"a":1e999,"b":01e999}"#, true).is_err());
    }

    #[test]
    fn texts_and_names_end_at_nul() {
        let (_, _, texts) = json(br#"{"a\u0000b":"c\u0000d","e":"\u0000"}"#, true).unwrap();
        assert_eq!(texts, ["a", "c", "e", ""]);
    }

    #[test]
    fn only_records_that_rules_see_as_they_are_have_special_decoders() {
        let record = br#"{"integration":"ms-graph","x":{"INTEGRATION":"other"}}"#;
        assert_eq!(json(record, true).unwrap().0, Decoder::JsonMsGraph);
        assert_eq!(json(record, false).unwrap().0, Decoder::Json);
        assert_eq!(json(br#"{"integration": "ms-graph"}"#, true).unwrap().0, Decoder::Json);
    }
}
