//! What topics and groups are called.
//!
//! Enters: the prefix of a deployment. Leaves: names, all with that prefix, so that several deployments share a cluster and
//! access rules can be given by prefix.

use std::fmt;

/// Longest name that Kafka takes.
const MAX_LENGTH: usize = 249;
const RAW: &str = "raw.";

/// The names of one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

/// A prefix or a log source that no topic can be named by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` cannot be (a part of) a topic's name: letters, digits, `.`, `_` and `-` can, {MAX_LENGTH} of them at most"
)]
pub struct InvalidName {
    name: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { prefix: "threatlockdown.".to_owned() }
    }
}

impl Names {
    /// With a prefix, which may be empty.
    ///
    /// # Errors
    /// When no topic can be named by it.
    pub fn new(prefix: &str) -> Result<Self, InvalidName> {
        // Room for the longest name that is put behind it.
        if !is_valid(prefix) || prefix.len() > MAX_LENGTH - 100 {
            return Err(InvalidName { name: prefix.to_owned() });
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// Raw records of a log source.
    ///
    /// # Errors
    /// When no topic can be named by the source.
    pub fn raw(&self, source: &str) -> Result<String, InvalidName> {
        let name = format!("{}{RAW}{source}", self.prefix);
        if source.is_empty() || !is_valid(source) || name.len() > MAX_LENGTH {
            return Err(InvalidName { name: source.to_owned() });
        }
        Ok(name)
    }

    /// The log source of a topic of raw records.
    #[must_use]
    pub fn source<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.prefix)?.strip_prefix(RAW)
    }

    /// All topics of raw records, as librdkafka subscribes to patterns.
    #[must_use]
    pub fn raw_pattern(&self) -> String {
        format!("^{}{}", self.prefix.replace('.', "\\."), RAW.replace('.', "\\."))
    }

    /// Events whose verdict depends on others, and how far time has come.
    #[must_use]
    pub fn correlate(&self) -> String {
        self.with("correlate")
    }

    /// Alerts.
    #[must_use]
    pub fn alerts(&self) -> String {
        self.with("alerts")
    }

    /// Alerts for one subscriber.
    #[must_use]
    pub fn subscriber(&self, name: &str) -> String {
        self.with(&format!("alerts.{name}"))
    }

    /// Alerts that a sink refused, on their way to that sink once more.
    #[must_use]
    pub fn redrive(&self) -> String {
        self.with("redrive")
    }

    /// What could not be processed.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        self.with("deadletter")
    }

    /// Where connectors go on.
    #[must_use]
    pub fn checkpoints(&self) -> String {
        self.with("checkpoints")
    }

    /// What rules remember for longer than the topic of candidates does.
    #[must_use]
    pub fn memory(&self) -> String {
        self.with("memory")
    }

    /// Rules for running workers.
    #[must_use]
    pub fn rulesets(&self) -> String {
        self.with("rulesets")
    }

    /// What `collect` divides among its copies.
    #[must_use]
    pub fn tasks(&self) -> String {
        self.with("tasks")
    }

    /// The consumer group of a role.
    #[must_use]
    pub fn group(&self, role: &str) -> String {
        self.with(role)
    }

    /// The transactional id of a writer: the same after a restart, so that what its predecessor left open is aborted at once.
    #[must_use]
    pub fn transactional_id(&self, role: &str, instance: &str, writer: impl fmt::Display) -> String {
        format!("{}{role}.{instance}.{writer}", self.prefix)
    }

    fn with(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn is_valid(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_topics_name_each_other() {
        let names = Names::default();
        let topic = names.raw("aws.cloudtrail").unwrap();
        assert_eq!(topic, "threatlockdown.raw.aws.cloudtrail");
        assert_eq!(names.source(&topic), Some("aws.cloudtrail"));
        assert_eq!(names.source("other.raw.syslog"), None);
        assert_eq!(names.source(&names.alerts()), None);
        assert_eq!(names.raw_pattern(), r"^threatlockdown\.raw\.");
        assert_eq!(Names::new("").unwrap().correlate(), "correlate");
    }

    #[test]
    fn what_kafka_would_refuse_is_refused() {
        assert!(Names::new("a/b").is_err() && Names::new(&"x".repeat(200)).is_err());
        for source in ["", "a b", "ä", &"x".repeat(249)] {
            assert!(Names::default().raw(source).is_err(), "{source:?}");
        }
    }
}
