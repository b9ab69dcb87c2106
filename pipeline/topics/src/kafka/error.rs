//! What can go wrong with Kafka, and what is to be done then.

use rdkafka::types::RDKafkaErrorCode;

/// A fault of a client, of the cluster or of its settings.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// Starting the client anew, after a pause, can mend it: brokers that are away, a transaction that has to be aborted.
    #[error("{action}: {source}")]
    Passing {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: rdkafka::error::KafkaError,
    },
    /// Another process has taken this one's place: it uses the same instance name.
    #[error("{action}: another process has the instance name of this one ({source}); give each its own `kafka.instance`")]
    Fenced {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: rdkafka::error::KafkaError,
    },
    /// The brokers refuse: credentials, certificates or access rules are wrong.
    #[error("{action}: refused by the brokers: {source}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: rdkafka::error::KafkaError,
    },
    /// Settings that librdkafka does not take.
    #[error("{setting}: {message}")]
    Setting {
        /// Its name.
        setting: String,
        /// What is wrong with it.
        message: String,
    },
}

impl KafkaError {
    pub(super) fn of(action: &'static str, source: rdkafka::error::KafkaError) -> Self {
        use rdkafka::error::KafkaError as Library;
        if let Library::ClientConfig(_, message, name, _) = source {
            return Self::Setting { setting: name, message };
        }
        match code(&source) {
            Some(RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch) => {
                Self::Fenced { action, source }
            }
            Some(
                RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::TransactionalIdAuthorizationFailed,
            ) => Self::Refused { action, source },
            _ => Self::Passing { action, source },
        }
    }

    /// Whether another process has taken this one's place.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }
}

/// The code within, however it is wrapped.
fn code(error: &rdkafka::error::KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        rdkafka::error::KafkaError::Transaction(inner) => Some(inner.code()),
        other => other.rdkafka_error_code(),
    }
}
