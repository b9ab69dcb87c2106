//! Which results a rule counts (SEMANTICS 10): links from the rules that feed a group correlation to it.

use super::{Builder, Counts, Pending, parents};
use crate::diagnostic::Diagnostic;
use crate::expr::OsMatch;
use crate::ir::{Feed, RuleIndex};

/// Links that all rules together may have.
const MAX_FEEDS: usize = 1_000_000;

impl Builder {
    /// The rule whose events are counted must be loaded.
    pub(super) fn check_target(&self, pending: &Pending) -> Result<(), Diagnostic> {
        match &pending.counts {
            Some(Counts::Sid(id, place)) if !self.by_id.contains_key(id) => {
                Err(parents::missing_target(&pending.rule, *id, place, &self.definitions))
            }
            _ => Ok(()),
        }
    }

    /// All rules loaded so far whose group text matches feed the group correlation `index`, itself included, as often
    /// as they stand in the tree now.
    pub(super) fn link_feeds(&mut self, index: RuleIndex) {
        let Some(Some(Counts::Group(pattern, place))) =
            self.facts.get(index as usize).map(|facts| &facts.counts)
        else {
            return;
        };
        // The pattern has been checked when it was read.
        let Ok(pattern_matcher) = OsMatch::new(pattern) else { return };
        let (pattern, place) = (pattern.clone(), place.clone());
        let before = self.feeds;
        for (rule, facts) in self.tree.rules.iter_mut().zip(&self.facts) {
            if self.feeds < MAX_FEEDS && pattern_matcher.is_match(facts.group_text.as_bytes()) {
                let times = self.nodes_of.get(&rule.id).map_or(0, Vec::len);
                let times = u32::try_from(times).unwrap_or(u32::MAX);
                rule.feeds.push(Feed { correlation: index, times });
                self.feeds += 1;
            }
        }
        if self.feeds == MAX_FEEDS {
            let message = format!("all <if_matched_group> together count more than {MAX_FEEDS} rules");
            self.diagnostics.push(Diagnostic::error(place, pattern, message, "name smaller groups"));
        } else if self.feeds == before {
            let message = format!("no rule loaded before this one is in a group {pattern}: it never fires");
            let help = "load the rules of that group before this one";
            self.diagnostics.push(Diagnostic::warning(place, pattern, message, help));
        }
    }
}
