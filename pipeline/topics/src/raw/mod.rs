//! The raw topic in memory: units go from connectors to analysis workers, within a budget of bytes.
//!
//! Enters: units, from any number of connector threads. Leaves: the same units, each with a [`Permit`] that gives its
//! bytes back when it is dropped, which is when the unit is committed. So the budget covers all that is between being
//! read and being durable, and a full budget is felt at the source: `publish` blocks.
//!
//! One lock for all partitions: a unit is half a megabyte, so it is taken some thousand times a second at most.
//! Publishers are served in the order in which they came, so that a large unit is not overtaken for ever by small ones.
//! The units of one stream have to be published one after the other (by one thread, or under one lock): the committer
//! waits for the next sequence of a stream, and the units behind it hold their bytes meanwhile.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::mem::size_of;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use threatlockdown_event::{Record, Unit};

/// Most units that wait in one partition. Small units (single requests) are bounded by this before they are by bytes.
const PARTITION_UNITS: usize = 256;

/// What a unit costs beside its bytes: the unit itself, its queue slot, its share of what analysis makes of it.
const UNIT_OVERHEAD: usize = 512;

/// A topic with `partitions` consumers and room for `budget_bytes` of units that are not yet committed.
///
/// A unit larger than the whole budget is let through alone.
#[must_use]
pub fn raw_topic(partitions: usize, budget_bytes: usize) -> (Publisher, Vec<Consumer>) {
    let partitions = partitions.max(1);
    let topic = Arc::new(Topic {
        budget: budget_bytes,
        state: Mutex::new(State {
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            in_flight: 0,
            open: BTreeMap::new(),
            next_ticket: 0,
            serving: 0,
            blocked: 0,
            closed: false,
        }),
        room: Condvar::new(),
        arrived: (0..partitions).map(|_| Condvar::new()).collect(),
    });
    let consumers =
        (0..partitions).map(|partition| Consumer { topic: Arc::clone(&topic), partition }).collect();
    (Publisher { open: Arc::new(CloseOnDrop(Arc::clone(&topic))), topic }, consumers)
}

/// The topic takes no more units: it was closed, or a consumer is gone. A connector stops when it sees this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the raw topic is closed")]
pub struct Closed;

/// Where connectors put units. The topic closes when the last clone is dropped.
#[derive(Clone)]
pub struct Publisher {
    topic: Arc<Topic>,
    #[allow(dead_code, reason = "held for its drop: the last clone closes the topic")]
    open: Arc<CloseOnDrop>,
}

impl Publisher {
    /// Puts the unit into the least loaded partition; blocks while the budget is used up or all partitions are full.
    ///
    /// # Errors
    /// [`Closed`] when the topic takes no more units; the unit is dropped and will be read again from its checkpoint.
    pub fn publish(&self, unit: Unit) -> Result<(), Closed> {
        let cost = cost(&unit);
        let mut state = self.topic.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let partition = loop {
            if state.closed {
                return Err(Closed);
            }
            if state.serving == ticket
                && let Some(partition) = state.room_for(cost, self.topic.budget)
            {
                break partition;
            }
            state.blocked += 1;
            state = wait(&self.topic.room, state);
        };
        state.serving += 1;
        state.in_flight += cost;
        state.open.insert(ticket, Arc::clone(&unit.stream));
        state.partitions[partition].bytes += cost;
        state.partitions[partition].units.push_back(Queued { unit, cost, ticket });
        drop(state);
        self.topic.arrived[partition].notify_one();
        self.topic.room.notify_all();
        Ok(())
    }

    /// Units that no consumer has taken yet.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.topic.lock().partitions.iter().map(|partition| partition.units.len()).sum()
    }

    /// Bytes of all units that are published and not yet committed.
    #[must_use]
    pub fn bytes_in_flight(&self) -> usize {
        self.topic.lock().in_flight
    }

    /// How often a publisher had to wait for room. While this grows, a stream that is silent may only be behind.
    #[must_use]
    pub fn times_blocked(&self) -> u64 {
        self.topic.lock().blocked
    }

    /// Whether a unit of the stream is published and not yet committed.
    #[must_use]
    pub fn holds(&self, stream: &str) -> bool {
        self.topic.lock().open.values().any(|open| **open == *stream)
    }

    /// What is published by now, for [`Publisher::is_settled`].
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.topic.lock().next_ticket
    }

    /// Whether all that was published before the mark is committed, or was given up.
    #[must_use]
    pub fn is_settled(&self, mark: u64) -> bool {
        let state = self.topic.lock();
        state.serving >= mark && state.open.first_key_value().is_none_or(|(&oldest, _)| oldest >= mark)
    }

    /// Takes no more units: blocked publishers get [`Closed`], consumers still get what is queued.
    pub fn close(&self) {
        self.topic.close();
    }
}

