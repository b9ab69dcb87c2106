//! The commit log through kills, full disks and restarts.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use threatlockdown_event::Context;

use super::*;
use crate::segment::tests::Disk;

const NOW: Duration = Duration::ZERO;
const SMALL: CommitLogOptions = CommitLogOptions { segment_bytes: 400 };

fn alert(number: u8) -> Alert {
    Alert { id: AlertId([number; 16]), level: number % 16, json: format!("{{\"n\":{number}}}").into_bytes() }
}

fn commit(number: u8) -> Commit {
    Commit {
        checkpoints: vec![
            (Arc::from("a/b"), vec![number]),
            (Arc::from(format!("s/{}", number % 3)), vec![number]),
        ],
        alerts: vec![alert(number)],
        dead_letters: if number.is_multiple_of(4) { vec![b"{}".to_vec()] } else { Vec::new() },
        ..Commit::default()
    }
}

fn open(dir: &Path) -> (CommitLog, Arc<Store>) {
    let store = Store::open(dir).unwrap();
    (CommitLog::open(dir, Arc::clone(&store), SMALL).unwrap(), store)
}

fn read(log: &CommitLog, from: Option<LogPosition>) -> Vec<Commit> {
    let mut reader = log.reader(from);
    std::iter::from_fn(|| reader.next(NOW).unwrap().map(|(_, commit)| commit)).collect()
}

#[test]
fn a_restart_finds_all_with_and_without_snapshots() {
    for snapshot_every in [1, 7, 200] {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..4 {
            let (mut log, store) = open(dir.path());
            if round > 0 {
                assert_eq!(store.checkpoint("a/b"), Some(vec![round * 10 - 1]));
            }
            for number in round * 10..round * 10 + 10 {
                assert!(!log.is_recent(&alert(number).id));
                log.append(&commit(number)).unwrap();
                assert_eq!(store.checkpoint("a/b"), Some(vec![number]));
                if number % snapshot_every == 0 {
                    log.snapshot().unwrap();
                }
            }
        }
        let (log, store) = open(dir.path());
        assert!((0..40).all(|number| log.is_recent(&alert(number).id)));
        assert_eq!(store.checkpoints("s/").len(), 3);
        assert_eq!(read(&log, None), (0..40).map(commit).collect::<Vec<_>>());
    }
}

#[test]
fn a_kill_at_any_byte_leaves_whole_commits() {
    let dir = tempfile::tempdir().unwrap();
    let options = CommitLogOptions::default();
    let ends: Vec<u64> = {
        let store = Store::open(dir.path()).unwrap();
        let mut log = CommitLog::open(dir.path(), store, options.clone()).unwrap();
        (0..5).map(|number| log.append(&commit(number)).unwrap().offset).collect()
    };
    let path = dir.path().join("commit/00000000000000000001.log");
    let whole = fs::read(&path).unwrap();
    for length in (0..=whole.len()).rev() {
        fs::write(&path, &whole[..length]).unwrap();
        let complete = u8::try_from(ends.iter().filter(|end| **end <= length as u64).count()).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let log = CommitLog::open(dir.path(), Arc::clone(&store), options.clone()).unwrap();
        assert_eq!(read(&log, None), (0..complete).map(commit).collect::<Vec<_>>(), "cut at {length}");
        assert_eq!(store.checkpoint("a/b"), complete.checked_sub(1).map(|last| vec![last]));
        assert_eq!(log.is_recent(&alert(4).id), complete == 5);
    }
}

#[test]
fn an_alert_is_appended_once() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut log, _store) = open(dir.path());
        let twice = Commit { alerts: vec![alert(1), alert(2), alert(1)], ..Commit::default() };
        log.append(&twice).unwrap();
        let end = log.end();
        assert_eq!(log.append(&Commit { alerts: vec![alert(2)], ..Commit::default() }).unwrap(), end);
        log.snapshot().unwrap();
    }
    let (mut log, _store) = open(dir.path());
    log.append(&Commit { alerts: vec![alert(1), alert(3)], ..Commit::default() }).unwrap();
    let alerts: Vec<Alert> = read(&log, None).into_iter().flat_map(|commit| commit.alerts).collect();
    assert_eq!(alerts, [alert(1), alert(2), alert(3)]);
}

#[test]
fn an_empty_checkpoint_retires_its_stream() {
    let dir = tempfile::tempdir().unwrap();
    let set = |stream: &str, value: &[u8]| Commit {
        checkpoints: vec![(Arc::from(stream), value.to_vec())],
        ..Commit::default()
    };
    {
        let (mut log, _store) = open(dir.path());
        log.append(&set("gone", b"1")).unwrap();
        log.append(&set("replayed", b"1")).unwrap();
        log.snapshot().unwrap();
        log.append(&set("gone", b"")).unwrap();
        log.snapshot().unwrap();
        log.append(&set("replayed", b"")).unwrap();
    }
    let (_log, store) = open(dir.path());
    assert_eq!(store.checkpoints(""), []);
}

