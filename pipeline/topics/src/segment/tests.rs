//! The log against torn tails, corruption, a full disk and everything that may be lying in its folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::file::AppendFile;
use super::*;
use crate::codec::DecodeError;

const KIND: u8 = b't';
const NOW: Duration = Duration::ZERO;

/// A disk that can be made to fail or to hold up syncs.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) full: AtomicBool,
    pub(crate) fail_sync: AtomicBool,
    pub(crate) fail_cut: AtomicBool,
    held: Mutex<bool>,
    released: Condvar,
}

struct DiskFile {
    file: File,
    disk: Arc<Disk>,
}

impl Disk {
    pub(crate) fn opener(self: &Arc<Self>) -> Opener {
        let disk = Arc::clone(self);
        Arc::new(move |path| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            Ok(Box::new(DiskFile { file, disk: Arc::clone(&disk) }))
        })
    }

    /// While held, syncs do not return.
    pub(crate) fn hold(&self, hold: bool) {
        *self.held.lock().unwrap() = hold;
        self.released.notify_all();
    }
}

impl AppendFile for DiskFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.disk.full.load(Ordering::SeqCst) {
            // As a real disk does: what there is room for is written before the error comes.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.file.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        let held = self.disk.held.lock().unwrap();
        drop(self.disk.released.wait_while(held, |held| *held).unwrap());
        if self.disk.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the device has gone"));
        }
        self.file.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.disk.fail_cut.load(Ordering::SeqCst) {
            return Err(io::Error::other("the device has gone"));
        }
        self.file.cut(length)
    }
}

fn settings(directory: &Path, segment_bytes: u64) -> Settings {
    Settings {
        directory: directory.to_owned(),
        kind: KIND,
        segment_bytes,
        durable: None,
        opener: Arc::new(open_file),
    }
}

fn open(directory: &Path) -> Result<SegmentedLog, LogError> {
    SegmentedLog::open(settings(directory, 200))
}

fn append(log: &mut SegmentedLog, payload: &[u8]) -> Result<LogPosition, LogError> {
    let mut frame = Vec::new();
    start_frame(&mut frame);
    frame.extend_from_slice(payload);
    log.append(&mut frame)
}

fn read(log: &SegmentedLog) -> Vec<Vec<u8>> {
    let mut reader = log.reader(None);
    let mut payloads = Vec::new();
    while let Some(frame) = reader.next(NOW, |payload| Ok(payload.to_vec())).unwrap() {
        payloads.push(frame.value);
    }
    payloads
}

fn payload(number: usize) -> Vec<u8> {
    format!("payload {number} {}", "x".repeat(number * 7 % 50)).into_bytes()
}

/// A log with `count` payloads; leaves the end after each.
fn filled(directory: &Path, count: usize, segment_bytes: u64) -> Vec<LogPosition> {
    let mut log = SegmentedLog::open(settings(directory, segment_bytes)).unwrap();
    (0..count).map(|number| append(&mut log, &payload(number)).unwrap()).collect()
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn payloads_come_back_across_segments_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("log");
    let expected: Vec<_> = (0..60).map(payload).collect();
    for round in expected.chunks(20) {
        let mut log = open(&log_dir).unwrap();
        for payload in round {
            append(&mut log, payload).unwrap();
        }
    }
    let log = open(&log_dir).unwrap();
    assert_eq!(read(&log), expected);
    assert!(files(&log_dir).len() > 5);
}

#[test]
fn a_tail_cut_anywhere_leaves_exactly_the_complete_frames() {
    let dir = tempfile::tempdir().unwrap();
    let ends = filled(dir.path(), 8, u64::MAX);
    let path = segment_path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let complete = ends.iter().filter(|end| end.offset <= length as u64).count();
        let mut log = SegmentedLog::open(settings(dir.path(), u64::MAX)).unwrap();
        assert_eq!(read(&log), (0..complete).map(payload).collect::<Vec<_>>(), "cut at {length}");
        append(&mut log, b"after").unwrap();
        drop(log);
        assert_eq!(
            read(&SegmentedLog::open(settings(dir.path(), u64::MAX)).unwrap()).last().unwrap(),
            b"after",
            "cut at {length}"
        );
    }
}

#[test]
fn a_tail_of_zeros_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let end = filled(dir.path(), 3, u64::MAX)[2];
    let path = segment_path(dir.path(), 1);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(end.offset + 5000).unwrap();
    let log = open(dir.path()).unwrap();
    assert_eq!((log.end(), read(&log).len()), (end, 3));
}

