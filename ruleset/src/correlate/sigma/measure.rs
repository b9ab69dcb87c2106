//! Conditions: how much must be kept to decide them, and whether they hold.
//!
//! Enters: bounds and expressions of the intermediate form. Leaves: thresholds beyond which counting makes no difference,
//! and orders in which rules must have matched.

use crate::ir::sigma::{Bound, Comparison, Figure, OccurrenceExpr};

/// Orders that an ordered condition may ask for.
const MAX_BRANCHES: usize = 256;
/// Nesting of an expression.
const MAX_DEPTH: usize = 64;

/// What a correlation looks at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measure {
    /// The number of matches.
    Count(Threshold),
    /// The number of different values.
    Distinct(Threshold),
    /// The number of different rules.
    Rules(Threshold),
    /// Which rules.
    Expr(OccurrenceExpr),
    /// Rules in their order: one of the branches.
    Chains(Vec<Branch>),
    /// A figure made of values.
    Figure(Figure, Vec<Bound>),
}

/// Bounds on a count.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Threshold {
    bounds: Vec<Bound>,
    /// A higher count makes no difference.
    pub(super) keep: u32,
}

impl Threshold {
    pub(super) fn new(bounds: &[Bound]) -> Self {
        let keep = bounds.iter().map(|bound| enough(*bound)).max();
        Self { bounds: bounds.to_vec(), keep: keep.unwrap_or(1).max(1) }
    }

    pub(super) fn holds(&self, count: usize) -> bool {
        let count = count.min(self.keep as usize) as f64;
        self.bounds.iter().all(|bound| compare(count, *bound))
    }
}

/// Whether more can only help.
pub(super) fn is_rising(bounds: &[Bound]) -> bool {
    bounds.iter().all(|bound| matches!(bound.comparison, Comparison::Greater | Comparison::GreaterOrEqual))
}

/// The count beyond which the bound holds or does not hold, whatever the count.
fn enough(bound: Bound) -> u32 {
    match bound.comparison {
        Comparison::GreaterOrEqual => whole(bound.number.ceil()),
        _ => whole(bound.number.floor()).saturating_add(u32::from(bound.number >= 0.0)),
    }
}

/// What cannot be met (not a number) asks for more than there can be.
fn whole(number: f64) -> u32 {
    if number.is_nan() { u32::MAX } else { number as u32 }
}

/// Whether a count or figure is as it should be.
pub(super) fn compare(figure: f64, bound: Bound) -> bool {
    match bound.comparison {
        Comparison::Less => figure < bound.number,
        Comparison::LessOrEqual => figure <= bound.number,
        Comparison::Greater => figure > bound.number,
        Comparison::GreaterOrEqual => figure >= bound.number,
        Comparison::Equal => figure == bound.number,
        Comparison::NotEqual => figure != bound.number,
    }
}

/// The percentile (0–100) of sorted values, with linear interpolation between neighbours.
pub(super) fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let place = (sorted.len().checked_sub(1)?) as f64 * percent.clamp(0.0, 100.0) / 100.0;
    let below = *sorted.get(place.floor() as usize)?;
    let above = *sorted.get(place.ceil() as usize)?;
    let part = place - place.floor();
    Some(if part == 0.0 { below } else { below * (1.0 - part) + above * part })
}

/// Rules that must match in this order, and rules that must not match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Branch {
    /// Ascending: [`crate::ir::sigma::SigmaCorrelation::of`] is the order.
    pub(super) order: Vec<u32>,
    pub(super) absent: Vec<u32>,
}

/// The expression is too deep, or asks for too many orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooComplex;

/// What an expression asks for, as alternatives.
pub(super) fn branches(expr: &OccurrenceExpr) -> Result<Vec<Branch>, TooComplex> {
    let mut branches = expand(expr, false, 0)?;
    for branch in &mut branches {
        for rules in [&mut branch.order, &mut branch.absent] {
            rules.sort_unstable();
            rules.dedup();
        }
    }
    branches.retain(|branch| !branch.order.iter().any(|rule| branch.absent.contains(rule)));
    Ok(branches)
}

