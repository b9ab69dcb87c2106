//! Seeded corpora: the same seed gives the same bytes on every machine, so that figures can be compared.

pub mod cloudtrail;
pub mod random;
