//! Where alerts go that a target refuses for good: it would refuse them as often as they came.
//!
//! Enters: such an alert with the target's words, before the sink's progress is stored. Leaves: a dead letter that
//! `deadletter redrive` can send to that sink again (topics), or a line for a person (one process).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

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
        self.outbox.send(dead_letter_record(&self.topic, RejectedAlert::REASON, &json))
    }
}

/// To a file, a line each. After a kill a line may be there twice.
pub struct FileRejections {
    /// The file.
    pub path: PathBuf,
}

impl Rejections for FileRejections {
    fn keep(&mut self, rejected: &RejectedAlert<'_>) -> Result<(), SinkError> {
        let mut line = rejected.to_json();
        line.push(b'\n');
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path);
        let kept = file.and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_data()));
        kept.map_err(|source| SinkError::Io {
            action: "write to",
            target: self.path.display().to_string(),
            source,
        })
    }
}
