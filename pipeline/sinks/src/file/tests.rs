//! The file sink through kills, rotation, full disks and other people's hands.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::resume_unwind;
use std::thread;

use super::*;
use crate::delivery::tests::Bench;

/// A sink that dies at its n-th call, as by a kill: nothing is flushed. A delivery dies halfway through.
struct Dies {
    inner: FileSink,
    calls_left: usize,
}

impl Dies {
    fn call(&mut self) -> bool {
        self.calls_left -= 1;
        self.calls_left == 0
    }
}

fn die() -> ! {
    // Unlike `panic!`, this prints nothing.
    resume_unwind(Box::new(()))
}

impl Sink for Dies {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn resume(&mut self, state: &[u8]) -> Result<(), SinkError> {
        let dies = self.call();
        self.inner.resume(state)?;
        if dies { die() } else { Ok(()) }
    }

    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
        if self.call() {
            let half = commit.alerts.len().div_ceil(2);
            let part = Commit { alerts: commit.alerts[..half].to_vec(), ..Commit::default() };
            self.inner.deliver(&part)?;
            die();
        }
        self.inner.deliver(commit)
    }

    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        let dies = self.call();
        let state = self.inner.flush()?;
        if dies { die() } else { Ok(state) }
    }

    fn stored(&mut self) -> Result<(), SinkError> {
        let dies = self.call();
        self.inner.stored()?;
        if dies { die() } else { Ok(()) }
    }

    fn wants_flush(&self) -> bool {
        self.inner.wants_flush()
    }
}

fn sink(path: &Path, rotate_bytes: u64) -> FileSink {
    let options = FileSinkOptions {
        rotate_bytes,
        keep: 1000,
        ..FileSinkOptions::new(path.to_owned(), Content::Alerts)
    };
    FileSink::new(String::from("file"), options)
}

/// All lines of the file and its rotated ones, oldest first.
fn lines(path: &Path) -> Vec<String> {
    let number = |number: usize| PathBuf::from(format!("{}.{number}", path.display()));
    let rotated = (1..).map(number).take_while(|path| path.exists()).collect::<Vec<_>>();
    let files = rotated.iter().rev().map(PathBuf::as_path).chain([path]);
    let text: String = files.map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
    text.lines().map(str::to_owned).collect()
}

/// Starts until all is delivered; each start dies one call later than the one before.
fn deliver_with_deaths(bench: &Bench, path: &Path, rotate_bytes: u64, first: usize) {
    for calls_left in first.. {
        let delivery = bench.spawn(Dies { inner: sink(path, rotate_bytes), calls_left });
        if bench.finish(delivery) {
            return;
        }
    }
}

#[test]
fn killed_at_every_step_the_lines_are_exact() {
    for rotate_bytes in [1, 200, 1500, u64::MAX] {
        for first in [1, 4, 9] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out/alerts.jsonl");
            let mut bench = Bench::new(dir.path());
            for round in 0..4 {
                (0..12).for_each(|number| bench.append((number + round) % 5));
                deliver_with_deaths(&bench, &path, rotate_bytes, first);
                assert_eq!(lines(&path), bench.lines, "rotation at {rotate_bytes}, first death at {first}");
            }
        }
    }
}

#[test]
fn stopped_at_any_time_the_lines_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    let mut bench = Bench::new(dir.path());
    for round in 0..20 {
        (0..30).for_each(|_| bench.append(2));
        let delivery = bench.spawn(sink(&path, 3000));
        while lines(&path).len() < bench.lines.len() - 50 + round {
            thread::yield_now();
        }
        delivery.kill();
    }
    let delivery = bench.spawn(sink(&path, 3000));
    assert!(bench.finish(delivery));
    assert_eq!(lines(&path), bench.lines);
}

#[test]
fn a_rotation_killed_between_two_renames_goes_on() {
    for renames in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        let name = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
        let mut bench = Bench::new(dir.path());
        (0..6).for_each(|_| bench.append(2));
        // Rotates at every flush but the last state is still that of the file before the renames.
        let mut inner = sink(&path, u64::MAX);
        inner.resume(b"").unwrap();
        let state = inner.flush().unwrap();
        inner.stored().unwrap();
        let mut reader = bench.log.reader(None);
        let mut position = reader.position();
        assert!(!state.is_empty());
        for number in [2, 1] {
            fs::write(name(number), format!("old {number}\n")).unwrap();
        }
        for _ in 0..3 {
            let (after, commit) = reader.next(std::time::Duration::ZERO).unwrap().unwrap();
            inner.deliver(&commit).unwrap();
            position = after;
        }
        let state = inner.flush().unwrap();
        bench.store.set_cursor("file", &threatlockdown_topics::Cursor { position, state }).unwrap();
        let steps = [(name(2), name(3)), (name(1), name(2)), (path.clone(), name(1))];
        for (from, to) in &steps[..renames.min(3)] {
            fs::rename(from, to).unwrap();
        }
        let delivery = bench.spawn(sink(&path, 1));
        assert!(bench.finish(delivery));
        let old = ["old 2", "old 1"].map(str::to_owned);
        let found: Vec<String> = lines(&path);
        assert_eq!(found, [&old[..], &bench.lines].concat(), "{renames} renames");
    }
}

