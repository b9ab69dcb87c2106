//! Formulas as alternatives of which each is one Wazuh rule.
//!
//! Enters: a formula. Leaves: [`Clause`]s, one of which holds wherever the formula does. A Wazuh rule is a conjunction, and a condition fails
//! on a missing field even when it is negated. So what must *not* be so is an exception: a conjunction for which a child
//! of level 0 takes the event away. Where the clause asks for the same field anyway, it is there, and the
//! negation can stand beside.

use rustc_hash::FxHashSet;

use super::formula::{Atom, Formula, Subject};
use super::values::Pattern;

/// So many alternatives at most.
pub(super) const MOST: usize = 64;

/// Conditions that must hold, and conjunctions of which none may hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) holds: Vec<Atom>,
    /// Conditions that must not hold, on fields that `holds` says are there.
    pub(super) fails: Vec<Atom>,
    pub(super) exceptions: Vec<Vec<Atom>>,
}

/// The alternatives; `None`: more than [`MOST`].
pub(super) fn clauses(formula: &Formula) -> Option<Vec<Clause>> {
    let mut out: Vec<Clause> = Vec::new();
    for clause in alternatives(formula)?.into_iter().filter_map(simplified) {
        if !out.iter().any(|known| known.is_implied_by(&clause)) {
            out.retain(|known| !clause.is_implied_by(known));
            out.push(clause);
        }
    }
    // Those without exceptions need no others behind their exceptions.
    out.sort_by_key(|clause| clause.exceptions.len());
    Some(out)
}

/// The same with conditions of `longest` bytes at most; `None`: that takes more than [`MOST`], or cannot be done.
pub(super) fn parted(clauses: Vec<Clause>, longest: usize) -> Option<Vec<Clause>> {
    let mut out = Vec::new();
    for clause in clauses {
        let mut fails = Vec::new();
        for atom in &clause.fails {
            fails.extend(parts(atom, longest)?);
        }
        let mut exceptions = Vec::new();
        for exception in &clause.exceptions {
            exceptions.extend(each_part(exception, longest)?);
        }
        let holds = each_part(&clause.holds, longest)?;
        if out.len() + holds.len() > MOST || exceptions.len() > MOST {
            return None;
        }
        out.extend(holds.into_iter().map(|holds| Clause {
            holds,
            fails: fails.clone(),
            exceptions: exceptions.clone(),
        }));
    }
    Some(out)
}

fn parts(atom: &Atom, longest: usize) -> Option<Vec<Atom>> {
    let patterns = atom.pattern.parts(longest)?;
    Some(patterns.into_iter().map(|pattern| Atom { pattern, ..atom.clone() }).collect())
}

/// Conjunctions of which one holds where all of `atoms` do.
fn each_part(atoms: &[Atom], longest: usize) -> Option<Vec<Vec<Atom>>> {
    let mut out = vec![Vec::new()];
    for atom in atoms {
        let parts = parts(atom, longest)?;
        if out.len() * parts.len() > MOST {
            return None;
        }
        let with = |known: &Vec<Atom>, part: &Atom| known.iter().chain([part]).cloned().collect();
        out = out.iter().flat_map(|known| parts.iter().map(move |part| with(known, part))).collect();
    }
    Some(out)
}

fn alternatives(formula: &Formula) -> Option<Vec<Clause>> {
    match formula {
        Formula::Atom(atom) => Some(vec![Clause { holds: vec![atom.clone()], ..Clause::default() }]),
        Formula::All(parts) => {
            let each = parts.iter().map(alternatives);
            product(each)
        }
        Formula::Any(parts) => {
            let mut out = Vec::new();
            for part in parts {
                out.extend(alternatives(part)?);
            }
            (out.len() <= MOST).then_some(out)
        }
        Formula::Not(part) => {
            let failing = alternatives(part)?.into_iter().map(|clause| Some(opposite(clause)));
            product(failing)
        }
    }
}

/// Everything but a clause: one of its conditions does not hold, or one of its exceptions does.
fn opposite(clause: Clause) -> Vec<Clause> {
    let mut out = Vec::new();
    if !clause.holds.is_empty() {
        out.push(Clause { exceptions: vec![clause.holds], ..Clause::default() });
    }
    out.extend(clause.exceptions.into_iter().map(|holds| Clause { holds, ..Clause::default() }));
    out
}

fn product(parts: impl Iterator<Item = Option<Vec<Clause>>>) -> Option<Vec<Clause>> {
    let mut out = vec![Clause::default()];
    for part in parts {
        let part = part?;
        if out.len() * part.len() > MOST {
            return None;
        }
        out = out.iter().flat_map(|left| part.iter().map(|right| left.and(right))).collect();
    }
    Some(out)
}

impl Clause {
    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for atom in &other.holds {
            if !both.holds.contains(atom) {
                both.holds.push(atom.clone());
            }
        }
        for exception in &other.exceptions {
            if !both.exceptions.contains(exception) {
                both.exceptions.push(exception.clone());
            }
        }
        both
    }

    /// Whether it holds wherever `other` does.
    fn is_implied_by(&self, other: &Self) -> bool {
        self.holds.iter().all(|atom| other.holds.contains(atom))
            && self.fails.iter().all(|atom| other.fails.contains(atom))
            && self.exceptions.iter().all(|exception| other.exceptions.contains(exception))
    }

    /// Whether an event may fulfil it and all of `atoms` as well.
    pub(super) fn agrees(&self, atoms: &[Atom]) -> bool {
        let is_among = |exception: &[Atom]| {
            exception.iter().all(|atom| atoms.contains(atom) || self.holds.contains(atom))
        };
        agree(&self.holds, atoms)
            && !self.fails.iter().any(|atom| atoms.contains(atom))
            && !self.exceptions.iter().any(|exception| is_among(exception))
    }
}

