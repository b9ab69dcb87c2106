//! Sigma rules that can never fire, as `rules check --json` shows them.
//!
//! Enters: the rules, and what was found about them and the sources. Leaves: one JSON object. As text they are warnings
//! among the others.

use serde_json::{Value, json};
use threatlockdown_ruleset::ir::sigma::{Logsource, SigmaRule, SigmaRuleIndex, SigmaSet};
use threatlockdown_ruleset::sigma_sources::Reach;

/// How many rules there are, and which of them can never fire on a source or have none.
pub(super) fn object(set: &SigmaSet, reach: &Reach) -> Value {
    let rule = |index: SigmaRuleIndex| set.rules.get(index as usize);
    let never = reach.silent.iter().filter_map(|silent| {
        let mut object = identity(rule(silent.rule)?);
        object["source"] = json!(&*silent.source);
        object["missing"] = json!(silent.missing);
        object["fires_elsewhere"] = json!(silent.elsewhere);
        Some(object)
    });
    let homeless = reach.homeless.iter().filter_map(|index| {
        let rule = rule(*index)?;
        let mut object = identity(rule);
        object["logsource"] = logsource(&rule.logsource);
        Some(object)
    });
    json!({
        "rules": set.rules.len(),
        "correlations": set.correlations.len(),
        "never_fire": never.collect::<Vec<_>>(),
        "no_source": homeless.collect::<Vec<_>>(),
    })
}

fn identity(rule: &SigmaRule) -> Value {
    let head = &rule.head;
    json!({"id": head.id, "title": head.title, "file": &*head.place.file, "line": head.place.line})
}

fn logsource(logsource: &Logsource) -> Value {
    let parts =
        [("category", &logsource.category), ("product", &logsource.product), ("service", &logsource.service)];
    let stated = parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), json!(part.as_ref()?))));
    Value::Object(stated.collect())
}
