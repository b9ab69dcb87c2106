//! See `src/matcher_vs_oracle.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threatlockdown_ruleset_fuzz::matcher_vs_oracle::run(bytes));
