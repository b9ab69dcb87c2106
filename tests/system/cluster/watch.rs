//! What stands in the topic of alerts and in the index, read by clients that know nothing of the product.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::corpus::Alerts;
use crate::harness::DEADLINE;

/// Alerts with how often each is there.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) alerts: Alerts,
    pub(crate) twice: Vec<String>,
}

impl Seen {
    fn add(&mut self, alert: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = text(&alert["id"]);
        if self.alerts.insert(id.clone(), text(&alert["rule"]["id"])).is_some() {
            self.twice.push(id);
        }
    }

    /// Fails where it is not exactly this, with some of the differences.
    #[track_caller]
    pub(crate) fn is(&self, what: &str, expected: &Alerts) {
        let only = |one: &Alerts, other: &Alerts| {
            let only = one.iter().filter(|(id, _)| !other.contains_key(*id));
            only.map(|(id, rule)| format!("{id} of rule {rule}")).collect::<Vec<_>>()
        };
        let (missing, more) = (only(expected, &self.alerts), only(&self.alerts, expected));
        assert!(
            missing.is_empty() && more.is_empty() && self.twice.is_empty(),
            "{what}: of {} alerts {} are missing, {} are too many, {} are there twice: {:?} {:?} {:?}",
            expected.len(),
            missing.len(),
            more.len(),
            self.twice.len(),
            &missing[..missing.len().min(5)],
            &more[..more.len().min(5)],
            &self.twice[..self.twice.len().min(5)],
        );
        assert!(self.alerts == *expected, "{what}: the rules of some alerts differ");
    }
}

/// A reader of committed records of all partitions of a topic, from its beginning.
pub(crate) struct Watch {
    consumer: BaseConsumer,
    pub(crate) seen: Seen,
}

impl Watch {
    pub(crate) fn new(bootstrap: &str, topic: &str) -> Self {
        let mut config = ClientConfig::new();
        let config = config.set("bootstrap.servers", bootstrap).set("group.id", "watch");
        let config = config.set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.set("auto.offset.reset", "error").create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), DEADLINE).unwrap();
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
        assert!(list.count() > 0, "{topic} has no partitions");
        consumer.assign(&list).unwrap();
        Self { consumer, seen: Seen::default() }
    }

    /// Takes what has come. What is no alert, as poison, is passed over.
    pub(crate) fn look(&mut self) {
        let until = Instant::now() + Duration::from_millis(500);
        while let Some(message) = self.consumer.poll(Duration::from_millis(50)) {
            // Brokers that are away are no fault of the test.
            let Ok(message) = message else { continue };
            if let Ok(alert) = serde_json::from_slice(message.payload().unwrap_or_default()) {
                self.seen.add(&alert);
            }
            if Instant::now() > until {
                return;
            }
        }
    }
}

/// One request to OpenSearch.
pub(crate) fn ask(url: &str, method: &str, path: &str, body: &Value) -> Value {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(DEADLINE))
        .build();
    let agent: ureq::Agent = config.into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{url}{path}"))
        .header("Content-Type", "application/json")
        .body(body.to_string())
        .unwrap();
    let mut response = agent.run(request).unwrap();
    let text = response.body_mut().with_config().limit(200 << 20).read_to_string().unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// How many documents there are.
pub(crate) fn count(url: &str, indices: &str) -> usize {
    ask(url, "POST", &format!("/{indices}/_refresh"), &json!({}));
    let found = ask(url, "POST", &format!("/{indices}/_count"), &json!({"query": {"match_all": {}}}));
    found["count"].as_u64().map_or(0, |count| usize::try_from(count).unwrap())
}

/// All documents, page by page; `_id` counts, and it has to be the alert's own.
pub(crate) fn indexed(url: &str, indices: &str) -> Seen {
    let mut seen = Seen::default();
    let mut after = None;
    ask(url, "POST", &format!("/{indices}/_refresh"), &json!({}));
    loop {
        let mut query = json!({"size": 5_000, "sort": [{"id": "asc"}, {"_index": "asc"}], "_source": ["id", "rule.id", "unmapped.rule"]});
        if let Some(last) = after.take() {
            query["search_after"] = last;
        }
        let found = ask(url, "POST", &format!("/{indices}/_search"), &query);
        let hits = found["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{found}"));
        let Some(last) = hits.last() else { return seen };
        for hit in hits {
            assert_eq!(hit["_id"], hit["_source"]["id"]);
            seen.add(&hit["_source"]);
        }
        after = Some(last["sort"].clone());
    }
}
