//! The engine against the oracle.
//!
//! Two evaluators decide about each event: the one that ships (raw record, mapping of the source, shared automata,
//! indexes) and the slow one (the reference's envelope, every rule in order). They share only the matching languages and
//! the loaded rules, so what they agree on is right unless both are wrong in the same way; recorded results of the
//! reference, where they are at hand, show that.

#[cfg(test)]
mod apart;
#[cfg(test)]
mod builtin;
#[cfg(test)]
mod compat;
#[cfg(test)]
mod components;
#[cfg(test)]
mod elements;
#[cfg(test)]
mod events;
#[cfg(test)]
#[path = "../folders/mod.rs"]
mod folders;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod islands;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod mappings;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod remembering;
#[cfg(test)]
mod rng;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod shown;
