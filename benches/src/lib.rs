//! Seeded corpora: the same seed gives the same bytes on every machine, so that figures can be compared. Beside them what
//! the comparison of engine and parser needs: an installation's rules, and a multiple of the built-in ones.

pub mod clock;
pub mod cloudtrail;
pub mod copies;
pub mod envelope;
pub mod home;
pub mod mix;
pub mod random;
pub mod sigma;
pub mod syslog;
