//! What has been decided of one event so far.
//!
//! Enters: results of tests. Leaves: the same when they are asked for again. Everything is stamped with the number of the
//! event, so that beginning a new one costs nothing, however many rules there are.

use super::facts::TextRoom;
use super::memo::Memo;
use crate::program::{
    ByPredicate, Hit, LiteralSet, Pass, PatternCache, PatternSet, PredicateIndex, SubjectIndex,
};

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
#[derive(Default)]
pub(crate) struct Marks {
    /// The event's number, times four.
    epoch: u32,
    /// Per predicate: the epoch, plus what is known.
    known: Vec<u32>,
    /// Per predicate: the epoch in which it was hit; it may have been tested alone before.
    listed: Vec<u32>,
    /// Per subject: the epoch in which its literals were run, plus which of them.
    ran: Vec<u32>,
    /// Per subject: the predicates that its literals hit.
    hits: Vec<Vec<PredicateIndex>>,
    /// Per subject: how many of them are candidates.
    counts: Vec<usize>,
    /// Per subject: what its literals told of texts before.
    memos: Vec<Option<Box<Memo>>>,
    /// Per subject: states that its pattern set has found.
    caches: Vec<Option<Box<PatternCache>>>,
    /// Stack of positions of children that come into question.
    pub(super) candidates: Vec<u32>,
    /// Text of a value that does not stand in the record.
    pub(super) text: TextRoom,
    /// A second one, for keys.
    pub(super) key: Vec<u8>,
    /// Values that must differ.
    pub(super) values: Vec<u8>,
}

const LOOKED_UP: u32 = 1;
const SEARCHED: u32 = 2;

const YES: u32 = 1;
const NO: u32 = 2;
const CANDIDATE: u32 = 3;

impl Marks {
    pub(super) fn new(predicates: usize, subjects: usize) -> Self {
        Self {
            known: vec![0; predicates],
            listed: vec![0; predicates],
            ran: vec![0; subjects],
            hits: vec![Vec::new(); subjects],
            counts: vec![0; subjects],
            memos: std::iter::repeat_with(|| None).take(subjects).collect(),
            caches: std::iter::repeat_with(|| None).take(subjects).collect(),
            ..Self::default()
        }
    }

    /// A new event.
    pub(super) fn begin(&mut self) {
        self.candidates.clear();
        self.epoch = self.epoch.wrapping_add(4);
        if self.epoch == 0 {
            self.known.fill(0);
            self.listed.fill(0);
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

    /// Begins a pass over the literals of a subject; false when it was made already.
    pub(super) fn start(&mut self, subject: SubjectIndex, pass: Pass) -> bool {
        let passes = match pass {
            Pass::LookUp => LOOKED_UP,
            Pass::Search => SEARCHED,
            Pass::Both => LOOKED_UP | SEARCHED,
        };
        let ran = &mut self.ran[subject as usize];
        if *ran & !(LOOKED_UP | SEARCHED) != self.epoch {
            *ran = self.epoch;
            self.hits[subject as usize].clear();
            self.counts[subject as usize] = 0;
        }
        let is_new = *ran & passes == 0;
        *ran |= passes;
        is_new
    }

    /// Makes a pass over the literals of a subject on one of its texts. A look-up costs no more than to know the text
    /// again.
    #[inline]
    pub(super) fn run(&mut self, subject: SubjectIndex, set: &LiteralSet, pass: Pass, text: &[u8]) {
        if pass == Pass::LookUp || text.len() > Memo::LONGEST {
            return set.pass(pass, text, |hit| self.hit(subject, hit));
        }
        // Taken out for the time being; a subject has one kind of pass that is not a look-up.
        let mut memo = self.memos[subject as usize].take().unwrap_or_default();
        memo.with(text, |hits| set.pass(pass, text, |hit| hits.push(hit)), |hit| self.hit(subject, hit));
        self.memos[subject as usize] = Some(memo);
    }

    /// What the pass over a subject's literals tells of a predicate.
    pub(super) fn hit(&mut self, subject: SubjectIndex, hit: Hit) {
        let (predicate, mark) = match hit {
            Hit::Holds(predicate) => (predicate, YES),
            Hit::Candidate(predicate) => (predicate, CANDIDATE),
        };
        let place = &mut self.known[predicate as usize];
        // What a test alone has said is more than that it needs one.
        if mark == YES || !(YES..=CANDIDATE).contains(&place.wrapping_sub(self.epoch)) {
            *place = self.epoch + mark;
        }
        let listed = &mut self.listed[predicate as usize];
        if *listed != self.epoch {
            *listed = self.epoch;
            self.counts[subject as usize] += usize::from(mark == CANDIDATE);
            self.hits[subject as usize].push(predicate);
        }
    }

    /// How many of a subject's patterns have what they need.
    pub(super) fn candidates_of(&self, subject: SubjectIndex) -> usize {
        self.counts[subject as usize]
    }

    /// Decides the joined patterns of a subject; false when the text must be given to each by itself.
    pub(super) fn run_patterns(&mut self, subject: SubjectIndex, set: &PatternSet, text: &[u8]) -> bool {
        let Self { caches, known, epoch, .. } = self;
        let cache = caches[subject as usize].get_or_insert_with(|| Box::new(set.create_cache()));
        let complete = set.run(text, cache, |predicate| known[predicate as usize] = *epoch + YES);
        if complete {
            for &predicate in set.predicates() {
                let place = &mut known[predicate as usize];
                if *place != *epoch + YES {
                    *place = *epoch + NO;
                }
            }
        }
        complete
    }

    /// What the pass over a node's literals of the log tells: which of its children, from that position on, come into
    /// question.
    pub(super) fn hit_log(&mut self, hit: Hit, by_predicate: &ByPredicate, from: u32) {
        let predicate = match hit {
            Hit::Holds(predicate) => {
                self.set(predicate, true);
                predicate
            }
            Hit::Candidate(predicate) => predicate,
        };
        self.candidates.extend(by_predicate.of(predicate).filter(|position| *position >= from));
    }

    /// Puts the candidates from `at` on into their order, each once.
    pub(super) fn sort_candidates(&mut self, at: usize) {
        self.candidates[at..].sort_unstable();
        let mut kept = at;
        for index in at..self.candidates.len() {
            if kept == at || self.candidates[kept - 1] != self.candidates[index] {
                self.candidates[kept] = self.candidates[index];
                kept += 1;
            }
        }
        self.candidates.truncate(kept);
    }

    /// Adds the children whose test on `subject` was hit.
    pub(super) fn add_candidates(&mut self, subject: SubjectIndex, by_predicate: &ByPredicate) {
        if self.ran[subject as usize] & !(LOOKED_UP | SEARCHED) != self.epoch {
            return;
        }
        for &hit in &self.hits[subject as usize] {
            self.candidates.extend(by_predicate.of(hit));
        }
    }
}