#[test]
fn a_full_device_is_tried_again_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    symlink("/dev/full", &path).unwrap();
    let mut bench = Bench::new(dir.path());
    (0..5).for_each(|_| bench.append(2));
    let delivery = bench.spawn(sink(&path, 100));
    while delivery.failures() < 3 {
        thread::yield_now();
    }
    assert!(delivery.failing().unwrap().contains("alerts.jsonl"));
    fs::remove_file(&path).unwrap();
    (0..5).for_each(|_| bench.append(2));
    assert!(bench.finish(delivery));
    assert_eq!(lines(&path), bench.lines);
}

#[test]
fn a_pipe_is_written_without_a_state() {
    let (mut reader, writer) = io::pipe().unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer)));
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.append(3);
    let delivery = bench.spawn(sink(&path, 1));
    assert!(bench.finish(delivery));
    assert_eq!(bench.store.cursor("file").unwrap().unwrap().state, b"");
    drop(writer);
    let mut text = String::new();
    io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), bench.lines);
}

#[test]
fn a_file_that_someone_else_rotates_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    let mut bench = Bench::new(dir.path());
    let delivery = bench.spawn(sink(&path, u64::MAX));
    for round in 0..5 {
        for _ in 0..20 {
            bench.append(1);
        }
        while lines(&path).len() < bench.lines.len() - 10 {
            thread::yield_now();
        }
        // Older ones make room, as such tools do.
        for number in (1..=round).rev() {
            fs::rename(format!("{}.{number}", path.display()), format!("{}.{}", path.display(), number + 1))
                .unwrap();
        }
        fs::rename(&path, format!("{}.1", path.display())).unwrap();
        // So that the sink sees it before the next one comes.
        let delivered = bench.log.end();
        bench.append(1);
        while delivery.position() <= delivered || !path.exists() {
            thread::yield_now();
        }
    }
    assert!(bench.finish(delivery));
    assert_eq!(lines(&path), bench.lines);
}

#[test]
fn lines_behind_the_state_in_a_moved_file_are_not_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    let mut bench = Bench::new(dir.path());
    bench.append(2);
    let delivery = bench.spawn(sink(&path, u64::MAX));
    assert!(bench.finish(delivery));
    bench.append(2);
    // Written, not stored; then moved, then killed.
    let written: String = bench.lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, &written[..written.len() - 5]).unwrap();
    fs::rename(&path, dir.path().join("alerts.jsonl.1")).unwrap();
    let delivery = bench.spawn(sink(&path, u64::MAX));
    assert!(bench.finish(delivery));
    assert_eq!(lines(&path), bench.lines);
}

#[test]
fn a_shorter_or_replaced_file_is_appended_to() {
    for (mut left, kept) in [(String::from("someone's line\nand a half"), true), (String::new(), false)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        let mut bench = Bench::new(dir.path());
        bench.append(2);
        let delivery = bench.spawn(sink(&path, u64::MAX));
        assert!(bench.finish(delivery));
        if kept {
            fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        }
        fs::write(&path, &left).unwrap();
        bench.append(1);
        let delivery = bench.spawn(sink(&path, u64::MAX));
        assert!(bench.finish(delivery));
        if !left.is_empty() {
            left.push('\n');
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{left}{}\n", bench.lines[2]));
    }
}

#[test]
fn only_so_many_rotated_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    let mut bench = Bench::new(dir.path());
    (0..30).for_each(|_| bench.append(1));
    let options =
        FileSinkOptions { rotate_bytes: 1, keep: 3, ..FileSinkOptions::new(path.clone(), Content::Alerts) };
    let delivery = bench.spawn(FileSink::new(String::from("file"), options));
    assert!(bench.finish(delivery));
    assert_eq!(lines(&path), bench.lines[27..]);
}

#[test]
fn dead_letters_go_to_a_file_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/deadletter.jsonl");
    let mut bench = Bench::new(dir.path());
    bench.append(2);
    bench.append(0);
    bench.append(1);
    let options = FileSinkOptions::new(path.clone(), Content::DeadLetters);
    let letters = bench.spawn(FileSink::new(String::from("letters"), options));
    let alerts = bench.spawn(sink(&dir.path().join("alerts.jsonl"), u64::MAX));
    assert!(bench.finish(letters) && bench.finish(alerts));
    assert_eq!(lines(&path), ["{\"letter\":0}", "{\"letter\":1}", "{\"letter\":2}"]);
    assert_eq!(lines(&dir.path().join("alerts.jsonl")), bench.lines);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_state_of_a_newer_release_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut inner = sink(&dir.path().join("alerts.jsonl"), 1);
    let state = br#"{"version":2,"device":1,"inode":2,"length":3}"#;
    assert!(inner.resume(state).unwrap_err().to_string().contains("version 2"));
    assert!(inner.resume(b"garbage").is_err());
}
