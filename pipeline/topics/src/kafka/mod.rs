//! The topics in Kafka: the same contract as in one process, for many.
//!
//! ```text
//! collect ─ Writer ─▶ raw.<source> ─ RawReader ─▶ analyze ─ Writer ─▶ alerts, deadletter, correlate
//!     └─ checkpoints, in the same transaction         └─ offsets, in the same transaction
//! ```
//!
//! Enters: where the brokers are and how to speak with them. Leaves: readers that take part in a group, and writers whose
//! records, checkpoints and offsets become visible together or not at all. What is here is the only code that knows
//! librdkafka; faults leave as [`KafkaError`]s, which say what is to be done ([`Remedy`]).

mod access;
mod admin;
mod alert_record;
mod assignment;
mod checkpoints;
mod client;
mod ends;
mod error;
mod later;
mod marks;
mod names;
mod outbox;
mod raw_record;
mod reader;
mod received;
mod relay;
pub mod rulesets;
mod scan;
mod settings;
mod state_record;
mod table;
mod tasks;
mod writer;

pub use self::access::Renewal;
pub use self::admin::{Admin, TopicFault, TopicPlan};
pub use self::alert_record::{
    AlertKey, alert_record, alert_record_for, dead_letter_head, dead_letter_record, decode_alert,
    decode_dead_letter, is_redriven_marker, parse_alert_id, redriven_marker,
};
pub use self::assignment::OwnProgress;
pub use self::ends::{Tables, are_read, latest_values};
pub use self::error::{KafkaError, Remedy};
pub use self::marks::Marks;
pub use self::names::{InvalidName, Names};
pub use self::raw_record::{HeadMaker, RawHead, decode_head, encode_head, later_head};
pub use self::reader::{RawReader, ReaderOptions};
pub use self::received::{Polled, Received, TopicPartition};
pub use self::relay::{Progress, Relay, Watch};
pub use self::scan::scan;
pub use self::settings::{Mechanism, Sasl, Settings, Tls};
pub use self::state_record::{StateRecord, state_record};
pub use self::table::{Entry, Table};
pub use self::tasks::{Holding, TaskGroup};
pub use self::writer::{Outgoing, Writer};
