//! The places of a rule in the tree.

use crate::ir::{NodeIndex, RuleIndex, RuleTree};

/// A rule below a whole level hangs at thousands of places; so many are looked at.
const MAX_PLACES: usize = 4096;

/// The ways from a root to the nodes of `rule`, in the order of trial.
pub(super) fn paths_to(tree: &RuleTree, rule: RuleIndex) -> Vec<Vec<NodeIndex>> {
    let mut found = Vec::new();
    let mut path: Vec<NodeIndex> = Vec::new();
    // What is still to be visited at each level, the next last.
    let reversed = |nodes: &[NodeIndex]| nodes.iter().rev().copied().collect::<Vec<_>>();
    let mut open = vec![reversed(&tree.roots)];
    while let Some(level) = open.last_mut() {
        match level.pop() {
            Some(at) => {
                let Some(node) = tree.nodes.get(at as usize) else { continue };
                path.push(at);
                if node.rule == rule {
                    found.push(path.clone());
                    if found.len() == MAX_PLACES {
                        return found;
                    }
                }
                open.push(reversed(&node.children));
            }
            None => {
                open.pop();
                path.pop();
            }
        }
    }
    found
}
