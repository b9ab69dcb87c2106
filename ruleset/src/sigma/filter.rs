//! Filters: conditions that are added to rules from outside.
//!
//! Enters: the `filter` section of a document, then the rules. Leaves: which rules it is for, and those rules with it: a
//! match counts when the filter's condition holds, too.

use crate::ir::Place;
use crate::ir::sigma::{Expr, Logsource};
use crate::yaml::{Node, Value};

use super::faults::Faults;
use super::head::Members;

/// A filter.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) place: Place,
    pub(super) logsource: Logsource,
    pub(super) target: Target,
    pub(super) expr: Expr,
}

/// Which rules a filter is for.
#[derive(Debug)]
pub(super) enum Target {
    /// All of its log source.
    Any,
    /// Those with these ids or names.
    Named(Vec<(String, Place)>),
}

/// `filter.rules`; `None` after faults.
pub(super) fn target(members: &Members<'_>, faults: &mut Faults<'_>) -> Option<Target> {
    let section = members.get("filter")?;
    let parts = Members::new(section, faults)?;
    let help = "add `rules:` with ids or names of rules, or `rules: any`";
    let Some(node) = parts.get("rules") else {
        faults.error(&section.place, "", "the filter does not say which rules it is for", help);
        return None;
    };
    let items: &[Node] = match &node.value {
        Value::Scalar(scalar) if scalar.text.eq_ignore_ascii_case("any") => return Some(Target::Any),
        Value::Scalar(scalar) if scalar.text.eq_ignore_ascii_case("all") => return Some(Target::Any),
        Value::Sequence(items) if items.is_empty() => {
            faults.error(&node.place, "", "the filter is for no rule", help);
            return None;
        }
        Value::Sequence(items) => items,
        _ => std::slice::from_ref(node),
    };
    let mut named = Vec::with_capacity(items.len());
    for item in items {
        match item.text() {
            Some(name) => named.push((name.to_owned(), item.place.clone())),
            None => faults.expected(item, "a rule", "its id or name"),
        }
    }
    (named.len() == items.len()).then_some(Target::Named(named))
}

/// Whether something in the expression leaves matches out.
pub(super) fn excludes(expr: &Expr) -> bool {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().any(excludes),
        Expr::Not(_) => true,
        Expr::Field { .. } | Expr::Keyword(_) => false,
    }
}