/// At least `least` of the rules 0 to `of`.
pub(super) fn subsets(of: u32, least: u32) -> Result<Vec<Branch>, TooComplex> {
    let mut found = Vec::new();
    let mut chosen: Vec<u32> = (0..least).collect();
    if least > of {
        return Ok(found);
    }
    // In lexical order; each step raises the last index that can be raised.
    loop {
        if found.len() >= MAX_BRANCHES {
            return Err(TooComplex);
        }
        found.push(Branch { order: chosen.clone(), absent: Vec::new() });
        let Some(place) = (0..chosen.len()).rfind(|place| {
            let room = (chosen.len() - place) as u32;
            chosen.get(*place).is_some_and(|rule| rule + room < of)
        }) else {
            return Ok(found);
        };
        let from = chosen.get(place).map_or(0, |rule| rule + 1);
        chosen.truncate(place);
        chosen.extend((from..).take(least as usize - place));
    }
}

fn expand(expr: &OccurrenceExpr, negated: bool, depth: usize) -> Result<Vec<Branch>, TooComplex> {
    if depth > MAX_DEPTH {
        return Err(TooComplex);
    }
    let (parts, is_all) = match expr {
        OccurrenceExpr::Matched(rule) => {
            let mut branch = Branch::default();
            if negated { &mut branch.absent } else { &mut branch.order }.push(*rule);
            return Ok(vec![branch]);
        }
        OccurrenceExpr::Not(inner) => return expand(inner, !negated, depth + 1),
        OccurrenceExpr::All(parts) => (parts, !negated),
        OccurrenceExpr::Any(parts) => (parts, negated),
    };
    let mut result = if is_all { vec![Branch::default()] } else { Vec::new() };
    for part in parts {
        let part = expand(part, negated, depth + 1)?;
        if is_all {
            result = result.iter().flat_map(|left| part.iter().map(|right| join(left, right))).collect();
        } else {
            result.extend(part);
        }
        if result.len() > MAX_BRANCHES {
            return Err(TooComplex);
        }
    }
    Ok(result)
}

fn join(left: &Branch, right: &Branch) -> Branch {
    Branch {
        order: [left.order.as_slice(), &right.order].concat(),
        absent: [left.absent.as_slice(), &right.absent].concat(),
    }
}

/// The rules that an expression names, by whether it asks for them to match.
pub(super) fn named(expr: &OccurrenceExpr, wanted: bool) -> Result<Vec<u32>, TooComplex> {
    fn walk(
        expr: &OccurrenceExpr,
        wanted: bool,
        depth: usize,
        rules: &mut Vec<u32>,
    ) -> Result<(), TooComplex> {
        if depth > MAX_DEPTH {
            return Err(TooComplex);
        }
        match expr {
            OccurrenceExpr::Matched(rule) if wanted => rules.push(*rule),
            OccurrenceExpr::Matched(_) => {}
            OccurrenceExpr::Not(inner) => walk(inner, !wanted, depth + 1, rules)?,
            OccurrenceExpr::All(parts) | OccurrenceExpr::Any(parts) => {
                parts.iter().try_for_each(|part| walk(part, wanted, depth + 1, rules))?;
            }
        }
        Ok(())
    }
    let mut rules = Vec::new();
    walk(expr, wanted, 0, &mut rules)?;
    Ok(rules)
}

