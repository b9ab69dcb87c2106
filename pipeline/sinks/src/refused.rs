//! Alerts that a sink's target will never take, and where they are kept.
//!
//! Enters: an alert and the target's reason. Leaves: a dead letter that holds the whole alert. [`KeepsRefused`] is for one
//! process: it writes them to a file whose length is a part of the sink's state, so that each is there once, whatever is
//! killed when. In a cluster the topic of dead letters takes that place, in the transaction that commits the offsets.

use serde::{Deserialize, Serialize};
use threatlockdown_event::{Alert, DeadLetter, Millis, Reason};
use threatlockdown_topics::Commit;

use crate::file::{Content, FileSink, FileSinkOptions};
use crate::sink::{Sink, SinkError};

/// One alert that was refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The alert as it came.
    pub alert: Alert,
    /// Why, in the words of the target.
    pub reason: String,
}

impl Refused {
    /// The dead letter: the alert is its record, the sink stands as the connector, the alert's id as the origin.
    #[must_use]
    pub fn dead_letter(&self, sink: &str) -> DeadLetter {
        DeadLetter {
            reason: Reason::Refused,
            detail: self.reason.clone(),
            source: source(&self.alert.json),
            connector: sink.to_owned(),
            origin: format!("alert:{}", self.alert.id),
            ingested: Millis::now(),
            record: self.alert.json.clone(),
            length: self.alert.json.len() as u64,
            sha256: None,
        }
    }
}

/// The log source that the alert names.
fn source(json: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Shown {
        event: Event,
    }
    #[derive(Deserialize)]
    struct Event {
        source: String,
    }
    serde_json::from_slice::<Shown>(json).map(|shown| shown.event.source).unwrap_or_default()
}

/// A sink whose refused alerts go to a file.
pub struct KeepsRefused<S> {
    sink: S,
    letters: FileSink,
}

/// What is stored with the cursor.
#[derive(Default, Serialize, Deserialize)]
struct State {
    sink: Vec<u8>,
    letters: Vec<u8>,
}

impl<S: Sink> KeepsRefused<S> {
    /// The file is made when the first alert is refused, or before.
    #[must_use]
    pub fn new(sink: S, path: std::path::PathBuf) -> Self {
        let options = FileSinkOptions::new(path, Content::DeadLetters);
        let letters = FileSink::new(sink.name().to_owned(), options);
        Self { sink, letters }
    }
}

impl<S: Sink> Sink for KeepsRefused<S> {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn resume(&mut self, state: &[u8]) -> Result<(), SinkError> {
        let state: State = match state {
            [] => State::default(),
            bytes => serde_json::from_slice(bytes).map_err(|error| SinkError::State(error.to_string()))?,
        };
        self.letters.resume(&state.letters)?;
        self.sink.resume(&state.sink)
    }

    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
        self.sink.deliver(commit)
    }

    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        let sink = self.sink.flush()?;
        let name = self.sink.name();
        let dead_letters = self.sink.refused().iter().map(|one| one.dead_letter(name).to_json()).collect();
        self.letters.deliver(&Commit { dead_letters, ..Commit::default() })?;
        let letters = self.letters.flush()?;
        serde_json::to_vec(&State { sink, letters }).map_err(|error| SinkError::State(error.to_string()))
    }

    fn stored(&mut self) -> Result<(), SinkError> {
        self.letters.stored()?;
        self.sink.stored()
    }

    fn wants_flush(&self) -> bool {
        self.sink.wants_flush() || self.letters.wants_flush()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use threatlockdown_event::AlertId;

    use super::*;

    /// Refuses every alert.
    #[derive(Default)]
    struct Never {
        refused: Vec<Refused>,
    }

    impl Sink for Never {
        fn name(&self) -> &str {
            "never"
        }

        fn resume(&mut self, state: &[u8]) -> Result<(), SinkError> {
            assert!(matches!(state, b"" | b"own"), "{state:?}");
            self.refused.clear();
            Ok(())
        }

        fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
            let refused = |alert: &Alert| Refused { alert: alert.clone(), reason: String::from("no") };
            self.refused.extend(commit.alerts.iter().map(refused));
            Ok(())
        }

        fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
            Ok(b"own".to_vec())
        }

        fn stored(&mut self) -> Result<(), SinkError> {
            self.refused.clear();
            Ok(())
        }

        fn refused(&self) -> &[Refused] {
            &self.refused
        }
    }

    fn commit(number: u8) -> Commit {
        let alert = |level| Alert {
            id: AlertId([number; 16]),
            level,
            json: format!("{{\"n\":{number}}}").into_bytes(),
        };
        Commit { alerts: vec![alert(3)], ..Commit::default() }
    }

    fn records(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let letter = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines().map(|line| letter(line)["record"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_refused_alert_is_in_the_file_once_though_it_is_refused_again_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deadletter-never.jsonl");
        let start = |state: &[u8]| {
            let mut sink = KeepsRefused::new(Never::default(), path.clone());
            sink.resume(state).unwrap();
            sink
        };
        let mut sink = start(b"");
        assert!(sink.wants_flush(), "before the first line the file is recorded");
        let _ = sink.flush().unwrap();
        sink.stored().unwrap();
        sink.deliver(&commit(1)).unwrap();
        let stored = sink.flush().unwrap();
        sink.stored().unwrap();
        sink.deliver(&commit(2)).unwrap();
        let _ = sink.flush().unwrap();
        assert_eq!(records(&path), ["{\"n\":1}", "{\"n\":2}"]);
        // Killed before the state of the second was stored, so it comes again.
        drop(sink);
        let mut sink = start(&stored);
        assert_eq!(records(&path), ["{\"n\":1}"]);
        sink.deliver(&commit(2)).unwrap();
        let _ = sink.flush().unwrap();
        sink.stored().unwrap();
        let _ = sink.flush().unwrap();
        assert_eq!(records(&path), ["{\"n\":1}", "{\"n\":2}"], "and not again with the next flush");
    }

    #[test]
    fn a_state_that_is_none_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = KeepsRefused::new(Never::default(), dir.path().join("x"));
        assert!(matches!(sink.resume(b"[").unwrap_err(), SinkError::State(_)));
    }
}
