//! Alerts in OpenSearch, each exactly once: in the index of its day, under its own id.
//!
//! ```text
//! alerts ──▶ documents ──▶ _bulk of creates ──▶ 201 there, 409 was there
//!                ▲                 │ 429, 5xx, no connection: error, the delivery comes again after a pause
//!                └─ parts as text ─┤ rejected
//!                                  └ rejected again ──▶ dead letter, with the reasons
//! ```
//!
//! Enters: commits. Leaves: documents. `create` with the alert's id makes a repetition harmless, so there is no state to
//! store. What the server has taken since the last cursor is remembered nevertheless: when a part of a request failed,
//! only that part is sent again.

mod bulk;
mod client;
mod document;
mod metrics;
mod retention;
mod template;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use threatlockdown_event::{Alert, AlertId, Millis, RejectedAlert};
use threatlockdown_topics::Commit;

pub use self::client::{Authorization, Connection};
pub use self::metrics::{Metrics, SinkMetrics};

use self::bulk::Fate;
use self::client::{Client, Content, Reply};
use self::document::Document;
use crate::rejections::Rejections;
use crate::sink::{Sink, SinkError};

/// Beside an alert there is the line that says where it goes.
const BESIDE: usize = 128;
/// Between two looks at template and retention.
const CARE: Duration = Duration::from_secs(3600);
/// So many requests' worth of alerts may be delivered before the cursor has to be stored.
const REQUESTS_PER_CURSOR: usize = 20;
/// An alert at which the server failed so often in a row is at fault itself.
const MOST_FAILURES: u32 = 10;
/// Of refused alerts that wait for their dead letters.
const REFUSED_BYTES: usize = 16 << 20;
/// Only what is read of an answer.
const BULK: &str = "/_bulk?filter_path=items.*.status,items.*.error";

/// Settings of the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the server is.
    pub connection: Connection,
    /// An index is called this, `-` and the day.
    pub index_prefix: String,
    /// How long an index is kept after its day; `None` = for ever.
    pub retention: Option<Duration>,
    /// Shards of an index.
    pub shards: u32,
    /// Further copies of each shard; `None`: one, where there is a second node.
    pub replicas: Option<u32>,
    /// Largest number of alerts in a request.
    pub bulk_items: usize,
    /// Largest request before compression; one alert is sent however large it is.
    pub bulk_bytes: usize,
}

impl Options {
    /// The usual settings for servers at these addresses.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        let timeout = Duration::from_secs(60);
        Self {
            connection: Connection { urls, authorization: None, ca: None, certificate: None, timeout },
            index_prefix: String::from("threatlockdown-alerts"),
            retention: None,
            shards: 1,
            replicas: None,
            bulk_items: 1000,
            bulk_bytes: 5 << 20,
        }
    }
}

/// Sends alerts to OpenSearch.
pub struct OpenSearchSink {
    name: String,
    options: Options,
    metrics: SinkMetrics,
    rejections: Box<dyn Rejections>,
    /// Made anew by each `resume`.
    client: Option<Client>,
    /// When template and retention are looked at again.
    care: Instant,
    waiting: Vec<Document>,
    waiting_bytes: usize,
    /// Taken by the server, and the cursor is not yet behind them.
    done: HashSet<AlertId>,
    /// How often the server failed at an alert since the last cursor.
    broken: HashMap<AlertId, u32>,
    /// Refused in both forms, with the reasons, and not yet among the dead letters.
    refused: Vec<(Alert, String)>,
    refused_bytes: usize,
}

impl OpenSearchSink {
    /// Nothing is connected before the first `resume`. What the server will never take goes to `rejections`.
    #[must_use]
    pub fn new(
        name: String,
        options: Options,
        metrics: SinkMetrics,
        rejections: Box<dyn Rejections>,
    ) -> Self {
        Self {
            name,
            options,
            metrics,
            rejections,
            client: None,
            care: Instant::now(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            done: HashSet::new(),
            broken: HashMap::new(),
            refused: Vec::new(),
            refused_bytes: 0,
        }
    }

    /// Takes an alert up, unless it was delivered before the error after which it comes again.
    fn add(&mut self, alert: &Alert) -> Result<(), SinkError> {
        if self.done.contains(&alert.id) {
            return Ok(());
        }
        let document = match Document::new(alert) {
            Ok(document) => document,
            Err(reason) => {
                self.refuse(alert.clone(), reason);
                return Ok(());
            }
        };
        let size = document.text().len() + BESIDE;
        let is_full = self.waiting.len() >= self.options.bulk_items
            || self.waiting_bytes + size > self.options.bulk_bytes;
        if is_full {
            self.send_waiting()?;
        }
        self.waiting_bytes += size;
        self.waiting.push(document);
        Ok(())
    }

    /// Sends what waits, and once more what was rejected, in its other form.
    fn send_waiting(&mut self) -> Result<(), SinkError> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let rejected = self.send(waiting)?;
        self.send(rejected)?;
        Ok(())
    }