/// One partition's end of the topic. Dropping it while the topic is open closes the topic: its units would wait for ever.
pub struct Consumer {
    topic: Arc<Topic>,
    partition: usize,
}

impl Consumer {
    /// Waits for the next unit; `None` once the topic is closed and this partition is empty.
    #[must_use]
    pub fn next(&self) -> Option<Delivered> {
        let mut state = self.topic.lock();
        loop {
            if let Some(queued) = self.pop(&mut state) {
                drop(state);
                return Some(self.deliver(queued));
            }
            if state.closed {
                return None;
            }
            state = wait(&self.topic.arrived[self.partition], state);
        }
    }

    /// Waits for the next unit for so long at most.
    #[must_use]
    pub fn poll(&self, longest: Duration) -> Taken {
        let until = Instant::now() + longest;
        let mut state = self.topic.lock();
        loop {
            if let Some(queued) = self.pop(&mut state) {
                drop(state);
                return Taken::Unit(self.deliver(queued));
            }
            if state.closed {
                return Taken::End;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::Nothing;
            }
            let waited = self.topic.arrived[self.partition].wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn pop(&self, state: &mut State) -> Option<Queued> {
        let partition = &mut state.partitions[self.partition];
        let queued = partition.units.pop_front()?;
        partition.bytes -= queued.cost;
        Some(queued)
    }

    fn deliver(&self, Queued { unit, cost, ticket }: Queued) -> Delivered {
        // The partition has a free place, although the budget has no more room.
        self.topic.room.notify_all();
        Delivered { unit, permit: Permit { topic: Arc::clone(&self.topic), cost, ticket } }
    }
}

/// What a look for a unit brought.
pub enum Taken {
    /// A unit.
    Unit(Delivered),
    /// None within the time.
    Nothing,
    /// The topic is closed and this partition is empty.
    End,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.topic.lock();
        let partition = &mut state.partitions[self.partition];
        let left = std::mem::take(&mut partition.units);
        partition.bytes = 0;
        for queued in &left {
            state.in_flight -= queued.cost;
            state.open.remove(&queued.ticket);
        }
        // At once, so that nothing more is put into this partition.
        state.closed = true;
        drop(state);
        self.topic.wake_all();
    }
}

/// A unit, and the right to its bytes.
pub struct Delivered {
    /// The unit.
    pub unit: Unit,
    /// To be kept until the unit is committed.
    pub permit: Permit,
}

/// Gives the bytes of one unit back to the budget when it is dropped.
pub struct Permit {
    topic: Arc<Topic>,
    cost: usize,
    ticket: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.topic.lock();
        state.in_flight -= self.cost;
        state.open.remove(&self.ticket);
        drop(state);
        self.topic.room.notify_all();
    }
}

struct Topic {
    budget: usize,
    state: Mutex<State>,
    /// Publishers wait here for their turn and for room.
    room: Condvar,
    /// The consumer of each partition waits here, alone.
    arrived: Vec<Condvar>,
}

struct State {
    partitions: Vec<Partition>,
    in_flight: usize,
    /// Streams of the units in flight, by ticket.
    open: BTreeMap<u64, Arc<str>>,
    next_ticket: u64,
    serving: u64,
    /// How often a publisher had to wait.
    blocked: u64,
    closed: bool,
}

#[derive(Default)]
struct Partition {
    units: VecDeque<Queued>,
    bytes: usize,
}

/// A unit that no consumer has taken yet.
struct Queued {
    unit: Unit,
    cost: usize,
    ticket: u64,
}

impl Topic {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds this lock can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.wake_all();
    }

    fn wake_all(&self) {
        self.room.notify_all();
        for arrived in &self.arrived {
            arrived.notify_all();
        }
    }
}

impl State {
    fn room_for(&self, cost: usize, budget: usize) -> Option<usize> {
        if self.in_flight > 0 && self.in_flight.saturating_add(cost) > budget {
            return None;
        }
        let open =
            self.partitions.iter().enumerate().filter(|(_, queued)| queued.units.len() < PARTITION_UNITS);
        open.min_by_key(|(_, queued)| (queued.bytes, queued.units.len())).map(|(index, _)| index)
    }
}

struct CloseOnDrop(Arc<Topic>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn wait<'a>(condvar: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condvar.wait(state).unwrap_or_else(PoisonError::into_inner)
}

fn cost(unit: &Unit) -> usize {
    let letters: usize = unit.dead_letters.iter().map(|letter| letter.record.len() + UNIT_OVERHEAD).sum();
    UNIT_OVERHEAD + unit.buffer.capacity() + unit.records.capacity() * size_of::<Record>() + letters
}
