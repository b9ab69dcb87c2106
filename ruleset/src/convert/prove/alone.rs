//! A rule with what it needs and nothing else.
//!
//! Enters: a rule tree and some of its rules. Leaves: which other rules these need – their parents, those whose events they
//! count, and theirs – and a set that has only these: no siblings, no children.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::ir::{CorrelationSource, Feed, Node, NodeIndex, Rule, RuleIndex, RuleSet, RuleTree};

/// What rules of a tree need of each other.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// By rule: those that it hangs below.
    parents: Vec<BTreeSet<RuleIndex>>,
    /// By rule: those that hang below it and make nothing of an event.
    exceptions: Vec<BTreeSet<RuleIndex>>,
    /// By rule: those whose results it counts.
    counted: Vec<Vec<RuleIndex>>,
}

/// Some rules and what they need.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// All of them, sorted.
    pub(super) rules: Vec<RuleIndex>,
    /// Those whose coming and going can change what the others come to later; empty where no earlier event has a say.
    pub(super) triggers: Vec<RuleIndex>,
    /// Any event can: one of them searches everything that was.
    pub(super) needs_everything: bool,
}

impl Needs {
    pub(super) fn new(tree: &RuleTree) -> Self {
        let none = || vec![BTreeSet::new(); tree.rules.len()];
        let mut needs =
            Self { parents: none(), exceptions: none(), counted: vec![Vec::new(); tree.rules.len()] };
        for node in &tree.nodes {
            for child in &node.children {
                let Some(child) = tree.nodes.get(*child as usize).map(|child| child.rule) else { continue };
                if let Some(parents) = needs.parents.get_mut(child as usize) {
                    parents.insert(node.rule);
                }
                let is_exception = tree.rules.get(child as usize).is_some_and(is_exception);
                if let Some(exceptions) =
                    needs.exceptions.get_mut(node.rule as usize).filter(|_| is_exception)
                {
                    exceptions.insert(child);
                }
            }
        }
        let by_id: FxHashMap<u32, RuleIndex> =
            (0..).zip(&tree.rules).map(|(at, rule)| (rule.id, at)).collect();
        for (at, rule) in (0..).zip(&tree.rules) {
            if let Some(CorrelationSource::Sid(id)) = rule.correlation.as_ref().map(|it| &it.source)
                && let (Some(watched), Some(counted)) = (by_id.get(id), needs.counted.get_mut(at as usize))
            {
                counted.push(*watched);
            }
            for feed in &rule.feeds {
                if let Some(counted) = needs.counted.get_mut(feed.correlation as usize) {
                    counted.push(at);
                }
            }
        }
        needs
    }

    /// A rule of the source with all that it needs.
    pub(super) fn of_source(&self, tree: &RuleTree, results: &[RuleIndex]) -> Alone {
        self.gather(tree, results, &|rule| self.parents_of(rule), &|_| BTreeSet::new())
    }

    /// The same of what was made of one; `made` marks what was made of any. What was made of others stands above it only because
    /// there one verdict hides the other: such a chain is left out where there is another one. What keeps its own rules
    /// silent belongs to them.
    pub(super) fn of_made(&self, tree: &RuleTree, results: &[RuleIndex], made: &[bool]) -> Alone {
        let mut own: BTreeSet<RuleIndex> = BTreeSet::new();
        let mut open = results.to_vec();
        while let Some(at) = open.pop() {
            if own.insert(at) {
                open.extend(self.counted.get(at as usize).into_iter().flatten());
            }
        }
        let is_foreign =
            |rule: RuleIndex| made.get(rule as usize).copied().unwrap_or_default() && !own.contains(&rule);
        let clean = clean_rules(tree, &is_foreign);
        let is_clean = |rule: &RuleIndex| clean.get(*rule as usize).copied().unwrap_or_default();
        let parents = |rule: RuleIndex| {
            let all = self.parents_of(rule);
            let some: BTreeSet<RuleIndex> = all.iter().copied().filter(is_clean).collect();
            if some.is_empty() { all } else { some }
        };
        let exceptions = |rule: RuleIndex| match own.contains(&rule) {
            true => self.exceptions.get(rule as usize).cloned().unwrap_or_default(),
            false => BTreeSet::new(),
        };
        self.gather(tree, results, &parents, &exceptions)
    }

    fn parents_of(&self, rule: RuleIndex) -> BTreeSet<RuleIndex> {
        self.parents.get(rule as usize).cloned().unwrap_or_default()
    }

