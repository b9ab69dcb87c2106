//! Every distinct Sigma field and test exists once.
//!
//! Enters: tests of fields as rules have them. Leaves: fields and predicates by number, the literals of each field in one
//! set, and what each predicate demands of an event to hold ([`Demand`]).

use rustc_hash::FxHashMap;

use super::patterns::{self, Shape, shape};
use crate::expr::{ExprError, Matcher, Networks, Pcre2};
use crate::ir::sigma::{FieldTest, Pattern};
use crate::program::{
    Candidates, KEYWORDS, LiteralSet, Literals, Part, Pass, PatternSet, SigmaPredicate, SigmaPredicateIndex,
    SigmaSubject, SigmaSubjectIndex,
};

/// See the file's comment.
pub(super) struct Interner {
    subjects: Vec<Gathered>,
    by_name: FxHashMap<String, SigmaSubjectIndex>,
    known: FxHashMap<(SigmaSubjectIndex, String), SigmaPredicateIndex>,
    tests: Vec<Raw>,
    compiled: usize,
}

/// The tests of one field by kind.
#[derive(Default)]
struct Gathered {
    name: String,
    literals: Vec<Literals>,
    patterns: Vec<SigmaPredicateIndex>,
}

enum Raw {
    Literals { in_all: bool, whole: bool },
    Pattern { matcher: Matcher, tells: bool },
    Other(SigmaPredicate),
}

/// What an event must have for a predicate to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// The pass over the field's literals must hit it.
    Hit,
    /// The field must be there.
    Presence,
    /// Nothing that can be looked up.
    Nothing,
}

impl Interner {
    pub(super) fn new() -> Self {
        Self {
            // The keywords.
            subjects: vec![Gathered::default()],
            by_name: FxHashMap::default(),
            known: FxHashMap::default(),
            tests: Vec::new(),
            compiled: 0,
        }
    }

    pub(super) fn subject(&mut self, name: &str) -> SigmaSubjectIndex {
        let name = name.to_ascii_lowercase();
        if let Some(known) = self.by_name.get(&name) {
            return *known;
        }
        let index = u32::try_from(self.subjects.len()).unwrap_or(u32::MAX);
        self.subjects.push(Gathered { name: name.clone(), ..Gathered::default() });
        self.by_name.insert(name, index);
        index
    }

