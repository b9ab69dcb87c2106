//! The `correlation` section of a document.
//!
//! Enters: its YAML. Leaves: a draft that names the rules it is about; `link` finds these when all files are read.

use crate::ir::Place;
use crate::ir::sigma::{Bound, Figure, OccurrenceExpr, SigmaHead};
use crate::yaml::{Node, Value};

use super::bounds;
use super::condition::{self, Condition};
use super::faults::Faults;
use super::head::Members;
use super::words::suggest;

const TYPES: [&str; 10] = [
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_min",
    "value_max",
    "value_median",
    "value_percentile",
];
const KEYS: [&str; 7] = ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];

/// Seconds of `timespan`: ten years. Longer ones are a slip, and what is counted is kept so long.
const MAX_TIMESPAN: u64 = 10 * 366 * 86_400;
/// Rules of one correlation.
const MAX_RULES: usize = 1000;
/// Bytes of an expression over rules.
const MAX_CONDITION: usize = 100_000;
/// Fields of `group-by`, and aliases.
const MAX_FIELDS: usize = 100;

/// A correlation whose rules are not found yet.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) head: SigmaHead,
    pub(super) section: Section,
}

/// A reference as written.
pub(super) type Reference = (String, Place);

/// What the section says.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) place: Place,
    /// `None`: those that the condition names.
    pub(super) rules: Option<Vec<Reference>>,
    pub(super) kind: KindDraft,
    pub(super) group_by: Vec<String>,
    pub(super) aliases: Vec<Alias>,
    pub(super) timespan: u64,
    pub(super) generate: bool,
}

/// What is counted.
#[derive(Debug)]
pub(super) enum KindDraft {
    EventCount(Vec<Bound>),
    ValueCount(Vec<String>, Vec<Bound>),
    Temporal { ordered: bool, occurrence: OccurrenceDraft },
    Value(Figure, String, Vec<Bound>),
}

/// Which rules must have matched.
#[derive(Debug)]
pub(super) enum OccurrenceDraft {
    Every,
    Number(Vec<Bound>),
    /// An expression over the references beside it, by index.
    Expr(OccurrenceExpr, Vec<Reference>),
}

/// One name for fields that rules name differently.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: String,
    pub(super) place: Place,
    /// Rule, and the field in its events.
    pub(super) fields: Vec<(Reference, String)>,
}

/// Reads the section; `None` after faults.
pub(super) fn read(members: &Members<'_>, faults: &mut Faults<'_>) -> Option<Section> {
    let node = members.get("correlation")?;
    let Some(parts) = Members::new(node, faults) else {
        faults.expected(node, "`correlation`", "a mapping with type, rules, timespan and condition");
        return None;
    };
    let before = faults.errors();
    for (key, _) in parts.pairs() {
        let name = key.text().unwrap_or_default();
        if !KEYS.contains(&name) && name != "timeframe" {
            let help = suggest(name, &KEYS);
            faults.warning(&key.place, name, format!("a correlation has no `{name}`"), help);
        }
    }
    let rules = parts.get("rules").map(|node| references(node, faults));
    let kind = kind(&parts, faults);
    let group_by = parts.get("group-by").map(|node| texts(node, "a field of `group-by`", faults));
    let aliases = parts.get("aliases").map(|node| aliases(node, faults));
    let timespan = timespan(&parts, faults);
    // Both are looked at, so that a fault in either is told.
    let generate = [parts.get("generate"), members.get("generate")]
        .map(|node| node.is_some_and(|node| truth(node, faults)));
    let generate = generate.contains(&true);
    let names_rules = matches!(kind, Some(KindDraft::Temporal { occurrence: OccurrenceDraft::Expr(..), .. }));
    if rules.is_none() && !names_rules && kind.is_some() {
        let help = "add `rules:` with ids or names of rules";
        faults.error(&node.place, "", "the correlation names no rules", help);
    }
    if faults.errors() > before {
        return None;
    }
    Some(Section {
        place: node.place.clone(),
        rules,
        kind: kind?,
        group_by: group_by.unwrap_or_default(),
        aliases: aliases.unwrap_or_default(),
        timespan: timespan?,
        generate,
    })
}

fn truth(node: &Node, faults: &mut Faults<'_>) -> bool {
    match node.text() {
        Some("true" | "True" | "TRUE") => true,
        Some("false" | "False" | "FALSE") => false,
        _ => {
            faults.expected(node, "`generate`", "true or false");
            false
        }
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Sequence(items) => items,
        _ => std::slice::from_ref(node),
    }
}

