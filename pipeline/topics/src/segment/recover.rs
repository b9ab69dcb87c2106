//! What a crash left of the last segment, made whole again.
//!
//! Enters: the segment's file and what is known to have been durable. Leaves: the length up to which it holds complete
//! frames. The rest is cut off where it can be a torn append, and an error where it cannot: because it lies before what
//! is known to be durable, or because a complete frame follows, which is only begun when the one before is durable.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::{
    FRAME_BYTES, HEADER_BYTES, LogError, LogPosition, MAX_PAYLOAD, check_header, checksum, parse_frame_header,
};

/// Most bytes that the search for a complete frame behind a broken one checksums. The search tries every place, and
/// contents of an unlucky kind look like a frame at very many of them.
const SEARCH_BYTES: usize = 4 * 1024 * 1024 * 1024;

/// What is left of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It was created and nothing else: its header is missing or incomplete.
    Unfinished,
    /// It holds complete frames up to `good`; `torn` bytes follow.
    Frames { good: u64, torn: u64 },
}

/// Reads a last segment through. `durable`: an offset that is known to have been reached.
pub(super) fn examine(path: &Path, segment: u64, kind: u8, durable: u64) -> Result<Left, LogError> {
    let file = File::open(path).map_err(LogError::io("open", path))?;
    let length = file.metadata().map_err(LogError::io("read", path))?.len();
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut head = [0; HEADER_BYTES as usize];
    if length >= HEADER_BYTES {
        reader.read_exact(&mut head).map_err(LogError::io("read", path))?;
    }
    let checked = check_header(head, kind, path);
    if length <= HEADER_BYTES
        && checked.is_err()
        && (length < HEADER_BYTES || head == [0; HEADER_BYTES as usize])
    {
        return Ok(Left::Unfinished);
    }
    checked?;

    let mut good = HEADER_BYTES;
    let mut payload = Vec::new();
    while let Some(len) =
        next_frame(&mut reader, LogPosition { segment, offset: good }, length, &mut payload, path)?
    {
        good += len;
    }
    if good == length {
        return Ok(Left::Frames { good, torn: 0 });
    }
    if good < durable {
        return Err(LogError::corrupt(
            path,
            good,
            format!("no valid record, though {durable} bytes were durable"),
        ));
    }
    if let Some(next) = frame_behind(&mut reader, segment, good, length, path)? {
        return Err(LogError::corrupt(
            path,
            good,
            format!("no valid record, though one follows at byte {next}"),
        ));
    }
    Ok(Left::Frames { good, torn: length - good })
}

/// Length of the complete frame at `at`, if there is one.
fn next_frame(
    reader: &mut impl Read,
    at: LogPosition,
    length: u64,
    payload: &mut Vec<u8>,
    path: &Path,
) -> Result<Option<u64>, LogError> {
    let room = length - at.offset;
    if room < FRAME_BYTES as u64 {
        return Ok(None);
    }
    let mut head = [0; FRAME_BYTES];
    reader.read_exact(&mut head).map_err(LogError::io("read", path))?;
    let (len, expected) = parse_frame_header(head);
    if len > MAX_PAYLOAD || len as u64 > room - FRAME_BYTES as u64 {
        return Ok(None);
    }
    payload.resize(len, 0);
    reader.read_exact(payload).map_err(LogError::io("read", path))?;
    Ok((checksum(at, payload) == expected).then_some((FRAME_BYTES + len) as u64))
}

/// Offset of a complete frame that begins anywhere behind `broken`.
fn frame_behind(
    reader: &mut BufReader<File>,
    segment: u64,
    broken: u64,
    length: u64,
    path: &Path,
) -> Result<Option<u64>, LogError> {
    let mut rest = Vec::new();
    reader.seek(SeekFrom::Start(broken)).map_err(LogError::io("read", path))?;
    // A torn append is one frame at most. What is longer than a frame can be found at its beginning, too.
    let most = (length - broken).min((MAX_PAYLOAD + FRAME_BYTES) as u64);
    reader.take(most).read_to_end(&mut rest).map_err(LogError::io("read", path))?;
    let mut left = SEARCH_BYTES;
    for (index, window) in rest.windows(FRAME_BYTES).enumerate().skip(1) {
        let Ok(head) = <[u8; FRAME_BYTES]>::try_from(window) else { continue };
        let (len, expected) = parse_frame_header(head);
        let begin = index + FRAME_BYTES;
        if len > MAX_PAYLOAD || len > rest.len() - begin {
            continue;
        }
        if len > left {
            tracing::warn!(file = %path.display(), "not searched further for records behind the broken one");
            break;
        }
        left -= len;
        let offset = broken + index as u64;
        if checksum(LogPosition { segment, offset }, &rest[begin..begin + len]) == expected {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}