#[test]
fn a_full_disk_changes_nothing_and_the_same_commit_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    {
        let store = Store::open(dir.path()).unwrap();
        let mut log = CommitLog::open_with(dir.path(), Arc::clone(&store), &SMALL, disk.opener()).unwrap();
        for number in 0..20 {
            disk.full.store(true, Ordering::SeqCst);
            assert!(log.append(&commit(number)).is_err());
            assert!(!log.is_recent(&alert(number).id));
            assert_ne!(store.checkpoint("a/b"), Some(vec![number]));
            disk.full.store(false, Ordering::SeqCst);
            log.append(&commit(number)).unwrap();
        }
    }
    let (log, _store) = open(dir.path());
    assert_eq!(read(&log, None), (0..20).map(commit).collect::<Vec<_>>());
}

#[test]
fn deletion_waits_for_the_slowest_sink_and_for_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _store) = open(dir.path());
    let ends: Vec<LogPosition> = (0..40).map(|number| log.append(&commit(number)).unwrap()).collect();
    log.expire(LogPosition::MAX);
    assert_eq!(read(&log, None).len(), 40, "no snapshot yet");
    log.snapshot().unwrap();
    log.expire(ends[20]);
    assert_eq!(read(&log, Some(ends[20])), (21..40).map(commit).collect::<Vec<_>>());
    assert!(read(&log, None).len() < 40);
    log.expire(LogPosition::MAX);
    drop((log, _store));
    let (log, store) = open(dir.path());
    assert!(read(&log, None).len() < 10);
    assert_eq!(store.checkpoint("a/b"), Some(vec![39]));
    assert!((0..40).all(|number| log.is_recent(&alert(number).id)));
}

#[test]
fn positions_go_on_when_the_log_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let end = {
        let (mut log, _store) = open(dir.path());
        log.append(&commit(1)).unwrap();
        log.snapshot().unwrap();
        log.end()
    };
    fs::remove_dir_all(dir.path().join("commit")).unwrap();
    let (mut log, store) = open(dir.path());
    assert_eq!(store.checkpoint("a/b"), Some(vec![1]));
    assert!(log.end() > end);
    log.append(&commit(2)).unwrap();
    assert_eq!(read(&log, Some(end)), [commit(2)]);
}

#[test]
fn a_kill_while_the_state_is_made_leaves_nothing_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    // What redb leaves when it is killed before it writes its magic number.
    let begun = fs::read(dir.path().join("state.redb")).unwrap().iter().map(|_| 0).collect::<Vec<u8>>();
    fs::remove_file(dir.path().join("state.redb")).unwrap();
    fs::write(dir.path().join("state.redb.new"), begun).unwrap();
    let (mut log, _) = open(dir.path());
    log.append(&commit(1)).unwrap();
    assert!(!dir.path().join("state.redb.new").exists());
}

#[test]
fn a_log_without_its_state_is_refused_each_time() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let state = dir.path().join("state.redb");
    fs::remove_file(&state).unwrap();
    let (mut log, _) = open(dir.path());
    log.append(&commit(1)).unwrap();
    drop(log);
    let kept = fs::read(&state).unwrap();
    for _ in 0..2 {
        fs::write(&state, "").unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Missing { .. })));
        fs::remove_file(&state).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Missing { .. })));
    }
    fs::write(&state, kept).unwrap();
    assert_eq!(read(&open(dir.path()).0, None), [commit(1)]);
}

#[test]
fn a_log_that_lost_what_the_snapshot_holds_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut log, _store) = open(dir.path());
        log.append(&commit(1)).unwrap();
        log.snapshot().unwrap();
    }
    let path = dir.path().join("commit/00000000000000000001.log");
    fs::write(&path, &fs::read(&path).unwrap()[..20]).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let error = CommitLog::open(dir.path(), store, SMALL).err().unwrap().to_string();
    assert!(error.contains("0001.log") && error.contains("durable"), "{error}");
}

#[test]
fn a_reader_stays_where_it_is_told_to_go() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _store) = open(dir.path());
    let ends: Vec<LogPosition> = (0..9).map(|number| log.append(&commit(number)).unwrap()).collect();
    let mut reader = log.reader(None);
    reader.seek(Some(ends[5]));
    assert_eq!(reader.next(NOW).unwrap(), Some((ends[6], commit(6))));
    reader.seek(Some(ends[2]));
    assert_eq!(reader.next(NOW).unwrap(), Some((ends[3], commit(3))));
    assert_eq!(reader.position(), ends[3]);
    reader.seek(None);
    assert_eq!(reader.next(NOW).unwrap().unwrap().1, commit(0));
    assert_eq!(reader.end().bytes_after(ends[8]), 0);
    assert_eq!(reader.end().position(), ends[8]);
}

prop_compose! {
    fn any_alert()(id: [u8; 16], level: u8, json: Vec<u8>) -> Alert {
        Alert { id: AlertId(id), level, json }
    }
}