    /// The names of the fields, by number; the keywords have none.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.subjects.iter().map(|subject| subject.name.as_str())
    }

    /// A test.
    ///
    /// # Errors
    /// A regular expression that does not compile.
    pub(super) fn predicate(
        &mut self,
        subject: SigmaSubjectIndex,
        test: &FieldTest,
    ) -> Result<SigmaPredicateIndex, ExprError> {
        let key = (subject, format!("{test:?}"));
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let raw = match test {
            FieldTest::Pattern(pattern) => match shape(pattern, subject == KEYWORDS) {
                Shape::Literal(part) => return Ok(self.literals(subject, vec![part])),
                Shape::Wildcard(wildcard) => self.pattern(subject, Matcher::Wildcard(wildcard)),
                Shape::Regex(regex) => self.regex(subject, &regex)?,
            },
            FieldTest::Regex(regex) => self.regex(subject, &format!("(*UTF){regex}"))?,
            FieldTest::Networks(networks) => {
                Raw::Other(SigmaPredicate::Alone(Matcher::Networks(Networks::new(networks))))
            }
            FieldTest::Compare(comparison, number) => {
                Raw::Other(SigmaPredicate::Compare(*comparison, *number))
            }
            FieldTest::Null => Raw::Other(SigmaPredicate::Null),
            FieldTest::Exists(wanted) => Raw::Other(SigmaPredicate::Exists(*wanted)),
            FieldTest::Same { field, site, cased, negated } => Raw::Other(SigmaPredicate::Same {
                other: self.subject(field),
                site: *site,
                cased: *cased,
                negated: *negated,
            }),
            FieldTest::TimePart(part, number) => Raw::Other(SigmaPredicate::TimePart(*part, *number)),
        };
        let index = self.next();
        self.tests.push(raw);
        self.known.insert(key, index);
        Ok(index)
    }

    /// One predicate for literals of which any is enough.
    pub(super) fn literals(&mut self, subject: SigmaSubjectIndex, parts: Vec<Part>) -> SigmaPredicateIndex {
        let key = (subject, format!("{parts:?}"));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let predicate = self.next();
        let (in_all, whole) = (parts.iter().any(Part::is_in_all), parts.iter().all(Part::is_whole));
        self.tests.push(Raw::Literals { in_all, whole });
        self.subjects[subject as usize].literals.push(Literals { predicate, parts });
        self.known.insert(key, predicate);
        predicate
    }

    /// The literal that a pattern of this field is, if it is nothing else.
    pub(super) fn literal(&self, subject: SigmaSubjectIndex, pattern: &Pattern) -> Option<Part> {
        patterns::literal(pattern, subject == KEYWORDS)
    }

    fn regex(&mut self, subject: SigmaSubjectIndex, regex: &str) -> Result<Raw, ExprError> {
        let regex = Pcre2::new(regex)?;
        self.compiled = self.compiled.saturating_add(regex.memory_usage());
        Ok(self.pattern(subject, Matcher::Pcre2(regex)))
    }

    /// Bytes of memory of all regular expressions.
    pub(super) fn compiled(&self) -> usize {
        self.compiled
    }

    fn pattern(&mut self, subject: SigmaSubjectIndex, matcher: Matcher) -> Raw {
        let predicate = self.next();
        let tells = Candidates { predicate, necessary: matcher.necessary() }.tells();
        if tells {
            self.subjects[subject as usize].patterns.push(predicate);
        }
        Raw::Pattern { matcher, tells }
    }

    fn next(&self) -> SigmaPredicateIndex {
        u32::try_from(self.tests.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn demand(&self, subject: SigmaSubjectIndex, predicate: SigmaPredicateIndex) -> Demand {
        let demand = match &self.tests[predicate as usize] {
            Raw::Literals { in_all: false, .. } | Raw::Pattern { tells: true, .. } => Demand::Hit,
            Raw::Other(SigmaPredicate::Null | SigmaPredicate::Exists(false)) => Demand::Nothing,
            Raw::Literals { .. } | Raw::Pattern { .. } | Raw::Other(_) => Demand::Presence,
        };
        // Every event has values.
        if subject == KEYWORDS && demand == Demand::Presence { Demand::Nothing } else { demand }
    }

    /// What the opposite of a predicate demands: the absence of an absence is a presence.
    pub(super) fn opposite_demand(
        &self,
        subject: SigmaSubjectIndex,
        predicate: SigmaPredicateIndex,
    ) -> Demand {
        match &self.tests[predicate as usize] {
            Raw::Other(SigmaPredicate::Null | SigmaPredicate::Exists(false)) if subject != KEYWORDS => {
                Demand::Presence
            }
            _ => Demand::Nothing,
        }
    }

    /// Whether one look-up of the value decides it, and no pass over its text.
    pub(super) fn is_look_up(&self, predicate: SigmaPredicateIndex) -> bool {
        matches!(self.tests[predicate as usize], Raw::Literals { whole: true, .. })
    }

    /// What has to be run to know whether its literals are hit.
    pub(super) fn passes(&self, predicate: SigmaPredicateIndex) -> &'static [Pass] {
        match self.tests[predicate as usize] {
            Raw::Literals { whole: true, .. } => &[Pass::LookUp],
            Raw::Literals { .. } => &[Pass::LookUp, Pass::Search],
            Raw::Pattern { .. } | Raw::Other(_) => &[Pass::Search],
        }
    }

    /// How many different tests of a field literals decide: fields that many tests look at tell rules apart best.
    pub(super) fn variety(&self, subject: SigmaSubjectIndex) -> usize {
        let subject = &self.subjects[subject as usize];
        subject.literals.len() + subject.patterns.len()
    }

    /// Fields and predicates; `None` when the literals of a field are too large for an automaton.
    pub(super) fn finish(self) -> Option<(Vec<SigmaSubject>, Vec<SigmaPredicate>)> {
        let matcher = |predicate: SigmaPredicateIndex| match self.tests.get(predicate as usize) {
            Some(Raw::Pattern { matcher, .. }) => Some(matcher),
            _ => None,
        };
        let mut joined = vec![false; self.tests.len()];
        let mut subjects = Vec::with_capacity(self.subjects.len());
        for gathered in &self.subjects {
            let candidate = |predicate: &SigmaPredicateIndex| {
                Some(Candidates { predicate: *predicate, necessary: matcher(*predicate)?.necessary() })
            };
            let candidates: Vec<Candidates> = gathered.patterns.iter().filter_map(candidate).collect();
            let literals = match gathered.literals.is_empty() && candidates.is_empty() {
                true => None,
                false => Some(LiteralSet::new(&gathered.literals, &candidates)?),
            };
            let patterns =
                gathered.patterns.iter().filter_map(|predicate| Some((*predicate, matcher(*predicate)?)));
            let patterns = PatternSet::new(patterns);
            for predicate in patterns.iter().flat_map(PatternSet::predicates) {
                joined[*predicate as usize] = true;
            }
            subjects.push(SigmaSubject { name: gathered.name.clone(), literals, patterns });
        }
        let predicate = |(raw, joined)| match raw {
            Raw::Literals { whole, .. } => SigmaPredicate::Literal { whole },
            Raw::Pattern { matcher, tells: true } => SigmaPredicate::Candidate { matcher, joined },
            Raw::Pattern { matcher, tells: false } => SigmaPredicate::Alone(matcher),
            Raw::Other(predicate) => predicate,
        };
        let predicates = self.tests.into_iter().zip(joined).map(predicate).collect();
        Some((subjects, predicates))
    }
}
