//! Selections: the maps, lists and keywords under `detection`.
//!
//! Enters: the YAML of a selection. Leaves: an expression. A map holds when all its items do, a list when one of its
//! items does; a value without a field is a keyword.

use crate::decode::paths::MAX_PARTS;
use crate::ir::sigma::{Expr, FieldTest};
use crate::yaml::{self, Node, Value};

use super::modifier::{self, Chain, Kind, Site};
use super::value::Context;

/// Conjunction; one of one is itself.
pub(super) fn all(exprs: Vec<Expr>) -> Expr {
    join(exprs, Expr::All, |expr| match expr {
        Expr::All(inner) => Ok(inner),
        other => Err(other),
    })
}

/// Disjunction; one of one is itself.
pub(super) fn any(exprs: Vec<Expr>) -> Expr {
    join(exprs, Expr::Any, |expr| match expr {
        Expr::Any(inner) => Ok(inner),
        other => Err(other),
    })
}

/// Joins and flattens.
fn join(exprs: Vec<Expr>, whole: fn(Vec<Expr>) -> Expr, same: fn(Expr) -> Result<Vec<Expr>, Expr>) -> Expr {
    let mut flat = Vec::with_capacity(exprs.len());
    for expr in exprs {
        match same(expr) {
            Ok(inner) => flat.extend(inner),
            Err(other) => flat.push(other),
        }
    }
    match flat.len() {
        1 => flat.remove(0),
        _ => whole(flat),
    }
}

/// The opposite; twice is none.
pub(super) fn not(expr: Expr) -> Expr {
    match expr {
        Expr::Not(inner) => *inner,
        other => Expr::Not(Box::new(other)),
    }
}

impl Context<'_, '_> {
    /// The expression of a selection; `None` after faults.
    pub(super) fn selection(&mut self, node: &Node) -> Option<Expr> {
        match &node.value {
            Value::Mapping(pairs) if pairs.is_empty() => self.empty(node),
            Value::Sequence(items) if items.is_empty() => self.empty(node),
            Value::Mapping(pairs) => {
                self.repeated(pairs);
                // All of them, so that every fault is told.
                let items: Vec<Option<Expr>> =
                    pairs.iter().map(|(key, value)| self.item(key, value)).collect();
                Some(all(items.into_iter().collect::<Option<Vec<_>>>()?))
            }
            Value::Sequence(items) => {
                let items: Vec<Option<Expr>> = items.iter().map(|item| self.selection(item)).collect();
                Some(any(items.into_iter().collect::<Option<Vec<_>>>()?))
            }
            Value::Scalar(_) => self.values(None, &Chain::default(), node),
        }
    }

    fn empty<T>(&mut self, node: &Node) -> Option<T> {
        let message = "there is nothing in it to look for";
        self.faults.error(&node.place, "", message, "write fields with values, or a list of keywords");
        None
    }

    fn repeated(&mut self, pairs: &[(Node, Node)]) {
        for (key, name) in yaml::repeated(pairs) {
            let help = "put the values into one list, with `|all` where every one must be there";
            self.faults.error(&key.place, name, format!("{name} stands here twice"), help);
        }
    }

    fn item(&mut self, key: &Node, value: &Node) -> Option<Expr> {
        let Some(name) = key.text() else {
            self.faults.expected(key, "the name of a field", "a text");
            return None;
        };
        let parsed = match modifier::parse(name) {
            Ok(parsed) => parsed,
            Err(fault) => {
                let place = self.faults.within(key, fault.at);
                self.faults.error(&place, name, fault.message, fault.help);
                return None;
            }
        };
        let field = (!parsed.field.is_empty()).then_some(parsed.field);
        if field.is_none() && !name.contains('|') {
            self.faults.error(&key.place, "", "the name of the field is missing", "name a field");
            return None;
        }
        if field.is_none() && !matches!(parsed.chain.kind, Kind::Text | Kind::Regex(_)) {
            let help = "name a field before the modifier: `field|modifier`";
            self.faults.error(&key.place, name, "this modifier needs a field", help);
            return None;
        }
        if field.is_none() && matches!(parsed.chain.site, Some(Site::Start | Site::End)) {
            let message = "a keyword is looked for anywhere in a value: where it stands is not minded";
            self.faults.warning(&key.place, name, message, "name a field before the modifier");
        }
        if parsed.field.split('.').count() > MAX_PARTS {
            let message = format!("the field has more than {MAX_PARTS} parts");
            self.faults.error(&key.place, name, message, "name a field nearer to the top of the record");
            return None;
        }
        self.advise(key, &parsed.chain, value);
        self.values(field, &parsed.chain, value)
    }

