//! `overwrite="yes"`: a rule gets new conditions, level and texts, but keeps its place (SEMANTICS 8.5).
//!
//! As in the reference its position among its siblings stays too, even when the level changes: a rule raised from 3 to
//! 12 is still tried where a level-3 rule is. What it counts, and what counts it, was linked when the first rule was
//! loaded and stays: a rule that did not count cannot begin to, one that did can only stop.

use super::{Builder, FIRST_CHILD_ID, Facts, rank};
use crate::diagnostic::Diagnostic;
use crate::ir::{Correlation, CorrelationSource, Rule, RuleIndex};
use crate::wazuh::lower::{Attach, AttachTo, Counts, Pending};

impl Builder {
    pub(super) fn overwrite(&mut self, existing: RuleIndex, pending: Pending) {
        let index = existing as usize;
        let Pending { mut rule, group_text, attach, tried_last, counts, .. } = pending;
        let (Some(old), Some(facts)) = (self.tree.rules.get_mut(index), self.facts.get_mut(index)) else {
            return;
        };
        let warnings = [
            moved(&facts.attach, &attach).map(|element| {
                (format!("overwriting cannot move rule {}: its <{element}> is ignored", rule.id), "move it")
            }),
            recounted(old, facts.counts.as_ref(), &rule, counts.as_ref())
                .map(|message| (message, "count other events")),
        ];
        for (message, aim) in warnings.into_iter().flatten() {
            let place = &old.place;
            self.diagnostics.push(Diagnostic::warning(
                rule.place.clone(),
                format!("<rule id=\"{}\">", rule.id),
                message,
                format!(
                    "this stays as {}:{} put it; give the rule another id to {aim}",
                    place.file, place.line
                ),
            ));
        }
        if rule.id >= FIRST_CHILD_ID {
            rule.category = old.category;
        }
        rule.correlation = correlation(old.correlation.take(), rule.correlation.take());
        rule.feeds = std::mem::take(&mut old.feeds);
        let (id, is_ranked_anew) =
            (rule.id, rank(old.level, facts.tried_last) != rank(rule.level, tried_last));
        *old = rule;
        let group_text = group_text.to_ascii_lowercase();
        let (attach, counts) = (facts.attach.clone(), facts.counts.take());
        *facts = Facts { group_text, tried_last, attach, counts };
        if is_ranked_anew && let Some(nodes) = self.nodes_of.get(&id) {
            let parents = nodes.iter().filter_map(|node| self.parent_of.get(*node as usize));
            self.unsorted.extend(parents);
        }
    }
}

/// What is counted stays, how it is counted is new.
fn correlation(old: Option<Correlation>, new: Option<Correlation>) -> Option<Correlation> {
    let (old, new) = (old?, new?);
    let source = match (old.source, new.source) {
        (CorrelationSource::Regex(_), CorrelationSource::Regex(regex)) => CorrelationSource::Regex(regex),
        (source, _) => source,
    };
    Some(Correlation { source, ..new })
}

/// What the overwriting rule says about counting and does not get.
fn recounted(old: &Rule, counts: Option<&Counts>, new: &Rule, counted: Option<&Counts>) -> Option<String> {
    let is_same = match (counts, counted) {
        (Some(Counts::Sid(old, _)), Some(Counts::Sid(new, _))) => old == new,
        (Some(Counts::Group(old, _)), Some(Counts::Group(new, _))) => old == new,
        (None, None) => true,
        _ => false,
    };
    match (&old.correlation, &new.correlation) {
        (None, Some(_)) => {
            Some(format!("overwriting cannot make rule {} count events: it holds for each of them", new.id))
        }
        (Some(_), None) => {
            Some(format!("rule {} counted events, and as it is overwritten it no longer does", new.id))
        }
        (Some(_), Some(_)) if !is_same => {
            Some(format!("overwriting cannot change which events rule {} counts", new.id))
        }
        _ => None,
    }
}

/// The element that asks for another place than the rule has.
fn moved(old: &Attach, new: &Attach) -> Option<&'static str> {
    if new.implied {
        return None;
    }
    match (&old.to, &new.to) {
        (_, AttachTo::Category) => None,
        (AttachTo::Sids(old), AttachTo::Sids(new)) => {
            let is_same = old.iter().map(|(id, _)| id).eq(new.iter().map(|(id, _)| id));
            (!is_same).then_some("if_sid")
        }
        (AttachTo::Level(old, _), AttachTo::Level(new, _)) => (old != new).then_some("if_level"),
        (AttachTo::Group(old, _), AttachTo::Group(new, _)) => (old != new).then_some("if_group"),
        (_, AttachTo::Sids(_)) => Some("if_sid"),
        (_, AttachTo::Level(..)) => Some("if_level"),
        (_, AttachTo::Group(..)) => Some("if_group"),
    }
}
