//! See `src/rule_parser.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threatlockdown_ruleset_fuzz::rule_parser::run(bytes));
