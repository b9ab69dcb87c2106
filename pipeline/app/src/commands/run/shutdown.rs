//! The end of a run: everything that was read is judged, committed and delivered, then the process ends.
//!
//! Enters: the running stages. Leaves: whether all is done. The order is that of the data: sources stop, the raw topic is
//! closed, workers drain it, the committer commits what they made, the stateful stage counts what is due (all of it where
//! the inputs have ended), sinks deliver up to the last commit.

use std::time::Duration;

use threatlockdown_topics::Marker;

use super::Stages;
use crate::commands::process::End;

/// Between two looks at a stage that is to end.
const LOOK: Duration = Duration::from_millis(2);

/// Ends the stages in order; false where something is left for the next start.
pub(super) fn drain(stages: Stages, end: &End) -> bool {
    let Stages { mut sources, publisher, workers, committer, stateful, deliveries, .. } = stages;
    sources.stop();
    publisher.close();
    let workers_died = workers.into_iter().filter_map(|worker| worker.join().err()).count();
    stateful.handle.ask_to_end();
    // The last word of all, so the stage has seen everything when it hears it, and lets go of the committer.
    stateful.control.end(if end.is_of_inputs() { Marker::End } else { Marker::Stop });
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
        return false;
    };
    let unfinished = deliveries.finish(target.end(), end.deadline);
    for sink in &unfinished {
        tracing::error!(sink, "not everything is delivered; the next start goes on");
    }
    // Cursors of the sinks are stored by now, so the log can be cut to what is really needed.
    let mut target = target;
    threatlockdown_analysis::Target::tick(&mut target);
    workers_died == 0 && counted && unfinished.is_empty()
}
