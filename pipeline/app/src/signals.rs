//! SIGTERM and SIGINT: the first asks for a drain, the second leaves at once. SIGHUP loads the rules again.
//!
//! Enters: signals. Leaves: [`StopRequest`] set for whoever waits on it. Leaving at once is safe at any moment, because
//! what counts is on disk or will be read again. SIGPIPE needs nothing: Rust ignores it at start, so a closed pipe is a
//! write error for the stdout sink and not the end of the process.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The wish that the process stop, from a signal or from within.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopRequest {
    /// The state with the condition that announces a change of it; nothing else is done under the lock.
    shared: Arc<(Mutex<Option<Reason>>, Condvar)>,
}

/// Why the process stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// SIGTERM or SIGINT.
    Signal(&'static str),
    /// Every input is read to its end (`--once`).
    Finished,
    /// A stage died; its name and why.
    Failed(String),
}

impl StopRequest {
    /// Asks to stop; the first reason stands.
    pub(crate) fn set(&self, reason: Reason) {
        let (state, changed) = &*self.shared;
        state.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        changed.notify_all();
    }

    /// Waits for a reason, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Reason> {
        let (state, changed) = &*self.shared;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(state, timeout, |reason| reason.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

/// Starts the thread that waits for signals; it lasts as long as the process. `first` is called at the first that asks to
/// stop, `reload` at each SIGHUP.
pub(crate) fn watch(
    stop: StopRequest,
    reload: impl Fn() + Send + 'static,
    first: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut first = Some(first);
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload();
                continue;
            }
            let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
            let Some(first) = first.take() else {
                tracing::warn!(signal = name, "second signal, leaving at once; undelivered data is kept");
                std::process::exit(128 + signal);
            };
            tracing::info!(signal = name, "draining; a second signal leaves at once");
            first();
            stop.set(Reason::Signal(name));
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stands() {
        let stop = StopRequest::default();
        assert_eq!(stop.wait(Duration::ZERO), None);
        let other = stop.clone();
        let waiter = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        stop.set(Reason::Finished);
        stop.set(Reason::Failed("sink".into()));
        assert_eq!(waiter.join().unwrap(), Some(Reason::Finished));
        assert_eq!(stop.wait(Duration::ZERO), Some(Reason::Finished));
    }
}
