use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;

use proptest::prelude::*;
use tempfile::TempDir;
use threatlockdown_event::{DeadLetter, Reason};
use threatlockdown_topics::{Consumer, Publisher, raw_topic};

use super::*;
use crate::metrics::SourceStats;
use crate::pump::ReadOptions;

/// A directory, a source over it, and what came out. Time is what the test says it is.
struct Rig {
    dir: TempDir,
    source_name: &'static str,
    once: bool,
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
fn rotation_by_renaming_finishes_the_old_file_first() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..5));
    rig.pass(2);
    rig.append("app.log", lines(5..30));
    rig.append("app.log", "last of the old");
    rig.rename("app.log", "app.log.1");
    rig.append("app.log", lines(30..40));
    rig.pass(2);
    assert_eq!(rig.texts(), expected(0..40), "nothing twice, in order; the rest is held");
    rig.pass(10);
    assert_eq!(rig.texts(), ["last of the old"]);
    rig.restart();
    rig.pass(10);
    assert!(rig.texts().is_empty());
}

#[test]
fn rotation_out_of_sight_and_deletion_lose_nothing_that_is_open() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..5));
    rig.pass(2);
    rig.append("app.log", lines(5..8));
    rig.rename("app.log", "hidden.log");
    rig.append("app.log", lines(9..10));
    rig.pass(2);
    rig.append("hidden.log", lines(8..9));
    rig.pass(2);
    assert_eq!(rig.texts(), [expected(0..8), expected(9..10), expected(8..9)].concat());
    rig.append("app.log", "end");
    fs::remove_file(rig.path("app.log")).unwrap();
    rig.pass(2);
    rig.pass(10);
    assert_eq!(rig.texts(), ["end"]);
    assert_eq!(rig.committed.len(), 2);
    rig.pass(4000);
    rig.pass(4000);
    assert!(rig.committed.is_empty(), "what is gone for long is retired");
}

#[test]
fn a_cut_file_is_a_new_origin() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..10));
    rig.pass(2);
    let old = rig.events[0].0;
    fs::write(rig.path("app.log"), lines(0..3)).unwrap();
    rig.pass(2);
    assert_eq!(rig.events.len(), 13);
    assert_ne!(rig.events[10].0, old, "the same line at the same place, but another event");
    rig.texts();
    // Cut and grown beyond the old length between two looks.
    fs::write(rig.path("app.log"), lines(500..600)).unwrap();
    rig.pass(2);
    assert_eq!(rig.texts(), expected(500..600));
    // The same while nobody looked.
    fs::write(rig.path("app.log"), lines(700..900)).unwrap();
    rig.restart();
    rig.pass(2);
    assert_eq!(rig.texts(), expected(700..900));
    assert_eq!(
        rig.stats.truncations.load(std::sync::atomic::Ordering::Relaxed),
        2,
        "the last is another file"
    );
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let mut rig = Rig::new("syslog");
    rig.append("app.log", lines(0..10));
    rig.pass(2);
    rig.texts();
    // As if the inode had been given to another file: same device and inode, other content, while we were away.
    rig.source = None;
    fs::write(rig.path("app.log"), "something else\n".repeat(20)).unwrap();
    rig.restart();
    rig.pass(2);
    assert_eq!(rig.texts().len(), 20);
    assert_eq!(rig.committed.len(), 2, "the old file is still known: it may come back compressed");
    fs::write(rig.path("app.log.1.gz"), gzip(&lines(0..11))).unwrap();
    rig.pass(2);
    rig.pass(10);
    assert_eq!(rig.texts(), expected(10..11));
    rig.restart();
    rig.pass(2);
    rig.append("app.log", "more\n");
    rig.pass(2);
    assert_eq!(rig.texts(), ["more"]);
}

#[test]
fn a_rotated_and_compressed_file_is_not_read_again() {
    for away in [false, true] {
        let mut rig = Rig::new("syslog");
        rig.append("app.log", lines(0..300));
        rig.pass(2);
        rig.texts();
        let bytes = zstd::encode_all(lines(0..300).as_bytes(), 3).unwrap();
        rig.rename("app.log", "app.log.1");
        if away {
            rig.source = None;
        } else {
            rig.pass(2);
            fs::write(rig.path("app.log.1.zst"), &bytes[..bytes.len() / 2]).unwrap();
            rig.pass(2);
        }
        fs::write(rig.path("app.log.1.zst"), &bytes).unwrap();
        fs::remove_file(rig.path("app.log.1")).unwrap();
        if away {
            rig.restart();
        }
        for _ in 0..5 {
            rig.pass(3);
        }
        assert_eq!(rig.texts(), Vec::<String>::new(), "away {away}");
        rig.restart();
        rig.pass(10);
        assert_eq!(rig.texts(), Vec::<String>::new(), "away {away}");
        assert_eq!(rig.committed.len(), 1);
    }
}

