//! The load of the kill test: what is written where, in which order, as a pure function of the seed.
//!
//! Enters: a seed and a size. Leaves: lanes, each a sequence of steps for a thread of its own. Both runs execute the same
//! steps, so they offer the same bytes; only the moments differ. No two files begin with the same record, and
//! everything that alerts is known to the generator or is CloudTrail, whose own key makes the ids.

use std::fmt::Write as _;

use threatlockdown_benches::cloudtrail::CloudTrail;
use threatlockdown_benches::random::Random;

use crate::harness::gzip;

/// Largest event that the configuration of this test accepts.
pub(super) const MAX_EVENT_BYTES: usize = 64 * 1024;

/// One in so many lines of `json` and `syslog` is to alert.
const ALERTING: u64 = 40;

/// What a lane does next.
pub(super) enum Step {
    /// Appends bytes, which may end within a line.
    Append { file: String, bytes: Vec<u8> },
    /// `file` becomes `file.1`, what was `file.1` becomes `file.2`, and so on.
    Rotate { file: String },
    /// Empties the file in place, once its last line, which holds `marker`, has given its alert: what a reader has not
    /// seen is lost in this kind of rotation, whoever reads.
    Truncate { file: String, marker: String },
    /// A whole object appears.
    Object { file: String, bytes: Vec<u8> },
    /// A request, sent with the same key until it is answered 200; some are sent once more after that.
    Post { path: String, key: String, body: Vec<u8>, accepted: u64, again: bool },
}

/// Steps that are executed one after the other.
pub(super) struct Lane {
    pub(super) name: &'static str,
    pub(super) steps: Vec<Step>,
}

