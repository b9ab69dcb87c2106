//! What `/healthz` and `/readyz` answer from.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// State of the process, changed by the topology and read by the endpoint.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Short and rare sections only; never held while anything waits.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// A stage that ended though it should not have, and why.
    dead: Option<String>,
    /// Why the commit log, or Kafka, takes nothing, while it does not, by whom that was noticed.
    storage: BTreeMap<String, String>,
    /// Which record nothing but an upgrade of this copy brings further.
    outdated: Option<String>,
    /// Why the rules on disk are not in force, while they are not.
    rules: Option<String>,
    /// Why the rules that are published are not in force, while they are not.
    published: Option<String>,
}

/// Where in its life the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    #[default]
    Starting,
    Running,
    Draining,
}

impl Health {
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.with(|state| state.phase = phase);
    }

    /// A stage died; the first one stands, for the others often follow from it.
    pub(crate) fn stage_died(&self, why: &str) {
        self.with(|state| {
            state.dead.get_or_insert_with(|| why.to_owned());
        });
    }

    /// What `role`, or a part of it, writes to takes nothing for this reason, or takes it again.
    pub(crate) fn set_storage(&self, role: &str, failing: Option<String>) {
        self.with(|state| match failing {
            Some(why) => drop(state.storage.insert(role.to_owned(), why)),
            None => drop(state.storage.remove(role)),
        });
    }

    /// There is a record of a later release, which this copy waits before, or none any more.
    pub(crate) fn set_outdated(&self, why: Option<String>) {
        self.with(|state| state.outdated = why);
    }

    /// The rules on disk cannot be used for this reason, or are in force again.
    pub(crate) fn set_rules(&self, refused: Option<String>) {
        self.with(|state| state.rules = refused);
    }

    /// The rules that are published cannot be used for this reason, or are in force again.
    pub(crate) fn set_published(&self, refused: Option<String>) {
        self.with(|state| state.published = refused);
    }

    /// What somebody should see to, though events are taken and judged all the same.
    pub(crate) fn detail(&self) -> Option<String> {
        self.with(|state| {
            let (whose, why) = match (&state.published, &state.rules) {
                (Some(why), _) => ("that are published", why),
                (None, Some(why)) => ("on disk", why),
                (None, None) => return None,
            };
            Some(format!("the rules {whose} are not in force, earlier ones are: {why}"))
        })
    }

    /// Why `/healthz` is not 200.
    pub(crate) fn unhealthy(&self) -> Option<String> {
        self.with(|state| state.dead.clone())
    }

    /// Why `/readyz` is not 200.
    pub(crate) fn unready(&self) -> Option<String> {
        self.with(|state| {
            let storage = state.storage.values().next();
            let storage = storage.map(|why| format!("storage does not accept writes: {why}"));
            state.dead.clone().or_else(|| state.outdated.clone()).or(storage).or(match state.phase {
                Phase::Starting => Some("starting".into()),
                Phase::Running => None,
                Phase::Draining => Some("draining".into()),
            })
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