#[test]
fn files_that_begin_alike_are_two_origins() {
    let mut rig = Rig::new("syslog");
    rig.append("app.1", "header\na\n");
    rig.append("app.2", "header\nb\n");
    rig.pass(2);
    assert_ne!(rig.events[0].0, rig.events[2].0);
    let before: Vec<_> = rig.events.clone();
    // Nothing was committed, the process died: the same again.
    rig.committed.clear();
    rig.events.clear();
    rig.restart();
    rig.pass(2);
    assert_eq!(rig.events, before);
}

#[test]
fn compressed_objects() {
    let mut rig = Rig::new("aws.cloudtrail");
    let document = |range: std::ops::Range<u32>| {
        let records: Vec<_> = range.map(|n| format!("{{\"n\":{n}}}")).collect();
        format!("{{\"Records\":[{}]}}", records.join(","))
    };
    let whole = gzip(&document(0..40));
    fs::write(rig.path("app.json.gz"), &whole).unwrap();
    fs::write(rig.path("app.members"), [gzip("{\"m\":1}\n{\"m\""), gzip(":2}\n")].concat()).unwrap();
    fs::write(rig.path("app.zst"), zstd::encode_all(document(40..45).as_bytes(), 1).unwrap()).unwrap();
    fs::write(rig.path("app.plain.gz"), "{\"p\":1}").unwrap();
    rig.pass(2);
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts.len(), 48);
    assert!(texts.contains(&"{\"m\":2}".to_owned()) && texts.contains(&"{\"p\":1}".to_owned()));
    rig.restart();
    rig.pass(10);
    assert!(rig.texts().is_empty());
    assert!(rig.letters.is_empty());
}

#[test]
fn a_compressed_object_that_is_still_written_is_waited_for() {
    let mut rig = Rig::new("syslog");
    let bytes = gzip(&lines(0..5000));
    fs::write(rig.path("app.gz"), &bytes[..bytes.len() / 2]).unwrap();
    rig.pass(2);
    let first = rig.texts();
    assert!(!first.is_empty() && rig.letters.is_empty());
    fs::write(rig.path("app.gz"), &bytes).unwrap();
    rig.pass(2);
    rig.pass(6);
    assert_eq!([first, rig.texts()].concat(), expected(0..5000));
    assert!(rig.letters.is_empty());
}

#[test]
fn a_truncated_object_gives_its_records_and_one_dead_letter() {
    for once in [false, true] {
        let mut rig = Rig::new("syslog");
        rig.once = once;
        rig.restart();
        let bytes = gzip(&lines(0..5000));
        fs::write(rig.path("app.gz"), &bytes[..bytes.len() / 2]).unwrap();
        rig.append("app.log", "others go on\n");
        for _ in 0..5 {
            rig.pass(3);
        }
        let texts = rig.texts();
        assert!(texts.len() > 1000);
        assert!(texts.contains(&"others go on".to_owned()));
        assert_eq!(rig.letters.len(), 1);
        let letter = &rig.letters[0];
        assert_eq!(letter.reason, Reason::Truncated);
        assert!(letter.detail.contains(&format!("decoded_records={}", texts.len() - 1)), "{}", letter.detail);
        rig.restart();
        rig.pass(10);
        assert_eq!((rig.texts().len(), rig.letters.len()), (0, 1), "told once");
    }
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

#[derive(Debug, Clone)]
enum Act {
    Append(u8),
    Partial,
    Rotate,
    Pass(u8),
    Turn,
    Kill(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u8..40).prop_map(Act::Append),
        1 => Just(Act::Partial),
        1 => Just(Act::Rotate),
        2 => (1u8..8).prop_map(Act::Pass),
        3 => Just(Act::Turn),
        3 => (0u8..6).prop_map(Act::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Killed anywhere, each record comes once, with the identity that it has in an undisturbed run.
    #[test]
    fn kills_change_nothing(acts in prop::collection::vec(act(), 1..40), json: bool) {
        let name = if json { "aws.cloudtrail" } else { "syslog" };
        let mut runs = Vec::new();
        for disturbed in [true, false] {
            let mut rig = Rig::new(name);
            let (mut line, mut rotated) = (0, 0);
            for act in &acts {
                match act {
                    Act::Append(count) => for _ in 0..*count {
                        line += 1;
                        rig.append("app.log", format!("{{\"n\":{line}}}\n"));
                    }
                    Act::Partial => {
                        line += 1;
                        rig.append("app.log", format!("{{\"n\":{line}"));
                        if disturbed { rig.turn(); }
                        rig.append("app.log", "}\n");
                    }
                    Act::Rotate => if rig.path("app.log").exists() {
                        rotated += 1;
                        rig.rename("app.log", &format!("app.log.{rotated}"));
                    }
                    Act::Pass(seconds) => rig.pass(u64::from(*seconds)),
                    Act::Turn => drop(rig.turn()),
                    Act::Kill(units) => if disturbed {
                        rig.commit(usize::from(*units));
                        rig.restart();
                    }
                }
            }
            rig.pass(2);
            rig.pass(10);
            let mut events = std::mem::take(&mut rig.events);
            events.sort();
            prop_assert_eq!(events.len(), line, "each once");
            prop_assert!(rig.letters.is_empty());
            runs.push(events);
        }
        prop_assert_eq!(&runs[0], &runs[1]);
    }
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
