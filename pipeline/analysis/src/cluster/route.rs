//! Which partition of `correlate` counts a candidate.
//!
//! Enters: candidates. Leaves: the same, by partition. What has one key is counted in one place. Sigma's correlations are
//! counted in the first partition, which gets a copy of what other partitions count for rules with memory. Throttles count
//! alerts whatever rule they are of, so where there are any, all is counted in the first partition.

use threatlockdown_event::identity::hash;
use threatlockdown_ruleset::program::Program;
use threatlockdown_topics::Candidate;

/// The partition that counts for Sigma's correlations and for throttles.
pub(super) const FIRST: u32 = 0;

/// See the module.
#[derive(Debug)]
pub(super) struct Router {
    partitions: u32,
    has_throttles: bool,
    has_correlations: bool,
    is_needed: bool,
}

impl Router {
    pub(super) fn new(program: &Program, partitions: u32) -> Self {
        let has_throttles = program.suppressions().count();
        let has_correlations = !program.sigma().plans().is_empty();
        let is_needed = has_throttles || has_correlations || !program.components().is_empty();
        Self { partitions: partitions.max(1), has_throttles, has_correlations, is_needed }
    }

    /// Whether anything is ever counted.
    pub(super) fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// Hands on the candidate with its partition, and its copy where two partitions count it.
    pub(super) fn route(&self, candidate: Candidate, mut to: impl FnMut(u32, Candidate)) {
        let partition = self.partition(&candidate);
        if self.has_correlations && partition != FIRST && candidate.component != Candidate::NO_COMPONENT {
            to(FIRST, for_correlations(&candidate));
        }
        to(partition, candidate);
    }

    fn partition(&self, candidate: &Candidate) -> u32 {
        if self.has_throttles || candidate.component == Candidate::NO_COMPONENT {
            return FIRST;
        }
        let [a, b, c, d, ..] = hash(&[&candidate.key]);
        u32::from_le_bytes([a, b, c, d]) % self.partitions
    }
}

fn for_correlations(candidate: &Candidate) -> Candidate {
    Candidate {
        component: Candidate::NO_COMPONENT,
        key: Vec::new(),
        alerted: None,
        held: Vec::new(),
        ..candidate.clone()
    }
}
