//! Finding parents in the tree as far as it is built.

use memchr::memmem;
use rustc_hash::FxHashMap;

use super::{Builder, Facts, MAX_NODES};
use crate::ir::{Category, NodeIndex, Rule};

/// The pattern of `<if_group>` as a test on a rule's whole group text: alternatives, each a substring or, after `^`,
/// a prefix, compared without case. The text must be in lower case already: many rules are tested with many patterns.
pub(super) fn word_pattern(pattern: &str) -> impl Fn(&str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    move |text| {
        pattern.split('|').any(|word| match word.strip_prefix('^') {
            Some(prefix) => text.starts_with(prefix),
            None => memmem::find(text.as_bytes(), word.as_bytes()).is_some(),
        })
    }
}

impl Builder {
    /// The nodes that a walk through the tree finds for a rule id: in each list of siblings the first one ends the
    /// walk of that list, so siblings after it, and what hangs below them, are not seen.
    pub(super) fn first_in_each_branch(&self, id: u32) -> Vec<NodeIndex> {
        let Some(nodes) = self.nodes_of.get(&id) else { return Vec::new() };
        if let [only] = nodes.as_slice() {
            // Nothing of that id comes before it; so it is for almost all rules, and chains of them can be long.
            return vec![*only];
        }
        // Where the walk of each list of siblings ends, lists named by their parent.
        let mut ends: FxHashMap<Option<NodeIndex>, usize> = FxHashMap::default();
        for node in nodes {
            let position = self.position(*node);
            let end = ends.entry(self.parent(*node)).or_insert(position);
            *end = position.min(*end);
        }
        let is_seen = |node: NodeIndex| {
            let is_before_end = |node: &NodeIndex| {
                ends.get(&self.parent(*node)).is_none_or(|end| *end >= self.position(*node))
            };
            std::iter::successors(Some(node), |node| self.parent(*node)).all(|node| is_before_end(&node))
        };
        nodes.iter().copied().filter(|node| is_seen(*node)).collect()
    }

    /// All nodes whose rule satisfies the test; `None` when there are more than the tree has room for below them.
    pub(super) fn nodes_where(&self, test: impl Fn(&Facts, &Rule) -> bool) -> Option<Vec<NodeIndex>> {
        let hits: Vec<bool> =
            self.facts.iter().zip(&self.tree.rules).map(|(facts, rule)| test(facts, rule)).collect();
        // Counted first: a full tree would else be walked for each of many rules in vain.
        let places = |rule: &Rule| self.nodes_of.get(&rule.id).map_or(0, Vec::len);
        let hit_rules = self.tree.rules.iter().zip(&hits).filter(|(_, hit)| **hit);
        if self.tree.nodes.len() + hit_rules.map(|(rule, _)| places(rule)).sum::<usize>() > MAX_NODES {
            return None;
        }
        let is_hit = |rule: u32| hits.get(rule as usize).copied().unwrap_or_default();
        let nodes = self.tree.nodes.iter().enumerate().filter(|(_, node)| is_hit(node.rule));
        Some(nodes.map(|(index, _)| index as NodeIndex).collect())
    }

    /// The category of the root above a node.
    pub(super) fn category_of(&self, node: NodeIndex) -> Option<Category> {
        self.rule_at(self.root_above(node)).map(|rule| rule.category)
    }

    /// The root above a node, or itself.
    pub(super) fn root_above(&self, node: NodeIndex) -> NodeIndex {
        self.root_of.get(node as usize).copied().unwrap_or(node)
    }

    fn parent(&self, node: NodeIndex) -> Option<NodeIndex> {
        self.parent_of.get(node as usize).copied().flatten()
    }

    fn position(&self, node: NodeIndex) -> usize {
        let siblings = match self.parent(node) {
            Some(parent) => self.tree.nodes.get(parent as usize).map(|parent| &parent.children),
            None => Some(&self.tree.roots),
        };
        siblings
            .and_then(|siblings| siblings.iter().position(|sibling| *sibling == node))
            .unwrap_or(usize::MAX)
    }
}
