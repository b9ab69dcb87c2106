//! Every distinct subject and test exists once.
//!
//! Enters: conditions as the rules have them. Leaves: subjects and predicates by number, with the literals of each
//! subject gathered into one set that decides them together, and with the literals that the other tests need.

use rustc_hash::FxHashMap;

use crate::expr::{ExprError, Matcher, pcre2_literals};
use crate::ir::{StaticField, Subject as IrSubject, Test};
use crate::program::{
    Condition, LOG, ListCheck, LiteralPart, LiteralSet, Literals, Predicate, PredicateIndex, PredicateTest,
    Subject, SubjectIndex, SubjectPlace,
};

/// From how many literal tests of one subject on a shared automaton beats testing each alone.
const SHARED_FROM: usize = 3;

/// Gathers the distinct subjects and tests.
pub(super) struct Interner {
    subjects: Vec<(IrSubject, Vec<Literals>)>,
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
        self.subjects.push((subject.clone(), Vec::new()));
        self.subject_of.insert(subject.clone(), index);
        index
    }

    /// The subject, if any rule has named it.
    pub(super) fn known_subject(&self, subject: &IrSubject) -> Option<SubjectIndex> {
        self.subject_of.get(subject).copied()
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
                if let Some(parts) = literal_parts(test, &matcher) {
                    self.subjects[subject as usize].1.push(Literals { predicate, parts });
                }
                Compiled::Matcher(matcher)
            }
        };
        self.tests.push(compiled);
        self.known.insert((subject, test.clone()), predicate);
        Ok(predicate)
    }

    pub(super) fn finish(self) -> (Vec<Subject>, Vec<Predicate>) {
        let mut literal = vec![false; self.tests.len()];
        let mut subjects = Vec::with_capacity(self.subjects.len());
        let subject_of = self.subject_of;
        for (subject, patterns) in self.subjects {
            let literals = if patterns.len() >= SHARED_FROM { LiteralSet::new(&patterns) } else { None };
            if let Some(set) = &literals {
                set.predicates.iter().for_each(|predicate| literal[*predicate as usize] = true);
            }
            let (name, place) = placed(&subject, &subject_of);
            subjects.push(Subject { name, place, literals });
        }
        let predicates = self
            .tests
            .into_iter()
            .zip(literal)
            .map(|(test, literal)| Predicate {
                test: match test {
                    _ if literal => PredicateTest::Literal,
                    Compiled::Matcher(matcher) => PredicateTest::Alone(matcher),
                    Compiled::List(check) => PredicateTest::List(check),
                },
            })
            .collect();
        (subjects, predicates)
    }
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

/// The parts of a pattern that is nothing but literals.
fn literal_parts(test: &Test, matcher: &Matcher) -> Option<Vec<LiteralPart>> {
    match (test, matcher) {
        (_, Matcher::OsMatch(matcher)) if !matcher.inverted() => {
            Some(matcher.parts().iter().cloned().map(LiteralPart::from).collect())
        }
        (_, Matcher::OsRegex(matcher)) => {
            matcher.as_literals().map(|parts| parts.into_iter().map(LiteralPart::from).collect())
        }
        (Test::Pcre2(pattern), _) => {
            let (parts, ignore_case) = pcre2_literals::literals(pattern)?;
            Some(parts.into_iter().map(|part| LiteralPart::pcre2(part, ignore_case)).collect())
        }
        _ => None,
    }
}