    fn gather(
        &self,
        tree: &RuleTree,
        results: &[RuleIndex],
        parents: &dyn Fn(RuleIndex) -> BTreeSet<RuleIndex>,
        exceptions: &dyn Fn(RuleIndex) -> BTreeSet<RuleIndex>,
    ) -> Alone {
        let (mut rules, mut triggers) = (BTreeSet::new(), BTreeSet::new());
        let mut needs_everything = false;
        let mut open: Vec<RuleIndex> = results.to_vec();
        while let Some(at) = open.pop() {
            let Some(rule) = tree.rules.get(at as usize).filter(|_| rules.insert(at)) else { continue };
            open.extend(parents(at));
            open.extend(exceptions(at));
            if looks_back(rule) {
                triggers.insert(at);
            }
            let counts = rule.correlation.as_ref().map(|correlation| &correlation.source);
            match counts {
                Some(CorrelationSource::Regex(_)) => {
                    needs_everything = true;
                    open.extend((0..).take(tree.rules.len()));
                }
                Some(_) => {
                    let counted = self.counted.get(at as usize).into_iter().flatten().copied();
                    triggers.extend(counted.clone());
                    open.extend(counted);
                }
                None => {}
            }
        }
        if !triggers.is_empty() {
            triggers.extend(results);
        }
        Alone {
            rules: rules.into_iter().collect(),
            triggers: triggers.into_iter().collect(),
            needs_everything,
        }
    }
}

/// Rules with a chain of parents in which no rule is foreign, themselves included.
fn clean_rules(tree: &RuleTree, is_foreign: &dyn Fn(RuleIndex) -> bool) -> Vec<bool> {
    let mut clean = vec![false; tree.rules.len()];
    let mut open = tree.roots.clone();
    while let Some(node) = open.pop().and_then(|at| tree.nodes.get(at as usize)) {
        if is_foreign(node.rule) {
            continue;
        }
        if let Some(clean) = clean.get_mut(node.rule as usize) {
            *clean = true;
        }
        open.extend(&node.children);
    }
    clean
}

/// Whether it is there to keep its parent silent.
fn is_exception(rule: &Rule) -> bool {
    rule.level == 0 && !rule.noalert
}

/// Whether earlier events have a say in the rule.
fn looks_back(rule: &Rule) -> bool {
    rule.correlation.is_some()
        || rule.check_diff
        || rule.if_fts
        || rule.ignore_seconds > 0
        || !rule.ignore.is_empty()
        || !rule.check_if_ignored.is_empty()
}

/// The set with these rules alone (sorted; with each its parents), in their order; decoders and lists stay.
pub(super) fn restricted(set: &RuleSet, rules: &[RuleIndex]) -> RuleSet {
    let place = |rule: RuleIndex| rules.binary_search(&rule).ok().and_then(|at| RuleIndex::try_from(at).ok());
    let kept = |rule: &RuleIndex| set.tree.rules.get(*rule as usize);
    let kept = rules.iter().filter_map(kept).map(|rule| {
        let feed = |feed: &Feed| Some(Feed { correlation: place(feed.correlation)?, ..*feed });
        Rule { feeds: rule.feeds.iter().filter_map(feed).collect(), ..rule.clone() }
    });
    let mut tree = RuleTree { rules: kept.collect(), ..RuleTree::default() };
    let mut copy = Copy { from: &set.tree, place: &place, nodes: Vec::new() };
    tree.roots = set.tree.roots.iter().filter_map(|root| copy.node(*root)).collect();
    tree.nodes = copy.nodes;
    RuleSet { tree, decoders: set.decoders.clone(), lists: set.lists.clone(), ..RuleSet::default() }
}

struct Copy<'s> {
    from: &'s RuleTree,
    place: &'s dyn Fn(RuleIndex) -> Option<RuleIndex>,
    nodes: Vec<Node>,
}

impl Copy<'_> {
    /// Recursion is as deep as the chain of parents, which the compiler has bounded.
    fn node(&mut self, index: NodeIndex) -> Option<NodeIndex> {
        let from = self.from;
        let node = from.nodes.get(index as usize)?;
        let rule = (self.place)(node.rule)?;
        let own = self.nodes.len();
        self.nodes.push(Node { rule, children: Vec::new() });
        let children: Vec<NodeIndex> = node.children.iter().filter_map(|child| self.node(*child)).collect();
        self.nodes.get_mut(own)?.children = children;
        NodeIndex::try_from(own).ok()
    }
}
