//! Where rules hang: the ways from a root to each place of a rule.
//!
//! Enters: the rule tree. Leaves: for each rule the chains of rules above it, outermost first, and the siblings that are tried
//! before each of these.

use rustc_hash::FxHashSet;

use crate::ir::{NodeIndex, RuleIndex, RuleTree};

/// The tree, read upwards.
pub(super) struct Places<'t> {
    tree: &'t RuleTree,
    parent: Vec<Option<NodeIndex>>,
    nodes_of: Vec<Vec<NodeIndex>>,
}

/// One place of a rule.
pub(super) struct Chain {
    /// From the root to the rule itself.
    pub(super) rules: Vec<RuleIndex>,
    /// The nodes of these.
    nodes: Vec<NodeIndex>,
}

impl<'t> Places<'t> {
    pub(super) fn new(tree: &'t RuleTree) -> Self {
        let mut parent = vec![None; tree.nodes.len()];
        let mut nodes_of = vec![Vec::new(); tree.rules.len()];
        for (index, node) in (0..).zip(&tree.nodes) {
            if let Some(nodes) = nodes_of.get_mut(node.rule as usize) {
                nodes.push(index);
            }
            for child in &node.children {
                if let Some(place) = parent.get_mut(*child as usize) {
                    *place = Some(index);
                }
            }
        }
        Self { tree, parent, nodes_of }
    }

    /// How many places a rule has.
    pub(super) fn count(&self, rule: RuleIndex) -> usize {
        self.nodes_of.get(rule as usize).map_or(0, Vec::len)
    }

    /// The chains of a rule, equal ones once.
    pub(super) fn chains(&self, rule: RuleIndex) -> Vec<Chain> {
        let mut seen = FxHashSet::default();
        let nodes = self.nodes_of.get(rule as usize).map(Vec::as_slice).unwrap_or_default();
        let chains = nodes.iter().map(|node| self.chain(*node));
        chains.filter(|chain| seen.insert(chain.rules.clone())).collect()
    }

    fn chain(&self, node: NodeIndex) -> Chain {
        let mut nodes = vec![node];
        let mut at = node;
        // A node has one parent and is made after it, so the way up ends.
        while let Some(above) = self.parent.get(at as usize).copied().flatten() {
            nodes.push(above);
            at = above;
        }
        nodes.reverse();
        let rules = nodes.iter().filter_map(|node| Some(self.tree.nodes.get(*node as usize)?.rule));
        Chain { rules: rules.collect(), nodes }
    }

    /// Rules that are tried before the chain's own at each level below the root.
    pub(super) fn tried_before(&self, chain: &Chain) -> Vec<RuleIndex> {
        let mut before = Vec::new();
        for pair in chain.nodes.windows(2) {
            let [above, below] = pair else { continue };
            let children = self.tree.nodes.get(*above as usize).map(|node| node.children.as_slice());
            let earlier = children.unwrap_or_default().iter().take_while(|child| *child != below);
            before.extend(earlier.filter_map(|node| Some(self.tree.nodes.get(*node as usize)?.rule)));
        }
        before
    }

    /// The rules directly below the rule at the end of a chain.
    pub(super) fn below(&self, chain: &Chain) -> Vec<RuleIndex> {
        let node = chain.nodes.last().and_then(|node| self.tree.nodes.get(*node as usize));
        let children = node.map(|node| node.children.as_slice()).unwrap_or_default();
        children.iter().filter_map(|node| Some(self.tree.nodes.get(*node as usize)?.rule)).collect()
    }
}
