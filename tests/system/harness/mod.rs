//! What the tests stand on: the binary, processes of it, a client, and the lines that it wrote.

mod binary;
mod client;
mod command;
mod daemon;
mod disk;
mod lines;
mod previous;
mod site;

use std::io::Write as _;
use std::time::Duration;

pub(crate) use binary::{binary, repository};
pub(crate) use client::{Client, metric};
pub(crate) use command::{Finished, Task};
pub(crate) use daemon::Daemon;
pub(crate) use disk::Disk;
pub(crate) use lines::{complete_lines, count_lines, ids, json_lines, rotated, rule_ids};
pub(crate) use previous::previous;
pub(crate) use site::{Site, append};

/// Longest wait for anything. Only a broken build meets it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Between two looks at something that is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// Whether the long counts are wanted.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("THREATLOCKDOWN_SOAK").is_some_and(|value| value == "1")
}

/// `bytes` as a gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Why a test cannot run on this machine, on a line that the test command shows.
pub(crate) fn skip(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
}
