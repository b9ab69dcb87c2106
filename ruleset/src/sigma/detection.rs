//! A `detection` or `filter` section: its selections joined by its condition.
//!
//! Enters: the section's YAML. Leaves: one expression. Names that the condition uses and that are not there are errors with
//! the nearest name; selections that it does not use are warned of.

use crate::ir::sigma::{Expr, FieldTest};
use crate::yaml::{Node, Value};

use super::condition::{self, Condition};
use super::pattern;
use super::selection::{all, any, not};
use super::value::Context;
use super::words::nearest;

/// Tests and connectives of one rule, and sixteenths of the bytes of its values; a condition can use a selection many
/// times.
const MAX_SIZE: usize = 1_000_000;
/// Bytes of all conditions of one rule.
const MAX_CONDITION: usize = 100_000;

/// Selections of one section; no rule has a tenth of them.
const MAX_SELECTIONS: usize = 1000;

/// A named selection.
struct Selection<'n> {
    name: &'n str,
    node: &'n Node,
    /// `None` after faults.
    expr: Option<Expr>,
    size: usize,
    used: bool,
}

impl Context<'_, '_> {
    /// The expression of a section called `what`; `None` after faults. Keys in `reserved` are not selections.
    pub(super) fn detection(&mut self, section: &Node, what: &str, reserved: &[&str]) -> Option<Expr> {
        let Value::Mapping(pairs) = &section.value else {
            self.faults.expected(section, &format!("`{what}`"), "a mapping with selections and `condition`");
            return None;
        };
        let mut selections: Vec<Selection<'_>> = Vec::with_capacity(pairs.len());
        let mut conditions = None;
        for (key, node) in pairs {
            let Some(name) = key.text() else {
                self.faults.expected(key, "the name of a selection", "a text");
                continue;
            };
            match name {
                "condition" if conditions.is_some() => {
                    let help = "keep one; several conditions stand in a list";
                    self.faults.error(&key.place, name, "`condition` stands here twice", help);
                }
                "condition" => conditions = Some(node),
                "timeframe" => {
                    let message = "`timeframe` belongs to the aggregations of older Sigma and has no effect";
                    let help = "write a correlation rule with a timespan";
                    self.faults.warning(&key.place, name, message, help);
                }
                _ if reserved.contains(&name) => {}
                _ if selections.len() >= MAX_SELECTIONS => {
                    let message = format!("there are more than {MAX_SELECTIONS} selections");
                    self.faults.error(&key.place, name, message, "make several rules of it");
                    return None;
                }
                _ if selections.iter().any(|other| other.name == name) => {
                    let message = format!("the selection {name} stands here twice");
                    self.faults.error(&key.place, name, message, "give it another name");
                }
                _ => {
                    let expr = self.selection(node);
                    let size = expr.as_ref().map_or(0, size);
                    selections.push(Selection { name, node: key, expr, size, used: false });
                }
            }
        }
        let Some(conditions) = conditions else {
            let help = "add `condition: NAME` with the name of a selection";
            self.faults.error(&section.place, "", format!("`{what}` has no condition"), help);
            return None;
        };
        let expr = self.conditions(conditions, &mut selections);
        if expr.is_some() {
            for selection in selections.iter().filter(|selection| !selection.used) {
                let message = format!("the condition does not use the selection {}", selection.name);
                let help = "use it in the condition, or remove it";
                self.faults.warning(&selection.node.place, selection.name, message, help);
            }
        }
        expr
    }

    /// One condition, or a list of which one is enough.
    fn conditions(&mut self, node: &Node, selections: &mut [Selection<'_>]) -> Option<Expr> {
        let items: &[Node] = match &node.value {
            Value::Sequence(items) if items.is_empty() => {
                self.faults.expected(node, "`condition`", "a text or a list of texts");
                return None;
            }
            Value::Sequence(items) => items,
            _ => std::slice::from_ref(node),
        };
        if items.iter().filter_map(Node::text).map(str::len).sum::<usize>() > MAX_CONDITION {
            let message = format!("the condition has more than {MAX_CONDITION} bytes");
            self.faults.error(&node.place, "", message, "use `1 of pattern*`");
            return None;
        }
        let mut room = MAX_SIZE;
        let mut exprs = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = item.text() else {
                self.faults.expected(item, "a condition", "a text");
                exprs.push(None);
                continue;
            };
            let expr = match condition::parse(text) {
                Ok(condition) => self.resolve(item, &condition, selections, &mut room),
                Err(fault) => {
                    let place = self.faults.within(item, fault.at);
                    self.faults.error(&place, text, fault.message, fault.help);
                    None
                }
            };
            exprs.push(expr);
        }
        Some(any(exprs.into_iter().collect::<Option<Vec<_>>>()?))
    }

