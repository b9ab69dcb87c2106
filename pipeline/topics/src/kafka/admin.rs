//! Makes topics, and tells which of those that are there would lose what is written to them.
//!
//! Enters: what topics there are to be. Leaves: these topics, or what is wrong with them, each with a remedy. A topic that is
//! there is never changed: its partitions and retention are the operator's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::KafkaError as Library;
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::types::RDKafkaErrorCode;

use super::client::{self, Context};
use super::error::KafkaError;
use super::received::TopicPartition;
use super::settings::Settings;

const ANSWER: Duration = Duration::from_secs(30);
/// Between two looks at topics that were made.
const AGAIN: Duration = Duration::from_millis(50);
/// A table is read whole at each start, and only closed segments are compacted.
const TABLE_SEGMENT: u64 = 64 << 20;

/// A topic as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// Partitions when it is made.
    pub partitions: u32,
    /// Only the newest record of each key is kept, for ever; otherwise all of them, for a time.
    pub is_compacted: bool,
    /// The number of partitions decides where a key is counted, so it is no other.
    pub is_fixed: bool,
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
    settings: Settings,
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
        let opened = client.map(|client| Self { client, settings: settings.clone() });
        opened.map_err(|error| KafkaError::of("cannot make a client", error))
    }

    /// How many brokers there are.
    ///
    /// # Errors
    /// When none answers.
    pub fn brokers(&self) -> Result<usize, KafkaError> {
        Ok(self.metadata()?.brokers().len())
    }

    /// Of all topics: a question for one by its name may make it, on brokers that do that.
    fn metadata(&self) -> Result<Metadata, KafkaError> {
        let inner = self.client.inner();
        inner.fetch_metadata(None, ANSWER).map_err(|source| {
            // An administrator's client is not told why.
            let reader = self.settings.alone().create_with_context(Context::default()).ok();
            let complaint = reader.as_ref().map(client::complaint).unwrap_or_default();
            KafkaError::Unreachable { source, complaint }
        })
    }

    /// Names of all topics that begin like this.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn topics(&self, prefix: &str) -> Result<Vec<String>, KafkaError> {
        let metadata = self.metadata()?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        Ok(names.filter(|name| name.starts_with(prefix)).collect())
    }

    /// All partitions of all topics.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn partitions(&self) -> Result<Vec<TopicPartition>, KafkaError> {
        let metadata = self.metadata()?;
        let of = |topic: &rdkafka::metadata::MetadataTopic| {
            let name: Arc<str> = topic.name().into();
            let one = |partition: &rdkafka::metadata::MetadataPartition| TopicPartition {
                topic: Arc::clone(&name),
                partition: partition.id(),
            };
            topic.partitions().iter().map(one).collect::<Vec<_>>()
        };
        Ok(metadata.topics().iter().flat_map(of).collect())
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
                    let error = Library::AdminOp(code);
                    return Err(KafkaError::of("cannot make a topic", error));
                }
            }
        }
        self.await_leaders(plans)?;
        Ok(made)
    }

    /// Waits until the brokers tell of all topics: what one of them has made the others learn a moment later.
    fn await_leaders(&self, plans: &[TopicPlan]) -> Result<(), KafkaError> {
        let began = Instant::now();
        loop {
            let metadata = self.metadata()?;
            let is_led = |plan: &TopicPlan| {
                let topic = metadata.topics().iter().find(|topic| topic.name() == plan.name);
                topic.is_some_and(|topic| {
                    let mut partitions = topic.partitions().iter();
                    topic.error().is_none()
                        && !topic.partitions().is_empty()
                        && partitions.all(|partition| partition.leader() >= 0)
                })
            };
            // Those that stay unseen are told by the check.
            if plans.iter().all(is_led) || began.elapsed() >= ANSWER {
                return Ok(());
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// What is wrong with the topics; empty when they lose nothing.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn check(&self, plans: &[TopicPlan]) -> Result<Vec<TopicFault>, KafkaError> {
        let metadata = self.metadata()?;
        let mut faults = Vec::new();
        for plan in plans {
            let topic = metadata.topics().iter().find(|topic| topic.name() == plan.name);
            match topic.filter(|topic| topic.error().is_none() && !topic.partitions().is_empty()) {
                Some(topic) => check_one(plan, &self.see(topic)?, &mut faults),
                None => faults.push(TopicFault {
                    topic: plan.name.clone(),
                    message: "it is not there, or this client may not see it".to_owned(),
                    remedy: "make it with `threatlockdown topics create`, or allow the client to describe it"
                        .to_owned(),
                    is_error: true,
                }),
            }
        }
        Ok(faults)
    }

    fn see(&self, topic: &MetadataTopic) -> Result<Found, KafkaError> {
        let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let asked = [ResourceSpecifier::Topic(topic.name())];
        let described = pollster::block_on(self.client.describe_configs(&asked, &options));
        let described = described.map_err(|error| KafkaError::of("cannot see a topic's settings", error))?;
        let mut settings = BTreeMap::new();
        for resource in described {
            let refused = |code| KafkaError::of("cannot see a topic's settings", Library::AdminOp(code));
            let entries = resource.map_err(refused)?.entries.into_iter();
            settings.extend(entries.filter_map(|entry| entry.value.map(|value| (entry.name, value))));
        }
        Ok(Found { partitions: topic.partitions().len(), replicas: replicas.unwrap_or_default(), settings })
    }
}

/// Numbers of a plan as Kafka wants them: texts that outlive the request.
struct PlanNumbers {
    retention: String,
    largest: String,
    segment: String,
    in_sync: &'static str,
}

impl PlanNumbers {
    fn of(plan: &TopicPlan, replicas: u32) -> Self {
        Self {
            retention: plan.retention.map_or_else(|| "-1".to_owned(), |retention| retention.to_string()),
            largest: plan.largest.to_string(),
            // A batch has to fit in one.
            segment: TABLE_SEGMENT.max(plan.largest.saturating_mul(2)).min(1 << 30).to_string(),
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
    match plan.is_compacted {
        true => topic.set("segment.bytes", &numbers.segment),
        false => topic.set("retention.ms", &numbers.retention),
    }
}

fn check_one(plan: &TopicPlan, found: &Found, faults: &mut Vec<TopicFault>) {
    let mut fault = |is_error: bool, message: String, remedy: String| {
        faults.push(TopicFault { topic: plan.name.clone(), message, remedy, is_error });
    };
    check_deletion(plan, found, &mut fault);
    check_copies(found, &mut fault);
    let largest = found.setting("max.message.bytes");
    if largest.parse::<u64>().is_ok_and(|bytes| bytes < plan.largest) {
        let message = format!("max.message.bytes is {largest}: larger records would be refused");
        fault(true, message, format!("set it to {} or more", plan.largest));
    }
    let wanted = usize::try_from(plan.partitions).unwrap_or(usize::MAX);
    if plan.is_fixed && found.partitions != wanted {
        let message = format!(
            "there are {} partitions, not {wanted}: keys would be counted in the wrong one",
            found.partitions
        );
        let remedy = "set `kafka.topics.correlate_partitions` to what there is; to change it, stop all roles and make \
                      `correlate` and `memory` anew";
        fault(true, message, remedy.to_owned());
    } else if found.partitions < wanted {
        let message = format!(
            "there are {} partitions, not {wanted}: fewer workers can share the work",
            found.partitions
        );
        let remedy =
            "add partitions while no role runs, or set the number in `kafka.topics` to what there is";
        fault(false, message, remedy.to_owned());
    }
}

/// Whether records are deleted that are needed.
fn check_deletion(plan: &TopicPlan, found: &Found, fault: &mut impl FnMut(bool, String, String)) {
    let policy = found.setting("cleanup.policy");
    let has = |name: &str| policy.split(',').any(|part| part.trim() == name);
    if plan.is_compacted {
        if has("delete") {
            let message =
                format!("cleanup.policy is `{policy}`: what has to be kept for ever would be deleted");
            fault(true, message, "set it to `compact`".to_owned());
        }
        return;
    }
    if has("compact") {
        let message = format!("cleanup.policy is `{policy}`: records with the same key would be deleted");
        fault(true, message, "set it to `delete`".to_owned());
    }
    let retention = found.setting("retention.ms");
    if retention.parse::<u64>().is_ok_and(|retention| retention < plan.least_retention) {
        let message =
            format!("retention.ms is {retention}: records would be deleted while they are still needed");
        fault(true, message, format!("set it to {} or more", plan.least_retention));
    }
    let bytes = found.setting("retention.bytes");
    if bytes.parse::<u64>().is_ok() {
        let message =
            format!("retention.bytes is {bytes}: when much comes, records are deleted whatever their age");
        fault(false, message, "set it to -1, and give the brokers disks for `retention.ms`".to_owned());
    }
}

/// Whether records are lost with a broker.
fn check_copies(found: &Found, fault: &mut impl FnMut(bool, String, String)) {
    if found.setting("unclean.leader.election.enable") == "true" {
        let message =
            "unclean.leader.election.enable is true: a broker that lacks records may become their leader";
        fault(true, message.to_owned(), "set it to false".to_owned());
    }
    let least = found.setting("min.insync.replicas").parse::<usize>().unwrap_or(1);
    if found.replicas > 2 && least < 2 {
        let message = "min.insync.replicas is 1: a record that only one broker has counts as written";
        fault(true, message.to_owned(), "set it to 2".to_owned());
    }
    if least > found.replicas {
        let message = format!(
            "min.insync.replicas is {least}, with {} copies: no record would be taken",
            found.replicas
        );
        fault(true, message, format!("set it to {}", found.replicas.saturating_sub(1).max(1)));
    }
    if found.replicas < 2 {
        let message = "there is one copy of each record: a disk that fails takes them with it";
        fault(false, message.to_owned(), "give it three replicas, where there are three brokers".to_owned());
    }
}

impl Found {
    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map(String::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(is_compacted: bool) -> TopicPlan {
        let (name, retention) = ("t".to_owned(), Some(100));
        TopicPlan {
            name,
            partitions: 3,
            is_compacted,
            is_fixed: false,
            retention,
            least_retention: 10,
            largest: 1000,
        }
    }

    fn found(replicas: usize, settings: &[(&str, &str)]) -> Found {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Found { partitions: 3, replicas, settings: settings.collect() }
    }

    fn faults(plan: &TopicPlan, found: &Found) -> Vec<(String, bool)> {
        let mut faults = Vec::new();
        check_one(plan, found, &mut faults);
        faults.into_iter().map(|fault| (fault.message, fault.is_error)).collect()
    }

    #[test]
    fn where_keys_are_counted_stays() {
        let good = [("cleanup.policy", "delete"), ("min.insync.replicas", "2"), ("retention.ms", "-1")];
        let plan = TopicPlan { is_fixed: true, ..plan(false) };
        assert_eq!(faults(&plan, &found(3, &good)), []);
        for partitions in [2, 4] {
            let found = Found { partitions, ..found(3, &good) };
            assert!(matches!(&*faults(&plan, &found), [(_, true)]), "{partitions}");
        }
    }

    #[test]
    fn each_setting_that_loses_records_is_a_fault() {
        let good = [("cleanup.policy", "delete"), ("min.insync.replicas", "2"), ("retention.ms", "-1")];
        assert_eq!(faults(&plan(false), &found(3, &good)), []);
        let wrong = [
            (3, "cleanup.policy", "compact,delete", true),
            (3, "retention.ms", "9", true),
            (3, "retention.bytes", "1000", false),
            (3, "unclean.leader.election.enable", "true", true),
            (3, "min.insync.replicas", "1", true),
            (3, "min.insync.replicas", "4", true),
            (3, "max.message.bytes", "999", true),
        ];
        for (replicas, name, value, is_error) in wrong {
            let mut settings = found(replicas, &good);
            settings.settings.insert(name.to_owned(), value.to_owned());
            let found = faults(&plan(false), &settings);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert!(found[0].0.contains(name) && found[0].1 == is_error, "{name}: {found:?}");
        }
        let compacted =
            found(3, &[("cleanup.policy", "compact"), ("min.insync.replicas", "2"), ("retention.ms", "1")]);
        assert_eq!(faults(&plan(true), &compacted), [], "what is compacted is not deleted by age");
        assert_eq!(faults(&plan(true), &found(3, &good)).len(), 1);
        let narrow = Found { partitions: 2, ..found(1, &[("cleanup.policy", "delete")]) };
        assert!(faults(&plan(false), &narrow).iter().all(|(_, is_error)| !is_error));
        assert_eq!(faults(&plan(false), &narrow).len(), 2);
    }
}
