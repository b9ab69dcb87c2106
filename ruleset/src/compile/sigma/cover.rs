//! Which tests lead to a rule.
//!
//! Enters: an expression. Leaves: a set of demands of which every event that fits the expression fulfils at least one, as
//! cheap as can be found: see [`crate::program::SigmaIndex`] for why that is sound.

use super::intern::{Demand, Interner};
use crate::program::{KEYWORDS, SigmaExpr, SigmaPredicateIndex, SigmaSubjectIndex};

/// One demand of a [`Cover`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Hit(SigmaSubjectIndex, SigmaPredicateIndex),
    Presence(SigmaSubjectIndex),
}

/// A set of demands, and how often an event is likely to fulfil one, on no particular scale.
#[derive(Debug)]
pub(super) struct Cover {
    pub(super) items: Vec<Item>,
    cost: u64,
}

/// What a field's presence costs: most events have it.
const PRESENCE: u64 = 1_000_000;
/// What a hit costs on a field that nothing else is tested of.
const HIT: u64 = 100_000;
/// How much more a hit costs for which the value's text has to be searched.
const PASS: u64 = 4;
/// How much more a hit on the keywords costs: all values have to be searched for it.
const KEYWORD: u64 = 50;

/// `None`: every event may fit.
pub(super) fn cover(expr: &SigmaExpr, interner: &Interner) -> Option<Cover> {
    of(expr, false, interner)
}

fn of(expr: &SigmaExpr, negated: bool, interner: &Interner) -> Option<Cover> {
    match expr {
        SigmaExpr::Not(inner) => of(inner, !negated, interner),
        SigmaExpr::All(parts) | SigmaExpr::Any(parts) => {
            let is_all = matches!(expr, SigmaExpr::All(_)) != negated;
            let covers = parts.iter().map(|part| of(part, negated, interner));
            if is_all { covers.flatten().min_by_key(|cover| cover.cost) } else { covers.sum() }
        }
        SigmaExpr::Test { subject, predicate } => test(*subject, *predicate, negated, interner),
    }
}

fn test(
    subject: SigmaSubjectIndex,
    predicate: SigmaPredicateIndex,
    negated: bool,
    interner: &Interner,
) -> Option<Cover> {
    let demand = match negated {
        false => interner.demand(subject, predicate),
        true => interner.opposite_demand(subject, predicate),
    };
    let (item, cost) = match demand {
        Demand::Hit => {
            let pass = if interner.is_look_up(predicate) { 1 } else { PASS };
            let cost = pass * HIT / (1 + interner.variety(subject) as u64);
            (Item::Hit(subject, predicate), if subject == KEYWORDS { cost * KEYWORD } else { cost })
        }
        Demand::Presence => (Item::Presence(subject), PRESENCE),
        Demand::Nothing => return None,
    };
    Some(Cover { items: vec![item], cost })
}

impl std::iter::Sum<Self> for Cover {
    fn sum<I: Iterator<Item = Self>>(covers: I) -> Self {
        let mut all = Self { items: Vec::new(), cost: 0 };
        for cover in covers {
            all.items.extend(cover.items);
            all.cost = all.cost.saturating_add(cover.cost);
        }
        all
    }
}
