//! The data that crosses crates, and nothing that does work with it: synchronous, no input or output.
//!
//! ```text
//! connector ── Unit (raw records, as the provider sent them) ──▶ analysis ── Alert, DeadLetter ──▶ sinks
//! ```
//!
//! A connector reads a [`Unit`]: a bounded run of raw records of one stream, with the [`Context`] that all of them
//! share and the checkpoint that may be stored once everything made from the unit is durable. Identity
//! ([`EventId`], [`AlertId`]) is a pure function of what was read, so that a replay makes the same ids again.

pub mod alert;
pub mod dead_letter;
pub mod identity;
pub mod time;
pub mod unit;

pub use alert::Alert;
pub use dead_letter::{DeadLetter, Reason, RejectedAlert};
pub use identity::{AlertId, EventId};
pub use time::Millis;
pub use unit::{Context, Record, Unit};
