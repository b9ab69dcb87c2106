//! Which partition of `correlate` counts a candidate.
//!
//! Enters: candidates. Leaves: the same, by partition. What has one key is counted in one place, and so is what belongs to one
//! group of one of Sigma's correlations; an event that several partitions count goes to each of them. Throttles count alerts
//! whatever rule they are of, so where there are any, all is counted in the first partition.

use threatlockdown_event::identity::hash;
use threatlockdown_ruleset::program::Program;
use threatlockdown_topics::Candidate;

use crate::correlator::FIRST;

/// See the module.
#[derive(Debug)]
pub(super) struct Router {
    partitions: u32,
    has_throttles: bool,
    is_needed: bool,
}

impl Router {
    pub(super) fn new(program: &Program, partitions: u32) -> Self {
        let has_throttles = program.suppressions().count();
        let has_correlations = !program.sigma().plans().is_empty();
        let is_needed = has_throttles || has_correlations || !program.components().is_empty();
        Self { partitions: partitions.max(1), has_throttles, is_needed }
    }

    /// Whether anything is ever counted.
    pub(super) fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// Hands on the candidate with its partition, and copies where other partitions count it too.
    pub(super) fn route(&self, mut candidate: Candidate, mut to: impl FnMut(u32, Candidate)) {
        let places = std::mem::take(&mut candidate.places);
        if self.has_throttles {
            return to(FIRST, candidate);
        }
        let mut others: Vec<u32> = places.into_iter().map(|place| self.of(place)).collect();
        others.sort_unstable();
        others.dedup();
        // Of an event that no rule with a memory asks for the last copy is the candidate itself; without a group it counts nowhere.
        let own = match candidate.component {
            Candidate::NO_COMPONENT => others.pop(),
            _ => Some(self.of_key(&candidate.key)),
        };
        let Some(own) = own else { return };
        for other in others.into_iter().filter(|other| *other != own) {
            to(other, for_correlations(&candidate));
        }
        to(own, candidate);
    }

    fn of_key(&self, key: &[u8]) -> u32 {
        let [a, b, c, d, ..] = hash(&[key]);
        u32::from_le_bytes([a, b, c, d]) % self.partitions
    }

    fn of(&self, place: u64) -> u32 {
        u32::try_from(place % u64::from(self.partitions)).unwrap_or(FIRST)
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
