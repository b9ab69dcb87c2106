//! The rules that are in force, which can change while workers run.
//!
//! Enters: a program, now and then another one. Leaves: to each worker, between two units, the program to go on with: a
//! record is never judged by half of each. Looking costs a worker one atomic read a unit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use threatlockdown_ruleset::program::Program;

/// Where programs come from that other processes may have already.
pub trait Latest: std::fmt::Debug + Send + Sync {
    /// Returns when what is in force elsewhere is in force here, or cannot be.
    fn catch_up(&self);
}

/// See the module's comment.
#[derive(Debug)]
pub struct ActiveProgram {
    current: Mutex<Arc<Program>>,
    generation: AtomicU64,
}

impl ActiveProgram {
    /// With this program to begin with.
    #[must_use]
    pub fn new(program: Arc<Program>) -> Arc<Self> {
        Arc::new(Self { current: Mutex::new(program), generation: AtomicU64::new(0) })
    }

    /// The program in force.
    #[must_use]
    pub fn current(&self) -> Arc<Program> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another program in force; workers take it with their next unit.
    pub fn replace(&self, program: Arc<Program>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = program;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// How often the program was replaced.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
