//! Seeded corpora: the same seed gives the same bytes on every machine, so that figures can be compared. Beside them what
//! the comparisons need: an installation's rules, Sigma rules, and a multiple of the built-in ones.

pub mod clock;
pub mod cloudtrail;
pub mod copies;
pub mod envelope;
pub mod failures;
pub mod home;
pub mod logins;
pub mod mix;
pub mod random;
pub mod sigma;
pub mod syslog;

use threatlockdown_event::Context;

/// What a connector would know of the events.
#[must_use]
pub fn context(source: &str) -> Context {
    Context {
        source: source.into(),
        connector: "bench".into(),
        location: "/var/log/bench".into(),
        account: None,
        envelope: Vec::new(),
        origin: "bench".into(),
        origin_id: [0; 16],
    }
}
