//! The journal through repeated requests, full disks, kills and restarts.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use proptest::prelude::*;
use threatlockdown_event::Millis;

use super::entry::{decode_group, encode_group};
use super::*;
use crate::commit_log::{Commit, CommitLog, CommitLogOptions};
use crate::segment::tests::Disk;

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);
const SMALL: JournalOptions = JournalOptions { max_bytes: 1024 * 1024, segment_bytes: 400 };

fn entry(number: u8, key: Option<&str>) -> Entry {
    let id = key.map_or([number; 16], |key| threatlockdown_event::identity::hash(&[key.as_bytes()]));
    Entry {
        source: String::from("aws.cloudtrail"),
        connector: String::from("http"),
        idempotency_key: key.map(str::to_owned),
        request_id: id,
        peer: String::from("127.0.0.1:9"),
        received: Millis::now(),
        records: vec![vec![number; 40], Vec::new()],
        digest: [number; 16],
        response: format!("accepted {number}").into_bytes(),
    }
}

/// A data directory with its logs open.
struct Open {
    journal: Journal,
    reader: JournalReader,
    log: CommitLog,
    store: Arc<Store>,
}

fn open(dir: &Path) -> Open {
    open_on(dir, &SMALL, &Arc::new(Disk::default()))
}

fn open_on(dir: &Path, options: &JournalOptions, disk: &Arc<Disk>) -> Open {
    let store = Store::open(dir).unwrap();
    let log = CommitLog::open(dir, Arc::clone(&store), CommitLogOptions::default()).unwrap();
    let (journal, reader) = Journal::open_with(dir, Arc::clone(&store), options, disk.opener()).unwrap();
    Open { journal, reader, log, store }
}

impl Open {
    fn send(&self, entry: Entry) -> Receiver<Appended> {
        let (answer, answered) = sync_channel(1);
        self.journal.append(entry, Box::new(move |appended| answer.send(appended).unwrap()));
        answered
    }

    fn append(&self, entry: Entry) -> Appended {
        self.send(entry).recv().unwrap()
    }

    /// Reads one entry and commits it.
    fn consume(&mut self) -> Option<Entry> {
        let (place, entry) = self.reader.next(NOW).unwrap()?;
        self.commit(place.after());
        Some(entry)
    }

    fn commit(&mut self, checkpoint: Vec<u8>) {
        let checkpoints = vec![(Arc::from(JOURNAL_STREAM), checkpoint)];
        self.log.append(&Commit { checkpoints, ..Commit::default() }).unwrap();
    }

    fn committed(&self) -> Vec<u8> {
        self.store.checkpoint(JOURNAL_STREAM).unwrap()
    }
}

fn durable(number: u8, repeated: bool) -> Appended {
    Appended::Durable { response: format!("accepted {number}").into_bytes(), repeated }
}

fn numbers(entries: &[Entry]) -> Vec<u8> {
    entries.iter().map(|entry| entry.digest[0]).collect()
}

#[test]
fn an_entry_goes_on_behind_the_records_that_are_committed() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut open = open(dir.path());
        for number in 0..3 {
            open.append(entry(number, None));
        }
        open.consume().unwrap();
        let (place, _) = open.reader.next(NOW).unwrap().unwrap();
        assert_eq!(place.committed(), 0);
        open.commit(place.within(1));
    }
    let mut open = open(dir.path());
    let (place, found) = open.reader.next(NOW).unwrap().unwrap();
    assert_eq!((place.committed(), found.digest[0]), (1, 1));
    let (next, found) = open.reader.next(NOW).unwrap().unwrap();
    assert_eq!((next.committed(), found.digest[0]), (0, 2));
    open.commit(place.after());
}

#[test]
fn entries_come_back_in_order_from_the_committed_one_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut read = Vec::new();
    for round in 0..5 {
        let mut open = open(dir.path());
        for number in round * 10..round * 10 + 10 {
            assert_eq!(open.append(entry(number, None)), durable(number, false));
        }
        for _ in 0..7 {
            read.push(open.consume().unwrap());
        }
        // Read, but not committed: comes again.
        open.reader.next(NOW).unwrap().unwrap();
    }
    let mut open = open(dir.path());
    assert!(open.journal.unread_bytes() > 0);
    read.extend(std::iter::from_fn(|| open.consume()));
    assert_eq!(numbers(&read), (0..50).collect::<Vec<_>>());
    assert_eq!(read[0].records, entry(0, None).records);
    assert_eq!(open.journal.unread_bytes(), 0);
}

