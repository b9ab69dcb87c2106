//! What has been decided of one event so far.
//!
//! Enters: results of tests. Leaves: the same when they are asked for again. Everything is stamped with the number of the
//! event, so that beginning a new one costs nothing, however many rules there are.

use crate::program::{PredicateIndex, SubjectIndex};

/// What is known of a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Unknown,
    Yes,
    No,
    /// A literal that it needs is there.
    Candidate,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The event's number, times four.
    epoch: u32,
    /// Per predicate: the epoch, plus what is known.
    known: Vec<u32>,
    /// Per subject: the epoch in which its literals were run.
    ran: Vec<u32>,
    /// Per subject: the predicates that its literals hit.
    hits: Vec<Vec<PredicateIndex>>,
    /// Stack of positions of children that come into question.
    pub(super) candidates: Vec<u32>,
    /// Text of a value that does not stand in the record.
    pub(super) text: String,
    /// A second one, for keys.
    pub(super) key: Vec<u8>,
    /// Values that must differ.
    pub(super) values: Vec<u8>,
}

const YES: u32 = 1;
const NO: u32 = 2;
const CANDIDATE: u32 = 3;

impl Marks {
    pub(super) fn new(predicates: usize, subjects: usize) -> Self {
        Self {
            known: vec![0; predicates],
            ran: vec![0; subjects],
            hits: vec![Vec::new(); subjects],
            ..Self::default()
        }
    }

    /// A new event.
    pub(super) fn begin(&mut self) {
        self.candidates.clear();
        self.epoch = self.epoch.wrapping_add(4);
        if self.epoch == 0 {
            self.known.fill(0);
            self.ran.fill(0);
            self.epoch = 4;
        }
    }

    #[inline]
    pub(super) fn known(&self, predicate: PredicateIndex) -> Known {
        match self.known[predicate as usize].wrapping_sub(self.epoch) {
            YES => Known::Yes,
            NO => Known::No,
            CANDIDATE => Known::Candidate,
            _ => Known::Unknown,
        }
    }

    #[inline]
    pub(super) fn set(&mut self, predicate: PredicateIndex, holds: bool) {
        self.known[predicate as usize] = self.epoch + if holds { YES } else { NO };
    }

    /// Begins the literals of a subject; false when they were run already.
    pub(super) fn start(&mut self, subject: SubjectIndex) -> bool {
        let ran = &mut self.ran[subject as usize];
        if *ran == self.epoch {
            return false;
        }
        *ran = self.epoch;
        self.hits[subject as usize].clear();
        true
    }

    /// A literal predicate holds.
    pub(super) fn hit(&mut self, subject: SubjectIndex, predicate: PredicateIndex) {
        let place = &mut self.known[predicate as usize];
        if *place != self.epoch + YES {
            *place = self.epoch + YES;
            self.hits[subject as usize].push(predicate);
        }
    }

    /// A literal that the predicate needs is there.
    #[allow(dead_code)]
    pub(super) fn hit_candidate(&mut self, subject: SubjectIndex, predicate: PredicateIndex) {
        let place = &mut self.known[predicate as usize];
        if place.wrapping_sub(self.epoch) > CANDIDATE || *place == self.epoch {
            *place = self.epoch + CANDIDATE;
            self.hits[subject as usize].push(predicate);
        }
    }

    /// Adds the children whose test on `subject` was hit.
    pub(super) fn add_candidates(&mut self, subject: SubjectIndex, by_predicate: &[(PredicateIndex, u32)]) {
        if self.ran[subject as usize] != self.epoch {
            return;
        }
        for &hit in &self.hits[subject as usize] {
            let first = by_predicate.partition_point(|(predicate, _)| *predicate < hit);
            let same = by_predicate[first..].iter().take_while(|(predicate, _)| *predicate == hit);
            self.candidates.extend(same.map(|(_, position)| *position));
        }
    }
}
