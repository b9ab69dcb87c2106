//! The byte form of a commit.
//!
//! Enters: a commit. Leaves: the payload of its frame, and back: checkpoints, alerts, dead letters, then a section each of
//! markers and candidates, preceded by its length, so that whoever has no use for it passes over it. Version 1, without
//! the sections, is read as well.

use std::sync::Arc;

use threatlockdown_event::{Alert, AlertId, Millis};

use super::{Candidate, Commit, Marker, candidate, marker};
use crate::codec::{DecodeError, Decoder, put_bytes, put_count, put_u64};

/// The first byte of what is written.
pub(super) const VERSION: u8 = 2;
/// Without markers and candidates.
const VERSION_WITHOUT_SECTIONS: u8 = 1;

/// What becomes durable, borrowed.
pub(super) struct Parts<'a> {
    pub(super) written: Millis,
    pub(super) checkpoints: &'a [(Arc<str>, Vec<u8>)],
    pub(super) alerts: &'a [&'a Alert],
    pub(super) dead_letters: &'a [Vec<u8>],
    pub(super) markers: &'a [Marker],
    pub(super) candidates: &'a [Candidate],
}

/// What a reader wants of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything but markers and candidates.
    Delivery,
    /// Markers and candidates alone.
    State,
    /// Everything.
    All,
}

pub(super) fn encode(out: &mut Vec<u8>, parts: &Parts<'_>) {
    out.push(VERSION);
    put_u64(out, parts.written.0.cast_unsigned());
    put_count(out, parts.checkpoints.len());
    for (stream, value) in parts.checkpoints {
        put_bytes(out, stream.as_bytes());
        put_bytes(out, value);
    }
    put_count(out, parts.alerts.len());
    for alert in parts.alerts {
        out.extend_from_slice(&alert.id.0);
        out.push(alert.level);
        put_bytes(out, &alert.json);
    }
    put_count(out, parts.dead_letters.len());
    for letter in parts.dead_letters {
        put_bytes(out, letter);
    }
    put_section(out, parts.markers.is_empty(), |out| marker::encode(parts.markers, out));
    put_section(out, parts.candidates.is_empty(), |out| candidate::encode_candidates(parts.candidates, out));
}

/// Appends what the stateful stage has to know, in the form of a commit that holds nothing else.
pub fn encode_state(markers: &[Marker], candidates: &[Candidate], out: &mut Vec<u8>) {
    let written = Millis::now();
    encode(out, &Parts { written, checkpoints: &[], alerts: &[], dead_letters: &[], markers, candidates });
}

/// Reads what [`encode_state`] wrote; `None` when the bytes are anything else.
#[must_use]
pub fn decode_state(payload: &[u8]) -> Option<Commit> {
    decode(payload, Wanted::State).ok().map(|(_, commit)| commit)
}

pub(super) fn decode(payload: &[u8], wanted: Wanted) -> Result<(Millis, Commit), DecodeError> {
    let mut decoder = Decoder::new(payload);
    let version = match decoder.u8()? {
        version @ (VERSION | VERSION_WITHOUT_SECTIONS) => version,
        other => return Err(DecodeError::Version(other)),
    };
    let written = Millis(decoder.i64()?);
    let kept = wanted != Wanted::State;
    let mut commit = Commit::default();
    decoder.each(|item| {
        let (stream, value) = (item.text()?, item.bytes()?);
        if kept {
            commit.checkpoints.push((stream.into(), value.to_vec()));
        }
        Ok(())
    })?;
    decoder.each(|item| {
        let (id, level, json) = (AlertId(item.array()?), item.u8()?, item.bytes()?);
        if kept {
            commit.alerts.push(Alert { id, level, json: json.to_vec() });
        }
        Ok(())
    })?;
    decoder.each(|item| {
        let letter = item.bytes()?;
        if kept {
            commit.dead_letters.push(letter.to_vec());
        }
        Ok(())
    })?;
    if version != VERSION_WITHOUT_SECTIONS {
        let (markers, candidates) = (decoder.bytes()?, decoder.bytes()?);
        if wanted != Wanted::Delivery {
            commit.markers = section(markers, marker::decode)?;
            commit.candidates = section(candidates, candidate::decode_section)?;
        }
    }
    decoder.finish()?;
    Ok((written, commit))
}

/// A section with its length before it; without content it is its length alone.
fn put_section(out: &mut Vec<u8>, is_empty: bool, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    put_count(out, 0);
    if is_empty {
        return;
    }
    let begin = out.len();
    write(out);
    let length = u32::try_from(out.len() - begin).unwrap_or(u32::MAX);
    out[at..begin].copy_from_slice(&length.to_le_bytes());
}

fn section<T>(
    bytes: &[u8],
    decode: impl FnOnce(&mut Decoder<'_>) -> Result<Vec<T>, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut decoder = Decoder::new(bytes);
    let items = decode(&mut decoder)?;
    decoder.finish()?;
    Ok(items)
}
