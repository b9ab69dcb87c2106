//! One thread per sink: reads commits, delivers them, stores how far it came.
//!
//! Enters: a [`Source`] of commits (the commit log, or topics in Kafka) and a sink. Leaves: every commit in the sink, in
//! order. After any error delivery goes back to what was stored last and tries again, with growing pauses: nothing is
//! skipped, and one sink that fails does not hold up another.

mod kafka;
mod outbox;
mod source;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use threatlockdown_topics::commit_log::LogEnd;
use threatlockdown_topics::{LogPosition, LogReader, Store};

pub use self::kafka::{KafkaSource, KafkaSourceOptions, Wanted};
pub use self::outbox::Outbox;
use self::source::LogSource;
pub use self::source::{Source, SourceError};
use crate::sink::{Sink, SinkError};

/// How often a waiting thread looks whether it is to stop.
const POLL: Duration = Duration::from_millis(50);
/// Between two looks at how much there still is.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// Repeated errors are logged so often at most.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Settings of a delivery.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// Shortest time between two flushes, as long as the sink does not want one itself.
    pub flush_interval: Duration,
    /// First pause after an error; each one that follows is twice as long …
    pub first_pause: Duration,
    /// … up to this.
    pub longest_pause: Duration,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(1),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// Starts the delivery of a log to a sink.
///
/// # Errors
/// When no thread can be started.
pub fn spawn(
    reader: LogReader,
    store: Arc<Store>,
    sink: Box<dyn Sink>,
    options: DeliveryOptions,
) -> io::Result<Delivery> {
    let end = reader.end();
    // Until the thread has read it itself: what is not delivered must not be deleted, and an error shows there.
    let cursor = store.cursor(sink.name()).ok().flatten();
    let position = cursor.map(|cursor| cursor.position).unwrap_or_default();
    let source = LogSource::new(reader, store, sink.name().to_owned());
    start(Box::new(source), sink, options, position, Some(end))
}

/// Starts the delivery of anything else. It has no positions: [`Delivery::finish`] at the default one ends it when what it
/// has taken is delivered.
///
/// # Errors
/// When no thread can be started.
pub fn spawn_from(
    source: Box<dyn Source>,
    sink: Box<dyn Sink>,
    options: DeliveryOptions,
) -> io::Result<Delivery> {
    start(source, sink, options, LogPosition::default(), None)
}

fn start(
    source: Box<dyn Source>,
    sink: Box<dyn Sink>,
    options: DeliveryOptions,
    position: LogPosition,
    end: Option<LogEnd>,
) -> io::Result<Delivery> {
    let shared = Arc::new(Shared::default());
    let name = sink.name().to_owned();
    shared.lock().position = position;
    let worker =
        Worker { source, sink, options, shared: Arc::clone(&shared), pauses: 0, logged: None, looked: None };
    let thread = thread::Builder::new().name(format!("sink {name}")).spawn(move || worker.run())?;
    Ok(Delivery { name, end, shared, thread })
}

/// A running delivery. Dropping it stops the thread as a kill would: what was not flushed comes again next time.
pub struct Delivery {
    name: String,
    /// Of the log, where it delivers one.
    end: Option<LogEnd>,
    shared: Arc<Shared>,
    #[allow(dead_code, reason = "only tests wait for a thread that was told to stop at once")]
    thread: JoinHandle<()>,
}

