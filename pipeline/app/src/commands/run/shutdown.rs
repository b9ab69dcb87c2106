//! The end of a run: everything that was read is judged, committed and delivered, then the process ends.
//!
//! Enters: the running stages. Leaves: the exit code. The order is that of the data: sources stop, the raw topic is
//! closed, workers drain it, the committer commits what they made, the stateful stage counts what is due (all of it where
//! the inputs have ended), sinks deliver up to the last commit. A watchdog
//! ends the process where this takes longer than the deadline; what is left then is read or delivered again by the
//! next start.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use threatlockdown_topics::{Marker, Publisher};

use super::sinks::Deliveries;
use super::{EXIT_INCOMPLETE, Stages};
use crate::signals::Reason;

/// A deadline that never comes, for inputs that ended by themselves: they are delivered however long it takes.
const NO_DEADLINE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What a drain that keeps to the deadline may take beyond it to say what is left.
const GRACE: Duration = Duration::from_millis(500);

/// Between two looks at a stage that is to end.
const LOOK: Duration = Duration::from_millis(2);

/// Ends the stages in order.
pub(super) fn drain(stages: Stages, reason: &Reason, deadline: Duration) -> ExitCode {
    let begin = Instant::now();
    let Stages { mut sources, publisher, workers, committer, stateful, deliveries, .. } = stages;
    sources.stop();
    publisher.close();
    let workers_died = workers.into_iter().filter_map(|worker| worker.join().err()).count();
    stateful.handle.ask_to_end();
    // The last word of all, so the stage has seen everything when it hears it, and lets go of the committer.
    stateful.control.end(if *reason == Reason::Finished { Marker::End } else { Marker::Stop });
    while !stateful.thread.is_finished() {
        if committer.is_finished() {
            stateful.handle.stop();
        }
        std::thread::sleep(LOOK);
    }
    let counted = stateful.thread.join().unwrap_or(false);
    if !counted {
        tracing::error!("not everything is counted; the next start goes on");
    }
    let Ok(target) = committer.join() else {
        tracing::error!("the committer died; what it had not committed is read again by the next start");
        return ExitCode::from(EXIT_INCOMPLETE);
    };
    let limit = if *reason == Reason::Finished { NO_DEADLINE } else { deadline };
    let unfinished = deliveries.finish(target.end(), begin + limit);
    for sink in &unfinished {
        tracing::error!(sink, "not everything is delivered; the next start goes on");
    }
    // Cursors of the sinks are stored by now, so the log can be cut to what is really needed.
    let mut target = target;
    threatlockdown_analysis::Target::tick(&mut target);
    let failed =
        matches!(reason, Reason::Failed(_)) || workers_died > 0 || !counted || !unfinished.is_empty();
    tracing::info!(seconds = begin.elapsed().as_secs_f64(), complete = !failed, "stopped");
    if failed { ExitCode::from(EXIT_INCOMPLETE) } else { ExitCode::SUCCESS }
}

/// Ends the process at the deadline, from a thread of its own, since any stage may be the one that hangs.
pub(super) fn watchdog(deadline: Duration, publisher: Publisher, deliveries: Deliveries) {
    let watch = move || {
        std::thread::sleep(deadline + GRACE);
        for state in deliveries.states() {
            tracing::error!(sink = state.name, lag_bytes = state.lag_bytes, "not everything is delivered");
        }
        tracing::error!(
            units = publisher.depth(),
            bytes = publisher.bytes_in_flight(),
            "the drain took longer than shutdown.deadline; what is left is read again by the next start"
        );
        std::process::exit(i32::from(EXIT_INCOMPLETE));
    };
    if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watch) {
        tracing::warn!(%error, "no watchdog: the drain may take longer than shutdown.deadline");
    }
}
