//! What every command that goes on until it is stopped begins and ends with.
//!
//! Enters: a checked configuration, then what runs. Leaves: the endpoint of operations, and the exit code. There is one place
//! that looks after everything that runs, one reason to stop and one drain, in the order of the data; a watchdog ends the
//! process where that takes longer than the deadline. What is left then is read or delivered again by the next start.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use threatlockdown_topics::kafka::{KafkaError, Remedy};

use super::in_words;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::ops::server::Server;
use crate::ops::{self, Health, Phase};
use crate::signals::{self, Reason, StopRequest};

/// A stage failed, or the drain was not complete.
const EXIT_INCOMPLETE: u8 = 1;
/// How often what runs is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// A deadline that never comes, for inputs that ended by themselves: they are delivered however long it takes.
const NO_DEADLINE: Duration = Duration::from_secs(10 * 365 * 86_400);
/// What a drain that keeps to the deadline may take beyond it to say what is left.
const GRACE: Duration = Duration::from_millis(500);

/// Something that runs: all stages of one process, or one role of a cluster.
pub(super) trait Running {
    /// What it is called in the log.
    fn name(&self) -> &'static str;

    /// Looks after it. Whether it has come to its end by itself, since its inputs have; an error when a part of it has ended
    /// that should run.
    fn check(&mut self) -> anyhow::Result<bool>;

    /// Does what those that ended before it in this process have left for it; whether that is all done. Asked of none that
    /// runs alone: what comes from other processes is never all done.
    fn catch_up(&mut self, _end: &End) -> bool {
        true
    }

    /// Ends it, in the order of the data; false where something is left for the next start.
    fn finish(self: Box<Self>, end: &End) -> bool;

    /// Waits until something is done, or a part has ended that should run, or the time is over. Brokers that do not answer are
    /// asked again.
    fn until_done(&mut self, until: Instant, is_done: &mut dyn FnMut() -> Result<bool, KafkaError>) -> bool {
        while Instant::now() < until {
            match is_done() {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) if error.remedy() == Remedy::Stop => {
                    tracing::error!(%error, "cannot ask how far the work is");
                    return false;
                }
                Err(error) => tracing::warn!(%error, "cannot ask how far the work is"),
            }
            if let Err(error) = self.check() {
                tracing::error!(error = in_words(&error), "what is left is left to the next start");
                return false;
            }
            std::thread::sleep(LOOK_AFTER);
        }
        false
    }

    /// Tells the log what is not done yet.
    fn left(&self) -> Left {
        Box::new(|| {})
    }
}

/// See [`Running::left`].
pub(super) type Left = Hook;

/// Something to be called.
type Hook = Box<dyn Fn() + Send>;

/// How everything ends.
pub(super) struct End {
    pub(super) reason: Reason,
    pub(super) deadline: Instant,
}

impl End {
    /// Whether all inputs have ended, so that nothing is to be left undone.
    pub(super) fn is_of_inputs(&self) -> bool {
        self.reason == Reason::Finished
    }

    /// By when something is to be done that others wait for: they have the other half of the time.
    pub(super) fn half(&self) -> Instant {
        let now = Instant::now();
        now + self.deadline.saturating_duration_since(now) / 2
    }
}

/// See the module.
pub(super) struct Process {
    pub(super) config: Config,
    pub(super) health: Arc<Health>,
    pub(super) stop: StopRequest,
    /// What SIGHUP asks for. Locked to add to it, and at the signal.
    reloads: Arc<Mutex<Vec<Hook>>>,
    watchdog: Watchdog,
    listener: Option<TcpListener>,
    server: Option<Server>,
}

impl Process {
    /// Takes the port of the endpoint.
    pub(super) fn new(config: Config) -> anyhow::Result<Self> {
        let listener = ops::server::bind(&config)?;
        Ok(Self {
            health: Arc::new(Health::default()),
            stop: StopRequest::default(),
            reloads: Arc::default(),
            watchdog: Watchdog::new(config.shutdown_deadline),
            listener,
            server: None,
            config,
        })
    }

    /// From now on signals ask to stop, or to load the rules again.
    pub(super) fn watch_signals(&self) -> anyhow::Result<()> {
        let (reloads, watchdog) = (Arc::clone(&self.reloads), self.watchdog.clone());
        let reload =
            move || reloads.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|reload| reload());
        signals::watch(self.stop.clone(), reload, move || watchdog.start())
            .context("cannot watch for signals")
    }

    /// Is called at each SIGHUP from now on.
    pub(super) fn on_reload(&self, reload: impl Fn() + Send + 'static) {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(reload));
    }

    /// Opens the endpoint, also of what else is served. From then on the process is ready. Where it really listens.
    pub(super) fn serve(
        &mut self,
        metrics: Metrics,
        own: Option<Router>,
    ) -> anyhow::Result<Option<SocketAddr>> {
        if let Some(listener) = self.listener.take() {
            self.server = Some(ops::server::serve(listener, own, &self.health, metrics)?);
        }
        self.health.set_phase(Phase::Running);
        Ok(self.server.as_ref().map(|server| server.address))
    }

    /// Looks after everything that runs until there is a reason to stop, then ends it, the first one first.
    pub(super) fn work(self, mut running: Vec<Box<dyn Running>>) -> ExitCode {
        for one in &running {
            self.watchdog.tell(one.left());
        }
        let reason = self.look_after(&mut running);
        self.health.set_phase(Phase::Draining);
        if let Reason::Failed(why) = &reason {
            tracing::error!(why, "stopping, since a stage died");
            self.health.stage_died(why);
            self.watchdog.start();
        }
        let complete = drain(running, reason, self.config.shutdown_deadline);
        self.server.into_iter().for_each(Server::stop);
        if complete { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INCOMPLETE) }
    }

    fn look_after(&self, running: &mut [Box<dyn Running>]) -> Reason {
        loop {
            if let Some(reason) = self.stop.wait(LOOK_AFTER) {
                return reason;
            }
            for one in running.iter_mut() {
                match one.check() {
                    Ok(true) => self.stop.set(Reason::Finished),
                    Ok(false) => {}
                    Err(error) => self.stop.set(Reason::Failed(in_words(&error))),
                }
            }
        }
    }
}