    /// Puts selections in the place of their names.
    fn resolve(
        &mut self,
        node: &Node,
        condition: &Condition<'_>,
        selections: &mut [Selection<'_>],
        room: &mut usize,
    ) -> Option<Expr> {
        let mut each = |context: &mut Self, parts: &[Condition<'_>]| -> Option<Vec<Expr>> {
            let parts: Vec<_> =
                parts.iter().map(|part| context.resolve(node, part, selections, room)).collect();
            parts.into_iter().collect()
        };
        match condition {
            Condition::And(parts) => Some(all(each(self, parts)?)),
            Condition::Or(parts) => Some(any(each(self, parts)?)),
            Condition::Not(inner) => self.resolve(node, inner, selections, room).map(not),
            Condition::Name(name, at) => {
                let chosen: Vec<usize> = (0..selections.len())
                    .filter(|index| selections.get(*index).is_some_and(|found| found.name == *name))
                    .collect();
                if chosen.is_empty() {
                    self.unknown(node, *at, name, selections);
                    return None;
                }
                self.take(node, &chosen, selections, room).map(any)
            }
            Condition::Of { every, pattern, at } => {
                let chosen: Vec<usize> = (0..selections.len())
                    .filter(|index| selections.get(*index).is_some_and(|found| is_meant(pattern, found.name)))
                    .collect();
                if chosen.is_empty() {
                    self.unknown(node, *at, pattern, selections);
                    return None;
                }
                let exprs = self.take(node, &chosen, selections, room)?;
                Some(if *every { all(exprs) } else { any(exprs) })
            }
        }
    }

    fn unknown(&mut self, node: &Node, at: usize, name: &str, selections: &[Selection<'_>]) {
        let place = self.faults.within(node, at);
        let names: Vec<&str> = selections.iter().map(|selection| selection.name).collect();
        let message = match name.contains('*') || name == "them" {
            true => format!("no selection fits {name}"),
            false => format!("there is no selection {name}"),
        };
        let help = match nearest(name.trim_end_matches('*'), names.iter().copied()) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None if names.is_empty() => "write a selection of that name before the condition".to_owned(),
            None => format!("there are: {}", names.get(..10).unwrap_or(&names).join(", ")),
        };
        self.faults.error(&place, name, message, help);
    }

    /// Copies of selections, as long as there is room.
    fn take(
        &mut self,
        node: &Node,
        chosen: &[usize],
        selections: &mut [Selection<'_>],
        room: &mut usize,
    ) -> Option<Vec<Expr>> {
        let mut exprs = Vec::with_capacity(chosen.len());
        for index in chosen {
            let selection = selections.get_mut(*index)?;
            selection.used = true;
            let Some(left) = room.checked_sub(selection.size.max(1)) else {
                let help = "name each selection once";
                self.faults.error(&node.place, "", "the condition makes the rule too large", help);
                return None;
            };
            *room = left;
            exprs.push(selection.expr.clone());
        }
        exprs.into_iter().collect()
    }
}

/// Whether `1 of pattern` means a selection: names that begin with `_` are left out unless the pattern does.
fn is_meant(pattern: &str, name: &str) -> bool {
    let is_hidden = name.starts_with('_') && !pattern.starts_with('_');
    !is_hidden && (pattern.eq_ignore_ascii_case("them") || condition::fits(pattern, name))
}

/// Tests and connectives, and sixteenths of the bytes of values.
pub(super) fn size(expr: &Expr) -> usize {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => 1 + parts.iter().map(size).sum::<usize>(),
        Expr::Not(inner) => 1 + size(inner),
        Expr::Field { name, test } => 1 + name.len() / 16 + weight(test),
        Expr::Keyword(test) => 1 + weight(test),
    }
}

/// Sixteenths of the bytes of a test's value.
fn weight(test: &FieldTest) -> usize {
    match test {
        FieldTest::Pattern(pattern) => pattern::weight(&pattern.parts) / 16,
        FieldTest::Regex(text) | FieldTest::Same { field: text, .. } => text.len() / 16,
        FieldTest::Networks(networks) => networks.len() * 2,
        _ => 0,
    }
}
