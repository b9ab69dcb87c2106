//! The sinks of a run, each with its thread and its cursor in the commit log.
//!
//! Enters: the configured sinks. Leaves: running deliveries. Dead letters have a sink of their own, which is always
//! there: `deadletter.jsonl` in the data directory. What a sink's server will never take is in
//! `rejected.<sink>.jsonl` beside it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use threatlockdown_sinks::{
    Content, Delivery, DeliveryOptions, FileRejections, FileSink, FileSinkOptions, Format, OpenSearchSink,
    Sink as Deliver, StdoutSink, opensearch, spawn,
};
use threatlockdown_topics::{CommitLog, LogPosition, Store};

use crate::config::{Config, DEAD_LETTER_SINK, Sink, SinkKind, StdoutFormat};

/// The running deliveries; seen by the committer (what may be deleted), by metrics and by the shutdown.
#[derive(Clone, Default)]
pub(super) struct Deliveries {
    /// Empty once they are being finished. Locked for a few loads at a time.
    shared: Arc<Mutex<Vec<Delivery>>>,
}

/// What is known of one delivery.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) lag_bytes: u64,
    pub(super) failures: u64,
    pub(super) alerts: u64,
}

impl Deliveries {
    /// Starts a delivery for each sink.
    pub(super) fn start(
        &self,
        config: &Config,
        log: &CommitLog,
        store: &Arc<Store>,
        registry: &mut Registry,
    ) -> anyhow::Result<()> {
        let dead_letters = config.data_dir.join("deadletter.jsonl");
        let dead_letters = FileSinkOptions::new(dead_letters, Content::DeadLetters);
        let dead_letters: Box<dyn Deliver> = Box::new(FileSink::new(DEAD_LETTER_SINK.into(), dead_letters));
        for sink in &config.sinks {
            if let SinkKind::File { path, .. } = &sink.kind {
                check_writable(path).with_context(|| {
                    format!(
                        "the sink {} cannot write to {}: choose another path, or mend its permissions",
                        sink.name,
                        path.display()
                    )
                })?;
            }
        }
        let metrics = opensearch::Metrics::new(registry);
        let build = |sink: &Sink| build(sink, refused_file(config, &sink.name), &metrics);
        for sink in config.sinks.iter().map(build).chain([dead_letters]) {
            let name = sink.name().to_owned();
            let reader = log.reader(None);
            let delivery = spawn(reader, Arc::clone(store), sink, DeliveryOptions::default())
                .with_context(|| format!("cannot start the sink {name}"))?;
            self.lock().push(delivery);
        }
        Ok(())
    }

    /// Before it, no sink needs anything; `None` when that is not known (any more).
    pub(super) fn slowest(&self) -> Option<LogPosition> {
        self.lock().iter().map(Delivery::position).min()
    }

    pub(super) fn states(&self) -> Vec<State> {
        let state = |delivery: &Delivery| State {
            name: delivery.name().to_owned(),
            lag_bytes: delivery.lag_bytes(),
            failures: delivery.failures(),
            alerts: delivery.alerts(),
        };
        self.lock().iter().map(state).collect()
    }

    /// Delivers up to `end` and stops. Names of the sinks that did not get there by the deadline.
    pub(super) fn finish(&self, end: LogPosition, deadline: Instant) -> Vec<String> {
        let deliveries = std::mem::take(&mut *self.lock());
        // All at once: one that hangs must not take the time of the others.
        std::thread::scope(|scope| {
            let finish = |delivery: Delivery| {
                let name = delivery.name().to_owned();
                (name, scope.spawn(move || delivery.finish(end, deadline)))
            };
            let running: Vec<_> = deliveries.into_iter().map(finish).collect();
            running
                .into_iter()
                .filter_map(|(name, done)| (!done.join().unwrap_or(false)).then_some(name))
                .collect()
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Delivery>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// Where the alerts are that a sink's server will never take.
pub(super) fn refused_file(config: &Config, sink: &str) -> PathBuf {
    config.data_dir.join(format!("rejected.{sink}.jsonl"))
}

fn build(sink: &Sink, refused: PathBuf, metrics: &opensearch::Metrics) -> Box<dyn Deliver> {
    let name = sink.name.clone();
    match &sink.kind {
        SinkKind::File { path, rotate_bytes, keep } => {
            let options = FileSinkOptions::new(path.clone(), Content::Alerts);
            let options = FileSinkOptions { rotate_bytes: *rotate_bytes, keep: *keep, ..options };
            Box::new(FileSink::new(name, options))
        }
        SinkKind::Stdout { format: StdoutFormat::Json } => Box::new(StdoutSink::new(name, Format::Json)),
        SinkKind::Stdout { format: StdoutFormat::Pretty } => Box::new(StdoutSink::new(name, Format::Pretty)),
        SinkKind::OpenSearch(options) => {
            let metrics = metrics.of(&name);
            let rejections = Box::new(FileRejections::new(refused));
            Box::new(OpenSearchSink::new(name, (**options).clone(), metrics, rejections))
        }
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
