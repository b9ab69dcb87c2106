//! What can go wrong with Kafka, and what is to be done then.
//!
//! librdkafka tells three kinds of faults of a transaction: what may be tried again (the writer does that itself), what fails
//! the transaction, and what ends the client. All else is like the last, as its manual recommends.

use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError as Library;
use rdkafka::types::RDKafkaErrorCode as Code;

/// A fault of a client, of the cluster or of its settings.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The transaction has failed, the client has not: abort, go back to where it began, and do it again.
    #[error("{action}: {source}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: Library,
    },
    /// Starting the clients anew, after a pause, can mend it: brokers that are away, a transaction that took too long.
    #[error("{action}: {source}")]
    Passing {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: Library,
    },
    /// No broker answered.
    #[error("cannot reach the brokers: {source}{complaint}")]
    Unreachable {
        /// What the client said.
        source: Library,
        /// What it said before, with the broker's name.
        complaint: String,
    },
    /// Another process has taken this one's place: it uses the same instance name.
    #[error(
        "{action}: another process has the instance name of this one ({source}); give each its own `kafka.instance`"
    )]
    Fenced {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: Library,
    },
    /// The brokers refuse: credentials, certificates or access rules are wrong.
    #[error("{action}: refused by the brokers: {source}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: Library,
    },
    /// Certificates or credentials were renewed since the client was opened.
    #[error("certificates or credentials are new")]
    Renewed,
    /// A record that is larger than may be written. It is not part of the transaction, which goes on.
    #[error("a record of {bytes} bytes for {topic} is larger than {limit} bytes")]
    TooLarge {
        /// Where it was to go.
        topic: String,
        /// Its size, without headers.
        bytes: usize,
        /// Largest size, with headers.
        limit: u64,
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

/// What is to be done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// [`Writer::abort`](super::Writer::abort), [`RawReader::rewind`](super::RawReader::rewind), and the same again.
    Rewind,
    /// Drop the reader and the writer, pause, and open both again, the writer first: it ends what is left of the
    /// transaction, and only then the reader sees where to go on.
    Reopen,
    /// Put the record aside; nothing else is concerned.
    SetAside,
    /// End: only the operator can mend it.
    Stop,
}

impl KafkaError {
    /// A fault outside of transactions.
    pub(super) fn of(action: &'static str, source: Library) -> Self {
        match source {
            Library::ClientConfig(_, message, setting, _) => Self::Setting { setting, message },
            // What librdkafka finds wrong with several settings together; its text names them.
            Library::ClientCreation(message) => {
                Self::Setting { setting: "kafka.librdkafka".to_owned(), message }
            }
            source => match code(&source) {
                Some(code) if is_fencing(code) => Self::Fenced { action, source },
                Some(code) if is_refusal(code) => Self::Refused { action, source },
                _ => Self::Passing { action, source },
            },
        }
    }

    /// A fault of a step of a transaction. `is_late`: the brokers may have ended it for its age, which looks like fencing.
    pub(super) fn of_transaction(action: &'static str, source: Library, is_late: bool) -> Self {
        let code = code(&source);
        let fails_transaction = match &source {
            Library::Transaction(inner) => inner.txn_requires_abort() && !inner.is_fatal(),
            // A record is not taken once the transaction has failed.
            Library::MessageProduction(code) => *code == Code::State,
            _ => false,
        };
        match code {
            Some(code) if is_late && is_fencing(code) => Self::Passing { action, source },
            Some(code) if is_fencing(code) || is_refusal(code) => Self::of(action, source),
            _ if fails_transaction => Self::Failed { action, source },
            _ => Self::of(action, source),
        }
    }

    /// What is to be done about it.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Failed { .. } => Remedy::Rewind,
            Self::Passing { .. } | Self::Unreachable { .. } | Self::Refused { .. } | Self::Renewed => {
                Remedy::Reopen
            }
            Self::TooLarge { .. } => Remedy::SetAside,
            Self::Fenced { .. } | Self::Setting { .. } => Remedy::Stop,
        }
    }

    /// Whether another process has taken this one's place.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }
}

/// Whether the same call may be made again.
pub(super) fn is_retriable(error: &Library) -> bool {
    matches!(error, Library::Transaction(inner) if inner.is_retriable())
        || matches!(error, Library::Flush(Code::OperationTimedOut))
}

/// Whether a group does not take a commit since it is dividing its partitions anew.
pub(super) fn is_dividing(error: &Library) -> bool {
    matches!(code(error), Some(Code::IllegalGeneration | Code::RebalanceInProgress))
}

/// Where a call only says that the client has ended: what ended it.
pub(super) fn cause<C: ClientContext>(client: &rdkafka::client::Client<C>, error: Library) -> Library {
    match (code(&error), client.fatal_error()) {
        (Some(Code::Fatal), Some((code, _))) => Library::Global(code),
        _ => error,
    }
}

/// Whether the operator has to look after it.
pub(super) fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SSL
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}

fn is_fencing(code: Code) -> bool {
    matches!(code, Code::ProducerFenced | Code::Fenced | Code::InvalidProducerEpoch)
}

/// The code within, however it is wrapped.
pub(super) fn code(error: &Library) -> Option<Code> {
    match error {
        Library::Transaction(inner) => Some(inner.code()),
        other => other.rdkafka_error_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_remedy() {
        let of = |code| KafkaError::of("x", Library::MessageProduction(code)).remedy();
        assert_eq!(of(Code::Fenced), Remedy::Stop);
        assert_eq!(of(Code::TopicAuthorizationFailed), Remedy::Reopen);
        assert_eq!(of(Code::AllBrokersDown), Remedy::Reopen);
        let in_transaction = |code, is_late| {
            KafkaError::of_transaction("x", Library::MessageProduction(code), is_late).remedy()
        };
        assert_eq!(in_transaction(Code::State, false), Remedy::Rewind);
        assert_eq!(in_transaction(Code::Fenced, false), Remedy::Stop);
        assert_eq!(in_transaction(Code::Fenced, true), Remedy::Reopen, "the brokers ended it for its age");
        let large = KafkaError::TooLarge { topic: "t".to_owned(), bytes: 9, limit: 8 };
        assert_eq!(large.remedy(), Remedy::SetAside);
        let setting = KafkaError::of("x", Library::ClientCreation("`a` must be above `b`".to_owned()));
        assert_eq!((setting.remedy(), setting.to_string().contains("`b`")), (Remedy::Stop, true));
    }
}