/// Ends everything in the order of the data; whether nothing is left undone.
fn drain(running: Vec<Box<dyn Running>>, reason: Reason, deadline: Duration) -> bool {
    let begin = Instant::now();
    let limit = if reason == Reason::Finished { NO_DEADLINE } else { deadline };
    let end = End { reason, deadline: begin + limit };
    let mut complete = !matches!(end.reason, Reason::Failed(_));
    for (before, mut one) in running.into_iter().enumerate() {
        // After a failure what is left is left to the next start.
        if before > 0 && complete && !one.catch_up(&end) {
            tracing::warn!(
                role = one.name(),
                "not everything is done; the next start, or another copy, goes on"
            );
            complete = !end.is_of_inputs();
        }
        complete &= one.finish(&end);
    }
    tracing::info!(seconds = begin.elapsed().as_secs_f64(), complete, "stopped");
    complete
}

/// Ends the process at the deadline, from a thread of its own, since any stage may be the one that hangs.
#[derive(Clone)]
struct Watchdog {
    deadline: Duration,
    has_started: Arc<AtomicBool>,
    /// Locked to add to it before the end, and at the end.
    left: Arc<Mutex<Vec<Left>>>,
}

impl Watchdog {
    fn new(deadline: Duration) -> Self {
        Self { deadline, has_started: Arc::default(), left: Arc::default() }
    }

    fn tell(&self, left: Left) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(left);
    }

    /// The time runs from the first call on.
    fn start(&self) {
        if self.has_started.swap(true, Ordering::Relaxed) {
            return;
        }
        let own = self.clone();
        let watch = move || {
            std::thread::sleep(own.deadline + GRACE);
            own.left.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|left| left());
            tracing::error!(
                "the drain took longer than shutdown.deadline; what is left is read again by the next start"
            );
            std::process::exit(i32::from(EXIT_INCOMPLETE));
        };
        if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watch) {
            tracing::warn!(%error, "no watchdog: the drain may take longer than shutdown.deadline");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what is asked of it.
    struct Part {
        name: &'static str,
        catches_up: bool,
        finishes: bool,
        notes: Arc<Mutex<Vec<String>>>,
    }

    impl Running for Part {
        fn name(&self) -> &'static str {
            self.name
        }

        fn check(&mut self) -> anyhow::Result<bool> {
            Ok(false)
        }

        fn catch_up(&mut self, _: &End) -> bool {
            self.notes.lock().unwrap().push(format!("{} catches up", self.name));
            self.catches_up
        }

        fn finish(self: Box<Self>, _: &End) -> bool {
            self.notes.lock().unwrap().push(format!("{} ends", self.name));
            self.finishes
        }
    }

    fn ended(reason: Reason, parts: [(bool, bool); 3]) -> (bool, String) {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let part = |(name, (catches_up, finishes))| -> Box<dyn Running> {
            Box::new(Part { name, catches_up, finishes, notes: Arc::clone(&notes) })
        };
        let parts = ["a", "b", "c"].into_iter().zip(parts).map(part).collect();
        let complete = drain(parts, reason, Duration::from_secs(60));
        (complete, std::mem::take(&mut *notes.lock().unwrap()).join(", "))
    }

    #[test]
    fn each_ends_after_those_before_it_and_when_it_has_done_what_they_left() {
        let all = "a ends, b catches up, b ends, c catches up, c ends";
        let signal = || Reason::Signal("SIGTERM");
        assert_eq!(ended(signal(), [(true, true); 3]), (true, all.to_owned()));
        // What is in topics is safe: no failure, unless it was to be done however long it takes.
        assert_eq!(ended(signal(), [(true, true), (false, true), (true, true)]), (true, all.to_owned()));
        let (complete, _) = ended(Reason::Finished, [(true, true), (false, true), (true, true)]);
        assert!(!complete);
        let last = "a ends, b catches up, b ends, c ends";
        assert_eq!(ended(signal(), [(true, true), (true, false), (true, true)]), (false, last.to_owned()));
        let failed = Reason::Failed("x".to_owned());
        assert_eq!(ended(failed, [(true, true); 3]), (false, "a ends, b ends, c ends".to_owned()));
    }
}
