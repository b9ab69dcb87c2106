//! Events that are judged once more, in the order of time.
//!
//! Enters: events as several threads come by them. Leaves: the same by number, in the order of time and then of reading. The
//! records lie in a file without a name, so memory holds some 80 bytes of each.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use threatlockdown_event::{Context, Millis};
use threatlockdown_ruleset::convert::prove::{Event, Kept, Spot};

/// Events that are being kept.
pub(super) struct Spool {
    file: BufWriter<File>,
    end: u64,
    entries: Vec<Entry>,
    contexts: Vec<Arc<Context>>,
    /// By address: units share theirs.
    known: HashMap<usize, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: Millis,
    received: Millis,
    spot: Spot,
    at: u64,
    length: u32,
    context: u32,
    number: u32,
}

impl Spool {
    /// An empty one, with its file in `folder`.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let file = BufWriter::new(tempfile::tempfile_in(folder)?);
        Ok(Self { file, end: 0, entries: Vec::new(), contexts: Vec::new(), known: HashMap::new() })
    }

    /// Keeps an event that happened at that time; its number so far.
    pub(super) fn push(&mut self, event: &Event<'_>, time: Millis) -> io::Result<u32> {
        let (Ok(number), Ok(length)) = (u32::try_from(self.entries.len()), u32::try_from(event.record.len()))
        else {
            return Err(io::Error::other("more events have to do with others than can be kept"));
        };
        let contexts = &mut self.contexts;
        let context = *self.known.entry(Arc::as_ptr(event.context).addr()).or_insert_with(|| {
            // Kept here, so that no other one comes to lie at its address.
            contexts.push(Arc::clone(event.context));
            u32::try_from(contexts.len() - 1).unwrap_or(u32::MAX)
        });
        self.file.write_all(event.record)?;
        let Event { received, spot, .. } = *event;
        self.entries.push(Entry { time, received, spot, at: self.end, length, context, number });
        self.end += u64::from(length);
        Ok(number)
    }

    /// Puts the events in order; with it the new number of each, by the one that it had.
    pub(super) fn sorted(mut self) -> io::Result<(Sorted, Vec<u32>)> {
        self.entries.sort_unstable_by_key(|entry| (entry.time, entry.spot));
        let mut ranks = vec![0; self.entries.len()];
        for (rank, entry) in (0..).zip(&self.entries) {
            if let Some(place) = ranks.get_mut(entry.number as usize) {
                *place = rank;
            }
        }
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((Sorted { file, entries: self.entries, contexts: self.contexts }, ranks))
    }
}

/// Events in order.
pub(super) struct Sorted {
    file: File,
    entries: Vec<Entry>,
    contexts: Vec<Arc<Context>>,
}

impl Kept for Sorted {
    fn count(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    fn spot(&self, number: u32) -> Option<Spot> {
        self.entries.get(number as usize).map(|entry| entry.spot)
    }

    fn read(&self, number: u32, record: &mut Vec<u8>) -> io::Result<(Arc<Context>, Millis)> {
        let gone = || io::Error::other("an event that was kept is gone");
        let entry = self.entries.get(number as usize).ok_or_else(gone)?;
        record.resize(entry.length as usize, 0);
        self.file.read_exact_at(record, entry.at)?;
        let context = self.contexts.get(entry.context as usize).ok_or_else(gone)?;
        Ok((Arc::clone(context), entry.received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: &str) -> Arc<Context> {
        Arc::new(Context {
            source: "syslog".into(),
            connector: "test".into(),
            location: name.into(),
            account: None,
            envelope: Vec::new(),
            origin: name.into(),
            origin_id: [0; 16],
        })
    }

    #[test]
    fn events_come_back_in_the_order_of_time_and_then_of_reading() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).unwrap();
        let contexts = [context("a"), context("b")];
        // As two threads may come by them.
        for (sequence, index, time, text) in [(1, 0, 5, "d"), (0, 1, 5, "cc"), (0, 0, 9, ""), (1, 1, 2, "a")]
        {
            let spot = Spot { stream: 0, sequence, index, place: 0 };
            let context = &contexts[usize::try_from(sequence).unwrap()];
            let event = Event { record: text.as_bytes(), context, received: Millis(time + 1), spot };
            spool.push(&event, Millis(time)).unwrap();
        }
        let (sorted, ranks) = spool.sorted().unwrap();
        assert_eq!(ranks, [2, 1, 3, 0]);
        let mut record = b"longer than any".to_vec();
        let read = (0..sorted.count()).map(|number| {
            let (context, received) = sorted.read(number, &mut record).unwrap();
            (String::from_utf8(record.clone()).unwrap(), context.location.to_string(), received.0)
        });
        let read: Vec<_> = read.collect();
        let expected = [("a", "b", 3), ("cc", "a", 6), ("d", "b", 6), ("", "a", 10)];
        assert_eq!(read, expected.map(|(text, name, at)| (text.to_owned(), name.to_owned(), at)));
        assert!(sorted.spot(4).is_none() && sorted.read(4, &mut record).is_err());
    }
}
