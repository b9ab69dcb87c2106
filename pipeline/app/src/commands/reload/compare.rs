//! What a set of rules says, by rule, so that two sets can be compared.
//!
//! Enters: what was read, and the rules of it. Leaves: which rules are new, changed or gone, and whose tests are. A rule
//! that only moved to another line or file says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use threatlockdown_event::identity::hash;
use threatlockdown_ruleset::ir::sigma::{SigmaCorrelation, SigmaHead, SigmaRule};
use threatlockdown_ruleset::ir::{Place, Rule, RuleSet};

use super::candidate::Candidate;

/// A set, each part of it as a hash.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Everything that was read.
    pub(super) digest: [u8; 16],
    /// Files with tests.
    pub(super) tests: BTreeMap<PathBuf, [u8; 16]>,
    /// By id in lower case, of either language.
    rules: BTreeMap<String, [u8; 16]>,
}

/// How many rules differ between two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) added: usize,
    pub(super) changed: usize,
    pub(super) removed: usize,
}

impl Known {
    /// What was read, whose rules are not known yet.
    pub(super) fn of(candidate: &Candidate) -> Self {
        let tests = candidate.tests.iter();
        let tests = tests.map(|(path, text)| (path.clone(), hash(&[text.as_deref().unwrap_or_default()])));
        Self { digest: candidate.digest(), tests: tests.collect(), rules: BTreeMap::new() }
    }

    /// The same with the rules.
    pub(super) fn with_rules(mut self, set: &RuleSet) -> Self {
        let mut parents = vec![BTreeSet::new(); set.tree.rules.len()];
        for node in &set.tree.nodes {
            let Some(parent) = set.tree.rules.get(node.rule as usize) else { continue };
            let below = node.children.iter().filter_map(|child| set.tree.nodes.get(*child as usize));
            for child in below {
                if let Some(parents) = parents.get_mut(child.rule as usize) {
                    parents.insert(parent.id);
                }
            }
        }
        for (rule, parents) in set.tree.rules.iter().zip(parents) {
            let said = content(rule, &parents);
            self.add(rule.id.to_string(), said);
        }
        for rule in &set.sigma.rules {
            let head = SigmaHead { place: nowhere(), ..rule.head.clone() };
            let id = rule.head.id.to_lowercase();
            let rule = SigmaRule { head, ..rule.clone() };
            self.add(id, hash(&[format!("{rule:?}").as_bytes()]));
        }
        for correlation in &set.sigma.correlations {
            let head = SigmaHead { place: nowhere(), ..correlation.head.clone() };
            let id = correlation.head.id.to_lowercase();
            let correlation = SigmaCorrelation { head, ..correlation.clone() };
            self.add(id, hash(&[format!("{correlation:?}").as_bytes()]));
        }
        self
    }

    fn add(&mut self, id: String, said: [u8; 16]) {
        self.rules.entry(id).and_modify(|known| *known = hash(&[&*known, &said])).or_insert(said);
    }

    /// The rules that are not in `before` or say something else there.
    pub(super) fn news(&self, before: &Self) -> BTreeSet<String> {
        let is_new = |(id, said): &(&String, &[u8; 16])| before.rules.get(*id) != Some(said);
        self.rules.iter().filter(is_new).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn change_from(&self, before: &Self) -> Change {
        let news = self.news(before);
        let added = news.iter().filter(|id| !before.rules.contains_key(*id)).count();
        let removed = before.rules.keys().filter(|id| !self.rules.contains_key(*id)).count();
        Change { added, changed: news.len() - added, removed }
    }
}

fn nowhere() -> Place {
    Place { file: Arc::from(""), line: 0, column: 0 }
}

/// What a rule says, wherever it stands.
fn content(rule: &Rule, parents: &BTreeSet<u32>) -> [u8; 16] {
    let rule = Rule { place: nowhere(), ..rule.clone() };
    hash(&[format!("{rule:?} {parents:?}").as_bytes()])
}

#[cfg(test)]
mod tests {
    use threatlockdown_ruleset::{Origin, RuleText, Texts, load};

    use super::*;

    fn known(text: &str) -> Known {
        let file = RuleText { path: "x.xml".into(), text: text.into(), origin: Origin::User };
        let loaded = load(Texts::builtin_and(vec![file]));
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        Known::default().with_rules(&loaded.set)
    }

    fn rule(id: u32, parent: u32, text: &str) -> String {
        format!(
            "<rule id=\"{id}\" level=\"5\"><if_sid>{parent}</if_sid><match>{text}</match>\
             <description>d</description></rule>"
        )
    }

    #[test]
    fn a_rule_that_only_moved_says_the_same() {
        let group = |rules: &[String]| format!("<group name=\"x,\">{}</group>", rules.join("\n\n"));
        let (first, second) = (rule(100_300, 80200, "a"), rule(100_301, 80200, "b"));
        let before = known(&group(&[first.clone(), second.clone()]));
        let change = |after: &Known| {
            let Change { added, changed, removed } = after.change_from(&before);
            (added, changed, removed)
        };
        assert_eq!(change(&known(&group(&[String::new(), first.clone(), second.clone()]))), (0, 0, 0));
        assert_eq!(change(&known(&group(&[second.clone(), rule(100_302, 80200, "c")]))), (1, 0, 1));
        let edited = known(&group(&[rule(100_300, 80200, "A"), second]));
        assert_eq!(change(&edited), (0, 1, 0));
        assert_eq!(edited.news(&before), BTreeSet::from(["100300".to_owned()]));
        // Below another rule it sees other events.
        assert_eq!(change(&known(&group(&[first, rule(100_301, 100_300, "b")]))), (0, 1, 0));
    }
}
