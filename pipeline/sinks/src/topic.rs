//! Alerts on a topic of their own, for a subscriber that wants some of them.
//!
//! Enters: commits from Kafka. Leaves: those alerts that the subscriber wants, as they stand in `alerts`, in transactions that
//! hold the offsets of what they were read from: exactly once for readers of `read_committed`.

use threatlockdown_topics::Commit;
use threatlockdown_topics::kafka::{AlertKey, alert_record};

use crate::delivery::Outbox;
use crate::filter::AlertFilter;
use crate::sink::{Sink, SinkError};

/// See the module.
pub struct TopicSink {
    name: String,
    topic: String,
    filter: AlertFilter,
    outbox: Outbox,
}

impl TopicSink {
    /// To a topic. The outbox is that of the source it is delivered from.
    #[must_use]
    pub fn new(name: String, topic: String, filter: AlertFilter, outbox: Outbox) -> Self {
        Self { name, topic, filter, outbox }
    }
}

impl Sink for TopicSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn resume(&mut self, _state: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn deliver(&mut self, commit: &Commit) -> Result<(), SinkError> {
        for alert in commit.alerts.iter().filter(|alert| self.filter.wants(alert)) {
            self.outbox.send(alert_record(&self.topic, &AlertKey::of(alert), alert))?;
        }
        Ok(())
    }

    /// The source's transaction makes it durable, with the offsets.
    fn flush(&mut self) -> Result<Vec<u8>, SinkError> {
        Ok(Vec::new())
    }
}
