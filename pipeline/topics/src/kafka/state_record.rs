//! Records of the topic `correlate`: what workers set apart, what clocks decide, and how far time has come.
//!
//! Enters: the payload that [`encode_state`](crate::commit_log::encode_state) makes. Leaves: records to be written, and from
//! those that are read the payload, or whose they are.
//!
//! | header | content |
//! |---|---|
//! | `v` | version of the payload: `1`; it is raised with that of any of its parts |
//!
//! The first releases wrote no header: what can be read without one is theirs. All that cannot be read and names no later version is
//! somebody else's.

use rdkafka::message::{Header, OwnedHeaders};

use super::later::later;
use super::received::Received;
use super::writer::Outgoing;
use crate::Commit;
use crate::commit_log::decode_state;

const VERSION: u64 = 1;
const TEXT: &str = "1";

/// What a record of `correlate` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateRecord {
    /// Candidates and markers.
    Known(Commit),
    /// A later release wrote it, in this version of the payload.
    Later(u64),
    /// Nobody's of this pipeline, for this reason.
    Foreign(&'static str),
}

impl StateRecord {
    /// Reads what [`state_record`] made.
    #[must_use]
    pub fn of(record: &Received<'_>) -> Self {
        read(record.header("v"), record.payload())
    }
}

/// The record of a payload.
#[must_use]
pub fn state_record<'o>(topic: &'o str, partition: Option<i32>, payload: &'o [u8]) -> Outgoing<'o> {
    let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: "v", value: Some(TEXT) });
    let (payload, headers) = (Some(payload), Some(headers));
    Outgoing { topic, partition, payload, headers, ..Outgoing::default() }
}

fn read(version: Option<&[u8]>, payload: &[u8]) -> StateRecord {
    if let Some(version) = version.and_then(|version| later(version, VERSION)) {
        return StateRecord::Later(version);
    }
    if version.is_some_and(|version| version != TEXT.as_bytes()) {
        return StateRecord::Foreign("its header `v` is none of this pipeline's");
    }
    match decode_state(payload) {
        Some(commit) => StateRecord::Known(commit),
        None if payload.is_empty() => StateRecord::Foreign("it is empty"),
        None => StateRecord::Foreign("it cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;
    use threatlockdown_event::Millis;

    use super::*;
    use crate::Marker;
    use crate::commit_log::encode_state;

    fn payload() -> Vec<u8> {
        let mut payload = Vec::new();
        encode_state(&[Marker::Passed { until: Millis(7) }], &[], &mut payload);
        payload
    }

    #[test]
    fn what_is_written_is_read_with_its_header_and_without() {
        let payload = payload();
        let record = state_record("t.correlate", Some(2), &payload);
        let headers = record.headers.as_ref().unwrap();
        let version = headers.iter().find(|header| header.key == "v").unwrap().value;
        let wanted = vec![Marker::Passed { until: Millis(7) }];
        for version in [version, None] {
            match read(version, record.payload.unwrap()) {
                StateRecord::Known(commit) => assert_eq!(commit.markers, wanted),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_later_release_says_so_whatever_the_payload_looks_like() {
        for payload in [&payload()[..], b"", b"\x09later"] {
            assert_eq!(read(Some(b"2"), payload), StateRecord::Later(2));
        }
    }

    #[test]
    fn everything_else_is_somebody_elses() {
        let own = payload();
        let foreign = |version: Option<&[u8]>, payload: &[u8]| {
            let read = read(version, payload);
            assert!(matches!(read, StateRecord::Foreign(_)), "{version:?} {payload:?}: {read:?}");
        };
        for version in [None, Some(&b"1"[..])] {
            foreign(version, b"");
            foreign(version, b"{\"a\":1}");
            // Its first byte looks like another version of the payload.
            foreign(version, &[&[9], &own[1..]].concat());
            (0..own.len()).for_each(|cut| foreign(version, &own[..cut]));
            foreign(version, &[&own[..], b"x"].concat());
        }
        for version in ["0", "-1", "x", ""] {
            foreign(Some(version.as_bytes()), &own);
        }
    }
}
