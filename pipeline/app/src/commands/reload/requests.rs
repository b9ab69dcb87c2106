//! What the reloading thread is asked: to look now, or to stop. Requests that come while one is worked on are one.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Shared by those who ask and the thread that is asked.
#[derive(Debug, Clone, Default)]
pub(in crate::commands) struct Requests {
    /// The state with the condition that announces a change of it; nothing else is done under the lock.
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    asked: bool,
    stop: bool,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    Timeout,
    Asked,
    Stop,
}

impl Requests {
    /// Asks to load the rules again.
    pub(in crate::commands) fn ask(&self) {
        self.change(|state| state.asked = true);
    }

    /// Asks the thread to end.
    pub(in crate::commands) fn stop(&self) {
        self.change(|state| state.stop = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let (state, changed) = &*self.shared;
        change(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    /// Waits to be asked, at most `limit` where there is one.
    pub(super) fn wait(&self, limit: Option<Duration>) -> Wake {
        self.wait_while(limit, |state| !state.asked && !state.stop, true)
    }

    /// Waits to be stopped.
    pub(super) fn pause(&self, time: Duration) -> Wake {
        self.wait_while(Some(time), |state| !state.stop, false)
    }

    fn wait_while(&self, limit: Option<Duration>, idle: impl Fn(&State) -> bool, takes: bool) -> Wake {
        let (state, changed) = &*self.shared;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = match limit {
            Some(limit) => {
                let waited = changed.wait_timeout_while(state, limit, |state| idle(state));
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => changed.wait_while(state, |state| idle(state)).unwrap_or_else(PoisonError::into_inner),
        };
        if state.stop {
            return Wake::Stop;
        }
        if takes && std::mem::take(&mut state.asked) { Wake::Asked } else { Wake::Timeout }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_wait_until_they_are_taken_and_a_stop_stands() {
        let requests = Requests::default();
        assert_eq!(requests.wait(Some(Duration::ZERO)), Wake::Timeout);
        requests.ask();
        requests.ask();
        assert_eq!(requests.pause(Duration::ZERO), Wake::Timeout, "a pause takes no request");
        assert_eq!(requests.wait(None), Wake::Asked);
        assert_eq!(requests.wait(Some(Duration::ZERO)), Wake::Timeout, "two requests at once are one");
        let other = requests.clone();
        let waiter = std::thread::spawn(move || other.wait(None));
        requests.stop();
        assert_eq!(waiter.join().unwrap(), Wake::Stop);
        assert_eq!(requests.pause(Duration::from_secs(60)), Wake::Stop);
    }
}
