//! What the engine remembers between events: correlation lists, first-seen keys, `ignore` stamps, last texts, fields
//! that wait for the rest of their event.
//!
//! Enters: decisions of the walk, with the time of the event. Leaves: whether a rule's demands on earlier events hold.
//! One [`Memory`] is shared by all workers of a process; a worker takes it when its walk first needs it and keeps it to
//! the end of that event, so that the effects of one event are never mixed with those of another.

use std::sync::Arc;

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
    /// Seconds east of UTC of the zone that `<time>` and `<weekday>` mean.
    pub zone_offset: i32,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Memory {
    options: MemoryOptions,
}

impl Memory {
    /// An empty memory.
    #[must_use]
    pub fn new(options: MemoryOptions) -> Arc<Self> {
        Arc::new(Self { options })
    }

    /// How it behaves.
    #[must_use]
    pub fn options(&self) -> &MemoryOptions {
        &self.options
    }
}
