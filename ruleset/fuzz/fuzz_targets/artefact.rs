//! See `src/artefact.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threatlockdown_ruleset_fuzz::artefact::run(bytes));
