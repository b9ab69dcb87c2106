//! Alerts to an HTTP address: one request for each, or for some.
//!
//! Enters: commits. Leaves: `POST` requests with JSON, at least once each: a target that took an alert and whose answer was
//! lost gets it again, which it can tell by the header `Idempotency-Key`, or in a batch by each alert's `id`.
//!
//! | answer | what is done |
//! |---|---|
//! | 2xx | delivered |
//! | 401, 403, 404, 407: address or credentials are wrong, whatever the alert; 408, 425, 429, 3xx, 5xx, none | tried again, with growing pauses |
//! | any other 4xx | the alert is kept as a dead letter, with the answer; a batch is sent again one by one first, to find which |
//!
//! What a target took is remembered until it is stored, so that a failure in the middle repeats only what failed.

use std::collections::HashSet;
use std::time::Duration;

use threatlockdown_event::{Alert, AlertId, Millis, RejectedAlert};
use threatlockdown_topics::Commit;
use ureq::Agent;

use crate::filter::AlertFilter;
use crate::rejections::Rejections;
use crate::renewable::Renewable;
use crate::sink::{Sink, SinkError};

/// So many are taken at most before that is stored.
const MOST_UNSTORED: usize = 10_000;
/// How much of an answer is kept with a dead letter.
const ANSWER_BYTES: u64 = 2048;

/// Settings of a webhook.
#[derive(Clone)]
pub struct WebhookOptions {
    /// Where to.
    pub url: String,
    /// Headers, secret ones too.
    pub headers: Renewable<Vec<(String, String)>>,
    /// Alerts in a request: 1 sends objects, more send arrays.
    pub batch: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Which alerts.
    pub filter: AlertFilter,
}

/// See the module.
pub struct WebhookSink {
    name: String,
    options: WebhookOptions,
    agent: Agent,
    rejections: Box<dyn Rejections>,
    /// Taken, and not stored yet.
    taken: HashSet<AlertId>,
    /// Refused for good since the last flush.
    rejected: Vec<(Alert, String)>,
}

/// What became of a request.
enum Answer {
    Taken,
    /// For good, with the target's words.
    Refused(String),
}

impl WebhookSink {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(name: String, options: WebhookOptions, rejections: Box<dyn Rejections>) -> Self {
        let builder = Agent::config_builder();
        let encrypted = options.url.starts_with("https:");
        let builder = if encrypted { builder.tls_config(crate::tls::of_system()) } else { builder };
        let agent = builder
            .http_status_as_error(false)
            .timeout_global(Some(options.timeout))
            // A redirected POST would become a GET, or send secrets elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("threatlockdown/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { name, options, agent, rejections, taken: HashSet::new(), rejected: Vec::new() }
    }

    fn send(&mut self, alerts: &[&Alert]) -> Result<(), SinkError> {
        match self.post(alerts)? {
            Answer::Taken => self.taken.extend(alerts.iter().map(|alert| alert.id)),
            Answer::Refused(_) if alerts.len() > 1 => {
                alerts.iter().try_for_each(|alert| self.send(&[alert]))?;
            }
            Answer::Refused(why) => {
                self.rejected.extend(alerts.iter().map(|&alert| (alert.clone(), why.clone())));
            }
        }
        Ok(())
    }

    fn post(&self, alerts: &[&Alert]) -> Result<Answer, SinkError> {
        let refused = |reason: String| SinkError::Refused { target: self.target(), reason };
        let mut request = self.agent.post(&self.options.url).content_type("application/json");
        for (name, value) in self.options.headers.get() {
            request = request.header(name, value);
        }
        let sent = match alerts {
            [alert] if self.options.batch == 1 => {
                request.header("Idempotency-Key", alert.id.to_string()).send(&alert.json[..])
            }
            _ => request.send(&array(alerts)[..]),
        };
        let mut answer = sent.map_err(|error| refused(error.to_string()))?;
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            // Read, so that the connection can be used again.
            answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().ok();
            return Ok(Answer::Taken);
        }
        let said = answer.body_mut().with_config().limit(ANSWER_BYTES).lossy_utf8(true).read_to_string();
        let words = format!("{status}: {}", said.unwrap_or_default().trim());
        let words = words.trim_end_matches([':', ' ']).to_owned();
        match status {
            401 | 403 | 404 | 407 | 408 | 425 | 429 => Err(refused(words)),
            400..500 => Ok(Answer::Refused(words)),
            _ => Err(refused(words)),
        }
    }

    /// The address without what may be secret in it.
    fn target(&self) -> String {
        let url = self.options.url.split(['?', '#']).next().unwrap_or_default();
        match url.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.split('/').next().unwrap_or_default();
                format!("{scheme}://{}", host.rsplit('@').next().unwrap_or_default())
            }
            None => self.name.clone(),
        }
    }
}

impl Sink for WebhookSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn resume(&mut self, _state: &[u8]) -> Result<(), SinkError> {
        // They come again, and are refused again.
        self.rejected.clear();
        Ok(())
    }

    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
        let is_due = |alert: &&Alert| self.options.filter.wants(alert) && !self.taken.contains(&alert.id);
        let due: Vec<&Alert> = commit.alerts.iter().filter(is_due).collect();
        due.chunks(self.options.batch.max(1)).try_for_each(|batch| self.send(batch))
    }

    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        for (alert, detail) in &self.rejected {
            let rejected = RejectedAlert { alert, sink: &self.name, detail, at: Millis::now() };
            self.rejections.keep(&rejected)?;
        }
        self.rejected.clear();
        Ok(Vec::new())
    }

    fn stored(&mut self) -> Result<(), SinkError> {
        self.taken.clear();
        Ok(())
    }

    fn wants_flush(&self) -> bool {
        self.taken.len() >= MOST_UNSTORED
    }
}

fn array(alerts: &[&Alert]) -> Vec<u8> {
    let mut body = vec![b'['];
    for (at, alert) in alerts.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&alert.json);
    }
    body.push(b']');
    body
}

#[cfg(test)]
mod tests;
