//! Secrets that are replaced while a sink runs.
//!
//! Enters: a secret, and later another. Leaves: the newest, to whoever sends it next. Copies share it: the one in the
//! configuration is where a new one enters.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module. Never shown.
pub struct Renewable<T>(Arc<Mutex<T>>);

impl<T: Clone> Renewable<T> {
    /// One for all its copies.
    pub fn new(secret: T) -> Self {
        Self(Arc::new(Mutex::new(secret)))
    }

    /// The newest.
    #[must_use]
    pub fn get(&self) -> T {
        self.lock().clone()
    }

    /// From now on all copies have what the other one has.
    pub fn renew(&self, other: &Self) {
        let new = other.get();
        *self.lock() = new;
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Renewable<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Renewable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Clone + PartialEq> PartialEq for Renewable<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.get() == other.get()
    }
}

impl<T: Clone + Eq> Eq for Renewable<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_the_newest_secret_and_none_shows_it() {
        let (first, other) = (Renewable::new("hunter1"), Renewable::new("hunter2"));
        let copy = first.clone();
        assert_ne!(copy, other);
        first.renew(&other);
        first.renew(&first.clone());
        assert_eq!((copy.get(), copy == other, format!("{copy:?}")), ("hunter2", true, "***".to_owned()));
    }
}
