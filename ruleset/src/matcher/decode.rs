//! From the bytes of a record to its decoder, its log and its tape.
//!
//! Enters: a record. Leaves: [`Decoded`], with the JSON of the record on the worker's tape. Records of JSON sources must
//! be JSON; lines of text sources are looked at the way the reference does: header first, then whether what remains
//! looks like JSON, and then broken JSON is a line without fields, not a fault.

use simd_json::{Buffers, ErrorType, Tape};

use super::Fault;
use crate::decode::header::{self, Header};
use crate::program::Decoder;

/// Copies of a record that the parser may write into.
#[derive(Debug, Default)]
pub(crate) struct Room {
    bytes: Vec<u8>,
    /// For records that are not UTF-8.
    replaced: Vec<u8>,
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
}

/// A record of a source whose records are JSON.
pub(crate) fn json_record<'a, 't>(
    record: &'a [u8],
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) -> Result<Decoded<'a>, Fault> {
    let lossy = parse(record, room, buffers, tape)?;
    let header = Header { timestamp: None, hostname: None, program_name: None, log: record };
    Ok(Decoded { decoder: Some(Decoder::Json), header, tag: None, lossy })
}

/// A line of a text source.
pub(crate) fn text_record<'a, 't>(
    record: &'a [u8],
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) -> Decoded<'a> {
    let header = header::parse(record);
    let log = header.log;
    let mut decoded = Decoded { decoder: None, header, tag: None, lossy: false };
    if memchr::memmem::find(log, br#""integration":"ms-graph""#).is_some() {
        decoded.decoder = Some(Decoder::JsonMsGraph);
    } else if looks_like_json(log) {
        decoded.decoder = Some(Decoder::Json);
    } else if let Some(tagged) = log.strip_prefix(AZURE_TAG) {
        decoded.decoder = Some(Decoder::AzureStorage);
        decoded.tag = azure_storage_tag(tagged);
    }
    if matches!(decoded.decoder, Some(Decoder::Json | Decoder::JsonMsGraph)) {
        let start = log.iter().position(|byte| *byte == b'{').unwrap_or(0);
        let value = first_value(&log[start..]);
        match parse(value, room, buffers, tape) {
            Ok(lossy) => decoded.lossy = lossy,
            Err(_) => tape.0.clear(),
        }
    }
    decoded
}

const AZURE_TAG: &[u8] = b"azure_tag: azure-storage. ";

fn azure_storage_tag(text: &[u8]) -> Option<&str> {
    let value = text.strip_prefix(b"azure_storage_tag: ")?;
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok().filter(|tag| !tag.is_empty())
}

/// `{`, blanks, `"` at the start.
fn looks_like_json(log: &[u8]) -> bool {
    log.strip_prefix(b"{")
        .and_then(|rest| rest.iter().find(|byte| **byte != b' '))
        .is_some_and(|byte| *byte == b'"')
}

/// Bytes after a complete value are tolerated in text lines.
fn first_value(text: &[u8]) -> &[u8] {
    if text.last() == Some(&b'}') {
        return text;
    }
    let mut stream = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    match stream.next() {
        Some(Ok(_)) => &text[..stream.byte_offset()],
        _ => text,
    }
}

/// Fills the tape; true when bytes had to be replaced because they were not UTF-8. The parser checks the encoding
/// itself, so that only a record that it refuses is looked at again.
fn parse<'t>(
    record: &[u8],
    room: &'t mut Room,
    buffers: &mut Buffers,
    tape: &mut Tape<'t>,
) -> Result<bool, Fault> {
    let Room { bytes, replaced } = room;
    bytes.clear();
    bytes.extend_from_slice(record);
    let Err(error) = simd_json::fill_tape(bytes, buffers, tape) else { return Ok(false) };
    if std::str::from_utf8(record).is_ok() {
        return Err(fault(&error));
    }
    replaced.clear();
    replaced.extend_from_slice(String::from_utf8_lossy(record).as_bytes());
    tape.0.clear();
    simd_json::fill_tape(replaced, buffers, tape).map(|()| true).map_err(|error| fault(&error))
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
        assert_eq!(decode(r#"Dec 29 10:00:01 host app: {"a":1}"#).0, Some("json"));
    }

    #[test]
    fn json_records_must_be_json() {
        let (mut bytes, mut buffers) = (Room::default(), Buffers::with_max_depth(64, 16));
        let fault = json_record(b"{\"a\":", &mut bytes, &mut buffers, &mut Tape(Vec::new())).unwrap_err();
        assert!(matches!(fault, Fault::Malformed(_)), "{fault:?}");
        let deep = "[".repeat(100_000);
        let fault =
            json_record(deep.as_bytes(), &mut bytes, &mut buffers, &mut Tape(Vec::new())).unwrap_err();
        assert_eq!(fault, Fault::TooDeep);
        let lossy =
            json_record(b"{\"a\":\"\xff\"}", &mut bytes, &mut buffers, &mut Tape(Vec::new())).unwrap();
        assert!(lossy.lossy);
    }
}
