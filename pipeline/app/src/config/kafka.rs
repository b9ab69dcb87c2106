//! The topics in Kafka, as the configuration has them: the key `kafka`.
//!
//! Enters: its node. Leaves: where the brokers are, how to speak with them, and what the topics are to be like.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_topics::kafka::{Mechanism, Names, Sasl, Settings, Tls};

use crate::host::host_name;

use super::fields::{Faults, Fields, choice, duration, number, pairs, secret, text, texts};
use super::tree::Node;
use super::{Secret, is_source_name};

/// More are of no use to anybody.
const MOST_PARTITIONS: u64 = 10_000;
const DAY: Duration = Duration::from_secs(86_400);
/// Beside the record a message has headers, and frames of its batch.
const BESIDE: u64 = 64 << 10;
/// Alerts hold their record twice, escaped the second time.
const ALERT_FACTOR: u64 = 3;
/// Batches of small records have to fit too.
const LEAST_LARGEST: u64 = 4 << 20;
/// librdkafka takes no larger ones.
const MOST_LARGEST: u64 = 1_000_000_000;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kafka {
    pub(crate) settings: Settings,
    pub(crate) topics: Topics,
}

/// What topics are to be like when they are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topics {
    /// Partitions of each topic of raw records, and of alerts.
    pub(crate) partitions: u32,
    /// Partitions among which the stateful stage is divided; the number cannot be changed while it runs.
    pub(crate) correlate_partitions: u32,
    /// Copies of each record; `None`: three, or as many as there are brokers.
    pub(crate) replicas: Option<u32>,
    /// Log sources for which topics are made; empty = those of `sources`.
    pub(crate) sources: Vec<String>,
    /// How long raw records are kept.
    pub(crate) raw_retention: Duration,
    /// How long alerts and dead letters are kept.
    pub(crate) retention: Duration,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            partitions: 12,
            correlate_partitions: 12,
            replicas: None,
            sources: Vec::new(),
            raw_retention: DAY * 7,
            retention: DAY * 30,
        }
    }
}

impl Kafka {
    /// What has to fit follows from the largest event.
    pub(super) fn set_max_event(&mut self, bytes: u64) {
        self.settings.largest = ((bytes + BESIDE) * ALERT_FACTOR).clamp(LEAST_LARGEST, MOST_LARGEST);
    }
}

/// The value of `kafka`.
pub(super) fn kafka(node: &Node, faults: &mut Faults) -> Option<Kafka> {
    let keys = ["brokers", "prefix", "instance", "tls", "sasl", "librdkafka", "topics", "read"];
    let fields = Fields::open(node, "kafka", &keys, faults)?;
    let help = "name some of the brokers: brokers: [\"kafka-1:9092\", \"kafka-2:9092\"]";
    let brokers = fields.require("brokers", node, help, faults).map(|node| brokers(node, faults));
    let mut settings = Settings { brokers: brokers.unwrap_or_default(), ..Settings::default() };
    if let Some(node) = fields.get("prefix") {
        settings.names = names(node, faults).unwrap_or_default();
    }
    if let Some(node) = fields.get("read") {
        foreign(node, &mut settings.names, faults);
    }
    settings.instance = match fields.get("instance") {
        Some(node) => instance(node, faults).unwrap_or_default(),
        None => as_instance(&host_name()),
    };
    settings.tls = fields.get("tls").and_then(|node| tls(node, faults));
    settings.sasl = fields.get("sasl").and_then(|node| sasl(node, faults));
    if let Some(node) = fields.get("librdkafka") {
        settings.librdkafka = librdkafka(node, faults);
    }
    let topics = fields.get("topics").map(|node| topics(node, faults)).unwrap_or_default();
    Some(Kafka { settings, topics })
}

fn brokers(node: &Node, faults: &mut Faults) -> Vec<String> {
    let found = texts(node, "brokers", faults);
    if found.is_empty() && node.as_scalar().is_none() {
        let help = "name some of the brokers: [\"kafka-1:9092\", \"kafka-2:9092\"]";
        faults.push(Diagnostic::error(node.place.clone(), "", "no broker in the list", help));
    }
    for broker in &found {
        let port =
            broker.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>()));
        if !matches!(port, Some(Ok(1..))) {
            let help = "write a name or an address and a port, for example kafka-1:9092";
            faults.push(Diagnostic::error(
                node.place.clone(),
                broker,
                "expected a broker with its port",
                help,
            ));
        }
    }
    found
}

fn names(node: &Node, faults: &mut Faults) -> Option<Names> {
    // An empty prefix is one, so it is not read as a text that must say something.
    let prefix = node.as_scalar().filter(|scalar| !scalar.unresolved).map(|scalar| scalar.text.clone());
    let names = Names::new(&prefix?);
    names
        .map_err(|error| {
            let help = "write for example threatlockdown. or security.prod.";
            faults.push(Diagnostic::error(node.place.clone(), "", error.to_string(), help));
        })
        .ok()
}

