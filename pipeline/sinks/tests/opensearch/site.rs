//! A commit log with alerts, and a sink's way through it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use threatlockdown_event::{Alert, AlertId};
use threatlockdown_sinks::opensearch::{Options, SinkMetrics};
use threatlockdown_sinks::{Delivery, DeliveryOptions, FileRejections, OpenSearchSink, spawn};
use threatlockdown_topics::{Commit, CommitLog, CommitLogOptions, Store};

/// Only a broken build gets there.
const DEADLINE: Duration = Duration::from_secs(180);

pub(crate) struct Site {
    dir: TempDir,
    log: CommitLog,
    store: Arc<Store>,
    pub(crate) metrics: SinkMetrics,
    options: Options,
}

impl Site {
    pub(crate) fn new(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let log = CommitLog::open(dir.path(), Arc::clone(&store), CommitLogOptions::default()).unwrap();
        Self { dir, log, store, metrics: SinkMetrics::default(), options }
    }

    pub(crate) fn append(&mut self, alerts: &[Alert]) {
        self.log.append(&Commit { alerts: alerts.to_vec(), ..Commit::default() }).unwrap();
    }

    pub(crate) fn sink(&self) -> OpenSearchSink {
        let rejections = Box::new(FileRejections::new(self.refused_file()));
        OpenSearchSink::new(String::from("os"), self.options.clone(), self.metrics.clone(), rejections)
    }

    fn refused_file(&self) -> PathBuf {
        self.dir.path().join("rejected.os.jsonl")
    }

    pub(crate) fn spawn(&self) -> Delivery {
        let (first_pause, longest_pause) = (Duration::from_millis(10), Duration::from_millis(200));
        let options =
            DeliveryOptions { flush_interval: Duration::from_millis(50), first_pause, longest_pause };
        spawn(self.log.reader(None), Arc::clone(&self.store), Box::new(self.sink()), options).unwrap()
    }

    pub(crate) fn finish(&self, delivery: Delivery) {
        assert!(delivery.finish(self.log.end(), Instant::now() + DEADLINE), "not all is delivered");
    }

    /// From the stored cursor to the end.
    pub(crate) fn deliver(&self) {
        self.finish(self.spawn());
    }

    /// What lies in the file of the refused.
    pub(crate) fn dead_letters(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.refused_file()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Delivered, duplicate, retried, fallback, rejected.
    pub(crate) fn counted(&self) -> [u64; 5] {
        let of = &self.metrics;
        [&of.delivered, &of.duplicate, &of.retried, &of.fallback, &of.rejected].map(|counter| counter.get())
    }
}

/// Waits for something that happens elsewhere.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < DEADLINE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An alert of a day with an event's own members.
pub(crate) fn alert(number: u128, day: &str, data: &Value) -> Alert {
    let id = AlertId(number.to_be_bytes());
    let json = json!({
        "timestamp": format!("{day}T23:59:59.123+0000"),
        "rule": {"level": 7, "description": "Trail stopped", "id": "80254", "mail": false, "groups": ["aws", "amazon"],
            "mitre": {"id": ["T1562"], "tactic": ["Defense Evasion"], "technique": ["Impair Defenses"]}, "pci_dss": ["10.6.1"],
            "firedtimes": 1},
        "agent": {"id": "000", "name": "host"},
        "manager": {"name": "host"},
        "id": id.to_string(),
        "full_log": "{\"eventName\":\"StopLogging\"}",
        "decoder": {"name": "json"},
        "data": data,
        "location": "trail",
        "event": {"id": "0f", "source": "aws.cloudtrail", "time": format!("{day}T23:59:59.123Z"),
            "ingested": "2024-03-09T00:00:00.000Z", "connector": "trail", "origin": "a.json:1"},
        "cloud": {"provider": "aws", "account": {"id": "123456789012"}, "region": "eu-central-1"},
        "ruleset": {"version": "1"},
    });
    Alert { id, level: 7, json: json.to_string().into_bytes() }
}
