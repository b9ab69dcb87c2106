//! What the fuzz targets do with the bytes that they are given, one module for each target.
//!
//! Enters: any bytes. Leaves: nothing, or a panic when the engine does what it must not. The functions stand in a library
//! of their own so that `tests/fuzz_corpora.rs` can run the kept inputs through them with an ordinary compiler. The random
//! rules and events are those of `tests/differential`, with the bytes in the place of a random generator.

#![allow(dead_code, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod artefact;
#[path = "../../tests/differential/elements.rs"]
pub(crate) mod elements;
#[path = "../../tests/differential/events.rs"]
pub(crate) mod events;
#[path = "../../tests/differential/harness.rs"]
pub(crate) mod harness;
pub mod header;
pub mod json_path;
#[path = "../../tests/differential/lines.rs"]
pub(crate) mod lines;
pub mod matcher_vs_oracle;
pub mod osregex;
pub mod ossec_conf;
pub mod pcre2;
pub mod rng;
pub mod rule_parser;
#[path = "../../tests/differential/rules.rs"]
pub(crate) mod rules;
pub mod sigma;

/// The bytes up to the first `separator`, and what follows it.
pub(crate) fn cut(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == separator).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}