    /// Sends documents; the other forms of those that were rejected are left.
    fn send(&mut self, documents: Vec<Document>) -> Result<Vec<Document>, SinkError> {
        if documents.is_empty() {
            return Ok(documents);
        }
        let reply = self.request(&documents)?;
        if reply.status == 413 && documents.len() > 1 {
            let mut first = documents;
            let second = first.split_off(first.len() / 2);
            let mut rejected = self.send(first)?;
            rejected.append(&mut self.send(second)?);
            return Ok(rejected);
        }
        let target = self.client.as_ref().map(Client::target).unwrap_or_default();
        let fates = match reply.status {
            413 => Ok(vec![Fate::Rejected(reply.fault())]),
            200 => bulk::fates(&reply.body, documents.len()),
            _ => Err(reply.fault()),
        };
        let fates = fates.map_err(|reason| SinkError::Refused { target: target.clone(), reason })?;
        self.settle(documents, fates, target)
    }

    fn request(&mut self, documents: &[Document]) -> Result<Reply, SinkError> {
        let client = self.client.as_mut().ok_or_else(not_resumed)?;
        let mut body = Vec::with_capacity(documents.iter().map(|one| one.text().len() + BESIDE).sum());
        documents.iter().for_each(|document| document.write(&self.options.index_prefix, &mut body));
        let begin = Instant::now();
        let reply = client.request("POST", BULK, Content::Lines(&body));
        self.metrics.bulk.observe(begin.elapsed().as_secs_f64());
        reply
    }

    /// Notes what is done, and fails where something has to come again.
    fn settle(
        &mut self,
        documents: Vec<Document>,
        fates: Vec<Fate>,
        target: String,
    ) -> Result<Vec<Document>, SinkError> {
        let mut rejected = Vec::new();
        let mut again = 0;
        let mut why = None;
        let count = documents.len();
        for (document, fate) in documents.into_iter().zip(fates) {
            match self.weigh(document.alert.id, fate) {
                fate @ (Fate::Delivered | Fate::Duplicate) => {
                    let is_new = fate == Fate::Delivered;
                    let counter = if is_new { &self.metrics.delivered } else { &self.metrics.duplicate };
                    counter.inc();
                    if document.is_fallback() {
                        self.metrics.fallback.inc();
                    }
                    self.done.insert(document.alert.id);
                }
                Fate::Again(reason) | Fate::Broken(reason) => {
                    self.metrics.retried.inc();
                    again += 1;
                    why.get_or_insert(reason);
                }
                Fate::Rejected(reason) => match document.after_refusal(reason) {
                    Ok(other) => rejected.push(other),
                    Err((alert, reason)) => self.refuse(alert, reason),
                },
            }
        }
        match why {
            Some(reason) => {
                let reason = format!("{again} of {count} alerts have to be sent again: {reason}");
                Err(SinkError::Refused { target, reason })
            }
            None => Ok(rejected),
        }
    }

    /// A failure of the server as what it is: to be tried again, or, after many, the alert's fault.
    fn weigh(&mut self, id: AlertId, fate: Fate) -> Fate {
        let Fate::Broken(reason) = fate else { return fate };
        let failures = self.broken.entry(id).or_insert(0);
        *failures += 1;
        if *failures < MOST_FAILURES { Fate::Again(reason) } else { Fate::Rejected(reason) }
    }

    fn refuse(&mut self, alert: Alert, reason: String) {
        self.metrics.rejected.inc();
        self.refused_bytes += alert.json.len();
        self.refused.push((alert, reason));
    }

    /// Template and retention. Without the template nothing may be delivered; old indices can wait.
    fn take_care(&mut self) -> Result<(), SinkError> {
        let client = self.client.as_mut().ok_or_else(not_resumed)?;
        template::install(client, &self.options)?;
        if let Some(retention) = self.options.retention {
            match retention::apply(client, &self.options.index_prefix, retention, Millis::now()) {
                Ok(done) => tracing::debug!(sink = self.name, ?done, "looked after the retention"),
                Err(error) => {
                    tracing::warn!(sink = self.name, %error, "cannot delete old indices; they stay");
                }
            }
        }
        self.care = Instant::now() + CARE;
        Ok(())
    }
}

impl Sink for OpenSearchSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn resume(&mut self, _state: &[u8]) -> Result<(), SinkError> {
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.refused.clear();
        self.refused_bytes = 0;
        self.client = Some(Client::new(&self.options.connection)?);
        self.take_care()
    }

    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
        commit.alerts.iter().try_for_each(|alert| self.add(alert))
    }

    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        self.send_waiting()?;
        for (alert, detail) in &self.refused {
            let rejected = RejectedAlert { alert, sink: &self.name, detail, at: Millis::now() };
            self.rejections.keep(&rejected)?;
        }
        if let Some((alert, reason)) = self.refused.first() {
            let count = self.refused.len();
            tracing::warn!(sink = self.name, count, first = %alert.id, reason, "alerts are refused for good; they are dead letters");
        }
        self.refused.clear();
        self.refused_bytes = 0;
        if Instant::now() >= self.care {
            self.take_care()?;
        }
        Ok(Vec::new())
    }

    fn stored(&mut self) -> Result<(), SinkError> {
        self.done.clear();
        self.broken.clear();
        Ok(())
    }

    fn wants_flush(&self) -> bool {
        self.done.len() >= self.options.bulk_items.saturating_mul(REQUESTS_PER_CURSOR)
            || self.refused_bytes >= REFUSED_BYTES
            || Instant::now() >= self.care
    }
}

fn not_resumed() -> SinkError {
    SinkError::State(String::from("the sink was not resumed"))
}
