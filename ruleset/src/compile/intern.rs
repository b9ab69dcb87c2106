//! Every distinct subject and test exists once.
//!
//! Enters: conditions as the rules have them. Leaves: subjects and predicates by number, with the literals of each
//! subject gathered into one set that decides them together, and with the literals that the other tests need.

use rustc_hash::FxHashMap;

use super::components::Literal;
use crate::expr::{ExprError, Matcher};
use crate::ir::{StaticField, Subject as IrSubject, Test};
use crate::program::{
    Candidates, Condition, LOG, ListCheck, LiteralSet, Literals, PatternSet, Predicate, PredicateIndex,
    PredicateTest, Subject, SubjectIndex, SubjectPlace,
};

/// Gathers the distinct subjects and tests.
pub(super) struct Interner {
    subjects: Vec<(IrSubject, Patterns)>,
    subject_of: FxHashMap<IrSubject, SubjectIndex>,
    known: FxHashMap<(SubjectIndex, Test), PredicateIndex>,
    tests: Vec<Compiled>,
}

enum Compiled {
    Matcher(Matcher),
    List(ListCheck),
}

impl Interner {
    pub(super) fn new() -> Self {
        let mut interner = Self {
            subjects: Vec::new(),
            subject_of: FxHashMap::default(),
            known: FxHashMap::default(),
            tests: Vec::new(),
        };
        interner.subject(&IrSubject::Log);
        interner
    }

    pub(super) fn subject(&mut self, subject: &IrSubject) -> SubjectIndex {
        if let Some(&known) = self.subject_of.get(subject) {
            return known;
        }
        if matches!(subject, IrSubject::User | IrSubject::ListUser) {
            self.subject(&IrSubject::Static(StaticField::DstUser));
            self.subject(&IrSubject::Static(StaticField::SrcUser));
        }
        let index = u32::try_from(self.subjects.len()).unwrap_or(LOG);
        self.subjects.push((subject.clone(), Patterns::default()));
        self.subject_of.insert(subject.clone(), index);
        index
    }

    /// The subject, if any rule has named it.
    pub(super) fn known_subject(&self, subject: &IrSubject) -> Option<SubjectIndex> {
        self.subject_of.get(subject).copied()
    }

    /// The tests that are nothing but literals bound to the beginning of the text, by predicate.
    pub(super) fn anchored(&self) -> FxHashMap<PredicateIndex, Vec<Literal>> {
        let literals = self.subjects.iter().flat_map(|(_, patterns)| &patterns.literals);
        let literal = |(literal, whole): (&[u8], bool)| Literal::new(literal, whole);
        literals
            .filter_map(|literals| {
                let anchored = literals.anchored()?.into_iter().map(literal).collect();
                Some((literals.predicate, anchored))
            })
            .collect()
    }

    pub(super) fn condition(&mut self, condition: &crate::ir::Condition) -> Result<Condition, ExprError> {
        let subject = self.subject(&condition.subject);
        let predicate = self.predicate(subject, &condition.test)?;
        Ok(Condition { subject, predicate, negate: condition.negate })
    }

    fn predicate(&mut self, subject: SubjectIndex, test: &Test) -> Result<PredicateIndex, ExprError> {
        if let Some(&predicate) = self.known.get(&(subject, test.clone())) {
            return Ok(predicate);
        }
        let predicate = u32::try_from(self.tests.len()).unwrap_or(u32::MAX);
        let compiled = match test {
            Test::List(list) => Compiled::List(ListCheck::new(list)?),
            test => {
                let matcher = Matcher::new(test)?;
                let literals = Literals::of(predicate, test, &matcher);
                let is_literal = literals.is_some();
                let patterns = &mut self.subjects[subject as usize].1;
                patterns.literals.extend(literals);
                if !is_literal {
                    patterns.others.push(predicate);
                }
                Compiled::Matcher(matcher)
            }
        };
        self.tests.push(compiled);
        self.known.insert((subject, test.clone()), predicate);
        Ok(predicate)
    }

    pub(super) fn finish(self) -> (Vec<Subject>, Vec<Predicate>, LogTests) {
        let mut how = vec![How::Alone; self.tests.len()];
        let mut subjects = Vec::with_capacity(self.subjects.len());
        let mut log = LogTests::default();
        for (subject, patterns) in &self.subjects {
            let literals = match subject {
                IrSubject::Log => {
                    log = LogTests::new(patterns, &self.tests);
                    None
                }
                _ => literal_set(patterns, &self.tests, &mut how),
            };
            let joined = literals.as_ref().and_then(|_| pattern_set(patterns, &self.tests, &mut how));
            let (name, place) = placed(subject, &self.subject_of);
            subjects.push(Subject { name, place, literals, patterns: joined });
        }
        let predicates = self
            .tests
            .into_iter()
            .zip(how)
            .map(|(test, how)| Predicate {
                test: match (test, how) {
                    (_, How::Literal) => PredicateTest::Literal { whole: false },
                    (_, How::Whole) => PredicateTest::Literal { whole: true },
                    (Compiled::Matcher(matcher), How::Alone) => PredicateTest::Alone(matcher),
                    (Compiled::Matcher(matcher), how) => {
                        PredicateTest::Candidate { matcher, joined: how == How::Joined }
                    }
                    (Compiled::List(check), _) => PredicateTest::List(check),
                },
            })
            .collect();
        (subjects, predicates, log)
    }
}

