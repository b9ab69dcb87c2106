//! What topics and groups are called.
//!
//! Enters: the prefix of a deployment. Leaves: names, all with that prefix, so that several deployments share a cluster and
//! access rules can be given by prefix.

use std::collections::BTreeMap;
use std::fmt;

/// Longest name that Kafka takes.
const MAX_LENGTH: usize = 249;
const RAW: &str = "raw.";

/// The names of one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
    /// Topics that somebody else fills, each with its log source.
    foreign: BTreeMap<String, String>,
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
        Self { prefix: "threatlockdown.".to_owned(), foreign: BTreeMap::new() }
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
        Ok(Self { prefix: prefix.to_owned(), foreign: BTreeMap::new() })
    }

    /// Reads a topic that somebody else fills as one of raw records.
    ///
    /// # Errors
    /// When no topic can have this name, or it is one of this deployment.
    pub fn add_foreign(&mut self, topic: &str, source: &str) -> Result<(), InvalidName> {
        let is_own = !self.prefix.is_empty() && topic.starts_with(&self.prefix);
        let is_taken = is_own || self.is_fixed(topic) || self.source(topic).is_some();
        if topic.is_empty() || !is_valid(topic) || topic.len() > MAX_LENGTH || is_taken {
            return Err(InvalidName { name: topic.to_owned() });
        }
        self.foreign.insert(topic.to_owned(), source.to_owned());
        Ok(())
    }

    /// Topics that somebody else fills, each with its log source.
    #[must_use]
    pub fn foreign(&self) -> &BTreeMap<String, String> {
        &self.foreign
    }

    /// Whether a topic is one of those that each deployment has.
    fn is_fixed(&self, topic: &str) -> bool {
        let fixed =
            [self.correlate(), self.alerts(), self.redrive(), self.dead_letters(), self.checkpoints()];
        let fixed = fixed.into_iter().chain([self.memory(), self.rulesets(), self.tasks()]);
        fixed
            .chain([self.subscriber("")])
            .any(|own| own == topic || (own.ends_with('.') && topic.starts_with(&own)))
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
    pub fn source<'t>(&'t self, topic: &'t str) -> Option<&'t str> {
        self.own_source(topic).or_else(|| self.foreign.get(topic).map(String::as_str))
    }

    /// Whether a topic of raw records is this deployment's own, and nobody else is to write to it.
    #[must_use]
    pub fn is_own_raw(&self, topic: &str) -> bool {
        self.own_source(topic).is_some()
    }

    fn own_source<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.prefix)?.strip_prefix(RAW)
    }

    /// All topics of raw records, as librdkafka subscribes to names and patterns.
    #[must_use]
    pub fn all_raw(&self) -> Vec<String> {
        let own = format!("^{}{}", self.prefix.replace('.', "\\."), RAW.replace('.', "\\."));
        std::iter::once(own).chain(self.foreign.keys().cloned()).collect()
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
        assert_eq!(names.all_raw(), [r"^threatlockdown\.raw\."]);
        assert_eq!(Names::new("").unwrap().correlate(), "correlate");
    }

    #[test]
    fn topics_of_somebody_else_are_read_by_their_names() {
        let mut names = Names::default();
        names.add_foreign("somebody.audit", "json").unwrap();
        assert_eq!((names.source("somebody.audit"), names.source("somebody.else")), (Some("json"), None));
        assert_eq!(names.all_raw(), [r"^threatlockdown\.raw\.", "somebody.audit"]);
        assert!(names.is_own_raw("threatlockdown.raw.json") && !names.is_own_raw("somebody.audit"));
        for topic in ["threatlockdown.alerts", "threatlockdown.new", "a b", ""] {
            assert!(names.add_foreign(topic, "json").is_err(), "{topic}");
        }
        let mut bare = Names::new("").unwrap();
        for topic in ["alerts", "alerts.soc", "raw.json", "memory"] {
            assert!(bare.add_foreign(topic, "json").is_err(), "{topic}");
        }
        bare.add_foreign("rawdata", "json").unwrap();
    }

    #[test]
    fn what_kafka_would_refuse_is_refused() {
        assert!(Names::new("a/b").is_err() && Names::new(&"x".repeat(200)).is_err());
        for source in ["", "a b", "ä", &"x".repeat(249)] {
            assert!(Names::default().raw(source).is_err(), "{source:?}");
        }
    }
}
