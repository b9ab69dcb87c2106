//! Makes topics, and tells which of those that are there would lose what is written to them.
//!
//! Enters: what topics there are to be. Leaves: these topics, or what is wrong with them, each with a remedy. A topic that is
//! there is never changed: its partitions and retention are the operator's.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;

use super::client::Context;
use super::error::KafkaError;
use super::settings::Settings;

const ANSWER: Duration = Duration::from_secs(30);

/// A topic as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// Partitions when it is made.
    pub partitions: u32,
    /// Only the newest record of each key is kept, for ever; otherwise all of them, for a time.
    pub is_compacted: bool,
    /// How long records are kept when it is made, in milliseconds; `None`: for ever.
    pub retention: Option<u64>,
    /// Records of an age below this must not be deleted, in milliseconds.
    pub least_retention: u64,
    /// Largest record that has to fit, in bytes.
    pub largest: u64,
}

/// What is wrong with a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFault {
    /// Its name.
    pub topic: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Records would be lost; a warning otherwise.
    pub is_error: bool,
}

/// See the module.
pub struct Admin {
    client: AdminClient<Context>,
}

/// A topic as it is.
struct Found {
    partitions: usize,
    replicas: usize,
    settings: BTreeMap<String, String>,
}

impl Admin {
    /// For a cluster.
    ///
    /// # Errors
    /// When the settings do not fit.
    pub fn open(settings: &Settings) -> Result<Self, KafkaError> {
        let client = settings.client().create_with_context(Context::default());
        client.map(|client| Self { client }).map_err(|error| KafkaError::of("cannot make a client", error))
    }

    /// How many brokers there are.
    ///
    /// # Errors
    /// When none answers.
    pub fn brokers(&self) -> Result<usize, KafkaError> {
        let metadata = self.client.inner().fetch_metadata(None, ANSWER);
        Ok(metadata.map_err(|error| KafkaError::of("cannot reach the brokers", error))?.brokers().len())
    }

    /// Names of all topics that begin like this.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn topics(&self, prefix: &str) -> Result<Vec<String>, KafkaError> {
        let metadata = self.client.inner().fetch_metadata(None, ANSWER);
        let metadata = metadata.map_err(|error| KafkaError::of("cannot reach the brokers", error))?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        Ok(names.filter(|name| name.starts_with(prefix)).collect())
    }

    /// Makes those of the topics that are not there; returns their names.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn create(&self, plans: &[TopicPlan], replicas: u32) -> Result<Vec<String>, KafkaError> {
        let numbers: Vec<PlanNumbers> = plans.iter().map(|plan| PlanNumbers::of(plan, replicas)).collect();
        let topics: Vec<NewTopic<'_>> =
            plans.iter().zip(&numbers).map(|(plan, numbers)| new_topic(plan, numbers, replicas)).collect();
        let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
        let results = pollster::block_on(self.client.create_topics(&topics, &options))
            .map_err(|error| KafkaError::of("cannot make topics", error))?;
        let mut made = Vec::new();
        for result in results {
            match result {
                Ok(name) => made.push(name),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    let error = rdkafka::error::KafkaError::AdminOp(code);
                    return Err(KafkaError::of("cannot make a topic", error));
                }
            }
        }
        Ok(made)
    }

    /// What is wrong with the topics; empty when they lose nothing.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn check(&self, plans: &[TopicPlan]) -> Result<Vec<TopicFault>, KafkaError> {
        let mut faults = Vec::new();
        for plan in plans {
            match self.find(&plan.name)? {
                Some(found) => check_one(plan, &found, &mut faults),
                None => faults.push(TopicFault {
                    topic: plan.name.clone(),
                    message: "it is not there".to_owned(),
                    remedy: "make it with `threatlockdown topics create`".to_owned(),
                    is_error: true,
                }),
            }
        }
        Ok(faults)
    }

    fn find(&self, name: &str) -> Result<Option<Found>, KafkaError> {
        let metadata = self.client.inner().fetch_metadata(Some(name), ANSWER);
        let metadata = metadata.map_err(|error| KafkaError::of("cannot reach the brokers", error))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
        if topic.error().is_some() || topic.partitions().is_empty() {
            return Ok(None);
        }
        let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let described = pollster::block_on(self.client.describe_configs(&[ResourceSpecifier::Topic(name)], &options))
            .map_err(|error| KafkaError::of("cannot see a topic's settings", error))?;
        let mut settings = BTreeMap::new();
        for resource in described {
            let refused = |code| KafkaError::of("cannot see a topic's settings", rdkafka::error::KafkaError::AdminOp(code));
            let resource = resource.map_err(refused)?;
            let entries = resource.entries.into_iter();
            settings.extend(entries.filter_map(|entry| entry.value.map(|value| (entry.name, value))));
        }
        Ok(Some(Found { partitions: topic.partitions().len(), replicas: replicas.unwrap_or_default(), settings }))
    }
}

