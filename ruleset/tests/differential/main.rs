//! The engine against the oracle.
//!
//! Two evaluators decide about each event: the one that ships (raw record, mapping of the source, shared automata,
//! indexes) and the slow one (the reference's envelope, every rule in order). They share only the matching languages and
//! the loaded rules, so what they agree on is right unless both are wrong in the same way; recorded results of the
//! reference, where they are at hand, show that.

mod builtin;
mod compat;
mod events;
mod harness;
mod hostile;
mod random;
mod rng;
mod rules;