#[test]
fn a_changed_byte_in_the_middle_names_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    let ends = filled(dir.path(), 6, u64::MAX);
    let path = segment_path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    let starts: Vec<u64> = [HEADER_BYTES].into_iter().chain(ends.iter().map(|end| end.offset)).collect();
    for byte in HEADER_BYTES..ends[4].offset {
        let mut changed = whole.clone();
        changed[usize::try_from(byte).unwrap()] ^= 0x11;
        fs::write(&path, &changed).unwrap();
        let expected = *starts.iter().rfind(|start| **start <= byte).unwrap();
        match open(dir.path()).err() {
            Some(LogError::Corrupt { path: named, offset, .. }) => {
                assert_eq!((named, offset), (path.clone(), expected));
            }
            other => panic!("byte {byte}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), changed, "an error must not cut anything off");
    }
}

#[test]
fn what_was_known_to_be_durable_is_never_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let ends = filled(dir.path(), 3, u64::MAX);
    let path = segment_path(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let known =
        |durable| SegmentedLog::open(Settings { durable: Some(durable), ..settings(dir.path(), 200) });
    assert!(
        matches!(known(ends[2]).err(), Some(LogError::Corrupt { offset, .. }) if offset == ends[1].offset)
    );
    fs::write(&path, &bytes[..usize::try_from(ends[0].offset).unwrap()]).unwrap();
    assert!(
        matches!(known(ends[1]).err(), Some(LogError::Behind { end, wanted, .. }) if end == ends[0] && wanted == ends[1])
    );
    assert_eq!(known(ends[0]).unwrap().end(), ends[0]);
}

#[test]
fn corruption_never_gives_another_payload() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 40, 300);
    let names = files(dir.path());
    let originals: Vec<_> = names.iter().map(|name| fs::read(dir.path().join(name)).unwrap()).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    for _ in 0..400 {
        let file = next(names.len());
        let mut bytes = originals[file].clone();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            bytes[at] = bytes[at].wrapping_add(1 + u8::try_from(next(255)).unwrap());
        }
        fs::write(dir.path().join(&names[file]), &bytes).unwrap();
        if let Ok(log) = open(dir.path()) {
            let mut reader = log.reader(None);
            let mut count = 0;
            while let Ok(Some(frame)) = reader.next(NOW, |payload| Ok(payload.to_vec())) {
                assert_eq!(frame.value, payload(count));
                count += 1;
            }
            assert!(count < 40, "the changed frame was read");
            assert!(reader.next(NOW, |_| Ok(())).is_err() || file == names.len() - 1, "skipped in silence");
        }
        fs::write(dir.path().join(&names[file]), &originals[file]).unwrap();
    }
}

#[test]
fn a_frame_inside_a_torn_payload_is_not_taken_for_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let first = filled(dir.path(), 1, u64::MAX)[0];
    let path = segment_path(dir.path(), 1);
    let image = fs::read(&path).unwrap()[usize::try_from(HEADER_BYTES).unwrap()..].to_vec();
    let mut log = SegmentedLog::open(settings(dir.path(), u64::MAX)).unwrap();
    append(&mut log, &image.repeat(50)).unwrap();
    drop(log);
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    assert_eq!(open(dir.path()).unwrap().end(), first);
}

#[test]
fn a_kill_while_a_segment_is_created_is_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("log");
    filled(&log_dir, 10, 100);
    let next = segment_path(&log_dir, files(&log_dir).len() as u64 + 1);
    for left in [&b""[..], b"T", b"TLDLOGt", &[0; 8]] {
        fs::write(&next, left).unwrap();
        let log = open(&log_dir).unwrap();
        assert_eq!(read(&log).len(), 10);
        assert_eq!(fs::read(&next).unwrap(), header(KIND));
    }
}

#[test]
fn foreign_and_newer_segments_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 2, u64::MAX);
    let path = segment_path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for (byte, text) in [(0, "does not begin like"), (6, "does not begin like"), (7, "version")] {
        let mut changed = whole.clone();
        changed[byte] ^= 0x40;
        fs::write(&path, &changed).unwrap();
        let message = open(dir.path()).err().unwrap().to_string();
        assert!(message.contains(text) && message.contains("0001.log"), "{message}");
    }
}

#[test]
fn a_missing_segment_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 20, 100);
    fs::remove_file(segment_path(dir.path(), 3)).unwrap();
    let message = open(dir.path()).err().unwrap().to_string();
    assert!(message.contains("0003.log") && message.contains("missing"), "{message}");
}

