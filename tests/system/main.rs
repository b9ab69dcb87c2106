//! Whole-system tests: the real binary, from outside, over real files, sockets and signals.
//!
//! Nothing of the product is linked here; what a test knows of it is its command line, its files and its answers. Every
//! test has a scratch folder and ports of its own, so that all of them may run at the same time. What happens at some
//! time in another process is waited for by asking, up to a deadline that only a broken build meets; no test measures time.
//! `THREATLOCKDOWN_SOAK=1` makes the counts larger; the seeds stay, and are shown when a test fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it missed by failing"
)]

mod check;
mod cluster;
mod cluster_run;
mod collect;
mod compose;
mod deadletter;
mod deliver;
mod foreign;
mod full;
mod harness;
mod hook;
mod kafka;
mod kill;
mod logtest;
mod rules;
mod run;
mod scan;
mod security;
mod sigma;
mod strangers;
mod tidy;
mod topics;
mod upgrade;
