//! What the engine remembers between events: correlation lists, first-seen keys, `ignore` stamps, last texts, fields
//! that wait for the rest of their event.
//!
//! Enters: decisions of the walk, with the time of the event. Leaves: whether a rule's demands on earlier events hold.
//! One [`Memory`] is shared by all workers of a process; a worker takes it when its walk first needs it and keeps it to
//! the end of that event, so that the effects of one event are never mixed with those of another. Everything is bounded
//! and keyed by what a rule says, not by where it stands in a program, so that it outlives a change of the rules.

mod blocks;
mod events;
mod first_seen;
mod kept;
mod list;
mod lists;
mod logs;
mod memories;
mod partial;
mod reader;
mod room;
mod short;
pub mod sigma;
mod snapshot;
mod store;
mod zone;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use first_seen::{CUT_FIRST_SEEN, MAX_FIRST_SEEN};
pub(crate) use lists::{Sight, write_value};
pub(crate) use reader::{Reader, ReaderIndex, ReaderSource};
pub(crate) use store::{Stamp, Store};

pub use memories::Memories;
pub use room::Room;
pub use snapshot::{Extent, SnapshotError};
pub use zone::Zone;

use room::Share;
use snapshot::Contents;

/// Whose behaviour is followed where the reference has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrontEnd {
    /// Its daemon: a match within a rule's `ignore` window gives the parent rule.
    #[default]
    Daemon,
    /// Its test front end: the match is shown, but neither alerted nor remembered. Its oddities are imitated too.
    Test,
}

/// Which time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// That of the event, where it has one that can be believed, else when it was received.
    #[default]
    Event,
    /// When the event was received.
    Received,
}

/// How a [`Memory`] behaves.
#[derive(Debug, Clone, Default)]
pub struct MemoryOptions {
    /// See [`FrontEnd`].
    pub front_end: FrontEnd,
    /// See [`Clock`].
    pub clock: Clock,
    /// The zone that `<time>` and `<weekday>` mean.
    pub zone: Zone,
    /// Host of events that name none.
    pub host: Arc<str>,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Memory {
    options: MemoryOptions,
    store: Mutex<Store>,
}

impl Memory {
    /// An empty memory, bounded by itself: so many events, keys and texts.
    #[must_use]
    pub fn new(options: MemoryOptions) -> Arc<Self> {
        Self::with_share(options, Share::default())
    }

    /// An empty memory that is bounded by a room, which it shares with others.
    #[must_use]
    pub fn within(options: MemoryOptions, room: &Arc<Room>) -> Arc<Self> {
        Self::with_share(options, Share::of(room))
    }

    fn with_share(options: MemoryOptions, share: Share) -> Arc<Self> {
        let store = Mutex::new(Store::new(options.front_end, share));
        Arc::new(Self { options, store })
    }

    /// How it behaves.
    #[must_use]
    pub fn options(&self) -> &MemoryOptions {
        &self.options
    }

    /// Events, keys and texts that were forgotten before their time because there was no more room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.store().evicted()
    }

    /// Bytes that it takes, at most.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.store().bytes() as u64
    }

    /// What it remembers, as bytes.
    #[must_use]
    pub fn snapshot(&self, extent: Extent) -> Vec<u8> {
        Contents::of(&self.store(), extent).encode()
    }

    /// Takes up what was remembered, beside what it remembers itself.
    ///
    /// # Errors
    /// When this is no whole snapshot that this version can read; then nothing is taken up.
    pub fn restore(&self, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let contents = Contents::decode(snapshot)?;
        contents.restore(&mut self.store());
        Ok(())
    }

    /// Takes the memory. A worker that panicked left nothing half done: each step is complete in itself.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
