//! A broker with the topics of a deployment, and a client of it that knows nothing of the product.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use threatlockdown_services::kafka::Cluster;

use crate::harness::{DEADLINE, Site, Task};

/// See the module.
pub(crate) struct Topics {
    pub(crate) cluster: Cluster,
    producer: BaseProducer,
}

/// A record as it stands in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
    pub(crate) headers: BTreeMap<String, Vec<u8>>,
}

impl Topics {
    pub(crate) fn start() -> Self {
        let cluster = Cluster::single();
        let mut config = ClientConfig::new();
        let config = config.set("bootstrap.servers", cluster.bootstrap()).set("linger.ms", "5");
        Self { producer: config.create().unwrap(), cluster }
    }

    /// The section `kafka`, as the name says for one process of several.
    pub(crate) fn section(&self, instance: &str) -> String {
        format!(
            "kafka:\n  brokers: [\"{}\"]\n  prefix: t.\n  instance: {instance}\n  topics: {{partitions: 4, sources: [syslog]}}\n  \
             librdkafka: {{session.timeout.ms: '6000', heartbeat.interval.ms: '1000'}}\n",
            self.cluster.bootstrap()
        )
    }

    /// Configures a site, and makes the topics that it needs.
    pub(crate) fn configure(&self, site: &Site, instance: &str, yaml: &str) {
        site.configure(&(self.section(instance) + yaml));
        let made = Task::new(["topics", "create", "-c"]).arg(site.path("config.yaml")).run();
        made.with_code(0);
    }

    pub(crate) fn send(&self, topic: &str, key: Option<&[u8]>, headers: &[(&str, &[u8])], payload: &[u8]) {
        let add =
            |to: OwnedHeaders, (key, value): &(&str, &[u8])| to.insert(Header { key, value: Some(*value) });
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(payload);
        record.key = key;
        record.headers = Some(headers.iter().fold(OwnedHeaders::new(), add));
        self.put(record);
    }

    /// Any record.
    pub(crate) fn put(&self, mut record: BaseRecord<'_, [u8], [u8]>) {
        while let Err((error, back)) = self.producer.send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull));
            self.producer.poll(Duration::from_millis(10));
            record = back;
        }
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(DEADLINE).unwrap();
    }

    /// Alerts as `analyze` writes them: number n has the level n % 10, the id is n.
    pub(crate) fn alerts(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let id = id(number);
            let level = number % 10;
            let json = format!(
                r#"{{"id":"{id}","rule":{{"id":"{number}","level":{level},"groups":["g{level}"]}},"event":{{"source":"syslog"}}}}"#
            );
            let headers = [("v", &b"1"[..]), ("level", &level.to_string().into_bytes())];
            self.send("t.alerts", Some(id.as_bytes()), &headers, json.as_bytes());
        }
        self.flush();
    }

    /// All that is committed in a topic now, partition by partition.
    pub(crate) fn read(&self, topic: &str) -> Vec<Stored> {
        read(&self.cluster, topic)
    }
}

/// What is committed of a topic, up to where it ends now.
pub(crate) fn read(cluster: &Cluster, topic: &str) -> Vec<Stored> {
    let mut config = ClientConfig::new();
    let config = config.set("bootstrap.servers", cluster.bootstrap()).set("group.id", "test");
    let config = config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.set("enable.auto.commit", "false").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), DEADLINE).unwrap();
    let mut left = metadata.topics()[0].partitions().len();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut found, begin) = (Vec::new(), Instant::now());
    while left > 0 {
        assert!(begin.elapsed() < DEADLINE, "cannot read {topic}");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => found.push(Stored {
                key: message.key().map(<[u8]>::to_vec),
                payload: message.payload().unwrap_or_default().to_vec(),
                headers: message.headers().map(headers).unwrap_or_default(),
            }),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => left -= 1,
            _ => {}
        }
    }
    found
}

/// The id of an alert.
pub(crate) fn id(number: u32) -> String {
    format!("{number:032x}")
}

fn headers(headers: &rdkafka::message::BorrowedHeaders) -> BTreeMap<String, Vec<u8>> {
    headers.iter().map(|one| (one.key.to_owned(), one.value.unwrap_or_default().to_vec())).collect()
}
