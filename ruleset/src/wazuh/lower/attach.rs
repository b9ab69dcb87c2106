//! Where a rule says that it hangs (SEMANTICS 8.2).

use super::{Attach, AttachTo, Counts};
use crate::ir::Place;
use crate::wazuh::source::{Faults, Text};
use crate::wazuh::syntax::RuleSyntax;

/// One method counts: `if_sid` before `if_level` before `if_group` before the category. The others are no conditions.
/// Without the first and the third, a rule that counts the events of others hangs below these.
pub(super) fn attach(
    syntax: &RuleSyntax,
    counts: Option<&Counts>,
    faults: &mut Faults<'_>,
) -> Option<Attach> {
    let parents = &syntax.parents;
    let implied = implied(syntax, counts);
    if let (true, Some(to @ AttachTo::Sids(_))) = (parents.sid.is_none(), &implied) {
        if let Some(level) = &parents.level {
            ignored("if_level", level, "if_matched_sid", faults);
        }
        return Some(Attach { to: to.clone(), implied: true });
    }
    let mut given = [("if_sid", &parents.sid), ("if_level", &parents.level), ("if_group", &parents.group)]
        .into_iter()
        .filter_map(|(name, text)| text.as_ref().map(|text| (name, text)));
    let Some((name, text)) = given.next() else {
        let is_implied = implied.is_some();
        return Some(Attach { to: implied.unwrap_or(AttachTo::Category), implied: is_implied });
    };
    for (other, text) in given {
        ignored(other, text, name, faults);
    }
    let to = match name {
        "if_sid" => sids(text, faults).map(AttachTo::Sids),
        "if_level" => level(text, faults),
        _ => Some(AttachTo::Group(text.value.clone(), faults.source().place(text.origin(0)))),
    }?;
    Some(Attach { to, implied: false })
}

/// The place that follows from what is counted.
fn implied(syntax: &RuleSyntax, counts: Option<&Counts>) -> Option<AttachTo> {
    if syntax.parents.sid.is_some() || syntax.parents.group.is_some() {
        return None;
    }
    Some(match counts? {
        Counts::Sid(id, place) => AttachTo::Sids(vec![(*id, place.clone())]),
        Counts::Group(pattern, place) => AttachTo::Group(pattern.clone(), place.clone()),
    })
}

fn ignored(other: &str, text: &Text, name: &str, faults: &mut Faults<'_>) {
    let message =
        format!("<{other}> beside <{name}> has no effect: it is neither a second parent nor a condition");
    let help = format!("remove it; to demand it, hang the rule there with <{other}> alone");
    faults.advice(text.origin(0), &text.value, message, help);
}

fn sids(text: &Text, faults: &mut Faults<'_>) -> Option<Vec<(u32, Place)>> {
    let mut ids = Vec::new();
    let mut at = 0;
    for word in text.value.split([',', ' ']) {
        let origin = text.origin(at);
        at += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = "<if_sid> holds something else than rule ids";
            let help = "write ids of at most six digits, with commas between";
            faults.left_out(origin, word, message, help);
            return None;
        }
        // A longer number is an id that no rule has.
        ids.push((word.parse().unwrap_or(u32::MAX), faults.source().place(origin)));
    }
    if ids.is_empty() {
        let help = "write the id of the parent rule";
        faults.left_out(text.origin(0), &text.value, "<if_sid> names no rule", help);
        return None;
    }
    Some(ids)
}

fn level(text: &Text, faults: &mut Faults<'_>) -> Option<AttachTo> {
    let value = text.value.as_str();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let level = is_number.then(|| value.parse().unwrap_or(u32::MAX)).filter(|level| *level > 0);
    if level.is_none() {
        faults.left_out(text.origin(0), value, "<if_level> is not a level", "write a number from 1 to 16");
    }
    Some(AttachTo::Level(level?, faults.source().place(text.origin(0))))
}
