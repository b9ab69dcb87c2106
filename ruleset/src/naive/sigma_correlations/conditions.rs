//! Conditions by definition.
//!
//! Enters: a correlation and the members of a window. Leaves: whether its condition holds, and on what.

use super::{Member, Value};
use crate::ir::sigma::{
    Bound, Comparison, CorrelationKind, Figure, Occurrence, OccurrenceExpr, SigmaCorrelation,
};

/// What a condition rests on.
pub(super) struct Ground {
    pub(super) members: Vec<Member>,
    pub(super) count: u64,
    pub(super) figure: Option<f64>,
    pub(super) exact: bool,
}

/// Whether more matches can only help.
pub(super) fn decides_at_end(kind: &CorrelationKind) -> bool {
    let falls = |bounds: &[Bound]| {
        bounds
            .iter()
            .any(|bound| !matches!(bound.comparison, Comparison::Greater | Comparison::GreaterOrEqual))
    };
    match kind {
        CorrelationKind::EventCount(bounds)
        | CorrelationKind::ValueCount { bounds, .. }
        | CorrelationKind::Value { bounds, .. }
        | CorrelationKind::Temporal(Occurrence::Number(bounds))
        | CorrelationKind::TemporalOrdered(Occurrence::Number(bounds)) => falls(bounds),
        CorrelationKind::Temporal(Occurrence::Expr(expr))
        | CorrelationKind::TemporalOrdered(Occurrence::Expr(expr)) => !rules_of(expr, false).is_empty(),
        CorrelationKind::Temporal(Occurrence::Every)
        | CorrelationKind::TemporalOrdered(Occurrence::Every) => false,
    }
}

/// The rules that stand under an even or odd number of negations.
fn rules_of(expr: &OccurrenceExpr, wanted: bool) -> Vec<u32> {
    match expr {
        OccurrenceExpr::Matched(rule) if wanted => vec![*rule],
        OccurrenceExpr::Matched(_) => Vec::new(),
        OccurrenceExpr::Not(inner) => rules_of(inner, !wanted),
        OccurrenceExpr::All(parts) | OccurrenceExpr::Any(parts) => {
            parts.iter().flat_map(|part| rules_of(part, wanted)).collect()
        }
    }
}

pub(super) fn opens(kind: &CorrelationKind, referents: &[u32]) -> bool {
    match kind {
        CorrelationKind::Temporal(Occurrence::Expr(expr))
        | CorrelationKind::TemporalOrdered(Occurrence::Expr(expr)) => {
            let wanted = rules_of(expr, true);
            referents.iter().any(|referent| wanted.contains(referent))
        }
        _ => true,
    }
}

fn meets(number: f64, bounds: &[Bound]) -> bool {
    bounds.iter().all(|bound| match bound.comparison {
        Comparison::Less => number < bound.number,
        Comparison::LessOrEqual => number <= bound.number,
        Comparison::Greater => number > bound.number,
        Comparison::GreaterOrEqual => number >= bound.number,
        Comparison::Equal => number == bound.number,
        Comparison::NotEqual => number != bound.number,
    })
}

/// Whether the condition holds for a window, and on what.
pub(super) fn ground(correlation: &SigmaCorrelation, window: &[Member]) -> Option<Ground> {
    let of = correlation.of.len() as u32;
    let every = [Bound { comparison: Comparison::GreaterOrEqual, number: f64::from(of) }];
    match &correlation.kind {
        CorrelationKind::EventCount(bounds) => {
            let holds = meets(window.len() as f64, bounds);
            let at_end = decides_at_end(&correlation.kind);
            let members = if at_end { window.to_vec() } else { newest(window.to_vec(), bounds) };
            holds.then(|| counted(members, true))
        }
        CorrelationKind::ValueCount { bounds, .. } => {
            let values = newest_by(window, |member| vec![member.value.clone()]);
            meets(values.len() as f64, bounds).then(|| counted(newest(values, bounds), true))
        }
        CorrelationKind::Temporal(occurrence) => temporal(occurrence, window, &every),
        CorrelationKind::TemporalOrdered(occurrence) => ordered(occurrence, window, of, &every),
        CorrelationKind::Value { figure, bounds, .. } => {
            let numbers: Vec<f64> = window.iter().filter_map(number_of).collect();
            let value = figure_of(*figure, numbers)?;
            let count = window.len() as u64;
            let all = Ground { members: window.to_vec(), count, figure: Some(value), exact: true };
            meets(value, bounds).then_some(all)
        }
    }
}