fn references(node: &Node, faults: &mut Faults<'_>) -> Vec<Reference> {
    if items(node).is_empty() {
        faults.expected(node, "`rules`", "a list of ids or names of rules");
    }
    too_many(node, items(node).len(), MAX_RULES, faults);
    let mut found = Vec::new();
    for item in items(node) {
        match item.text() {
            Some(text) => found.push((text.to_owned(), item.place.clone())),
            None => faults.expected(item, "a rule of `rules`", "its id or name"),
        }
    }
    found
}

fn too_many(node: &Node, count: usize, most: usize, faults: &mut Faults<'_>) {
    if count > most {
        let message = format!("there are {count} of them here, the limit is {most}");
        faults.error(&node.place, "", message, "make several correlations of it");
    }
}

/// Texts, each once.
fn texts(node: &Node, what: &str, faults: &mut Faults<'_>) -> Vec<String> {
    too_many(node, items(node).len(), MAX_FIELDS, faults);
    let mut found: Vec<String> = Vec::new();
    let mut seen = rustc_hash::FxHashSet::default();
    for item in items(node) {
        match item.text() {
            Some(text) if seen.insert(text) => found.push(text.to_owned()),
            Some(text) => {
                faults.warning(&item.place, text, format!("{text} stands here twice"), "remove one");
            }
            None => faults.expected(item, what, "its name"),
        }
    }
    found
}

fn aliases(node: &Node, faults: &mut Faults<'_>) -> Vec<Alias> {
    let form = "a mapping of names to `rule: field`";
    let Some(aliases) = Members::new(node, faults) else {
        faults.expected(node, "`aliases`", form);
        return Vec::new();
    };
    too_many(node, aliases.pairs().len(), MAX_FIELDS, faults);
    let mut found = Vec::new();
    for (key, value) in aliases.pairs() {
        let (Some(name), Some(fields)) = (key.text(), Members::new(value, faults)) else {
            faults.expected(value, "an alias", "a mapping of rules to fields");
            continue;
        };
        let mut pairs = Vec::new();
        for (rule, field) in fields.pairs() {
            match (rule.text(), field.text()) {
                (Some(rule_name), Some(field)) => {
                    pairs.push(((rule_name.to_owned(), rule.place.clone()), field.to_owned()));
                }
                _ => faults.expected(field, "the field of an alias", "its name"),
            }
        }
        found.push(Alias { name: name.to_owned(), place: key.place.clone(), fields: pairs });
    }
    found
}

/// Seconds of `timespan`.
fn timespan(parts: &Members<'_>, faults: &mut Faults<'_>) -> Option<u64> {
    let Some(node) = parts.get("timespan").or_else(|| parts.get("timeframe")) else {
        faults.error(parts.place, "", "`timespan` is missing", "add `timespan: 5m`, for example");
        return None;
    };
    let text = node.text().unwrap_or_default();
    let seconds = text.chars().last().and_then(|unit| {
        let number = text.strip_suffix(unit)?;
        let unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            // A twelfth of a year, and a year, of the Gregorian calendar.
            'M' => 2_629_746,
            'y' => 31_556_952,
            _ => return None,
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse::<u64>().ok().filter(|number| is_number && *number > 0)?.checked_mul(unit)
    });
    match seconds {
        None => {
            let help = "write a number above 0 with s, m, h, d, w, M or y: 90m";
            faults.error(&node.place, text, "this is no time span", help);
        }
        Some(seconds) if seconds > MAX_TIMESPAN => {
            let help = "write a shorter one: all that is counted is kept for that long";
            faults.error(&node.place, text, "this time span is longer than ten years", help);
            return None;
        }
        Some(_) => {}
    }
    seconds
}

