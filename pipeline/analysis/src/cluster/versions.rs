//! Rules that candidates were made by, and this copy may not have yet.
//!
//! Enters: the versions of candidates. Leaves: the same rules in force here, before the candidates are counted. Copies take
//! another set one after the other. Candidates that come of a new rule would be counted by nobody where their owner is still
//! with the set before, and such a count is never made up for. Whoever made the candidate had its rules from a topic that is
//! read to its end here; what is not found there then are rules of files, or of a set that is not in force any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use threatlockdown_topics::Candidate;

use super::Shared;

/// How long an answer holds: a set that is not in force may be so again. Correlators keep sets for longer.
const HOLDS: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub(super) struct Versions {
    /// That of the program in force, and how often that was replaced.
    in_force: Option<(u64, String)>,
    /// What was asked for and is not in force.
    asked: Vec<(Arc<str>, Instant)>,
}

impl Versions {
    /// Brings the rules in force up to date where a candidate was made by others.
    pub(super) fn meet(&mut self, candidates: &[Candidate], shared: &Shared) {
        for Candidate { version, .. } in candidates {
            if self.is_in_force(version, shared) || self.is_asked(version) {
                continue;
            }
            shared.latest.catch_up();
            if !self.is_in_force(version, shared) {
                let in_force = self.in_force.as_ref().map(|(_, version)| version.as_str());
                tracing::info!(made_by = %version, in_force, "candidates of rules that are not in force any more");
                self.asked.push((Arc::clone(version), Instant::now()));
            }
        }
    }

    fn is_in_force(&mut self, version: &str, shared: &Shared) -> bool {
        let generation = shared.active.generation();
        let is_current = |(known, _): &&(u64, String)| *known == generation;
        if let Some((_, in_force)) = self.in_force.as_ref().filter(is_current) {
            return in_force == version;
        }
        let in_force = shared.active.current().version().to_owned();
        let is_in_force = in_force == version;
        self.in_force = Some((generation, in_force));
        is_in_force
    }

    fn is_asked(&mut self, version: &Arc<str>) -> bool {
        self.asked.retain(|(_, at)| at.elapsed() < HOLDS);
        self.asked.iter().any(|(asked, _)| asked == version)
    }
}
