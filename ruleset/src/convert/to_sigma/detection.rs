//! A formula as the `detection` section: selections with names, and the condition that joins them.
//!
//! Enters: a formula. Leaves: the section. What must hold together stands in one map, alternatives in a list of maps; what is
//! demanded by a parent is called `parent_ID`, what must not hold `filter`. Equal selections are written once.

use super::super::yaml::Yaml;
use super::formula::{Formula, Item, Value};

/// Selections of one rule; the front end takes a few more.
const MAX_SELECTIONS: usize = 900;
/// Bytes of a condition, as above.
const MAX_CONDITION: usize = 90_000;

/// The section of the rule with this id.
pub(super) fn detection(formula: &Formula, id: u32) -> Result<Yaml, String> {
    let mut writer = Writer { id, selections: Vec::new() };
    let condition = match formula {
        Formula::All(parts) if parts.is_empty() => {
            // Sigma has no word for every event.
            let item = Yaml::Map(vec![("id|exists".to_owned(), Yaml::Bool(true))]);
            let name = writer.selection("selection", item);
            format!("{name} or not {name}")
        }
        formula => writer.condition(formula, &Names::of("selection", "filter"), Around::Nothing),
    };
    if writer.selections.len() > MAX_SELECTIONS || condition.len() > MAX_CONDITION {
        return Err(
            "It hangs below so many rules that their conditions are too many for one rule.".to_owned()
        );
    }
    let mut pairs = writer.selections;
    pairs.push(("condition".to_owned(), Yaml::text(condition)));
    Ok(Yaml::Map(pairs))
}

/// How selections are called.
struct Names {
    selection: String,
    filter: String,
}

impl Names {
    fn of(selection: &str, filter: &str) -> Self {
        Self { selection: selection.to_owned(), filter: filter.to_owned() }
    }

    /// Below a `not`.
    fn negated(&self) -> Self {
        Self { selection: self.filter.clone(), filter: format!("{}_except", self.filter) }
    }
}

/// What a part of the condition stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    Nothing,
    And,
    Or,
    Not,
}

struct Writer {
    id: u32,
    selections: Vec<(String, Yaml)>,
}

impl Writer {
    fn condition(&mut self, formula: &Formula, names: &Names, around: Around) -> String {
        match formula {
            Formula::Rule(id, inner) if *id == self.id => self.condition(inner, names, around),
            Formula::Rule(id, inner) => {
                let names = Names::of(&format!("parent_{id}"), &format!("filter_{id}"));
                self.condition(inner, &names, around)
            }
            Formula::Item(item) => {
                let selection = of_items(&[item]);
                self.selection(&names.selection, selection)
            }
            Formula::Not(inner) => format!("not {}", self.condition(inner, &names.negated(), Around::Not)),
            Formula::All(parts) => self.all(parts, names, around),
            Formula::Any(parts) => self.any(parts, names, around),
        }
    }

    fn all(&mut self, parts: &[Formula], names: &Names, around: Around) -> String {
        let mut maps: Vec<Vec<&Item>> = Vec::new();
        let mut rest = Vec::new();
        for part in parts {
            let Formula::Item(item) = part else {
                rest.push(part);
                continue;
            };
            let is_free = |map: &&mut Vec<&Item>| {
                !item.field.is_empty()
                    && map.iter().all(|other| !other.field.is_empty() && other.key() != item.key())
            };
            match maps.iter_mut().find(is_free) {
                Some(map) => map.push(item),
                None => maps.push(vec![item]),
            }
        }
        let mut terms: Vec<String> = Vec::new();
        for map in maps {
            let selection = of_items(&map);
            terms.push(self.selection(&names.selection, selection));
        }
        for part in rest {
            terms.push(self.condition(part, names, Around::And));
        }
        joined(terms, " and ", matches!(around, Around::Or | Around::Not))
    }

    fn any(&mut self, parts: &[Formula], names: &Names, around: Around) -> String {
        if let Some(maps) = parts.iter().map(map_of).collect::<Option<Vec<Vec<&Item>>>>() {
            let maps = maps.iter().flat_map(|map| match map.as_slice() {
                // A keyword stands in the list itself.
                [item] if item.key().is_empty() => values(item),
                items => vec![of_items(items)],
            });
            let list = Yaml::List(maps.collect());
            return self.selection(&names.selection, list);
        }
        let terms = parts.iter().map(|part| self.condition(part, names, Around::Or)).collect();
        joined(terms, " or ", matches!(around, Around::And | Around::Not))
    }

    /// The name of a selection, under which it is written unless it is already.
    fn selection(&mut self, base: &str, selection: Yaml) -> String {
        if let Some((name, _)) = self.selections.iter().find(|(_, known)| *known == selection) {
            return name.clone();
        }
        let is_free = |name: &str| self.selections.iter().all(|(known, _)| known != name);
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        let name = std::iter::once(base.to_owned()).chain(numbered).find(|name| is_free(name));
        let name = name.unwrap_or_default();
        self.selections.push((name.clone(), selection));
        name
    }
}

/// One selection with these items.
fn of_items(items: &[&Item]) -> Yaml {
    match items {
        [item] if item.key().is_empty() => Yaml::List(values(item)),
        items => Yaml::Map(items.iter().map(|item| (item.key(), value(item))).collect()),
    }
}

fn joined(mut terms: Vec<String>, word: &str, in_brackets: bool) -> String {
    let mut seen: Vec<String> = Vec::new();
    terms.retain(|term| {
        let is_new = !seen.contains(term);
        seen.push(term.clone());
        is_new
    });
    match terms.len() {
        1 => terms.remove(0),
        _ if in_brackets => format!("({})", terms.join(word)),
        _ => terms.join(word),
    }
}

/// The items that a part has together, where it is no more than a map.
fn map_of(part: &Formula) -> Option<Vec<&Item>> {
    match part {
        Formula::Item(item) => Some(vec![item]),
        Formula::All(parts) => {
            let mut items: Vec<&Item> = Vec::with_capacity(parts.len());
            for part in parts {
                let Formula::Item(item) = part else { return None };
                if item.field.is_empty() || items.iter().any(|other| other.key() == item.key()) {
                    return None;
                }
                items.push(item);
            }
            Some(items)
        }
        Formula::Any(_) | Formula::Not(_) | Formula::Rule(..) => None,
    }
}

fn value(item: &Item) -> Yaml {
    let mut values = values(item);
    if values.len() == 1 { values.remove(0) } else { Yaml::List(values) }
}

fn values(item: &Item) -> Vec<Yaml> {
    let value = |value: &Value| match value {
        Value::Text(text) => Yaml::text(text.clone()),
        Value::Bool(value) => Yaml::Bool(*value),
        Value::Null => Yaml::Null,
    };
    item.values.iter().map(value).collect()
}
