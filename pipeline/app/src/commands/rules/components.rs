//! The components of stateful rules, as `rules check` shows them.
//!
//! Enters: a program. Leaves: a line a component with its rules, its key and what forces one partition; or the same as
//! JSON, in full.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use threatlockdown_ruleset::program::{Component, Program, Reason, SigmaCorrelation};

/// Ids that a line shows.
const SHOWN: usize = 8;

/// A summary and a line a component; nothing where no rule has to do with earlier events.
pub(super) fn table(program: &Program) -> String {
    let mut text = components_table(program);
    let correlations = program.sigma().correlations();
    if !correlations.is_empty() {
        let _ = writeln!(text, "correlations: {} of Sigma", correlations.len());
    }
    for correlation in correlations {
        let SigmaCorrelation { head, kind, of, .. } = correlation;
        let fed_by: Vec<&str> = of.iter().map(String::as_str).collect();
        let (key, fed_by) = (correlation_key(correlation).join(", "), shown(&fed_by));
        let _ = writeln!(text, "  correlation {} ({kind}), fed by {fed_by}; key: {key}", head.id);
    }
    text
}

fn correlation_key(correlation: &SigmaCorrelation) -> Vec<&str> {
    let names: Vec<&str> = correlation.group_by.iter().map(String::as_str).collect();
    if names.is_empty() { vec!["none"] } else { names }
}

fn components_table(program: &Program) -> String {
    let components = program.components();
    let mut text = String::new();
    if components.is_empty() {
        return text;
    }
    let rules: usize = components.iter().map(|component| component.rules.len()).sum();
    let with_key = || components.iter().filter(|component| !component.key_names(program).is_empty());
    let keyed: usize = with_key().map(|component| component.rules.len()).sum();
    let _ = writeln!(
        text,
        "state: {rules} stateful rules in {} components; {keyed} of them, in {} components, have a key",
        components.len(),
        with_key().count()
    );
    for component in components {
        let _ = writeln!(text, "  {}", line(program, component));
    }
    text
}

fn line(program: &Program, component: &Component) -> String {
    let own = ids(program, &component.rules);
    let mut line = match own.len() {
        0 => String::from("no rule of its own"),
        1 => format!("rule {}", shown(&own)),
        count => format!("{count} rules ({})", shown(&own)),
    };
    let fed_by = ids(program, &component.feeders);
    if !fed_by.is_empty() {
        let _ = write!(line, ", fed by {}", shown(&fed_by));
    }
    if !component.decoders.is_empty() {
        let _ = write!(line, ", decoders that accumulate: {}", component.decoders.join(", "));
    }
    let _ = write!(line, "; key: {}", key(program, component).join(", "));
    let extent = if component.joins_agents() { "one partition" } else { "one partition an agent" };
    for (reason, rules) in reasons(program, component) {
        let of = if rules.is_empty() { "a decoder".to_owned() } else { shown(&rules) };
        let _ = write!(line, "; {extent} because of {of}: {}", reason.text());
    }
    line
}

fn key(program: &Program, component: &Component) -> Vec<String> {
    let mut names = component.key_names(program);
    if !component.joins_agents() {
        names.insert(0, "agent".to_owned());
    }
    if names.is_empty() {
        names.push("none".to_owned());
    }
    names
}

fn ids<'p>(program: &'p Program, rules: &[u32]) -> Vec<&'p str> {
    rules.iter().filter_map(|rule| program.rules().get(*rule as usize)).map(|rule| rule.id.as_str()).collect()
}

fn shown(ids: &[&str]) -> String {
    let mut text = ids.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if ids.len() > SHOWN {
        let _ = write!(text, " and {} more", ids.len() - SHOWN);
    }
    text
}

/// The rules that leave no key, by reason.
fn reasons<'p>(program: &'p Program, component: &Component) -> BTreeMap<Reason, Vec<&'p str>> {
    let mut reasons: BTreeMap<Reason, Vec<&str>> = BTreeMap::new();
    for blocker in &component.blockers {
        let rules = reasons.entry(blocker.reason).or_default();
        rules.extend(ids(program, blocker.rule.as_slice()));
    }
    reasons
}

/// The components in full.
pub(super) fn objects(program: &Program) -> Vec<Value> {
    let object = |component: &Component| {
        let blockers: Vec<Value> = reasons(program, component)
            .into_iter()
            .map(|(reason, rules)| json!({ "rules": rules, "reason": reason.text() }))
            .collect();
        json!({
            "rules": ids(program, &component.rules),
            "fed_by": ids(program, &component.feeders),
            "decoders": component.decoders,
            "key": { "agent": !component.joins_agents(), "fields": component.key_names(program) },
            "one_partition": component.key_names(program).is_empty(),
            "because": blockers,
        })
    };
    let correlation = |correlation: &SigmaCorrelation| {
        json!({
            "correlation": correlation.head.id,
            "type": correlation.kind,
            "rules": [],
            "fed_by": correlation.of,
            "decoders": [],
            "key": { "agent": false, "fields": correlation.group_by },
            "one_partition": correlation.group_by.is_empty(),
            "because": [],
        })
    };
    let components = program.components().iter().map(object);
    components.chain(program.sigma().correlations().iter().map(correlation)).collect()
}
