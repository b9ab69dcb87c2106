//! What the tests of the stage's parts are made of.

use std::sync::Arc;

use threatlockdown_event::{Context, EventId, Millis};
use threatlockdown_topics::{Candidate, Lane, Marker};

/// A candidate at that time, of an event with that id.
pub(super) fn candidate(time: i64, event: u8) -> Candidate {
    let text: Arc<str> = "test".into();
    Candidate {
        component: 0,
        key: Vec::new(),
        correlated: Vec::new(),
        time: Millis(time),
        event: EventId([event; 16]),
        context: Arc::new(Context {
            source: Arc::clone(&text),
            connector: Arc::clone(&text),
            location: Arc::clone(&text),
            account: None,
            envelope: Vec::new(),
            origin: text,
            origin_id: [0; 16],
        }),
        version: "v".into(),
        received: Millis(time),
        place: 0,
        alerted: None,
        record: b"record".to_vec(),
        held: Vec::new(),
        places: Vec::new(),
    }
}

/// Word of a stream.
pub(super) fn progress(stream: &str, until: i64) -> Marker {
    let lane = Lane { stream: stream.into(), source: "test".into() };
    Marker::Progress { lane, until: Millis(until) }
}
