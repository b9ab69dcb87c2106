//! `overwrite="yes"`: a rule gets new conditions, level and texts, but keeps its place.
//!
//! As in the reference its position among its siblings stays too, even when the level changes: a rule raised from 3 to
//! 12 is still tried where a level-3 rule is.

use super::{Builder, FIRST_CHILD_ID, Facts};
use crate::diagnostic::Diagnostic;
use crate::ir::RuleIndex;
use crate::wazuh::lower::{Attach, Pending};

impl Builder {
    pub(super) fn overwrite(&mut self, existing: RuleIndex, pending: Pending) {
        let index = existing as usize;
        let Pending { mut rule, group_text, attach, tried_last, .. } = pending;
        let (Some(old), Some(facts)) = (self.tree.rules.get_mut(index), self.facts.get_mut(index)) else {
            return;
        };
        if let Some(element) = moved(&facts.attach, &attach) {
            self.diagnostics.push(Diagnostic::warning(
                rule.place.clone(),
                format!("<rule id=\"{}\">", rule.id),
                format!("overwriting cannot move rule {}: its <{element}> is ignored", rule.id),
                format!(
                    "it stays where {}:{} put it; give the rule another id to move it",
                    old.place.file, old.place.line
                ),
            ));
        }
        if rule.id >= FIRST_CHILD_ID {
            rule.category = old.category;
        }
        *old = rule;
        let attach = facts.attach.clone();
        *facts = Facts { group_text, tried_last, attach };
    }
}

/// The element that asks for another place than the rule has.
fn moved(old: &Attach, new: &Attach) -> Option<&'static str> {
    match (old, new) {
        (_, Attach::Category) => None,
        (Attach::Sids(old), Attach::Sids(new)) => {
            let is_same = old.iter().map(|(id, _)| id).eq(new.iter().map(|(id, _)| id));
            (!is_same).then_some("if_sid")
        }
        (Attach::Level(old, _), Attach::Level(new, _)) => (old != new).then_some("if_level"),
        (Attach::Group(old, _), Attach::Group(new, _)) => (old != new).then_some("if_group"),
        (_, Attach::Sids(_)) => Some("if_sid"),
        (_, Attach::Level(..)) => Some("if_level"),
        (_, Attach::Group(..)) => Some("if_group"),
    }
}
