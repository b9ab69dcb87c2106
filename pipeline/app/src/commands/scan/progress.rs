//! The progress line of a scan, on stderr and only where that is a terminal.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two updates of the line.
const EVERY: Duration = Duration::from_millis(200);

/// How far the reading thread is.
pub(in crate::commands) struct Progress {
    shown: bool,
    total: u64,
    done: Cell<u64>,
    last: Cell<Instant>,
    found: Arc<AtomicU64>,
    /// What is found.
    what: &'static str,
}

impl Progress {
    /// For `total` bytes; 0 = not known.
    pub(in crate::commands) fn new(total: u64, alerts: Arc<AtomicU64>) -> Self {
        Self::of("alerts", total, alerts)
    }

    /// The same for what is not alerts.
    pub(in crate::commands) fn of(what: &'static str, total: u64, found: Arc<AtomicU64>) -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { shown, total, done: Cell::new(0), last: Cell::new(Instant::now()), found, what }
    }

    /// `bytes` more have been read.
    pub(in crate::commands) fn advance(&self, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        if self.shown && self.last.get().elapsed() >= EVERY {
            self.last.set(Instant::now());
            let line = line(self.done.get(), self.total, self.found.load(Ordering::Relaxed), self.what);
            write!(std::io::stderr().lock(), "\r\x1b[K{line}").ok();
        }
    }

    /// Takes the line away.
    pub(in crate::commands) fn clear(&self) {
        if self.shown {
            write!(std::io::stderr().lock(), "\r\x1b[K").ok();
        }
    }
}

fn line(done: u64, total: u64, found: u64, what: &str) -> String {
    let mib = done >> 20;
    match (done * 100).checked_div(total) {
        Some(percent) => format!("{}% of {} MiB, {found} {what}", percent.min(100), total >> 20),
        None => format!("{mib} MiB, {found} {what}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn shows_a_share_where_the_whole_is_known() {
        assert_eq!(super::line(5 << 20, 20 << 20, 3, "alerts"), "25% of 20 MiB, 3 alerts");
        assert_eq!(super::line(5 << 20, 0, 3, "alerts"), "5 MiB, 3 alerts");
    }
}