/// Topics that somebody else fills.
fn foreign(node: &Node, names: &mut Names, faults: &mut Faults) {
    for (topic, source) in pairs(node, "read", faults) {
        if !is_source_name(&source) {
            let message = "a log source may hold letters, digits, `.`, `_` and `-` only";
            let help = "write topic: source, for example {somebody.audit: json}";
            faults.push(Diagnostic::error(node.place.clone(), source, message, help));
        } else if names.add_foreign(&topic, &source).is_err() {
            let message = "this is not the name of a topic that somebody else fills";
            let help = "give the topic's own name; those that begin with `kafka.prefix` are this deployment's and are read \
                        anyway";
            faults.push(Diagnostic::error(node.place.clone(), topic, message, help));
        }
    }
}

fn instance(node: &Node, faults: &mut Faults) -> Option<String> {
    let name = text(node, "a name", faults)?;
    if !is_source_name(&name) {
        let message = "the name of an instance may hold letters, digits, `.`, `_` and `-` only";
        let help = "choose one that stays and that no other process has, for example ${env:HOSTNAME}";
        faults.push(Diagnostic::error(node.place.clone(), name, message, help));
        return None;
    }
    Some(name)
}

/// The name of a machine, as one of an instance.
fn as_instance(host: &str) -> String {
    host.chars().map(|char| if is_source_name(char.encode_utf8(&mut [0; 4])) { char } else { '-' }).collect()
}

fn tls(node: &Node, faults: &mut Faults) -> Option<Tls> {
    let fields = Fields::open(node, "tls", &["ca", "certificate", "key", "key_password"], faults)?;
    let path = |key: &str, faults: &mut Faults| {
        fields.get(key).and_then(|node| text(node, "the path of a PEM file", faults)).map(PathBuf::from)
    };
    let (ca, certificate, key) = (path("ca", faults), path("certificate", faults), path("key", faults));
    let key_password = fields.get("key_password").and_then(|node| secret(node, faults));
    if certificate.is_some() != key.is_some() {
        let message = "a certificate needs its key, and a key its certificate";
        faults.push(Diagnostic::error(node.place.clone(), "", message, "give `certificate` and `key`"));
    }
    Some(Tls { ca, certificate, key, key_password: key_password.map(|secret| secret.expose().to_owned()) })
}

fn sasl(node: &Node, faults: &mut Faults) -> Option<Sasl> {
    let keys = ["mechanism", "username", "password", "token_endpoint", "scope"];
    let fields = Fields::open(node, "sasl", &keys, faults)?;
    let mechanisms = Mechanism::ALL.map(|mechanism| (mechanism.name(), mechanism));
    let help = "say how credentials are shown, for example mechanism: SCRAM-SHA-512";
    let mechanism = fields.require("mechanism", node, help, faults)?;
    let mechanism = choice(mechanism, &mechanisms, faults)?;
    let username = fields.require("username", node, "name the user or the client", faults);
    let username = username.and_then(|node| text(node, "a name", faults));
    let password = fields.require("password", node, "give it as ${env:NAME} or ${file:PATH}", faults);
    let password = password.and_then(|node| secret(node, faults));
    let mut optional = |key: &str| fields.get(key).and_then(|node| text(node, "a text", faults));
    let (token_endpoint, scope) = (optional("token_endpoint"), optional("scope"));
    if mechanism == Mechanism::OauthBearer && fields.get("token_endpoint").is_none() {
        let help = "give the URL at which the authorisation server gives tokens";
        faults.push(Diagnostic::error(node.place.clone(), "", "`token_endpoint` is missing", help));
    }
    let password = password.as_ref().map(Secret::expose).unwrap_or_default().to_owned();
    Some(Sasl { mechanism, username: username?, password, token_endpoint, scope })
}

fn librdkafka(node: &Node, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, value) in pairs(node, "librdkafka", faults) {
        match Settings::is_own(&name) {
            Some(why) => {
                let message = "this setting cannot be given here";
                faults.push(Diagnostic::error(node.place.clone(), name, message, why));
            }
            None => {
                found.insert(name, value);
            }
        }
    }
    found
}

fn topics(node: &Node, faults: &mut Faults) -> Topics {
    let mut topics = Topics::default();
    let keys = ["partitions", "correlate_partitions", "replicas", "sources", "raw_retention", "retention"];
    let Some(fields) = Fields::open(node, "topics", &keys, faults) else { return topics };
    let mut count = |key: &str, most: u64| {
        let number = fields.get(key).and_then(|node| number(node, 1..=most, faults));
        number.and_then(|number| u32::try_from(number).ok())
    };
    topics.partitions = count("partitions", MOST_PARTITIONS).unwrap_or(topics.partitions);
    topics.correlate_partitions =
        count("correlate_partitions", MOST_PARTITIONS).unwrap_or(topics.correlate_partitions);
    topics.replicas = count("replicas", 10);
    if let Some(node) = fields.get("sources") {
        topics.sources = texts(node, "log sources", faults);
        for source in topics.sources.iter().filter(|source| !is_source_name(source)) {
            let message = "a log source may hold letters, digits, `.`, `_` and `-` only";
            let help = "write for example aws.cloudtrail, json or syslog";
            faults.push(Diagnostic::error(node.place.clone(), source, message, help));
        }
    }
    let mut span =
        |key: &str, default| fields.get(key).and_then(|node| duration(node, faults)).unwrap_or(default);
    topics.raw_retention = span("raw_retention", topics.raw_retention);
    topics.retention = span("retention", topics.retention);
    topics
}
