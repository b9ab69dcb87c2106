//! What others see of the stateful stage, and may tell it.
//!
//! Enters: the stage's state, a few times a second. Leaves: figures for metrics, what of the log has to be kept, and the
//! word to end.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use threatlockdown_event::Millis;
use threatlockdown_topics::LogPosition;

use super::{Correlator, Remembered};

/// What others may see of the stage.
#[derive(Debug, Clone, Default)]
pub struct StageHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    needs: Mutex<LogPosition>,
    remembered: Mutex<Vec<Remembered>>,
    watermark: AtomicI64,
    newest: AtomicI64,
    waiting: AtomicU64,
    ending: AtomicBool,
    stopped: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            needs: Mutex::default(),
            remembered: Mutex::default(),
            watermark: AtomicI64::new(i64::MIN),
            newest: AtomicI64::new(i64::MIN),
            waiting: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }
}

impl StageHandle {
    /// The log is still needed from here on.
    #[must_use]
    pub fn needs(&self) -> LogPosition {
        *self.shared.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What rules remember, by component.
    #[must_use]
    pub fn remembered(&self) -> Vec<Remembered> {
        self.shared.remembered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// By how much the watermark is behind the youngest candidate that waits.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let lag = self
            .shared
            .newest
            .load(Ordering::Relaxed)
            .saturating_sub(self.shared.watermark.load(Ordering::Relaxed));
        if self.waiting() == 0 { Duration::ZERO } else { Duration::from_millis(lag.max(0).unsigned_abs()) }
    }

    /// Candidates that wait for the watermark.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// A fault ends the stage from now on, for nobody will mend it.
    pub fn ask_to_end(&self) {
        self.shared.ending.store(true, Ordering::Relaxed);
    }

    /// Ends the stage at once: the committer is gone, and nothing more will come.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.shared.ending.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn set_needs(&self, needs: LogPosition) {
        *self.shared.needs.lock().unwrap_or_else(PoisonError::into_inner) = needs;
    }

    /// Shows how far a correlator is.
    pub(super) fn show(&self, correlator: &Correlator, remembered: Vec<Remembered>) {
        let millis = |time: Option<Millis>| time.map_or(i64::MIN, |time| time.0);
        self.shared.watermark.store(millis(correlator.watermark()), Ordering::Relaxed);
        self.shared.newest.store(millis(correlator.newest_waiting()), Ordering::Relaxed);
        self.shared.waiting.store(correlator.waiting() as u64, Ordering::Relaxed);
        *self.shared.remembered.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
    }
}
