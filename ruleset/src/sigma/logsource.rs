//! `logsource`: which events a rule or filter is about.
//!
//! Enters: the section's YAML. Leaves: its three parts in lower case; other members are for people.

use crate::ir::sigma::Logsource;

use super::faults::Faults;
use super::head::Members;

/// The log source of a document; `None` after faults.
pub(super) fn read(members: &Members<'_>, faults: &mut Faults<'_>) -> Option<Logsource> {
    let Some(node) = members.get("logsource") else {
        let help = "add `logsource:` with category, product or service";
        faults.error(members.place, "", "`logsource` is missing", help);
        return None;
    };
    let before = faults.errors();
    let Some(parts) = Members::new(node, faults) else {
        faults.expected(node, "`logsource`", "a mapping with category, product or service");
        return None;
    };
    let mut part = |name: &str| {
        let node = parts.get(name)?;
        let text = node.text().map(str::trim).filter(|text| !text.is_empty());
        if text.is_none() {
            faults.expected(node, &format!("`{name}`"), "a text");
        }
        text.map(str::to_lowercase)
    };
    let source = Logsource { category: part("category"), product: part("product"), service: part("service") };
    if faults.errors() > before {
        return None;
    }
    if source == Logsource::default() {
        let message = "`logsource` says neither category nor product nor service";
        faults.error(&node.place, "", message, "add at least one of them");
        return None;
    }
    Some(source)
}

/// Whether a rule's source is one that a filter is for: each part that the filter states is the rule's.
pub(super) fn covers(filter: &Logsource, rule: &Logsource) -> bool {
    let fits = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
    fits(&filter.category, &rule.category)
        && fits(&filter.product, &rule.product)
        && fits(&filter.service, &rule.service)
}
