//! What a rule demands, on its way to a Sigma detection: items joined by all, any and not.
//!
//! Enters: parts. Leaves: a formula without needless nesting. Groups keep the name of the rule that a part comes from, so that
//! selections can be called by it.

/// A formula. `All` of nothing holds, `Any` of nothing does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Formula {
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Not(Box<Formula>),
    Item(Item),
    /// The demands of the rule with that id.
    Rule(u32, Box<Formula>),
}

/// An item of a selection: a field, or nothing for keywords, with modifiers and values of which one must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) field: String,
    /// With the bar in front: `|contains`.
    pub(super) modifiers: &'static str,
    pub(super) values: Vec<Value>,
}

/// A value of an item, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Bool(bool),
    Null,
}

impl Item {
    /// The key in the selection.
    pub(super) fn key(&self) -> String {
        format!("{}{}", self.field, self.modifiers)
    }
}

pub(super) const TRUE: Formula = Formula::All(Vec::new());
pub(super) const FALSE: Formula = Formula::Any(Vec::new());

impl Formula {
    pub(super) fn item(field: &str, modifiers: &'static str, values: Vec<Value>) -> Self {
        Self::Item(Item { field: field.to_owned(), modifiers, values })
    }

    pub(super) fn texts(field: &str, modifiers: &'static str, values: Vec<String>) -> Self {
        match values.is_empty() {
            true => FALSE,
            false => Self::item(field, modifiers, values.into_iter().map(Value::Text).collect()),
        }
    }

    pub(super) fn truth(value: bool) -> Self {
        if value { TRUE } else { FALSE }
    }
}

/// All of them.
pub(super) fn all(parts: impl IntoIterator<Item = Formula>) -> Formula {
    let mut flat: Vec<Formula> = Vec::new();
    for part in parts {
        match part {
            Formula::All(inner) => inner.into_iter().for_each(|part| push(&mut flat, part)),
            Formula::Any(inner) if inner.is_empty() => return FALSE,
            part => push(&mut flat, part),
        }
    }
    single(flat, Formula::All)
}

/// One of them.
pub(super) fn any(parts: impl IntoIterator<Item = Formula>) -> Formula {
    let mut flat: Vec<Formula> = Vec::new();
    for part in parts {
        match part {
            Formula::Any(inner) => inner.into_iter().for_each(|part| push(&mut flat, part)),
            Formula::All(inner) if inner.is_empty() => return TRUE,
            part => push(&mut flat, part),
        }
    }
    single(flat, Formula::Any)
}

/// The opposite.
pub(super) fn not(formula: Formula) -> Formula {
    match formula {
        Formula::Not(inner) => *inner,
        Formula::All(parts) if parts.is_empty() => FALSE,
        Formula::Any(parts) if parts.is_empty() => TRUE,
        other => Formula::Not(Box::new(other)),
    }
}

/// The demands of a rule; without any it has no name.
pub(super) fn of_rule(id: u32, formula: Formula) -> Formula {
    match formula {
        Formula::All(parts) if parts.is_empty() => TRUE,
        Formula::Any(parts) if parts.is_empty() => FALSE,
        other => Formula::Rule(id, Box::new(other)),
    }
}

fn push(parts: &mut Vec<Formula>, part: Formula) {
    if !parts.contains(&part) {
        parts.push(part);
    }
}

fn single(mut parts: Vec<Formula>, whole: fn(Vec<Formula>) -> Formula) -> Formula {
    match parts.len() {
        1 => parts.remove(0),
        _ => whole(parts),
    }
}

/// Without demands that a field is present where another one that must hold needs it, too.
pub(super) fn without_presence(formula: Formula) -> Formula {
    let mut needed = Vec::new();
    needs(&formula, &mut needed);
    drop_presence(formula, &needed)
}

/// Fields without which the formula does not hold, the demands of presence aside.
fn needs(formula: &Formula, found: &mut Vec<String>) {
    match formula {
        Formula::All(parts) => parts.iter().for_each(|part| needs(part, found)),
        Formula::Rule(_, inner) => needs(inner, found),
        Formula::Item(item) if !is_presence(item) && !item.field.is_empty() && has_text(item) => {
            found.push(item.field.clone());
        }
        Formula::Item(_) | Formula::Any(_) | Formula::Not(_) => {}
    }
}

fn drop_presence(formula: Formula, needed: &[String]) -> Formula {
    match formula {
        Formula::All(parts) => all(parts.into_iter().map(|part| drop_presence(part, needed))),
        Formula::Rule(id, inner) => of_rule(id, drop_presence(*inner, needed)),
        Formula::Item(item) if is_presence(&item) && needed.contains(&item.field) => TRUE,
        other => other,
    }
}

fn is_presence(item: &Item) -> bool {
    let any_text = item.modifiers.is_empty() && item.values == [Value::Text("*".to_owned())];
    any_text || item.modifiers == "|exists"
}

/// Whether the item holds for texts alone.
fn has_text(item: &Item) -> bool {
    item.values.iter().all(|value| matches!(value, Value::Text(_)))
}