#[test]
fn a_failed_append_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    let limited = || Settings { opener: disk.opener(), ..settings(dir.path(), 120) };
    let mut log = SegmentedLog::open(limited()).unwrap();
    let mut reader = log.reader(None);
    for number in 0..30 {
        let end = log.end();
        for fault in [&disk.full, &disk.fail_sync] {
            for cut_fails in [false, true] {
                fault.store(true, Ordering::SeqCst);
                disk.fail_cut.store(cut_fails, Ordering::SeqCst);
                assert!(matches!(
                    append(&mut log, b"rather longer than what follows").err(),
                    Some(LogError::Io { .. })
                ));
                assert!(reader.next(NOW, |_| Ok(())).unwrap().is_none(), "not durable, so not to be seen");
                fault.store(false, Ordering::SeqCst);
            }
        }
        assert_eq!(log.end(), end);
        disk.fail_cut.store(false, Ordering::SeqCst);
        append(&mut log, &payload(number)).unwrap();
        assert_eq!(reader.next(NOW, |bytes| Ok(bytes.to_vec())).unwrap().unwrap().value, payload(number));
    }
    drop(log);
    assert_eq!(read(&open(dir.path()).unwrap()), (0..30).map(payload).collect::<Vec<_>>());
}

#[test]
fn a_reader_waits_for_the_next_frame() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    let mut reader = log.reader(None);
    let reading = std::thread::spawn(move || {
        (0..30)
            .map(|_| reader.next(Duration::from_secs(60), |bytes| Ok(bytes.to_vec())).unwrap().unwrap().value)
            .collect()
    });
    for number in 0..30 {
        append(&mut log, &payload(number)).unwrap();
    }
    let read: Vec<Vec<u8>> = reading.join().unwrap();
    assert_eq!(read, (0..30).map(payload).collect::<Vec<_>>());
}

#[test]
fn what_does_not_decode_is_reported_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let ends = filled(dir.path(), 2, u64::MAX);
    let log = open(dir.path()).unwrap();
    let mut reader = log.reader(Some(ends[0]));
    for _ in 0..2 {
        let error = reader.next::<()>(NOW, |_| Err(DecodeError::Short)).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { offset, .. } if offset == ends[0].offset));
    }
    assert!(reader.next(NOW, |_| Ok(())).unwrap().is_some());
}

#[test]
fn deletion_spares_the_last_segment_and_readers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let ends = filled(dir.path(), 20, 100);
    let log = open(dir.path()).unwrap();
    let last = log.end().segment;
    let mut old = log.reader(Some(ends[0]));
    let tail = log.tail();
    assert!(tail.has_below(3));
    tail.delete_below(3, dir.path()).unwrap();
    assert!(!tail.has_below(3));
    assert_eq!(tail.start(), LogPosition::start_of(3));
    let frame = old.next(NOW, |_| Ok(())).unwrap().unwrap();
    assert_eq!(frame.start, LogPosition::start_of(3));
    tail.delete_below(u64::MAX, dir.path()).unwrap();
    assert_eq!(files(dir.path()).len(), 1);
    assert_eq!(tail.start().segment, last);
    drop(log);
    assert_eq!(open(dir.path()).unwrap().end().segment, last);
}

#[test]
fn bytes_after_count_frames_only() {
    let dir = tempfile::tempdir().unwrap();
    let ends = filled(dir.path(), 20, 100);
    let log = open(dir.path()).unwrap();
    let all: usize = (0..20).map(|number| payload(number).len() + FRAME_BYTES).sum();
    assert_eq!(log.tail().bytes_after(log.tail().start()), all as u64);
    assert_eq!(log.tail().bytes_after(ends[18]), (payload(19).len() + FRAME_BYTES) as u64);
    assert_eq!(log.tail().bytes_after(log.end()), 0);
}

#[test]
fn positions_beyond_the_end_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let end = filled(dir.path(), 2, u64::MAX)[1];
    let log = open(dir.path()).unwrap();
    for wanted in [LogPosition { offset: end.offset + 1, ..end }, LogPosition { segment: 9, offset: 8 }] {
        let error = log.reader(Some(wanted)).next(NOW, |_| Ok(())).unwrap_err();
        assert!(matches!(error, LogError::Behind { .. }), "{error}");
    }
}

#[test]
fn too_large_a_frame_is_refused_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    let mut frame = vec![0; FRAME_BYTES + MAX_PAYLOAD + 1];
    assert!(matches!(log.append(&mut frame).err(), Some(LogError::TooLarge { .. })));
    append(&mut log, b"").unwrap();
    assert_eq!(read(&log), [b""]);
}
