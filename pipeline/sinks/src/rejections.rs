//! Where alerts go that a target refuses for good: it would refuse them as often as they came.
//!
//! Enters: such an alert with the target's words, before the sink's progress is stored. Leaves: a dead letter that
//! `deadletter redrive` can send to that sink again (topics), or a line for a person (one process).

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use threatlockdown_event::RejectedAlert;
use threatlockdown_topics::kafka::dead_letter_record;

use crate::delivery::Outbox;
use crate::sink::SinkError;

/// See the module.
pub trait Rejections: Send {
    /// Keeps an alert. It is durable, at the latest, when the sink's progress is.
    ///
    /// # Errors
    /// When it cannot be kept; the sink then fails, and the alert comes again.
    fn keep(&mut self, rejected: &RejectedAlert<'_>) -> Result<(), SinkError>;
}

/// To the topic of dead letters, in the transaction that stores the sink's progress.
pub struct TopicRejections {
    /// Name of the topic.
    pub topic: String,
    /// Of the sink's delivery.
    pub outbox: Outbox,
}

impl Rejections for TopicRejections {
    fn keep(&mut self, rejected: &RejectedAlert<'_>) -> Result<(), SinkError> {
        let json = rejected.to_json();
        self.outbox.refuse(dead_letter_record(&self.topic, RejectedAlert::REASON, &json))
    }
}

/// To a file, a line each. The file itself tells which alerts it has, so that one that comes again after a kill is there once.
pub struct FileRejections {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Ids of the alerts in it.
    known: HashSet<String>,
}

impl FileRejections {
    /// The file is made with the first alert.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    fn write(&mut self, rejected: &RejectedAlert<'_>) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::new(&self.path)?),
        };
        let id = rejected.alert.id.to_string();
        if open.known.contains(&id) {
            return Ok(());
        }
        let mut line = rejected.to_json();
        line.push(b'\n');
        open.file.write_all(&line)?;
        open.file.sync_data()?;
        open.known.insert(id);
        Ok(())
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        #[derive(Deserialize)]
        struct Line {
            alert_id: String,
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
        let mut reader = BufReader::new(&mut file);
        let mut known = HashSet::new();
        let (mut line, mut whole) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            if line.last() == Some(&b'\n') {
                whole += line.len() as u64;
                // What a person wrote into it is no alert, and stays.
                known.extend(serde_json::from_slice::<Line>(&line).map(|line| line.alert_id));
            }
            line.clear();
        }
        // A line that a crash cut comes again.
        file.set_len(whole)?;
        Ok(Self { file, known })
    }
}

impl Rejections for FileRejections {
    fn keep(&mut self, rejected: &RejectedAlert<'_>) -> Result<(), SinkError> {
        self.write(rejected).map_err(|source| {
            self.open = None;
            SinkError::Io { action: "write to", target: self.path.display().to_string(), source }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use threatlockdown_event::{Alert, AlertId, Millis};

    use super::*;

    fn keep(to: &mut FileRejections, number: u8) {
        let alert =
            Alert { id: AlertId([number; 16]), level: 3, json: format!("{{\"n\":{number}}}").into_bytes() };
        to.keep(&RejectedAlert { alert: &alert, sink: "s", detail: "no", at: Millis(0) }).unwrap();
    }

    fn records(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let letter = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines().map(|line| letter(line)["record"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_alert_that_comes_again_is_in_the_file_once_also_after_a_start_and_a_cut_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rejected.s.jsonl");
        let mut to = FileRejections::new(path.clone());
        [1, 2, 1].into_iter().for_each(|number| keep(&mut to, number));
        assert_eq!(records(&path), ["{\"n\":1}", "{\"n\":2}"]);
        let length = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 5).unwrap();
        let mut to = FileRejections::new(path.clone());
        [1, 2, 3].into_iter().for_each(|number| keep(&mut to, number));
        assert_eq!(records(&path), ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/x");
        let mut to = FileRejections::new(path.clone());
        let alert = Alert { id: AlertId([1; 16]), level: 3, json: b"{}".to_vec() };
        let rejected = RejectedAlert { alert: &alert, sink: "s", detail: "no", at: Millis(0) };
        assert!(to.keep(&rejected).unwrap_err().to_string().contains("folder/x"));
        fs::create_dir(dir.path().join("folder")).unwrap();
        to.keep(&rejected).unwrap();
        assert_eq!(records(&path), ["{}"]);
    }
}