    /// What is allowed, and probably not meant.
    fn advise(&mut self, key: &Node, chain: &Chain, value: &Node) {
        let name = key.text().unwrap_or_default();
        let count = match &value.value {
            Value::Sequence(items) => items.len(),
            _ => 1,
        };
        if chain.all && count == 1 {
            let message = "all has no meaning with a single value";
            self.faults.warning(&key.place, name, message, "remove all, or list several values");
        }
        if chain.transforms.contains(&modifier::Transform::Base64Offset) && chain.site.is_none() {
            let message = "base64offset makes parts of values, and here the whole value must be one";
            self.faults.warning(&key.place, name, message, "write base64offset|contains");
        }
    }

    /// The test of a field, or of the event where there is none, against one value or a list of them.
    fn values(&mut self, field: Option<&str>, chain: &Chain, node: &Node) -> Option<Expr> {
        let values: &[Node] = match &node.value {
            Value::Sequence(items) if items.is_empty() => return self.empty(node),
            Value::Sequence(items) => items,
            _ => std::slice::from_ref(node),
        };
        if chain.kind == Kind::Exists && values.len() > 1 {
            self.faults.error(&node.place, "", "`exists` needs one truth value", "write true or false");
            return None;
        }
        let mut parts = Vec::with_capacity(values.len());
        let mut is_sound = true;
        for value in values {
            if value.is_null() && values.len() > 1 {
                let message = "null among other values";
                let help = "write a selection of its own for null, and join both with `or` in the condition";
                self.faults.warning(&value.place, "null", message, help);
            }
            match self.tests(chain, value) {
                Some(tests) => {
                    let tests: Option<Vec<Expr>> =
                        tests.into_iter().map(|test| self.test(field, test, value)).collect();
                    is_sound &= tests.is_some();
                    parts.push(tests.unwrap_or_default());
                }
                None => is_sound = false,
            }
        }
        if !is_sound {
            return None;
        }
        let joined = match chain.all {
            true => all(parts.into_iter().map(any).collect()),
            false => any(one_set(parts.into_iter().flatten().collect())),
        };
        Some(if chain.negated { not(joined) } else { joined })
    }

    fn test(&mut self, field: Option<&str>, test: FieldTest, node: &Node) -> Option<Expr> {
        match field {
            Some(name) => Some(Expr::Field { name: name.to_owned(), test }),
            None => match &test {
                FieldTest::Null => {
                    let help = "write a text; `null` in quotes is one";
                    self.faults.error(&node.place, "", "nothing is no keyword", help);
                    None
                }
                FieldTest::Pattern(pattern) if pattern.parts.is_empty() => {
                    let help = "write a text to look for";
                    self.faults.error(&node.place, "", "an empty keyword is in every event", help);
                    None
                }
                _ => Some(Expr::Keyword(test)),
            },
        }
    }
}

/// All networks of a field as one test.
fn one_set(tests: Vec<Expr>) -> Vec<Expr> {
    let is_networks = |expr: &Expr| matches!(expr, Expr::Field { test: FieldTest::Networks(_), .. });
    if tests.len() < 2 || !tests.iter().all(is_networks) {
        return tests;
    }
    let mut joined: Option<(String, Vec<crate::ir::Network>)> = None;
    for test in tests {
        if let Expr::Field { name, test: FieldTest::Networks(networks) } = test {
            joined.get_or_insert_with(|| (name, Vec::new())).1.extend(networks);
        }
    }
    joined.into_iter().map(|(name, all)| Expr::Field { name, test: FieldTest::Networks(all) }).collect()
}