#[test]
fn entries_of_one_frame_are_committed_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    {
        let open = open_on(dir.path(), &JournalOptions::default(), &disk);
        let answers = written_together(&open, &disk, (0..6).map(|number| entry(number, None)));
        assert_eq!(answers, (0..6).map(|number| durable(number, false)).collect::<Vec<_>>());
    }
    let mut read = Vec::new();
    for _ in 0..7 {
        // One step of progress for each start.
        read.extend(open(dir.path()).consume());
    }
    assert_eq!(numbers(&read), [9, 0, 1, 2, 3, 4, 5]);
}

/// Sends while the disk is held, so that all of it is one group behind a first entry (number 9).
fn written_together(open: &Open, disk: &Disk, entries: impl Iterator<Item = Entry>) -> Vec<Appended> {
    disk.hold(true);
    let first = open.send(entry(9, None));
    while !is_being_written(&open.journal) {
        std::thread::yield_now();
    }
    let answers: Vec<_> = entries.map(|entry| open.send(entry)).collect();
    disk.hold(false);
    assert_eq!(first.recv().unwrap(), durable(9, false));
    answers.into_iter().map(|answer| answer.recv().unwrap()).collect()
}

#[test]
fn a_repeated_key_is_answered_as_before_and_read_once() {
    let dir = tempfile::tempdir().unwrap();
    {
        let open = open(dir.path());
        assert_eq!(open.append(entry(1, Some("k"))), durable(1, false));
        assert_eq!(open.append(entry(1, Some("k"))), durable(1, true));
        assert_eq!(open.append(entry(2, Some("k"))), Appended::KeyReused);
        assert_eq!(open.append(entry(2, Some("other"))), durable(2, false));
        assert_eq!(open.append(entry(3, None)), durable(3, false));
        assert_eq!(open.append(entry(3, None)), durable(3, false), "without a key each request is new");
    }
    let mut open = open(dir.path());
    assert_eq!(open.append(entry(1, Some("k"))), durable(1, true));
    assert_eq!(open.append(entry(5, Some("k"))), Appended::KeyReused);
    let read: Vec<Entry> = std::iter::from_fn(|| open.consume()).collect();
    assert_eq!(numbers(&read), [1, 2, 3, 3]);
}

#[test]
fn equal_requests_at_the_same_moment_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    let mut open = open_on(dir.path(), &JournalOptions::default(), &disk);
    let together = [entry(1, Some("k")), entry(1, Some("k")), entry(2, Some("k")), entry(3, Some("l"))];
    let answers = written_together(&open, &disk, together.into_iter());
    assert_eq!(answers, [durable(1, false), durable(1, true), Appended::KeyReused, durable(3, false)]);
    let read: Vec<Entry> = std::iter::from_fn(|| open.consume()).collect();
    assert_eq!(numbers(&read), [9, 1, 3]);
}

#[test]
fn keys_outlive_the_segments_they_were_in() {
    let dir = tempfile::tempdir().unwrap();
    let key = |number: u8| format!("key {number}");
    for round in 0..3_u8 {
        let mut open = open(dir.path());
        for number in round * 20..round * 20 + 20 {
            assert_eq!(open.append(entry(number, Some(&key(number)))), durable(number, false));
            open.consume().unwrap();
        }
        open.journal.expire(&open.committed());
        open.log.snapshot().unwrap();
    }
    assert!(fs::read_dir(dir.path().join("journal")).unwrap().count() <= 2, "segments are deleted");
    let open = open(dir.path());
    for number in 0..60 {
        assert_eq!(open.append(entry(number, Some(&key(number)))), durable(number, true));
    }
}

#[test]
fn unread_bytes_are_bounded_and_reading_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { max_bytes: 1000, segment_bytes: 300 };
    let mut open = open_on(dir.path(), &options, &Arc::new(Disk::default()));
    let mut taken = 0;
    while open.append(entry(taken, None)) != Appended::Full {
        taken += 1;
    }
    assert!((2..=8).contains(&taken), "{taken}");
    assert!(open.journal.unread_bytes() <= 1000);
    for _ in 0..3 {
        while open.consume().is_some() {}
        assert!(!open.journal.is_full());
        open.journal.expire(&open.committed());
        let mut large = entry(7, None);
        large.records = vec![vec![b'x'; 5000]];
        assert_eq!(open.append(large), durable(7, false), "larger than the whole budget, but alone");
        assert!(open.journal.is_full());
        assert_eq!(open.append(entry(8, None)), Appended::Full);
    }
}

