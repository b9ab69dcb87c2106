//! Rules that candidates were made by, and this copy may not have yet.
//!
//! Enters: the versions of candidates. Leaves: the same rules in force here, before the candidates are counted. Copies take
//! another set one after the other. Candidates that come of a new rule would be counted by nobody where their owner is still
//! with the set before, and such a count is never made up for. Whoever made the candidate had its rules from a topic that is
//! read to its end here; what is not found there then are rules of files, or of a set that is not in force any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use threatlockdown_topics::Candidate;

use crate::active::{ActiveProgram, Latest};

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
    pub(super) fn meet(&mut self, candidates: &[Candidate], active: &ActiveProgram, latest: &dyn Latest) {
        for Candidate { version, .. } in candidates {
            if self.is_in_force(version, active) || self.is_asked(version) {
                continue;
            }
            latest.catch_up();
            if !self.is_in_force(version, active) {
                let in_force = self.in_force.as_ref().map(|(_, version)| version.as_str());
                tracing::info!(made_by = %version, in_force, "candidates of rules that are not in force any more");
                self.asked.push((Arc::clone(version), Instant::now()));
            }
        }
    }

    fn is_in_force(&mut self, version: &str, active: &ActiveProgram) -> bool {
        let generation = active.generation();
        let is_current = |(known, _): &&(u64, String)| *known == generation;
        if let Some((_, in_force)) = self.in_force.as_ref().filter(is_current) {
            return in_force == version;
        }
        let in_force = active.current().version().to_owned();
        let is_in_force = in_force == version;
        self.in_force = Some((generation, in_force));
        is_in_force
    }

    fn is_asked(&mut self, version: &Arc<str>) -> bool {
        self.asked.retain(|(_, at)| at.elapsed() < HOLDS);
        self.asked.iter().any(|(asked, _)| asked == version)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use threatlockdown_event::{Context, EventId, Millis};
    use threatlockdown_ruleset::program::Program;
    use threatlockdown_ruleset::{Texts, load};

    use super::*;

    /// What is published, and how often somebody looked.
    #[derive(Debug)]
    struct Topic {
        active: Arc<ActiveProgram>,
        published: Mutex<(Arc<Program>, usize)>,
    }

    impl Latest for Topic {
        fn catch_up(&self) {
            let mut published = self.published.lock().unwrap();
            published.1 += 1;
            if published.0.version() != self.active.current().version() {
                self.active.replace(Arc::clone(&published.0));
            }
        }
    }

    fn program(version: &str) -> Arc<Program> {
        load(Texts { version: Some(version.to_owned()), ..Texts::builtin_decoders() }).program.unwrap()
    }

    fn candidate(version: &str) -> Candidate {
        let context = Context {
            source: "json".into(),
            connector: "c".into(),
            location: "l".into(),
            account: None,
            envelope: Vec::new(),
            origin: "o".into(),
            origin_id: [0; 16],
        };
        Candidate {
            version: version.into(),
            component: 0,
            key: Vec::new(),
            correlated: Vec::new(),
            time: Millis(0),
            event: EventId([0; 16]),
            context: Arc::new(context),
            place: 0,
            received: Millis(0),
            alerted: None,
            held: Vec::new(),
            places: Vec::new(),
            record: Vec::new(),
        }
    }

    #[test]
    fn rules_of_a_candidate_are_in_force_before_it_is_counted() {
        let active = ActiveProgram::new(program("a"));
        let topic = Topic { active: Arc::clone(&active), published: Mutex::new((program("a"), 0)) };
        let mut versions = Versions::default();
        let mut meet = |version: &str| {
            versions.meet(&[candidate(version)], &active, &topic);
            (active.current().version().to_owned(), topic.published.lock().unwrap().1)
        };
        let told = |version: &str, looks: usize| (version.to_owned(), looks);
        assert_eq!(meet("a"), told("a", 0));
        topic.published.lock().unwrap().0 = program("b");
        assert_eq!(meet("a"), told("a", 0), "nobody looks while all have the same");
        assert_eq!(meet("b"), told("b", 1));
        // Candidates of others that are behind: one look tells that there is nothing to wait for.
        assert_eq!(meet("a"), told("b", 2));
        assert_eq!(meet("a"), told("b", 2));
        assert_eq!(meet("b"), told("b", 2));
        topic.published.lock().unwrap().0 = program("c");
        assert_eq!(meet("c"), told("c", 3));
    }
}
