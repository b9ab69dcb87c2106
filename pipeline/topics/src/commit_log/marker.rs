//! Progress markers: what tells the stateful stage how far time has come.
//!
//! Enters: what workers, sources and clocks know. Leaves: bytes of a commit, and back. Whatever moves the watermark stands
//! in the log beside the candidates, also what a wall clock decided, so that reading the log again moves it in the same
//! way.

use std::sync::Arc;

use threatlockdown_event::Millis;

use crate::codec::{DecodeError, Decoder, put_bytes, put_count, put_u64};
use crate::segment::LogPosition;

const SECTION_VERSION: u8 = 1;

/// One of the sequences of units whose times are compared: a stream, and the log source in it, since a stream of requests
/// can carry several, each with a lateness of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// Name of the stream.
    pub stream: Arc<str>,
    /// Log source of the units.
    pub source: Arc<str>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Units of the lane are done, and events older than `until` are not expected from it any more: its highest time less
    /// its lateness.
    Progress {
        /// The lane.
        lane: Lane,
        /// See there.
        until: Millis,
    },
    /// Nothing has come of the lane for a while, so it holds nothing back until it is heard of again.
    Idle {
        /// The lane.
        lane: Lane,
        /// After the last commit that the decision knows of; word of the lane that came later takes it back.
        seen: LogPosition,
    },
    /// Inputs are read that can hold anything: nothing is counted until [`Marker::Resume`].
    Hold,
    /// See [`Marker::Hold`].
    Resume,
    /// Every lane is silent, and by the wall clock nothing older is expected: windows that end before can be decided.
    Passed {
        /// By so long as lanes stay silent before they hold nothing back, less than the clock.
        until: Millis,
    },
    /// All inputs have ended, so everything is counted.
    End,
    /// The process ends; nothing follows of it.
    Stop,
}

/// Appends markers in their stored form.
pub(super) fn encode(markers: &[Marker], out: &mut Vec<u8>) {
    out.push(SECTION_VERSION);
    put_count(out, markers.len());
    for marker in markers {
        match marker {
            Marker::Progress { lane, until } => {
                out.push(1);
                put_lane(lane, out);
                put_u64(out, until.0.cast_unsigned());
            }
            Marker::Idle { lane, seen } => {
                out.push(2);
                put_lane(lane, out);
                put_u64(out, seen.segment);
                put_u64(out, seen.offset);
            }
            Marker::Hold => out.push(3),
            Marker::Resume => out.push(4),
            Marker::End => out.push(5),
            Marker::Stop => out.push(6),
            Marker::Passed { until } => {
                out.push(7);
                put_u64(out, until.0.cast_unsigned());
            }
        }
    }
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Vec<Marker>, DecodeError> {
    decoder.version(SECTION_VERSION)?;
    decoder.list(1, |item| {
        Ok(match item.u8()? {
            1 => Marker::Progress { lane: take_lane(item)?, until: Millis(item.i64()?) },
            2 => Marker::Idle {
                lane: take_lane(item)?,
                seen: LogPosition { segment: item.u64()?, offset: item.u64()? },
            },
            3 => Marker::Hold,
            4 => Marker::Resume,
            5 => Marker::End,
            6 => Marker::Stop,
            7 => Marker::Passed { until: Millis(item.i64()?) },
            other => return Err(DecodeError::Version(other)),
        })
    })
}

fn put_lane(lane: &Lane, out: &mut Vec<u8>) {
    put_bytes(out, lane.stream.as_bytes());
    put_bytes(out, lane.source.as_bytes());
}

fn take_lane(item: &mut Decoder<'_>) -> Result<Lane, DecodeError> {
    Ok(Lane { stream: item.shared_text()?, source: item.shared_text()? })
}
