//! Which sources the conditions of a rule are about, in the words of Sigma.
//!
//! Enters: conditions and mappings. Leaves: the log source that the fewest other sources have, and what conditions on members
//! that collectors add say about a rule.

use crate::decode::mapping::Mapping;
use crate::expr::Matcher;
use crate::ir::sigma::Logsource;
use crate::ir::{Condition, Rule, Subject};

use super::target::{Kind, Target};

/// Whether a condition holds for what all records of the source have; `None` where it is about something else.
pub(super) fn constant_holds(mapping: &Mapping, condition: &Condition) -> Option<bool> {
    let Subject::Field(name) = &condition.subject else { return None };
    let value = constant(mapping, name)?;
    let matched = Matcher::new(&condition.test).is_ok_and(|matcher| matcher.is_match(value.as_bytes()));
    Some(matched != condition.negate)
}

/// What all records of a source have under a name.
pub(super) fn constant<'m>(mapping: &'m Mapping, name: &str) -> Option<&'m str> {
    let pairs = mapping.constants.iter();
    pairs.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A log source, and what else it has.
pub(super) struct Bound {
    pub(super) logsource: Logsource,
    /// Other sources on which the conditions can hold as far as is known, while the rule looks at none of their records.
    pub(super) others: Vec<String>,
    /// Fields that tell which records of further sources the rule looks at, and that the chosen ones do not have.
    pub(super) services: Vec<String>,
}

/// Of the log sources that all records of the chosen sources have, the one that the fewest other sources have on which the
/// conditions can hold, with these. The product alone comes first where its services do not tell the sources apart.
pub(super) fn narrowest(
    chosen: &[&Mapping],
    mappings: &[Mapping],
    conditions: &[&Condition],
) -> Option<Bound> {
    let first = chosen.first()?;
    let product =
        |logsource: &Logsource| Logsource { product: logsource.product.clone(), ..Logsource::default() };
    let own = first.sigma.logsources.iter();
    let products = own.clone().map(product);
    let candidates: Vec<Logsource> = match first.sigma.logsources.len() {
        1 => own.cloned().chain(products).collect(),
        _ => products.chain(own.cloned()).collect(),
    };
    let covers = |logsource: &Logsource| {
        chosen.iter().all(|mapping| mapping.sigma.kinds_of(logsource).any(|kind| kind.is_none()))
    };
    let bound = |logsource: Logsource| -> Bound {
        let fits = mappings.iter().filter(|mapping| mapping.sigma.fits(&logsource));
        let others = fits.filter(|mapping| !chosen.iter().any(|own| own.source == mapping.source));
        let (mut others, mut services) = (others.collect::<Vec<_>>(), Vec::new());
        others.retain(|other| can_hold(first, other, conditions));
        others.retain(|other| {
            let service = telling_service(first, other, conditions);
            services.extend(service.map(str::to_owned));
            service.is_none()
        });
        Bound { others: others.iter().map(|other| other.source.to_string()).collect(), services, logsource }
    };
    let candidates = candidates.into_iter().filter(covers);
    candidates.map(bound).min_by_key(|bound| bound.others.len())
}

/// The field of Sigma rules that tells which records of another source the conditions are about: the service that a wrapper
/// names. Whatever else they ask of what collectors know must hold for all of these records.
fn telling_service<'m>(own: &Mapping, other: &'m Mapping, conditions: &[&Condition]) -> Option<&'m str> {
    let service = other.wrapper.as_ref()?.service.as_deref()?;
    let is_about_it = |condition: &Condition| matches!(&condition.subject, Subject::Field(name) if name.eq_ignore_ascii_case(service));
    let mut known = conditions.iter().filter(|condition| constant_holds(own, condition).is_some());
    let tells =
        known.all(|condition| is_about_it(condition) || constant_holds(other, condition) == Some(true));
    tells.then_some(service)
}

/// Whether records of another source may have all the fields that must be there.
fn can_hold(own: &Mapping, other: &Mapping, conditions: &[&Condition]) -> bool {
    conditions.iter().filter(|condition| !condition.negate).all(|condition| match &condition.subject {
        Subject::Field(name) if constant(own, name).is_none() => {
            below(name, &own.under).is_none_or(|path| other.sigma.may_have(path))
        }
        _ => true,
    })
}

/// Whether a rule asks for what collectors write beside records of other sources, so that it is about those.
pub(super) fn is_about_others(rule: &Rule, target: &Target<'_>, mappings: &[Mapping]) -> bool {
    let Kind::Records(own) = &target.kind else { return false };
    rule.conditions.iter().filter(|condition| !condition.negate).any(|condition| match &condition.subject {
        Subject::Field(name) => {
            match own.iter().map(|mapping| constant(mapping, name)).collect::<Vec<_>>().as_slice() {
                [None, ..] => {
                    mappings.iter().any(|mapping| constant(mapping, name).is_some())
                        && own.iter().all(|mapping| !mapping.sigma.has_path(name))
                }
                _ => own.iter().all(|mapping| constant_holds(mapping, condition) == Some(false)),
            }
        }
        _ => false,
    })
}

/// What is left of a name below the place where rules see the record.
pub(super) fn below<'n>(name: &'n str, under: &str) -> Option<&'n str> {
    if under.is_empty() {
        return Some(name);
    }
    let rest = name.get(under.len()..)?;
    name.get(..under.len()).filter(|start| start.eq_ignore_ascii_case(under))?;
    rest.strip_prefix('.')
}