/// Everything that is offered.
pub(super) struct Load {
    pub(super) lanes: Vec<Lane>,
    /// Records that can be judged, by log source.
    pub(super) events: Vec<(&'static str, u64)>,
    /// Alerts that the custom rules owe, by rule.
    pub(super) owed: Vec<(&'static str, u64)>,
    /// What has to become dead letters, at least.
    pub(super) bad: u64,
}

/// Rules for the events that are made here.
pub(super) const RULES: &str = r#"
<group name="kill_test,">
  <rule id="100300" level="7">
    <decoded_as>json</decoded_as>
    <field name="verdict">^blocked$</field>
    <description>Request $(number) was blocked.</description>
  </rule>
  <rule id="100310" level="6">
    <match>session opened for user root</match>
    <description>Somebody became root.</description>
  </rule>
</group>
"#;

/// About 205,000 events for `size` 1.
pub(super) fn load(seed: u64, size: usize) -> Load {
    let mut writer = Writer { random: Random::new(seed), ..Writer::default() };
    let mut trail = CloudTrail::new(seed);
    let lanes = vec![
        writer.trail_files(&mut trail, 30_000 * size),
        writer.trail_objects(&mut trail, 3_000, 10 * size),
        writer.application_files(60_000 * size),
        writer.host_files(50_000 * size),
        writer.truncated_files(2_500, 8 * size),
        writer.trail_requests(&mut trail, 100, 120 * size),
        writer.application_requests(100, 150 * size),
    ];
    let Writer { trail, json, text, blocked, root, bad, .. } = writer;
    Load {
        lanes,
        events: vec![("aws.cloudtrail", trail), ("json", json), ("syslog", text)],
        owed: vec![("100300", blocked), ("100310", root)],
        bad,
    }
}

/// Makes records and counts them.
struct Writer {
    random: Random,
    trail: u64,
    json: u64,
    text: u64,
    blocked: u64,
    root: u64,
    bad: u64,
}

impl Default for Writer {
    fn default() -> Self {
        Self { random: Random::new(0), trail: 0, json: 0, text: 0, blocked: 0, root: 0, bad: 0 }
    }
}

impl Writer {
    /// CloudTrail records as lines of a growing file that is rotated by renaming.
    fn trail_files(&mut self, trail: &mut CloudTrail, count: usize) -> Lane {
        let file = "in/trail/events.jsonl";
        let mut steps = Vec::new();
        for part in parts(count, 6) {
            let mut text = String::new();
            for _ in 0..part {
                trail.write(&mut text);
                text.push('\n');
            }
            self.trail += part as u64;
            self.append(file, &text, 256 * 1024, &mut steps);
            steps.push(Step::Rotate { file: file.into() });
        }
        Lane { name: "trail files", steps }
    }

    /// CloudTrail objects as they lie in a bucket; one is cut off, one is compressed in the other way.
    fn trail_objects(&mut self, trail: &mut CloudTrail, each: usize, count: usize) -> Lane {
        let mut steps = Vec::new();
        for number in 0..count {
            let mut text = String::from("{\"Records\":[");
            for index in 0..each {
                text.push_str(if index == 0 { "" } else { "," });
                trail.write(&mut text);
            }
            text.push_str("]}");
            self.trail += each as u64;
            let (name, bytes) = if number == 1 {
                (format!("{number}.json.zst"), zstd::encode_all(text.as_bytes(), 1).unwrap())
            } else {
                (format!("{number}.json.gz"), gzip(text.as_bytes()))
            };
            steps.push(Step::Object { file: format!("in/objects/11/{name}"), bytes });
        }
        // Early, because the end of an object that is too short is waited for. How many of its records come out is
        // the decoder's affair, but they have to be the same in both runs; they are not counted as events owed.
        let mut text = String::from("{\"Records\":[");
        for _ in 0..40 {
            trail.write(&mut text);
            text.push(',');
        }
        let mut bytes = gzip(text.as_bytes());
        bytes.truncate(bytes.len() / 2);
        self.bad += 1;
        steps.insert(2, Step::Object { file: "in/objects/11/cut.json.gz".into(), bytes });
        Lane { name: "trail objects", steps }
    }

    /// JSON lines without a key of their own, with broken ones among them, rotated by renaming.
    fn application_files(&mut self, count: usize) -> Lane {
        let file = "in/app/app.log";
        let mut steps = Vec::new();
        for part in parts(count, 8) {
            let mut text = String::new();
            for line in 0..part {
                self.application_line(&mut text);
                if line > 0 && self.random.below(50) == 0 {
                    self.bad_line(&mut text);
                }
            }
            self.append(file, &text, 16 * 1024, &mut steps);
            steps.push(Step::Rotate { file: file.into() });
        }
        Lane { name: "application files", steps }
    }

    /// Text lines, rotated by renaming.
    fn host_files(&mut self, count: usize) -> Lane {
        let file = "in/host/messages";
        let mut steps = Vec::new();
        for part in parts(count, 8) {
            let mut text = String::new();
            for _ in 0..part {
                self.host_line("web1", &mut text);
            }
            self.append(file, &text, 16 * 1024, &mut steps);
            steps.push(Step::Rotate { file: file.into() });
        }
        Lane { name: "host files", steps }
    }

    /// Text lines in a file that is emptied again and again.
    fn truncated_files(&mut self, each: usize, count: usize) -> Lane {
        let file = "in/spool/spool.log";
        let mut steps = Vec::new();
        for number in 0..count {
            let mut text = String::new();
            for _ in 1..each {
                self.host_line("spool1", &mut text);
            }
            let marker = format!("end of part {number};");
            let _ = writeln!(
                text,
                "Nov 20 11:00:00 spool1 su[1]: session opened for user root by operator, {marker}"
            );
            self.text += 1;
            self.root += 1;
            self.append(file, &text, 32 * 1024, &mut steps);
            steps.push(Step::Truncate { file: file.into(), marker });
        }
        Lane { name: "truncated files", steps }
    }

    fn trail_requests(&mut self, trail: &mut CloudTrail, each: usize, count: usize) -> Lane {
        let mut steps = Vec::new();
        for number in 0..count {
            let mut text = String::new();
            for _ in 0..each {
                trail.write(&mut text);
                text.push('\n');
            }
            self.trail += each as u64;
            steps.push(self.post("aws.cloudtrail", number, text, each));
        }
        Lane { name: "trail requests", steps }
    }

    fn application_requests(&mut self, each: usize, count: usize) -> Lane {
        let mut steps = Vec::new();
        for number in 0..count {
            let mut text = String::new();
            for _ in 0..each {
                self.application_line(&mut text);
            }
            steps.push(self.post("json", number, text, each));
        }
        Lane { name: "application requests", steps }
    }

    fn post(&mut self, source: &str, number: usize, text: String, accepted: usize) -> Step {
        Step::Post {
            path: format!("/v1/ingest/{source}"),
            key: format!("{source}-{number}"),
            body: text.into_bytes(),
            accepted: accepted as u64,
            again: self.random.below(8) == 0,
        }
    }

    fn application_line(&mut self, out: &mut String) {
        self.json += 1;
        let blocked = self.random.below(ALERTING) == 0;
        self.blocked += u64::from(blocked);
        let (number, user) = (self.json, self.random.below(5_000));
        let verdict = if blocked { "blocked" } else { "passed" };
        let _ = writeln!(
            out,
            r#"{{"number":{number},"user":"u{user}","path":"/cart/{user}","verdict":"{verdict}"}}"#
        );
    }

    fn host_line(&mut self, host: &str, out: &mut String) {
        self.text += 1;
        let root = self.random.below(ALERTING) == 0;
        self.root += u64::from(root);
        let user = if root { "root" } else { "backup" };
        let (process, second) = (self.text, self.text % 60);
        let _ = writeln!(
            out,
            "Nov 20 10:00:{second:02} {host} su[{process}]: session opened for user {user} by operator"
        );
    }

    /// What cannot be a record: cut off, too deep, too long.
    fn bad_line(&mut self, out: &mut String) {
        self.bad += 1;
        let number = self.bad;
        match self.random.below(64) {
            0 => {
                let fill = "x".repeat(MAX_EVENT_BYTES + 10);
                let _ = writeln!(out, r#"{{"bad":{number},"fill":"{fill}"}}"#);
            }
            1..8 => {
                let _ = writeln!(out, r#"{{"bad":{number},"deep":{}1{}}}"#, "[".repeat(300), "]".repeat(300));
            }
            _ => {
                let _ = writeln!(out, r#"{{"bad":{number},"verdict":"blocked" oops}}"#);
            }
        }
    }

    /// Appends `text` in pieces of seeded length, at most `most`.
    fn append(&mut self, file: &str, text: &str, most: u64, steps: &mut Vec<Step>) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let length = usize::try_from(1 + self.random.below(most)).unwrap().min(rest.len());
            let (piece, after) = rest.split_at(length);
            steps.push(Step::Append { file: file.into(), bytes: piece.to_vec() });
            rest = after;
        }
    }
}

/// `count` in `into` nearly equal parts.
fn parts(count: usize, into: usize) -> impl Iterator<Item = usize> {
    (0..into).map(move |part| count * (part + 1) / into - count * part / into)
}