impl Delivery {
    /// Name of the sink.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What comes before is delivered, durable, and not needed any more; [`LogPosition::MAX`] once the sink is
    /// finished, so that it holds nothing back.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.shared.lock().position
    }

    /// Bytes of the commit log that are not delivered yet.
    #[must_use]
    pub fn lag_bytes(&self) -> u64 {
        self.end.as_ref().map_or(0, |end| end.bytes_after(self.position()))
    }

    /// Records of topics that are not delivered yet, at the last look.
    #[must_use]
    pub fn lag_records(&self) -> u64 {
        self.shared.lock().lag
    }

    /// Since all that had come was delivered, or since the start.
    #[must_use]
    pub fn since_success(&self) -> Duration {
        self.shared.lock().succeeded.elapsed()
    }

    /// Why it has ended for good, where only the operator can mend it.
    #[must_use]
    pub fn dead(&self) -> Option<String> {
        self.shared.lock().dead.clone()
    }

    /// Alerts that were delivered since the start.
    #[must_use]
    pub fn alerts(&self) -> u64 {
        self.shared.lock().alerts
    }

    /// Errors since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.shared.lock().failures
    }

    /// Why the sink does not deliver at the moment.
    #[must_use]
    pub fn failing(&self) -> Option<String> {
        self.shared.lock().failing.clone()
    }

    /// Delivers all before `upto`, flushes and stops; gives up at the deadline. Returns whether all is delivered.
    #[must_use]
    pub fn finish(self, upto: LogPosition, deadline: Instant) -> bool {
        let mut state = self.shared.lock();
        state.until = Some(upto);
        self.shared.changed.notify_all();
        while !state.done {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.done && state.position >= upto
    }

    #[cfg(test)]
    pub(crate) fn kill(mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        let thread = std::mem::replace(&mut self.thread, thread::spawn(|| {}));
        thread.join().unwrap();
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

/// What the thread and its owner tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The thread waits here in its pauses, the owner for the end of the thread.
    changed: Condvar,
}

struct State {
    position: LogPosition,
    alerts: u64,
    lag: u64,
    failures: u64,
    failing: Option<String>,
    dead: Option<String>,
    succeeded: Instant,
    /// The owner wants it to end there.
    until: Option<LogPosition>,
    /// The owner wants it to end now.
    stop: bool,
    /// The thread has ended.
    done: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            position: LogPosition::default(),
            alerts: 0,
            lag: 0,
            failures: 0,
            failing: None,
            dead: None,
            succeeded: Instant::now(),
            until: None,
            stop: false,
            done: false,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    source: Box<dyn Source>,
    sink: Box<dyn Sink>,
    options: DeliveryOptions,
    shared: Arc<Shared>,
    /// Pauses since the last success.
    pauses: u32,
    logged: Option<Instant>,
    /// When it looked last how much there still is.
    looked: Option<Instant>,
}

/// Why a run of deliveries ended.
enum Ended {
    /// All is done, or the owner does not want more.
    Stopped,
    Sink(SinkError),
    Source(SourceError),
}

impl Worker {
    fn run(self) {
        // However it ends, also by a panic of the sink, nobody is to wait for it in vain; and by then the source is closed.
        let _done = DoneOnDrop(Arc::clone(&self.shared));
        self.deliver_on();
    }

    fn deliver_on(mut self) {
        loop {
            let error = match self.deliver_all() {
                Ended::Stopped => return,
                Ended::Sink(SinkError::Finished(reason)) => {
                    tracing::warn!(
                        sink = self.sink.name(),
                        reason,
                        "the sink takes no more; the others go on"
                    );
                    self.shared.lock().position = LogPosition::MAX;
                    return;
                }
                Ended::Source(SourceError::Stop(reason)) => {
                    tracing::error!(sink = self.sink.name(), reason, "delivery ends");
                    self.shared.lock().dead = Some(reason);
                    return;
                }
                Ended::Sink(error) => error.to_string(),
                Ended::Source(error) => error.to_string(),
            };
            if !self.pause(error) {
                return;
            }
        }
    }

    /// Delivers from what was stored on, until something ends it.
    fn deliver_all(&mut self) -> Ended {
        match self.try_deliver_all() {
            Ok(()) => Ended::Stopped,
            Err(ended) => ended,
        }
    }

    fn try_deliver_all(&mut self) -> Result<(), Ended> {
        let state = self.source.resume()?;
        self.sink.resume(&state)?;
        let mut since = Instant::now();
        let mut unflushed = Unflushed::default();
        loop {
            let finished = match self.asked_to_stop() {
                Some(None) => return Ok(()),
                Some(Some(until)) => self.source.position() >= until,
                None => false,
            };
            // After an error each commit is flushed at once, so that a sink that fails often still gets on.
            let interval = if self.pauses > 0 { Duration::ZERO } else { self.options.flush_interval };
            let due = unflushed.commits > 0 && since.elapsed() >= interval;
            if due || finished || self.source.wants_store() || self.sink.wants_flush() {
                self.store_progress(&mut unflushed)?;
                since = Instant::now();
                if finished {
                    return Ok(());
                }
                continue;
            }
            match self.source.next(POLL)? {
                Some(commit) => {
                    self.sink.deliver(&commit)?;
                    unflushed.commits += 1;
                    unflushed.alerts += commit.alerts.len() as u64;
                }
                None if unflushed.commits == 0 && self.pauses == 0 => {
                    self.shared.lock().succeeded = Instant::now();
                }
                None => {}
            }
            self.look();
        }
    }

    /// Notes now and then how much there still is.
    fn look(&mut self) {
        if self.looked.is_none_or(|at| at.elapsed() >= LAG_EVERY) {
            let lag = self.source.lag();
            self.shared.lock().lag = lag;
            self.looked = Some(Instant::now());
        }
    }

    fn store_progress(&mut self, unflushed: &mut Unflushed) -> Result<(), Ended> {
        let state = self.sink.flush()?;
        loop {
            match self.source.store(&state) {
                Ok(()) => break,
                // Tried again as it is: there is nothing wrong with what the sink has.
                Err(SourceError::Again(error)) => {
                    if !self.pause(error) {
                        return Err(Ended::Stopped);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.pauses = 0;
        {
            let mut shared = self.shared.lock();
            shared.position = self.source.position();
            shared.alerts += unflushed.alerts;
            shared.failing = None;
            shared.succeeded = Instant::now();
        }
        *unflushed = Unflushed::default();
        self.sink.stored()?;
        Ok(())
    }

    /// `Some(None)`: now; `Some(Some(position))`: there.
    fn asked_to_stop(&self) -> Option<Option<LogPosition>> {
        let state = self.shared.lock();
        if state.stop { Some(None) } else { state.until.map(Some) }
    }

    /// Records an error and waits; false when it was told to stop meanwhile.
    fn pause(&mut self, error: String) -> bool {
        let pause = jittered(self.options.first_pause, self.pauses, self.options.longest_pause);
        self.pauses += 1;
        if self.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            tracing::error!(
                sink = self.sink.name(),
                error,
                attempts = self.pauses,
                "delivery failed; trying again"
            );
            self.logged = Some(Instant::now());
        }
        let mut state = self.shared.lock();
        state.failures += 1;
        state.failing = Some(error);
        let waited = self.shared.changed.wait_timeout_while(state, pause, |state| !state.stop);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }
}

/// Delivered since the last flush.
#[derive(Default)]
struct Unflushed {
    commits: u64,
    alerts: u64,
}

struct DoneOnDrop(Arc<Shared>);

impl Drop for DoneOnDrop {
    fn drop(&mut self) {
        self.0.lock().done = true;
        self.0.changed.notify_all();
    }
}

/// Between half of the pause and all of it, so that many sinks do not try again in step.
fn jittered(first: Duration, doublings: u32, longest: Duration) -> Duration {
    let pause = first.saturating_mul(2_u32.saturating_pow(doublings.min(30))).min(longest);
    let share = (RandomState::new().build_hasher().finish() % 1024) as u32;
    pause / 2 + (pause / 2).saturating_mul(share) / 1024
}

impl From<SinkError> for Ended {
    fn from(error: SinkError) -> Self {
        Ended::Sink(error)
    }
}

impl From<SourceError> for Ended {
    fn from(error: SourceError) -> Self {
        Ended::Source(error)
    }
}

#[cfg(test)]
pub(crate) mod tests;
