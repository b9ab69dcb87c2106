//! See `src/ossec_conf.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threatlockdown_ruleset_fuzz::ossec_conf::run(bytes));