fn any_marker() -> impl Strategy<Value = Marker> {
    let lane = |(stream, source): (String, String)| Lane { stream: stream.into(), source: source.into() };
    prop_oneof![
        (any::<(String, String)>(), any::<i64>())
            .prop_map(move |(of, until)| Marker::Progress { lane: lane(of), until: Millis(until) }),
        (any::<(String, String)>(), any::<u64>(), any::<u64>()).prop_map(move |(of, segment, offset)| {
            Marker::Idle { lane: lane(of), seen: LogPosition { segment, offset } }
        }),
        any::<i64>().prop_map(|until| Marker::Passed { until: Millis(until) }),
        Just(Marker::Hold),
        Just(Marker::Resume),
        Just(Marker::End),
        Just(Marker::Stop),
    ]
}

prop_compose! {
    fn any_candidate()(
        numbers: (u32, i64, i64, u64),
        key: Vec<u8>,
        event: [u8; 16],
        alerted: Option<[u8; 16]>,
        record: Vec<u8>,
        held in prop::collection::vec((any_alert(), any::<[u8; 16]>(), any::<(u32, i64)>()), 0..3),
        texts: (String, Option<String>, Vec<(String, String)>),
        version in "[ab]",
    ) -> Candidate {
        let (component, time, received, place) = numbers;
        let (source, account, envelope) = texts;
        let source: Arc<str> = source.into();
        let component = if component % 4 == 0 { Candidate::NO_COMPONENT } else { component };
        let (key, correlated) =
            if component == Candidate::NO_COMPONENT { (Vec::new(), key) } else { (key, Vec::new()) };
        Candidate {
            component,
            key,
            correlated,
            time: Millis(time),
            event: EventId(event),
            context: Arc::new(Context {
                source: Arc::clone(&source),
                connector: "c".into(),
                location: Arc::clone(&source),
                account: account.map(Into::into),
                envelope,
                origin: source,
                origin_id: event,
            }),
            version: version.into(),
            received: Millis(received),
            place,
            alerted: alerted.map(AlertId),
            record,
            held: held
                .into_iter()
                .map(|(alert, key, (allow, quiet))| Held { suppression: "s".into(), key, allow, quiet, alert })
                .collect(),
            places: Vec::new(),
        }
    }
}

prop_compose! {
    fn any_commit()(
        checkpoints in prop::collection::vec((any::<String>(), any::<Vec<u8>>()), 0..5),
        alerts in prop::collection::vec(any_alert(), 0..5),
        dead_letters: Vec<Vec<u8>>,
        markers in prop::collection::vec(any_marker(), 0..5),
        candidates in prop::collection::vec(any_candidate(), 0..5),
    ) -> Commit {
        let checkpoints = checkpoints.into_iter().map(|(stream, value)| (Arc::from(stream), value)).collect();
        Commit { checkpoints, alerts, dead_letters, markers, candidates }
    }
}

fn encoded(commit: &Commit) -> Vec<u8> {
    let mut out = Vec::new();
    let alerts: Vec<&Alert> = commit.alerts.iter().collect();
    let Commit { checkpoints, dead_letters, markers, candidates, .. } = commit;
    let written = Millis(-5);
    encode(&mut out, &Parts { written, checkpoints, alerts: &alerts, dead_letters, markers, candidates });
    out
}

proptest! {
    #[test]
    fn commits_decode_to_what_they_were(commit in any_commit()) {
        let bytes = encoded(&commit);
        prop_assert_eq!(decode(&bytes, Wanted::All).unwrap(), (Millis(-5), commit.clone()));
        let Commit { checkpoints, alerts, dead_letters, markers, candidates } = commit;
        let delivery = Commit { checkpoints, alerts, dead_letters, ..Commit::default() };
        prop_assert_eq!(decode(&bytes, Wanted::Delivery).unwrap().1, delivery);
        let state = Commit { markers, candidates, ..Commit::default() };
        prop_assert_eq!(decode(&bytes, Wanted::State).unwrap().1, state);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(mut bytes: Vec<u8>, commit in any_commit(), at: usize, value: u8) {
        let _ = decode(&bytes, Wanted::All);
        if let Some(first) = bytes.first_mut() {
            *first = form::VERSION;
        }
        let _ = decode(&bytes, Wanted::All);
        let mut changed = encoded(&commit);
        let at = at % changed.len();
        changed[at] = value;
        let _ = decode(&changed, Wanted::All);
        prop_assert!(decode(&encoded(&commit)[..at], Wanted::All).is_err());
    }
}

/// A log that was written before there was a stateful stage.
#[test]
fn commits_of_version_1_are_read() {
    let mut bytes = encoded(&commit(4));
    bytes[0] = 1;
    bytes.truncate(bytes.len() - 8);
    assert_eq!(decode(&bytes, Wanted::All).unwrap(), (Millis(-5), commit(4)));
}