#[test]
fn a_full_disk_is_answered_and_survived() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    let mut open = open_on(dir.path(), &SMALL, &disk);
    for number in 0..10 {
        disk.full.store(true, Ordering::SeqCst);
        assert!(matches!(open.append(entry(number, Some("k"))), Appended::Failed(_)));
        disk.full.store(false, Ordering::SeqCst);
        assert_eq!(open.append(entry(number, None)), durable(number, false));
    }
    assert_eq!(open.append(entry(77, Some("k"))), durable(77, false), "a failed request leaves its key free");
    let read: Vec<Entry> = std::iter::from_fn(|| open.consume()).collect();
    assert_eq!(numbers(&read), (0..10).chain([77]).collect::<Vec<_>>());
}

#[test]
fn closing_finishes_what_is_queued_and_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = open(dir.path());
    let answers: Vec<_> = (0..50).map(|number| open.send(entry(number, None))).collect();
    open.journal.close();
    for (number, answer) in (0..50).zip(&answers) {
        assert_eq!(answer.try_recv().unwrap(), durable(number, false));
    }
    assert!(matches!(open.append(entry(60, None)), Appended::Failed(_)));
    let read: Vec<Entry> = std::iter::from_fn(|| open.consume()).collect();
    assert_eq!(numbers(&read), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_reader_waits_for_entries_of_many_senders() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = open(dir.path());
    let mut seen: Vec<u8> = std::thread::scope(|scope| {
        for sender in 0..8_u8 {
            let journal = &open.journal;
            scope.spawn(move || {
                for number in 0..20 {
                    let (answer, answered) = sync_channel(1);
                    let entry = entry(sender * 20 + number, None);
                    journal.append(entry, Box::new(move |appended| answer.send(appended).unwrap()));
                    assert!(matches!(answered.recv().unwrap(), Appended::Durable { .. }));
                }
            });
        }
        (0..160).map(|_| open.reader.next(LONG).unwrap().unwrap().1.digest[0]).collect()
    });
    seen.sort_unstable();
    assert_eq!(seen, (0..160).collect::<Vec<_>>());
}

#[test]
fn a_kill_at_any_byte_leaves_whole_groups() {
    let dir = tempfile::tempdir().unwrap();
    {
        let open = open_on(dir.path(), &JournalOptions::default(), &Arc::new(Disk::default()));
        for number in 0..4 {
            open.append(entry(number, Some(&number.to_string())));
        }
    }
    let path = dir.path().join("journal/00000000000000000001.log");
    let whole = fs::read(&path).unwrap();
    let mut counts = Vec::new();
    for length in (0..=whole.len()).rev() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut open = open(dir.path());
        let read: Vec<Entry> = std::iter::from_fn(|| Some(open.reader.next(NOW).unwrap()?.1)).collect();
        assert_eq!(numbers(&read), (0..u8::try_from(read.len()).unwrap()).collect::<Vec<_>>());
        counts.push(read.len());
    }
    counts.dedup();
    assert_eq!(counts, [4, 3, 2, 1, 0]);
}

/// Whether the thread has taken what was queued and not answered it yet.
fn is_being_written(journal: &Journal) -> bool {
    let queue = journal.shared.queue();
    queue.waiting.is_empty() && queue.bytes > 0
}

prop_compose! {
    fn any_entry()(
        texts: [String; 3], key: Option<String>, request_id: [u8; 16], received: i64,
        records: Vec<Vec<u8>>, digest: [u8; 16], response: Vec<u8>,
    ) -> Entry {
        let [source, connector, peer] = texts;
        let received = Millis(received);
        Entry { source, connector, idempotency_key: key, request_id, peer, received, records, digest, response }
    }
}

proptest! {
    #[test]
    fn groups_decode_to_what_they_were(entries in prop::collection::vec(any_entry(), 0..4), at: usize, value: u8) {
        let mut bytes = Vec::new();
        encode_group(&mut bytes, entries.iter());
        prop_assert_eq!(bytes.len() as u64, 5 + entries.iter().map(Entry::encoded_bytes).sum::<u64>());
        prop_assert_eq!(decode_group(&bytes).unwrap(), entries);
        let at = at % bytes.len();
        prop_assert!(decode_group(&bytes[..at]).is_err());
        bytes[at] = value;
        let _ = decode_group(&bytes);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        let _ = decode_group(&bytes);
        let _ = JournalPosition::decode(&bytes);
    }
}