fn number_of(member: &Member) -> Option<f64> {
    match member.value {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

fn figure_of(figure: Figure, mut numbers: Vec<f64>) -> Option<f64> {
    let sum = numbers.iter().map(|number| (number * 1e6).round() as i128).sum::<i128>() as f64 / 1e6;
    match figure {
        Figure::Sum => Some(sum),
        Figure::Average => Some(sum / numbers.len() as f64),
        Figure::Percentile(percent) => {
            numbers.sort_by(f64::total_cmp);
            let rank = (numbers.len() as f64 - 1.0) * percent / 100.0;
            let (low, high) = (*numbers.get(rank.floor() as usize)?, *numbers.get(rank.ceil() as usize)?);
            let part = rank - rank.floor();
            Some(if part == 0.0 { low } else { low * (1.0 - part) + high * part })
        }
    }
}

/// As many of the newest as make a difference.
fn newest(members: Vec<Member>, bounds: &[Bound]) -> Vec<Member> {
    let same_beyond = |least: &usize| {
        let beyond = *least..least + 100;
        beyond.into_iter().all(|count| meets(count as f64, bounds) == meets(*least as f64, bounds))
    };
    let enough = (1..100).find(same_beyond).unwrap_or(100);
    let beyond = members.len().saturating_sub(enough);
    members.into_iter().skip(beyond).collect()
}

fn counted(members: Vec<Member>, exact: bool) -> Ground {
    let count = members.len() as u64;
    Ground { members, count, figure: None, exact }
}

/// The newest member of each label.
fn newest_by<T: PartialEq>(window: &[Member], labels: impl Fn(&Member) -> Vec<T>) -> Vec<Member> {
    let mut known: Vec<T> = Vec::new();
    let mut newest = Vec::new();
    for member in window.iter().rev() {
        for label in labels(member) {
            if !known.contains(&label) {
                known.push(label);
                newest.push(member.clone());
            }
        }
    }
    newest.reverse();
    newest
}

fn temporal(occurrence: &Occurrence, window: &[Member], every: &[Bound]) -> Option<Ground> {
    let newest = newest_by(window, |member| member.referents.clone());
    let has = |rule| window.iter().any(|member| member.referents.contains(&rule));
    let holds = match occurrence {
        Occurrence::Every => meets(newest.len() as f64, every),
        Occurrence::Number(bounds) => meets(newest.len() as f64, bounds),
        Occurrence::Expr(expr) => holds(expr, &has),
    };
    let mut ground = counted(newest, true);
    if let Occurrence::Number(bounds) = occurrence {
        ground.count = self::newest(ground.members.clone(), bounds).len() as u64;
    }
    holds.then_some(ground)
}

fn holds(expr: &OccurrenceExpr, has: &dyn Fn(u32) -> bool) -> bool {
    match expr {
        OccurrenceExpr::All(parts) => parts.iter().all(|part| holds(part, has)),
        OccurrenceExpr::Any(parts) => parts.iter().any(|part| holds(part, has)),
        OccurrenceExpr::Not(inner) => !holds(inner, has),
        OccurrenceExpr::Matched(rule) => has(*rule),
    }
}

/// Every set of rules for which the condition holds, if those that are not in it are taken as not having matched, is tried as
/// an order; a rule that the expression wants absent must not be in the window at all.
fn ordered(occurrence: &Occurrence, window: &[Member], of: u32, every: &[Bound]) -> Option<Ground> {
    let mut best: Option<Vec<Member>> = None;
    let in_window = |rule: u32| window.iter().any(|member| member.referents.contains(&rule));
    for mask in 0_u32..1 << of {
        let rules: Vec<u32> = (0..of).filter(|rule| mask >> rule & 1 == 1).collect();
        let has = |rule: u32| mask >> rule & 1 == 1;
        let holds = match occurrence {
            Occurrence::Every => meets(rules.len() as f64, every),
            Occurrence::Number(bounds) if decides_at_end(&CorrelationKind::EventCount(bounds.clone())) => {
                let ground = temporal(occurrence, window, every);
                return ground.map(|ground| Ground { exact: false, ..ground });
            }
            Occurrence::Number(bounds) => meets(rules.len() as f64, bounds),
            Occurrence::Expr(expr) => holds_in_order(expr, false, &has, &in_window),
        };
        if !holds {
            continue;
        }
        if let Some(chain) = latest_chain(&rules, window, i64::MAX)
            && best.as_ref().is_none_or(|best| start(&chain) > start(best))
        {
            best = Some(chain);
        }
    }
    best.map(|chain| counted(chain, false))
}

/// Whether it holds where what is wanted must be in the chain, and what is not wanted must not be in the window.
fn holds_in_order(
    expr: &OccurrenceExpr,
    negated: bool,
    in_chain: &dyn Fn(u32) -> bool,
    in_window: &dyn Fn(u32) -> bool,
) -> bool {
    let part = |part: &OccurrenceExpr| holds_in_order(part, negated, in_chain, in_window);
    match (expr, negated) {
        (OccurrenceExpr::Matched(rule), false) => in_chain(*rule),
        (OccurrenceExpr::Matched(rule), true) => !in_window(*rule),
        (OccurrenceExpr::Not(inner), _) => holds_in_order(inner, !negated, in_chain, in_window),
        (OccurrenceExpr::All(parts), false) | (OccurrenceExpr::Any(parts), true) => parts.iter().all(part),
        (OccurrenceExpr::Any(parts), false) | (OccurrenceExpr::All(parts), true) => parts.iter().any(part),
    }
}

fn start(chain: &[Member]) -> i64 {
    chain.first().map_or(i64::MIN, |first| first.order.0)
}

/// By trying everything: matches of these rules, none earlier than the one before, that start as late as possible.
fn latest_chain(rules: &[u32], window: &[Member], until: i64) -> Option<Vec<Member>> {
    let Some((last, before)) = rules.split_last() else { return Some(Vec::new()) };
    let ends = window.iter().filter(|member| member.referents.contains(last) && member.order.0 <= until);
    let mut best: Option<Vec<Member>> = None;
    for end in ends {
        let Some(mut chain) = latest_chain(before, window, end.order.0) else { continue };
        chain.push(end.clone());
        if best.as_ref().is_none_or(|best| start(&chain) > start(best)) {
            best = Some(chain);
        }
    }
    best
}
