//! `<mitre>`: technique ids, or pairs of a tactic and a technique. Whatever is wrong with it, the rule works without.

use super::super::source::Faults;
use super::super::syntax::RuleSyntax;
use super::super::vocabulary as words;
use super::super::xml::Element;
use super::{is, tag};

/// Reads one block into the rule.
pub(super) fn read(rule: &mut RuleSyntax, element: &Element<'_>, faults: &mut Faults<'_>) {
    let (mut ids, mut tactics, mut techniques) = (Vec::new(), Vec::new(), Vec::new());
    for child in &element.children {
        let id = child.content.value.trim();
        let kind = ["id", "tacticid", "techniqueid"].into_iter().find(|name| is(child, name));
        match kind {
            Some("id") => ids.push(id),
            Some("tacticid") => tactics.push(id),
            Some(_) => techniques.push(id),
            None => {
                let message = format!("<mitre> has no element <{}>, it is ignored", child.name);
                let help = words::suggest(child.name, &["id", "tacticID", "techniqueID"]);
                faults.warning(child.at, &tag(child), message, help);
                continue;
            }
        }
        let (letters, example) =
            if kind == Some("tacticid") { ("TA", "TA0001") } else { ("T", "T1078 or T1098.004") };
        check_id(child, id, letters, example, faults);
    }
    let is_pair = !(tactics.is_empty() && techniques.is_empty());
    let has_tactics = !rule.mitre_tactics.is_empty();
    let mixes_with_before = !rule.mitre.is_empty() && has_tactics != is_pair && (is_pair || !ids.is_empty());
    if (is_pair && !ids.is_empty()) || mixes_with_before {
        let message = "<mitre> holds <id> as well as pairs of tactic and technique: none of them is used";
        faults.warning(element.at, &tag(element), message, "write either only <id> or only pairs");
        rule.mitre.clear();
        rule.mitre_tactics.clear();
        return;
    }
    match (tactics.as_slice(), techniques.as_slice()) {
        ([], []) if ids.is_empty() => {
            let help = "write <mitre><id>T1078</id></mitre>";
            faults.advice(element.at, &tag(element), "<mitre> names no technique", help);
        }
        ([], []) => {
            for id in ids.into_iter().filter(|id| !id.is_empty()) {
                if !rule.mitre.iter().any(|known| known == id) {
                    rule.mitre.push(id.to_owned());
                }
            }
        }
        ([tactic], [technique]) => {
            rule.mitre.push((*technique).to_owned());
            rule.mitre_tactics.push((*tactic).to_owned());
        }
        _ => {
            let message = "<mitre> does not hold one tactic with one technique: it is not used";
            let help = "write one <tacticID> and one <techniqueID> in each <mitre>";
            faults.warning(element.at, &tag(element), message, help);
        }
    }
}

fn check_id(element: &Element<'_>, id: &str, letters: &str, example: &str, faults: &mut Faults<'_>) {
    let digits = id.strip_prefix(letters).unwrap_or_default();
    let is_id = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_id {
        let message = if letters == "T" {
            "this is not the id of an ATT&CK technique"
        } else {
            "this is not the id of an ATT&CK tactic"
        };
        faults.advice(element.at, id, message, format!("write an id like {example}"));
    }
}