/// Numbers of a plan as Kafka wants them: texts that outlive the request.
struct PlanNumbers {
    retention: String,
    largest: String,
    in_sync: &'static str,
}

impl PlanNumbers {
    fn of(plan: &TopicPlan, replicas: u32) -> Self {
        Self {
            retention: plan.retention.map_or_else(|| "-1".to_owned(), |retention| retention.to_string()),
            largest: plan.largest.to_string(),
            in_sync: if replicas > 2 { "2" } else { "1" },
        }
    }
}

fn new_topic<'p>(plan: &'p TopicPlan, numbers: &'p PlanNumbers, replicas: u32) -> NewTopic<'p> {
    let partitions = i32::try_from(plan.partitions).unwrap_or(i32::MAX);
    let replication = TopicReplication::Fixed(i32::try_from(replicas).unwrap_or(i32::MAX));
    let policy = if plan.is_compacted { "compact" } else { "delete" };
    let topic = NewTopic::new(&plan.name, partitions, replication)
        .set("cleanup.policy", policy)
        .set("min.insync.replicas", numbers.in_sync)
        .set("unclean.leader.election.enable", "false")
        .set("max.message.bytes", &numbers.largest);
    if plan.is_compacted { topic } else { topic.set("retention.ms", &numbers.retention) }
}

fn check_one(plan: &TopicPlan, found: &Found, faults: &mut Vec<TopicFault>) {
    let setting = |name: &str| found.settings.get(name).map(String::as_str).unwrap_or_default();
    let number = |name: &str| setting(name).parse::<i64>().ok();
    let mut fault = |message: String, remedy: String, is_error| {
        faults.push(TopicFault { topic: plan.name.clone(), message, remedy, is_error });
    };
    let policy = setting("cleanup.policy");
    if plan.is_compacted && policy.split(',').any(|part| part.trim() == "delete") {
        let message = format!("cleanup.policy is `{policy}`: what has to be kept for ever would be deleted");
        fault(message, "set it to `compact`".to_owned(), true);
    }
    if !plan.is_compacted && policy.split(',').any(|part| part.trim() == "compact") {
        let message = format!("cleanup.policy is `{policy}`: records with the same key would be deleted");
        fault(message, "set it to `delete`".to_owned(), true);
    }
    let retention = number("retention.ms").and_then(|retention| u64::try_from(retention).ok());
    if let Some(retention) = retention.filter(|retention| !plan.is_compacted && *retention < plan.least_retention) {
        let message = format!("retention.ms is {retention}: records would be deleted before they are needed no more");
        fault(message, format!("set it to {} or more", plan.least_retention), true);
    }
    if setting("unclean.leader.election.enable") == "true" {
        let message = "unclean.leader.election.enable is true: a broker that lacks records may become their leader";
        fault(message.to_owned(), "set it to false".to_owned(), true);
    }
    if found.replicas > 2 && number("min.insync.replicas").is_some_and(|least| least < 2) {
        let message = "min.insync.replicas is 1: a record that only one broker has counts as written";
        fault(message.to_owned(), "set it to 2".to_owned(), true);
    }
    if number("max.message.bytes").and_then(|bytes| u64::try_from(bytes).ok()).is_some_and(|bytes| bytes < plan.largest) {
        let message = format!("max.message.bytes is {}: larger records would be refused", setting("max.message.bytes"));
        fault(message, format!("set it to {} or more", plan.largest), true);
    }
    if found.replicas < 2 {
        let message = "there is one copy of each record: a disk that fails takes them with it";
        fault(message.to_owned(), "give it three replicas, where there are three brokers".to_owned(), false);
    }
    let _ = found.partitions;
}