/// Whether one event may fulfil both: they do not ask for different texts of one field.
pub(super) fn agree(left: &[Atom], right: &[Atom]) -> bool {
    !left.iter().any(|one| right.iter().any(|other| exclude(one, other)))
}

fn exclude(one: &Atom, other: &Atom) -> bool {
    if one.subject != other.subject || one.subject == Subject::Log {
        return false;
    }
    match (one.pattern.literals(), other.pattern.literals()) {
        (Some(these), Some(those)) => {
            let those: FxHashSet<&[u8]> = those.into_iter().collect();
            !these.iter().any(|text| those.contains(text))
        }
        (Some(texts), None) => !texts.iter().any(|text| may_take(&other.pattern, text)),
        (None, Some(texts)) => !texts.iter().any(|text| may_take(&one.pattern, text)),
        (None, None) => false,
    }
}

/// Whether a pattern takes a text in some letter case; what minds case is not asked.
fn may_take(pattern: &Pattern, text: &[u8]) -> bool {
    match pattern {
        Pattern::Texts { cased: false, .. } => pattern.takes(text),
        _ => true,
    }
}

/// Without what says nothing; `None` if it never holds.
fn simplified(mut clause: Clause) -> Option<Clause> {
    let atoms = &clause.holds;
    if atoms.iter().enumerate().any(|(at, one)| atoms.iter().skip(at + 1).any(|other| exclude(one, other))) {
        return None;
    }
    let mut exceptions: Vec<Vec<Atom>> = Vec::new();
    for exception in std::mem::take(&mut clause.exceptions) {
        let rest: Vec<Atom> = exception.into_iter().filter(|atom| !clause.holds.contains(atom)).collect();
        if !agree(&rest, &clause.holds) {
            continue;
        }
        match rest.as_slice() {
            [] => return None,
            [one] if is_there(one, &clause.holds) => {
                if !clause.fails.contains(one) {
                    clause.fails.push(one.clone());
                }
            }
            _ => exceptions.push(rest),
        }
    }
    // An exception within another one says nothing more.
    let within = |inner: &[Atom], outer: &[Atom]| outer.iter().all(|atom| inner.contains(atom));
    let kept = exceptions.iter().enumerate().filter(|(at, one)| {
        !exceptions
            .iter()
            .enumerate()
            .any(|(place, other)| place != *at && within(one, other) && !(within(other, one) && place > *at))
    });
    clause.exceptions = kept.map(|(_, exception)| exception.clone()).collect();
    Some(clause)
}

/// Whether the field of an atom has a value wherever the others hold, so that the atom's negation is that of its pattern.
fn is_there(atom: &Atom, others: &[Atom]) -> bool {
    let shows = |other: &Atom| {
        other.subject == atom.subject && (!atom.not_null || other.not_null || !other.pattern.takes(b"null"))
    };
    atom.subject == Subject::Log || others.iter().any(shows)
}

#[cfg(test)]
mod tests {
    use super::super::values::pattern;
    use super::*;
    use crate::ir::sigma::{FieldTest, Pattern as SigmaPattern, PatternPart};

    fn is(field: &str, value: &str) -> Formula {
        Formula::Atom(atom(field, value))
    }

    fn atom(field: &str, value: &str) -> Atom {
        let parts = vec![PatternPart::Bytes(value.as_bytes().to_vec())];
        let test = FieldTest::Pattern(SigmaPattern { parts, cased: false });
        Atom { subject: Subject::Field(field.to_owned()), pattern: pattern(&test).unwrap(), not_null: false }
    }

    fn not(formula: Formula) -> Formula {
        Formula::Not(Box::new(formula))
    }

    #[test]
    fn a_negation_is_an_exception_or_stands_beside_the_same_field() {
        let found = clauses(&Formula::All(vec![is("a", "x"), not(is("b", "y"))])).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].holds.len(), found[0].exceptions.clone()), (1, vec![vec![atom("b", "y")]]));
        // Other texts of the same field cannot be there.
        let found = clauses(&Formula::All(vec![is("a", "x"), not(is("a", "y"))])).unwrap();
        assert_eq!((found[0].fails.len(), found[0].exceptions.len()), (0, 0));
        let any = Formula::Atom(Atom { pattern: Pattern::Bytes("^".to_owned()), ..atom("a", "") });
        let found = clauses(&Formula::All(vec![any, not(is("a", "y"))])).unwrap();
        assert_eq!((found[0].fails.clone(), found[0].exceptions.len()), (vec![atom("a", "y")], 0));
    }

    #[test]
    fn what_cannot_hold_is_left_out() {
        assert_eq!(clauses(&Formula::All(vec![is("a", "x"), is("a", "y")])).unwrap(), []);
        assert_eq!(clauses(&Formula::All(vec![is("a", "x"), not(is("a", "x"))])).unwrap(), []);
        let both = Formula::All(vec![is("a", "x"), is("b", "y")]);
        let found = clauses(&Formula::Any(vec![both, is("a", "x")])).unwrap();
        assert_eq!(found.len(), 1);
        // Not (x and not y) is not x, or y.
        let found = clauses(&not(Formula::All(vec![is("a", "x"), not(is("b", "y"))]))).unwrap();
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn the_number_of_alternatives_is_bounded() {
        let pair = |at: usize| Formula::Any(vec![is(&format!("a{at}"), "x"), is(&format!("b{at}"), "x")]);
        assert_eq!(clauses(&Formula::All((0..6).map(pair).collect())).unwrap().len(), 64);
        assert_eq!(clauses(&Formula::All((0..7).map(pair).collect())), None);
    }
}