/// What literals tell of the tests of the log; the nodes of the tree make sets of their own of them.
#[derive(Default)]
pub(super) struct LogTests {
    literals: FxHashMap<PredicateIndex, Literals>,
    candidates: FxHashMap<PredicateIndex, Candidates>,
}

impl LogTests {
    fn new(patterns: &Patterns, tests: &[Compiled]) -> Self {
        let literals = patterns.literals.iter().map(|literals| (literals.predicate, literals.clone()));
        let candidates = candidates(patterns, tests).into_iter().map(|one| (one.predicate, one));
        Self { literals: literals.collect(), candidates: candidates.collect() }
    }

    /// Whether a literal tells anything of the test.
    pub(super) fn has(&self, predicate: PredicateIndex) -> bool {
        self.literals.contains_key(&predicate) || self.candidates.contains_key(&predicate)
    }

    /// The set of these tests.
    pub(super) fn set(&self, predicates: impl Iterator<Item = PredicateIndex> + Clone) -> Option<LiteralSet> {
        let literals: Vec<Literals> =
            predicates.clone().filter_map(|predicate| self.literals.get(&predicate).cloned()).collect();
        let candidates: Vec<Candidates> =
            predicates.filter_map(|predicate| self.candidates.get(&predicate).cloned()).collect();
        LiteralSet::new(&literals, &candidates)
    }
}

/// The tests of one subject by kind.
#[derive(Default)]
struct Patterns {
    literals: Vec<Literals>,
    /// Those that are more than literals.
    others: Vec<PredicateIndex>,
}

/// How a predicate is decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Alone,
    Literal,
    Whole,
    Candidate,
    Joined,
}

fn matcher(tests: &[Compiled], predicate: PredicateIndex) -> Option<&Matcher> {
    match tests.get(predicate as usize) {
        Some(Compiled::Matcher(matcher)) => Some(matcher),
        _ => None,
    }
}

/// The literals of a subject, unless it has a single test that is more.
fn literal_set(patterns: &Patterns, tests: &[Compiled], how: &mut [How]) -> Option<LiteralSet> {
    if patterns.literals.is_empty() && patterns.others.len() < 2 {
        return None;
    }
    let candidates = candidates(patterns, tests);
    let set = LiteralSet::new(&patterns.literals, &candidates)?;
    for literals in &patterns.literals {
        how[literals.predicate as usize] = if literals.are_whole() { How::Whole } else { How::Literal };
    }
    for candidate in &candidates {
        how[candidate.predicate as usize] = How::Candidate;
    }
    Some(set)
}

fn candidates(patterns: &Patterns, tests: &[Compiled]) -> Vec<Candidates> {
    let candidate = |predicate: &PredicateIndex| {
        let necessary = matcher(tests, *predicate)?.necessary();
        let candidate = Candidates { predicate: *predicate, necessary };
        // One without a literal would be a candidate on every text.
        candidate.tells().then_some(candidate)
    };
    patterns.others.iter().filter_map(candidate).collect()
}

fn pattern_set(patterns: &Patterns, tests: &[Compiled], how: &mut [How]) -> Option<PatternSet> {
    let is_candidate = |predicate: &&PredicateIndex| how[**predicate as usize] == How::Candidate;
    let candidates = patterns.others.iter().filter(is_candidate);
    let set =
        PatternSet::new(candidates.filter_map(|predicate| Some((*predicate, matcher(tests, *predicate)?))))?;
    for predicate in set.predicates() {
        how[*predicate as usize] = How::Joined;
    }
    Some(set)
}

/// The name that bindings look for, and where the text comes from.
fn placed(subject: &IrSubject, known: &FxHashMap<IrSubject, SubjectIndex>) -> (String, SubjectPlace) {
    let of = |field| known.get(&IrSubject::Static(field)).copied().unwrap_or(LOG);
    let (dst, src) = (StaticField::DstUser, StaticField::SrcUser);
    match subject {
        IrSubject::Log => (String::new(), SubjectPlace::Log),
        IrSubject::ProgramName => (String::new(), SubjectPlace::ProgramName),
        IrSubject::Hostname => (String::new(), SubjectPlace::Hostname),
        IrSubject::Location => (String::new(), SubjectPlace::Location),
        IrSubject::User => (String::new(), SubjectPlace::Either(of(dst), of(src))),
        IrSubject::ListUser => (String::new(), SubjectPlace::Either(of(src), of(dst))),
        IrSubject::Static(field) => (field.name().to_owned(), SubjectPlace::Slot { is_static: true }),
        IrSubject::Field(name) => (name.clone(), SubjectPlace::Slot { is_static: false }),
    }
}
