//! The source over a real directory, with a clock of the test's own.

mod compressed;
mod elsewhere;
mod kills;
mod rotation;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;

use tempfile::TempDir;
use threatlockdown_event::DeadLetter;
use threatlockdown_topics::{Consumer, Publisher, raw_topic};

use super::*;
use crate::metrics::SourceStats;
use crate::pump::ReadOptions;

/// A directory, a source over it, and what came out. Time is what the test says it is.
struct Rig {
    dir: TempDir,
    source_name: &'static str,
    once: bool,
    travels: bool,
    now: Instant,
    source: Option<FileSource>,
    topic: (Publisher, Consumer),
    committed: BTreeMap<String, Vec<u8>>,
    /// Identity and text, in the order of publication.
    events: Vec<([u8; 16], u64, String)>,
    letters: Vec<DeadLetter>,
    stats: Arc<SourceStats>,
}

impl Rig {
    fn new(source_name: &'static str) -> Self {
        let (publisher, mut consumers) = raw_topic(1, 1 << 30);
        let mut rig = Self {
            dir: tempfile::tempdir().unwrap(),
            source_name,
            once: false,
            travels: false,
            now: Instant::now() + Duration::from_secs(100_000),
            source: None,
            topic: (publisher, consumers.remove(0)),
            committed: BTreeMap::new(),
            events: Vec::new(),
            letters: Vec::new(),
            stats: Arc::default(),
        };
        rig.restart();
        rig
    }

    /// A new process, from what is committed.
    fn restart(&mut self) {
        while self.topic.0.depth() > 0 {
            drop(self.topic.1.next());
        }
        let mut options = ReadOptions::default();
        options.limits.batch_records = 7;
        let feed = Feed {
            source: self.source_name.into(),
            connector: "files".into(),
            envelope: Vec::new(),
            options,
            publisher: self.topic.0.clone(),
            stats: Arc::clone(&self.stats),
        };
        let config = FileConfig {
            paths: vec![self.dir.path().join("app*").to_string_lossy().into_owned()],
            once: self.once,
            timing: Timing::default(),
            own: OwnFiles { files: vec![self.dir.path().join("app.alerts")], folders: Vec::new() },
            travels: self.travels,
        };
        let checkpoints = self.committed.clone().into_iter().collect();
        self.source = Some(FileSource::new(config, feed, checkpoints, Stop::default()).unwrap());
    }

    /// Lets `seconds` pass and reads what there is.
    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        while self.turn() {
            self.commit(usize::MAX);
        }
        self.commit(usize::MAX);
    }

    fn turn(&mut self) -> bool {
        self.source.as_mut().unwrap().turn(self.now).unwrap()
    }

    /// Commits up to `units` of what is published.
    fn commit(&mut self, units: usize) {
        for _ in 0..units.min(self.topic.0.depth()) {
            let unit = self.topic.1.next().unwrap().unit;
            for record in &unit.records {
                let text = String::from_utf8(unit.bytes(record).to_vec()).unwrap();
                self.events.push((unit.context.origin_id, record.origin, text));
            }
            self.letters.extend(unit.dead_letters.iter().cloned());
            match unit.checkpoint {
                Some(checkpoint) if checkpoint.is_empty() => drop(self.committed.remove(&*unit.stream)),
                Some(checkpoint) => drop(self.committed.insert(unit.stream.to_string(), checkpoint)),
                None => {}
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// What came since the last call.
    fn texts(&mut self) -> Vec<String> {
        self.events.drain(..).map(|(_, _, text)| text).collect()
    }
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("line {n}\n")).collect()
}

fn expected(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("line {n}")).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn follows_a_file_that_appears_and_grows() {
    let mut rig = Rig::new("syslog");
    rig.pass(1);
    rig.append("app.log", lines(0..20));
    rig.append("other.log", "not asked for\n");
    rig.pass(2);
    assert_eq!(rig.texts(), expected(0..20));
    rig.append("app.log", lines(20..23));
    rig.pass(1);
    assert_eq!(rig.texts(), expected(20..23));
    rig.pass(100);
    assert!(rig.texts().is_empty());
}

#[test]
fn a_half_written_line_is_held() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", "one\ntw");
    rig.pass(2);
    rig.pass(60);
    assert_eq!(rig.texts(), ["one"]);
    rig.append("app.log", "o");
    rig.pass(2);
    rig.append("app.log", "\nthree\n");
    rig.pass(2);
    assert_eq!(rig.texts(), ["two", "three"]);
}