fn kind(parts: &Members<'_>, faults: &mut Faults<'_>) -> Option<KindDraft> {
    let Some(node) = parts.get("type") else {
        let help = format!("add `type:` with one of {}", TYPES.join(", "));
        faults.error(parts.place, "", "`type` is missing", help);
        return None;
    };
    let name = node.text().unwrap_or_default();
    let figure = match name {
        "event_count" => {
            let condition = bounds::read(parts, name, faults)?;
            return Some(KindDraft::EventCount(condition.bounds));
        }
        "value_count" => {
            let condition = bounds::read(parts, name, faults)?;
            return Some(KindDraft::ValueCount(condition.fields, condition.bounds));
        }
        "temporal" | "temporal_ordered" => {
            let ordered = name == "temporal_ordered";
            return Some(KindDraft::Temporal { ordered, occurrence: occurrence(parts, name, faults)? });
        }
        "value_sum" => Figure::Sum,
        "value_avg" => Figure::Average,
        "value_min" => Figure::Percentile(0.0),
        "value_max" => Figure::Percentile(100.0),
        "value_median" => Figure::Percentile(50.0),
        "value_percentile" => Figure::Percentile(f64::NAN),
        _ => {
            let help = suggest(name, &TYPES);
            faults.error(&node.place, name, format!("there is no type of correlation {name}"), help);
            return None;
        }
    };
    let condition = bounds::read(parts, name, faults)?;
    let figure = condition.percentile.map_or(figure, Figure::Percentile);
    let field = condition.fields.into_iter().next()?;
    Some(KindDraft::Value(figure, field, condition.bounds))
}

fn occurrence(parts: &Members<'_>, kind: &str, faults: &mut Faults<'_>) -> Option<OccurrenceDraft> {
    let Some(node) = parts.get("condition") else { return Some(OccurrenceDraft::Every) };
    let Value::Scalar(scalar) = &node.value else {
        let condition = bounds::read(parts, kind, faults)?;
        return Some(OccurrenceDraft::Number(condition.bounds));
    };
    if scalar.text.len() > MAX_CONDITION {
        let message = format!("the condition has more than {MAX_CONDITION} bytes");
        faults.error(&node.place, "", message, "make several correlations of it");
        return None;
    }
    match condition::parse(&scalar.text) {
        Ok(condition) => {
            let mut references = Vec::new();
            let expr = occurrence_expr(&condition, node, &mut references, faults)?;
            too_many(node, references.len(), MAX_RULES, faults);
            if !demands_a_match(&expr, false) {
                let message = "the condition names only what must not match: nothing begins its time span";
                let help = "name a rule that must match, too, as in `this and not that`";
                faults.error(&node.place, &scalar.text, message, help);
                return None;
            }
            Some(OccurrenceDraft::Expr(expr, references))
        }
        Err(fault) => {
            let place = faults.within(node, fault.at);
            faults.error(&place, &scalar.text, fault.message, "name rules, joined with `and`, `or`, `not`");
            None
        }
    }
}

/// Whether a rule stands in it that is not excluded. Recursion is as deep as the condition, which is bounded.
fn demands_a_match(expr: &OccurrenceExpr, is_excluded: bool) -> bool {
    match expr {
        OccurrenceExpr::All(parts) | OccurrenceExpr::Any(parts) => {
            parts.iter().any(|part| demands_a_match(part, is_excluded))
        }
        OccurrenceExpr::Not(inner) => demands_a_match(inner, !is_excluded),
        OccurrenceExpr::Matched(_) => !is_excluded,
    }
}

fn occurrence_expr(
    condition: &Condition<'_>,
    node: &Node,
    references: &mut Vec<Reference>,
    faults: &mut Faults<'_>,
) -> Option<OccurrenceExpr> {
    let mut each = |parts: &[Condition<'_>]| -> Option<Vec<OccurrenceExpr>> {
        parts.iter().map(|part| occurrence_expr(part, node, references, faults)).collect()
    };
    match condition {
        Condition::And(parts) => Some(OccurrenceExpr::All(each(parts)?)),
        Condition::Or(parts) => Some(OccurrenceExpr::Any(each(parts)?)),
        Condition::Not(inner) => {
            Some(OccurrenceExpr::Not(Box::new(occurrence_expr(inner, node, references, faults)?)))
        }
        Condition::Name(name, at) => {
            let known = references.iter().position(|(known, _)| known == name);
            let index = known.unwrap_or_else(|| {
                references.push(((*name).to_owned(), faults.within(node, *at)));
                references.len() - 1
            });
            u32::try_from(index).ok().map(OccurrenceExpr::Matched)
        }
        Condition::Of { pattern, at, .. } => {
            let place = faults.within(node, *at);
            let help = "name the rules, joined with `and` or `or`";
            faults.error(&place, pattern, "a correlation's condition has no `of`", help);
            None
        }
    }
}
