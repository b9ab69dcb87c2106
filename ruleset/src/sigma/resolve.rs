//! A correlation whose rules are known: its fields and conditions get their indices.
//!
//! Enters: a draft and what its references stand for. Leaves: the correlation, or faults told to the linker.

use crate::diagnostic::Diagnostic;
use crate::ir::sigma::{CorrelationKind, GroupField, Occurrence, OccurrenceExpr, Referent, SigmaCorrelation};

use super::correlation::{Alias, Draft, KindDraft, OccurrenceDraft, Reference};
use super::link::{Known, Linker};

/// The correlation; `None` after faults. `of` is `knowns` as it stands in the set.
pub(super) fn correlation(
    linker: &mut Linker,
    draft: Draft,
    knowns: &[Known],
    of: Vec<Referent>,
) -> Option<SigmaCorrelation> {
    let Draft { head, section } = draft;
    let aliases = aliases(linker, &section.aliases, knowns);
    let kind = kind(linker, section.kind, knowns);
    let counted = kind.as_ref().map(value_fields).unwrap_or_default();
    for alias in &section.aliases {
        if kind.is_some() && !section.group_by.contains(&alias.name) && !counted.contains(&alias.name) {
            let message = format!("neither `group-by` nor the condition uses the alias {}", alias.name);
            let help = "add it to `group-by`, count its values, or remove it";
            linker.tell(Diagnostic::warning(alias.place.clone(), &alias.name, message, help));
        }
    }
    let aliases = aliases?;
    let aliased =
        |name: &str| aliases.iter().find(|(alias, _)| *alias == name).map(|(_, fields)| fields.clone());
    let value_aliases = counted.iter().filter_map(|name| {
        let fields = aliased(name)?;
        Some(GroupField { name: name.clone(), fields })
    });
    let value_aliases = value_aliases.collect();
    let group_by = section.group_by.into_iter().map(|name| {
        let fields = aliased(&name).unwrap_or_else(|| vec![Some(name.clone()); of.len()]);
        GroupField { name, fields }
    });
    let group_by = group_by.collect();
    Some(SigmaCorrelation { group_by, value_aliases, head, kind: kind?, of, timespan: section.timespan })
}

fn value_fields(kind: &CorrelationKind) -> Vec<String> {
    match kind {
        CorrelationKind::ValueCount { fields, .. } => fields.clone(),
        CorrelationKind::Value { field, .. } => vec![field.clone()],
        CorrelationKind::EventCount(_)
        | CorrelationKind::Temporal(_)
        | CorrelationKind::TemporalOrdered(_) => Vec::new(),
    }
}

/// For each alias its field in the events of each referent.
type AliasFields<'a> = Vec<(&'a str, Vec<Option<String>>)>;

fn aliases<'a>(linker: &mut Linker, aliases: &'a [Alias], knowns: &[Known]) -> Option<AliasFields<'a>> {
    let mut is_sound = true;
    let mut found = Vec::with_capacity(aliases.len());
    for alias in aliases {
        let mut fields = vec![None; knowns.len()];
        for (reference, field) in &alias.fields {
            match position(linker, reference, knowns, "an alias names the rule") {
                Some(at) => fields[at] = Some(field.clone()),
                None => is_sound = false,
            }
        }
        found.push((alias.name.as_str(), fields));
    }
    is_sound.then_some(found)
}

/// Where a reference is among those of the correlation.
fn position(linker: &mut Linker, reference: &Reference, knowns: &[Known], who: &str) -> Option<usize> {
    let known = linker.find_or_tell(reference)?;
    let at = knowns.iter().position(|other| *other == known);
    if at.is_none() {
        let (name, place) = reference;
        let message = format!("{who} {name}, which is not among `rules`");
        linker.tell(Diagnostic::error(place.clone(), name, message, "add it to `rules`, or remove it here"));
    }
    at
}

fn kind(linker: &mut Linker, draft: KindDraft, knowns: &[Known]) -> Option<CorrelationKind> {
    Some(match draft {
        KindDraft::EventCount(bounds) => CorrelationKind::EventCount(bounds),
        KindDraft::ValueCount(fields, bounds) => CorrelationKind::ValueCount { fields, bounds },
        KindDraft::Value(figure, field, bounds) => CorrelationKind::Value { figure, field, bounds },
        KindDraft::Temporal { ordered, occurrence } => {
            let occurrence = match occurrence {
                OccurrenceDraft::Every => Occurrence::Every,
                OccurrenceDraft::Number(bounds) => Occurrence::Number(bounds),
                OccurrenceDraft::Expr(expr, references) => {
                    Occurrence::Expr(expression(linker, expr, &references, knowns)?)
                }
            };
            match ordered {
                true => CorrelationKind::TemporalOrdered(occurrence),
                false => CorrelationKind::Temporal(occurrence),
            }
        }
    })
}

/// The expression over the correlation's rules instead of over the references as they are written.
fn expression(
    linker: &mut Linker,
    expr: OccurrenceExpr,
    references: &[Reference],
    knowns: &[Known],
) -> Option<OccurrenceExpr> {
    let positions: Vec<Option<usize>> = references
        .iter()
        .map(|reference| position(linker, reference, knowns, "the condition names the rule"))
        .collect();
    let positions: Vec<u32> = positions
        .into_iter()
        .map(|at| at.and_then(|at| u32::try_from(at).ok()))
        .collect::<Option<Vec<_>>>()?;
    Some(renumbered(expr, &positions))
}

fn renumbered(expr: OccurrenceExpr, positions: &[u32]) -> OccurrenceExpr {
    let each =
        |parts: Vec<OccurrenceExpr>| parts.into_iter().map(|part| renumbered(part, positions)).collect();
    match expr {
        OccurrenceExpr::All(parts) => OccurrenceExpr::All(each(parts)),
        OccurrenceExpr::Any(parts) => OccurrenceExpr::Any(each(parts)),
        OccurrenceExpr::Not(inner) => OccurrenceExpr::Not(Box::new(renumbered(*inner, positions))),
        OccurrenceExpr::Matched(at) => {
            OccurrenceExpr::Matched(positions.get(at as usize).copied().unwrap_or_default())
        }
    }
}
