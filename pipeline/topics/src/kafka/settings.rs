//! Where the brokers are and how to speak with them.
//!
//! Enters: what the configuration says. Leaves: librdkafka's settings for a reader, a writer or an administrator. Any
//! setting of librdkafka can be given; those on which the promises of the pipeline rest cannot.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::access::Renewal;
use super::names::Names;

/// Settings that are the pipeline's own, with the reason.
const OWN: &[(&str, &str)] = &[
    ("bootstrap.servers", "give them as `kafka.brokers`"),
    ("metadata.broker.list", "give them as `kafka.brokers`"),
    ("client.id", "give it as `kafka.instance`"),
    ("group.id", "each role has its own, named by `kafka.prefix`"),
    ("group.instance.id", "members come and go by themselves"),
    ("group.protocol", "partitions are handed over one by one, after what was made of them is committed"),
    (
        "partition.assignment.strategy",
        "partitions are handed over one by one, after what was made of them is committed",
    ),
    ("enable.auto.commit", "offsets are committed together with what was made of the records"),
    ("enable.auto.offset.store", "offsets are committed together with what was made of the records"),
    ("auto.offset.reset", "a group begins with the oldest record, so that none is left out"),
    ("isolation.level", "what was not committed must not be seen"),
    ("transactional.id", "it is made of `kafka.instance`"),
    ("enable.idempotence", "records must not be doubled"),
    ("acks", "a record counts when all replicas that are in sync have it"),
    ("request.required.acks", "a record counts when all replicas that are in sync have it"),
    ("message.max.bytes", "it follows from `limits.max_event_bytes`"),
    ("transaction.timeout.ms", "commits are made for ten seconds at most"),
    ("delivery.timeout.ms", "commits are made for ten seconds at most"),
    ("message.timeout.ms", "commits are made for ten seconds at most"),
    ("delivery.report.only.error", "only what was not taken is of interest"),
    ("max.poll.interval.ms", "each role has its own"),
    ("security.protocol", "give `kafka.tls` and `kafka.sasl`"),
    ("sasl.mechanism", "give it as `kafka.sasl.mechanism`"),
    ("sasl.mechanisms", "give it as `kafka.sasl.mechanism`"),
    ("sasl.username", "give it as `kafka.sasl.username`"),
    ("sasl.password", "give it as `kafka.sasl.password`"),
];

/// How to reach a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `host:port` of some of the brokers.
    pub brokers: Vec<String>,
    /// What topics and groups are called.
    pub names: Names,
    /// The same after a restart, and different for each process.
    pub instance: String,
    /// Encryption; `None`: plain text.
    pub tls: Option<Tls>,
    /// Credentials; `None`: none, or a client certificate alone.
    pub sasl: Option<Sasl>,
    /// Largest record that is written, in bytes, with its headers; topics have to take it.
    pub largest: u64,
    /// Further settings, as librdkafka names them.
    pub librdkafka: BTreeMap<String, String>,
    /// Certificates and credentials while they change; the same for all clients of a process.
    pub renewal: Renewal,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            names: Names::default(),
            instance: String::new(),
            tls: None,
            sasl: None,
            largest: 4 << 20,
            librdkafka: BTreeMap::new(),
            renewal: Renewal::default(),
        }
    }
}

/// Encryption and certificates.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// PEM file with the authorities that are trusted; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// PEM file with a certificate of this client.
    pub certificate: Option<PathBuf>,
    /// PEM file with its key …
    pub key: Option<PathBuf>,
    /// … and what opens that.
    pub key_password: Option<String>,
}

/// Credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How they are shown.
    pub mechanism: Mechanism,
    /// Name; of the client for `OAUTHBEARER`.
    pub username: String,
    /// Password; secret of the client for `OAUTHBEARER`.
    pub password: String,
    /// For `OAUTHBEARER`: where tokens are had.
    pub token_endpoint: Option<String>,
    /// For `OAUTHBEARER`: the scope that is asked for.
    pub scope: Option<String>,
}

/// How credentials are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// As they are; only over TLS.
    Plain,
    /// RFC 5802 with SHA-256.
    ScramSha256,
    /// RFC 5802 with SHA-512.
    ScramSha512,
    /// RFC 7628: a token from an authorisation server.
    OauthBearer,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OauthBearer];

    /// As registered with IANA.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// Values of further settings may be passwords.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { brokers, names, instance, tls, sasl, largest, librdkafka, renewal: _ } = self;
        let given: Vec<&String> = librdkafka.keys().collect();
        f.debug_struct("Settings")
            .field("brokers", brokers)
            .field("names", names)
            .field("instance", instance)
            .field("tls", tls)
            .field("sasl", sasl)
            .field("largest", largest)
            .field("librdkafka", &given)
            .finish_non_exhaustive()
    }
}

pub(super) fn credentials(sasl: &Sasl, config: &mut ClientConfig) {
    if sasl.mechanism != Mechanism::OauthBearer {
        config.set("sasl.username", &sasl.username).set("sasl.password", &sasl.password);
        return;
    }
    // The library gets tokens itself, and renews them.
    config
        .set("sasl.oauthbearer.method", "oidc")
        .set("sasl.oauthbearer.client.id", &sasl.username)
        .set("sasl.oauthbearer.client.secret", &sasl.password);
    let optional = [("token.endpoint.url", &sasl.token_endpoint), ("scope", &sasl.scope)];
    for (name, value) in optional {
        if let Some(value) = value {
            config.set(format!("sasl.oauthbearer.{name}"), value);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, certificate, key, key_password: _ } = self;
        f.debug_struct("Tls")
            .field("ca", ca)
            .field("certificate", certificate)
            .field("key", key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mechanism, username, .. } = self;
        f.debug_struct("Sasl")
            .field("mechanism", mechanism)
            .field("username", username)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Why a setting of librdkafka cannot be given.
    #[must_use]
    pub fn is_own(name: &str) -> Option<&'static str> {
        OWN.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, why)| *why)
    }

    /// What every client has.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = self.bare();
        self.renewal.apply(self, &mut config);
        config
    }

    /// The same without what lets it in.
    pub(super) fn bare(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", &self.instance)
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            .set(
                "receive.message.max.bytes",
                self.largest.saturating_mul(2).clamp(100_000_000, 2_000_000_000).to_string(),
            )
            .set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in &self.librdkafka {
            if Self::is_own(name).is_none() {
                config.set(name, value);
            }
        }
        config
    }

    /// Of a client that reads what is committed for itself, in no group: nobody hears of it, and no offset is stored.
    pub(super) fn alone(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // The library wants the name of one. It is never joined.
            .set("group.id", self.names.group("tables"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed");
        self.prefer(&mut config, "fetch.wait.max.ms", "100");
        config
    }

    /// Settings of the operator outweigh ours.
    pub(super) fn prefer(&self, config: &mut ClientConfig, name: &str, value: &str) {
        if !self.librdkafka.contains_key(name) {
            config.set(name, value);
        }
    }
}
