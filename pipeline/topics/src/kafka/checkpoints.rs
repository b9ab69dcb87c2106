//! Where the sources of an instance, or of a task, go on: its part of the topic `checkpoints`.
//!
//! Enters: the instance's name; a task's is `task:<task>`. Leaves: what its last transaction left, whoever made it and on whichever machine.
//!
//! | key | value |
//! |---|---|
//! | `<instance>/<stream>` | the stream's checkpoint; a tombstone where the stream has ended for good |
//! | `<instance>` | the mark of the last transaction: who made it, and its number |
//! | `<instance>/` | the mark of the last start |
//!
//! Two hosts read files of the same name, so a stream's name alone would not do. The journal lies on one machine's disk: in
//! its key it has a name of its own, lest a position in one journal be taken for one in another. Whoever begins writes a mark
//! into every partition and reads up to it: then everything before has been seen, also what lay behind transactions of
//! others that were still open. A mark of a transaction tells whether one was committed whose end nobody heard of, and whether
//! another process has written meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::KafkaError;
use super::settings::Settings;
use super::table::{Entry, Table};
use super::writer::{Outgoing, Writer};
use crate::JOURNAL_STREAM;

/// Transactions of others that are open are ended after ten seconds; brokers may be slow besides.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// What keys are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    instance: String,
    /// The name of the journal on this machine, where there is one.
    journal: Option<String>,
}

/// What is found under them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Of the last transaction.
    pub(super) mark: Option<Vec<u8>>,
    pub(super) streams: BTreeMap<Arc<str>, Vec<u8>>,
}

impl Keys {
    pub(super) fn new(instance: &str, journal: Option<String>) -> Self {
        Self { instance: instance.to_owned(), journal }
    }

    /// Of a stream.
    pub(super) fn stream(&self, stream: &str) -> String {
        match &self.journal {
            Some(name) if stream == JOURNAL_STREAM => format!("{}/{JOURNAL_STREAM}.{name}", self.instance),
            _ => format!("{}/{stream}", self.instance),
        }
    }

    /// Of the mark of a transaction.
    pub(super) fn mark(&self) -> &str {
        &self.instance
    }

    /// Of the mark of a start.
    fn start(&self) -> String {
        format!("{}/", self.instance)
    }

    /// The stream that a key is of.
    fn stream_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let stream = key.strip_prefix(&self.instance)?.strip_prefix('/')?;
        // Streams of sources have a `/` in their names.
        match stream.strip_prefix(JOURNAL_STREAM).filter(|rest| !rest.contains('/')) {
            Some(rest) => {
                let is_own = rest.strip_prefix('.') == self.journal.as_deref();
                is_own.then_some(JOURNAL_STREAM)
            }
            None => Some(stream),
        }
    }

    /// Notes an entry of the table.
    fn note(&self, entry: &Entry<'_>, found: &mut Found) {
        let Ok(key) = std::str::from_utf8(entry.key) else { return };
        if key == self.instance {
            found.mark = entry.value.map(<[u8]>::to_vec);
            return;
        }
        let Some(stream) = self.stream_of(key).filter(|stream| !stream.is_empty()) else { return };
        match entry.value.filter(|value| !value.is_empty()) {
            Some(value) => found.streams.insert(stream.into(), value.to_vec()),
            None => found.streams.remove(stream),
        };
    }
}

/// Marks a start and reads what was there before it. The writer has taken the instance over by now, so nobody adds to it.
pub(super) fn read(
    settings: &Settings,
    keys: &Keys,
    writer: &mut Writer,
    mark: &[u8],
) -> Result<Found, KafkaError> {
    let topic = settings.names.checkpoints();
    let table = Table::open(settings, &topic)?;
    let start = keys.start();
    for partition in 0..table.partitions() {
        let (key, payload) = (Some(start.as_bytes()), Some(mark));
        let partition = Some(partition);
        writer.send(Outgoing { topic: &topic, partition, key, payload, ..Outgoing::default() })?;
    }
    writer.commit(None)?;
    let mut open: BTreeSet<i32> = (0..table.partitions()).collect();
    let mut found = Found::default();
    let mut heard = Instant::now();
    while !open.is_empty() {
        let is_heard = table.poll(LOOK, |entry| {
            if entry.key == start.as_bytes() && entry.value == Some(mark) {
                open.remove(&entry.partition);
            }
            keys.note(&entry, &mut found);
        })?;
        if is_heard {
            heard = Instant::now();
        } else if heard.elapsed() > LONGEST_SILENCE {
            return Err(table.silence());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keys: &Keys, entries: &[(&str, Option<&[u8]>)]) -> Found {
        let mut found = Found::default();
        for (key, value) in entries {
            keys.note(&Entry { partition: 0, key: key.as_bytes(), value: *value }, &mut found);
        }
        found
    }

    #[test]
    fn what_is_written_under_a_key_is_found_under_its_stream() {
        let keys = Keys::new("a-1", Some("7f".to_owned()));
        for stream in ["trail/file/00", "journal", "journal/file/00", "journal.7f/file/1"] {
            let found = found(&keys, &[(&keys.stream(stream), Some(b"x"))]);
            assert_eq!(found.streams, BTreeMap::from([(stream.into(), b"x".to_vec())]), "{stream}");
        }
    }

    #[test]
    fn what_belongs_to_others_is_passed_over() {
        let keys = Keys::new("a", Some("7f".to_owned()));
        let value: Option<&[u8]> = Some(b"x");
        let others = ["a-1/s/1", "b/s/1", "b", "a/", "a/journal", "a/journal.80", "as", "\u{0}"];
        assert_eq!(found(&keys, &others.map(|key| (key, value))), Found::default());
        let without = Keys::new("a", None);
        assert_eq!(found(&without, &[("a/journal.7f", value)]), Found::default());
    }

    #[test]
    fn the_newest_value_stands_and_a_tombstone_ends_a_stream() {
        let keys = Keys::new("a", None);
        let entries: [(&str, Option<&[u8]>); 7] = [
            ("a/s/1", Some(b"1")),
            ("a/s/2", Some(b"1")),
            ("a", Some(b"m1")),
            ("a/s/1", Some(b"2")),
            ("a/s/2", None),
            ("a", Some(b"m2")),
            ("a/s/3", Some(b"")),
        ];
        let found = found(&keys, &entries);
        assert_eq!(found.mark.as_deref(), Some(&b"m2"[..]));
        assert_eq!(found.streams, BTreeMap::from([("s/1".into(), b"2".to_vec())]));
    }
}
