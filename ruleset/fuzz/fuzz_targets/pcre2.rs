//! See `src/pcre2.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threatlockdown_ruleset_fuzz::pcre2::run(bytes));
