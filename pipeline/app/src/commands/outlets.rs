//! The configured sinks as things that deliver.
//!
//! Enters: a sink's configuration, and whether it stands in one process or in a cluster. Leaves: the sink, and what its
//! delivery from topics needs to know of it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use threatlockdown_sinks::{
    AlertFilter, Content, DeliveryOptions, FileRejections, FileSink, FileSinkOptions, Format, OpenSearchSink,
    Outbox, Rejections, Sink as Deliver, StdoutSink, TopicRejections, TopicSink, Wanted, WebhookOptions,
    WebhookSink, opensearch,
};
use threatlockdown_topics::kafka::Names;

use crate::config::{Sink, SinkKind, StdoutFormat, Webhook};

/// Most records in one step of a delivery …
const MOST: usize = 5_000;
/// … and of one that takes a request for each.
const MOST_REQUESTS: usize = 50;
/// Subscribers see alerts with a transaction.
const TRANSACTION_INTERVAL: Duration = Duration::from_millis(200);

/// Where sinks stand.
pub(super) enum Place<'a> {
    /// In one process, with this data directory.
    Process(&'a Path),
    /// In a cluster with these topics.
    Cluster(&'a Names),
}

/// A sink, and how it is delivered to.
pub(super) struct Outlet {
    pub(super) sink: Box<dyn Deliver>,
    pub(super) wanted: Wanted,
    /// What it writes to topics goes through this.
    pub(super) outbox: Option<Outbox>,
    /// It has a state, on this machine.
    pub(super) has_state: bool,
    /// Most records in one step.
    pub(super) most: usize,
    pub(super) options: DeliveryOptions,
}

pub(super) fn build(sink: &Sink, place: &Place<'_>, metrics: &opensearch::Metrics) -> Outlet {
    let name = sink.name.clone();
    match &sink.kind {
        SinkKind::File { path, rotate_bytes, keep, dead_letters } => {
            let (content, wanted) = match dead_letters {
                true => (Content::DeadLetters, Wanted::DeadLetters),
                false => (Content::Alerts, Wanted::Alerts),
            };
            let options = FileSinkOptions::new(path.clone(), content);
            let options = FileSinkOptions { rotate_bytes: *rotate_bytes, keep: *keep, ..options };
            Outlet { wanted, has_state: true, ..plain(Box::new(FileSink::new(name, options))) }
        }
        SinkKind::Stdout { format: StdoutFormat::Json } => {
            plain(Box::new(StdoutSink::new(name, Format::Json)))
        }
        SinkKind::Stdout { format: StdoutFormat::Pretty } => {
            plain(Box::new(StdoutSink::new(name, Format::Pretty)))
        }
        SinkKind::Topic { filter } => topic(name, filter.clone(), place),
        SinkKind::Webhook(webhook) => self::webhook(name, webhook, place),
        SinkKind::OpenSearch(options) => {
            let (rejections, outbox) = rejections(&name, place);
            let metrics = metrics.of(&name);
            let sink = OpenSearchSink::new(name, (**options).clone(), metrics, rejections);
            Outlet { outbox, ..plain(Box::new(sink)) }
        }
    }
}

fn plain(sink: Box<dyn Deliver>) -> Outlet {
    let (wanted, options) = (Wanted::Alerts, DeliveryOptions::default());
    Outlet { sink, wanted, outbox: None, has_state: false, most: MOST, options }
}

fn topic(name: String, filter: AlertFilter, place: &Place<'_>) -> Outlet {
    let topic = match place {
        Place::Cluster(names) => names.subscriber(&name),
        // Refused by the check of the configuration: there is no Kafka.
        Place::Process(_) => name.clone(),
    };
    let outbox = Outbox::default();
    let sink = TopicSink::new(name, topic, filter, outbox.clone());
    let options = DeliveryOptions { flush_interval: TRANSACTION_INTERVAL, ..DeliveryOptions::default() };
    Outlet { outbox: Some(outbox), options, ..plain(Box::new(sink)) }
}

/// Where the alerts go that a sink's target refuses for good.
fn rejections(sink: &str, place: &Place<'_>) -> (Box<dyn Rejections>, Option<Outbox>) {
    match place {
        Place::Cluster(names) => {
            let outbox = Outbox::default();
            let rejections = TopicRejections { topic: names.dead_letters(), outbox: outbox.clone() };
            (Box::new(rejections), Some(outbox))
        }
        Place::Process(folder) => (Box::new(FileRejections::new(rejected(folder, sink))), None),
    }
}

/// The file of these alerts, in one process.
pub(super) fn rejected(data_dir: &Path, sink: &str) -> PathBuf {
    data_dir.join(format!("rejected.{sink}.jsonl"))
}

fn webhook(name: String, webhook: &Webhook, place: &Place<'_>) -> Outlet {
    let (rejections, outbox) = rejections(&name, place);
    let options = WebhookOptions {
        url: webhook.url.expose().to_owned(),
        headers: webhook.headers.clone(),
        batch: webhook.batch,
        timeout: webhook.timeout,
        filter: webhook.filter.clone(),
    };
    let most = MOST_REQUESTS * webhook.batch;
    let sink = WebhookSink::new(name, options, rejections);
    Outlet { outbox, most, ..plain(Box::new(sink)) }
}

/// Refuses sinks that can never be written to.
pub(super) fn check(sinks: &[Sink]) -> anyhow::Result<()> {
    for sink in sinks {
        let SinkKind::File { path, .. } = &sink.kind else { continue };
        check_writable(path).with_context(|| {
            format!(
                "the sink {} cannot write to {}: choose another path, or mend its permissions",
                sink.name,
                path.display()
            )
        })?;
    }
    Ok(())
}

/// Refuses at the start what no waiting will mend. A full disk may be mended, and a pipe or device is not touched.
fn check_writable(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => return Ok(()),
        _ => {}
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    match OpenOptions::new().append(true).create(true).mode(0o640).open(path) {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_waiting_will_mend_is_refused_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check_writable(&dir.path().join("new/alerts.jsonl")).is_ok());
        assert!(check_writable(dir.path()).is_err());
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(check_writable(&dir.path().join("file/alerts.jsonl")).is_err());
        assert!(check_writable(Path::new("/dev/full")).is_ok());
    }
}