/// Whether an expression holds. Its depth was checked when it was compiled.
pub(super) fn holds(expr: &OccurrenceExpr, matched: &dyn Fn(u32) -> bool) -> bool {
    match expr {
        OccurrenceExpr::All(parts) => parts.iter().all(|part| holds(part, matched)),
        OccurrenceExpr::Any(parts) => parts.iter().any(|part| holds(part, matched)),
        OccurrenceExpr::Not(inner) => !holds(inner, matched),
        OccurrenceExpr::Matched(rule) => matched(*rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(comparison: Comparison, number: f64) -> Bound {
        Bound { comparison, number }
    }

    #[test]
    fn thresholds_keep_as_much_as_makes_a_difference() {
        for (comparison, number, keep) in [
            (Comparison::GreaterOrEqual, 10.0, 10),
            (Comparison::GreaterOrEqual, 9.5, 10),
            (Comparison::Greater, 9.5, 10),
            (Comparison::Greater, 10.0, 11),
            (Comparison::Greater, -3.0, 1),
            (Comparison::GreaterOrEqual, 0.0, 1),
            (Comparison::GreaterOrEqual, f64::NAN, u32::MAX),
            (Comparison::Less, 3.0, 4),
            (Comparison::Equal, 0.0, 1),
            (Comparison::NotEqual, 2.5, 3),
            (Comparison::LessOrEqual, f64::INFINITY, u32::MAX),
        ] {
            let threshold = Threshold::new(&[bound(comparison, number)]);
            assert_eq!(threshold.keep, keep, "{comparison:?} {number}");
            // Whether it holds is the same for every count that is cut off.
            for count in 0..30 {
                let cut = count.min(keep as usize);
                let holds = compare(count as f64, bound(comparison, number));
                let holds_cut = compare(cut as f64, bound(comparison, number));
                assert_eq!(holds, holds_cut, "{comparison:?} {number} {count}");
            }
        }
    }

    #[test]
    fn percentiles_lie_between_neighbours() {
        assert_eq!(percentile(&[], 50.0), None);
        assert_eq!(percentile(&[7.0], 99.0), Some(7.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 50.0), Some(2.5));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 100.0), Some(4.0));
        assert_eq!(percentile(&[1.0, 2.0], -5.0), Some(1.0));
    }

    #[test]
    fn subsets_are_all_of_them() {
        let orders = |of, least| -> Vec<Vec<u32>> {
            subsets(of, least).unwrap().into_iter().map(|branch| branch.order).collect()
        };
        assert_eq!(orders(3, 2), [vec![0, 1], vec![0, 2], vec![1, 2]]);
        assert_eq!(orders(3, 3), [vec![0, 1, 2]]);
        assert_eq!(orders(2, 3), Vec::<Vec<u32>>::new());
        assert_eq!(orders(4, 1).len(), 4);
        assert_eq!(orders(6, 3).len(), 20);
        assert_eq!(subsets(40, 20), Err(TooComplex));
    }

    #[test]
    fn expressions_are_expanded_and_bounded() {
        let rule = OccurrenceExpr::Matched;
        let not = |expr| OccurrenceExpr::Not(Box::new(expr));
        let expr = OccurrenceExpr::All(vec![OccurrenceExpr::Any(vec![rule(2), rule(1)]), not(rule(0))]);
        let found = branches(&expr).unwrap();
        assert_eq!(found[0], Branch { order: vec![2], absent: vec![0] });
        assert_eq!(found[1], Branch { order: vec![1], absent: vec![0] });
        // What contradicts itself cannot hold.
        assert_eq!(branches(&OccurrenceExpr::All(vec![rule(1), not(rule(1))])), Ok(Vec::new()));
        assert_eq!(branches(&not(not(rule(3)))).unwrap()[0].order, [3]);
        let wide = OccurrenceExpr::All(vec![OccurrenceExpr::Any(vec![rule(0), rule(1)]); 9]);
        assert_eq!(branches(&wide), Err(TooComplex));
        let deep = (0..100).fold(rule(0), |expr, _| not(expr));
        assert_eq!(branches(&deep), Err(TooComplex));
        assert_eq!(named(&deep, true), Err(TooComplex));
        assert_eq!((named(&expr, true), named(&expr, false)), (Ok(vec![2, 1]), Ok(vec![0])));
    }
}
