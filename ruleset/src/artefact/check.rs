//! Whether a decoded set refers to nothing that it does not have, and has no more in it than a tree of rules can.
//!
//! Enters: a set from bytes whose author is not known. Leaves: nothing, or what is wrong. What follows is compiled like
//! a set from texts: every index is used unchecked there, and the tree is walked.

use crate::ir::sigma::{
    Bound, CorrelationKind, Expr, FieldTest, Figure, Occurrence, OccurrenceExpr, Referent, SigmaCorrelation,
    SigmaSet,
};
use crate::ir::{DecoderTree, RuleSet, RuleTree, Test};

/// More places than any real tree has: a rule below a whole level hangs some thousand times.
const MAX_PATHS: u64 = 4_000_000;

pub(super) fn check(set: &RuleSet) -> Result<(), &'static str> {
    let RuleSet { tree, decoders, lists, sigma, suppressions: _ } = set;
    let rules = tree.rules.len();
    let known_rule = |rule: u32| (rule as usize) < rules;
    let tests = tree.rules.iter().flat_map(|rule| rule.conditions.iter().chain(&rule.lists));
    for condition in tests {
        if let Test::List(test) = &condition.test
            && test.list as usize >= lists.len()
        {
            return Err("a rule refers to a list that is not there");
        }
    }
    if tree.rules.iter().any(|rule| rule.level > 16 && rule.level != 99) {
        return Err("a rule has a level that does not exist");
    }
    if !tree.rules.iter().flat_map(|rule| &rule.feeds).all(|feed| known_rule(feed.correlation)) {
        return Err("a rule counts for one that is not there");
    }
    if !tree.nodes.iter().all(|node| known_rule(node.rule)) {
        return Err("the tree has a rule that is not there");
    }
    check_tree(tree)?;
    check_decoders(decoders)?;
    check_sigma(sigma)
}

/// Every child is there, no node is below itself, and a walk over all places ends soon.
fn check_tree(tree: &RuleTree) -> Result<(), &'static str> {
    let nodes = tree.nodes.len();
    let mut parents = vec![0_u32; nodes];
    for child in tree.roots.iter().chain(tree.nodes.iter().flat_map(|node| &node.children)) {
        let count = parents.get_mut(*child as usize).ok_or("the tree has a place that is not there")?;
        *count += 1;
    }
    // Parents before children: a node is taken when all that lead to it have been.
    let mut paths = vec![0_u64; nodes];
    let mut ready = Vec::new();
    let reach =
        |child: u32, from: u64, paths: &mut Vec<u64>, parents: &mut Vec<u32>, ready: &mut Vec<u32>| {
            let (Some(count), Some(open)) = (paths.get_mut(child as usize), parents.get_mut(child as usize))
            else {
                return;
            };
            *count = count.saturating_add(from);
            *open -= 1;
            if *open == 0 {
                ready.push(child);
            }
        };
    let lonely: Vec<u32> = (0..).zip(&parents).filter(|(_, count)| **count == 0).map(|(at, _)| at).collect();
    ready.extend(lonely);
    for root in &tree.roots {
        reach(*root, 1, &mut paths, &mut parents, &mut ready);
    }
    let (mut taken, mut total) = (0, 0_u64);
    while let Some(at) = ready.pop() {
        taken += 1;
        let from = paths.get(at as usize).copied().unwrap_or_default();
        total = total.saturating_add(from);
        for child in tree.nodes.get(at as usize).map(|node| node.children.as_slice()).unwrap_or_default() {
            reach(*child, from, &mut paths, &mut parents, &mut ready);
        }
    }
    if taken < nodes {
        return Err("a rule is below itself");
    }
    if total > MAX_PATHS { Err("the tree has too many places") } else { Ok(()) }
}

/// Every decoder that is referred to is there, and the tree has its two levels.
fn check_decoders(tree: &DecoderTree) -> Result<(), &'static str> {
    let DecoderTree { decoders, with_program, without_program, .. } = tree;
    let roots = with_program.iter().chain(without_program);
    for index in roots.chain(decoders.iter().flat_map(|decoder| &decoder.children)) {
        if *index as usize >= decoders.len() {
            return Err("a decoder is not there");
        }
    }
    let child_has_children =
        |index: &u32| decoders.get(*index as usize).is_some_and(|child| !child.children.is_empty());
    if decoders.iter().flat_map(|decoder| &decoder.children).any(child_has_children) {
        return Err("the decoders have more than two levels");
    }
    Ok(())
}

/// Correlations refer to rules that are there and to correlations before them, and their numbers are numbers.
fn check_sigma(set: &SigmaSet) -> Result<(), &'static str> {
    if !set.rules.iter().all(|rule| has_numbers(&rule.expr)) {
        return Err("a Sigma rule compares with what is no number");
    }
    for (at, correlation) in set.correlations.iter().enumerate() {
        let known = |referent: &Referent| match referent {
            Referent::Rule(rule) => (*rule as usize) < set.rules.len(),
            Referent::Correlation(earlier) => (*earlier as usize) < at,
        };
        if correlation.of.is_empty() || !correlation.of.iter().all(known) {
            return Err("a correlation refers to what is not there");
        }
        let fields = correlation.group_by.iter().chain(&correlation.value_aliases);
        if fields.into_iter().any(|field| field.fields.len() != correlation.of.len()) {
            return Err("a correlation looks at fields of other rules");
        }
        check_kind(correlation)?;
    }
    Ok(())
}

fn check_kind(correlation: &SigmaCorrelation) -> Result<(), &'static str> {
    let (bounds, is_sound): (&[Bound], bool) = match &correlation.kind {
        CorrelationKind::EventCount(bounds) => (bounds, true),
        CorrelationKind::ValueCount { fields, bounds } => (bounds, !fields.is_empty()),
        CorrelationKind::Temporal(occurrence) | CorrelationKind::TemporalOrdered(occurrence) => {
            match occurrence {
                Occurrence::Every => (&[], true),
                Occurrence::Number(bounds) => (bounds, true),
                Occurrence::Expr(expr) => (&[], names_known(expr, correlation.of.len())),
            }
        }
        CorrelationKind::Value { figure, bounds, .. } => {
            let fits = |percentile: f64| (0.0..=100.0).contains(&percentile);
            (bounds, !matches!(figure, Figure::Percentile(at) if !fits(*at)))
        }
    };
    match is_sound && correlation.timespan > 0 && bounds.iter().all(|bound| bound.number.is_finite()) {
        true => Ok(()),
        false => Err("a correlation counts what cannot be counted"),
    }
}

fn names_known(expr: &OccurrenceExpr, count: usize) -> bool {
    match expr {
        OccurrenceExpr::All(parts) | OccurrenceExpr::Any(parts) => {
            parts.iter().all(|part| names_known(part, count))
        }
        OccurrenceExpr::Not(inner) => names_known(inner, count),
        OccurrenceExpr::Matched(at) => (*at as usize) < count,
    }
}

fn has_numbers(expr: &Expr) -> bool {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().all(has_numbers),
        Expr::Not(inner) => has_numbers(inner),
        Expr::Field { test, .. } | Expr::Keyword(test) => match test {
            FieldTest::Compare(_, number) => number.is_finite(),
            _ => true,
        },
    }
}