#[test]
fn a_complete_json_value_needs_no_line_end() {
    let mut rig = Rig::new("aws.cloudtrail");
    rig.append("app.log", "{\"a\":1}\n{\"b\":");
    rig.pass(2);
    assert_eq!(rig.texts(), ["{\"a\":1}"]);
    rig.append("app.log", "2}");
    rig.pass(2);
    assert_eq!(rig.texts(), ["{\"b\":2}"]);
}

#[test]
fn once_reads_to_the_end_and_returns() {
    let mut rig = Rig::new("syslog");
    rig.once = true;
    rig.append("app.log", "one\ntwo");
    rig.append("app.json", "{\"a\":1}");
    fs::create_dir(rig.path("app.d")).unwrap();
    rig.append("app.d/x", "below\n");
    rig.append("app.d/.hidden", "hidden\n");
    rig.restart();
    rig.source.take().unwrap().run().unwrap();
    rig.commit(usize::MAX);
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts, ["below", "one", "two", "{\"a\":1}"]);
    rig.restart();
    rig.source.take().unwrap().run().unwrap();
    rig.commit(usize::MAX);
    assert!(rig.texts().is_empty());
}

#[test]
fn a_missing_link_target_does_not_stop_the_others() {
    let mut rig = Rig::new("syslog");
    std::os::unix::fs::symlink("/nowhere/at/all", rig.path("app.0")).unwrap();
    std::os::unix::fs::symlink(rig.path("app.1"), rig.path("app.2")).unwrap();
    rig.append("app.1", "one\n");
    rig.pass(2);
    assert_eq!(rig.texts(), ["one"], "two names of a file are one file");
}

#[test]
fn many_files_need_few_descriptors() {
    const MAX_OPEN: usize = 8;
    let mut rig = Rig::new("syslog");
    rig.source.as_mut().unwrap().max_open = MAX_OPEN;
    for n in 0..3 * MAX_OPEN {
        rig.append(&format!("app.{n}"), format!("first of {n}\n"));
    }
    rig.pass(2);
    let open =
        |rig: &Rig| rig.source.as_ref().unwrap().files.iter().filter(|file| file.open.is_some()).count();
    assert!(open(&rig) <= MAX_OPEN);
    assert_eq!(rig.texts().len(), 3 * MAX_OPEN);
    for n in 0..3 * MAX_OPEN {
        rig.append(&format!("app.{n}"), format!("second of {n}\n"));
    }
    rig.pass(2);
    rig.pass(2);
    assert!(open(&rig) <= MAX_OPEN);
    assert_eq!(rig.texts().len(), 3 * MAX_OPEN);
}

#[test]
fn stops_while_waiting() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", "one\n");
    let source = rig.source.take().unwrap();
    let stop = source.stop.clone();
    let thread = std::thread::spawn(move || source.run());
    assert_eq!(rig.topic.1.next().unwrap().unit.records.len(), 1);
    stop.set();
    thread.join().unwrap().unwrap();
}

#[test]
fn what_this_process_writes_is_not_read() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..2));
    rig.append("app.alerts", lines(7..8));
    rig.append("app.alerts.1", lines(8..9));
    rig.pass(1);
    assert_eq!(rig.texts(), expected(0..2));
    // Neither is it when it comes under the inode of a file that was read.
    rig.rename("app.log", "app.alerts");
    rig.append("app.alerts", lines(2..3));
    rig.restart();
    rig.pass(2);
    assert_eq!(rig.texts(), expected(0..0));
}
