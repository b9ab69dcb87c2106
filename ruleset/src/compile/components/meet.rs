//! Which rules one event's walk can touch, in whatever state.
//!
//! Enters: the tree. Leaves: sets united. The walk tries siblings in order and ends with the first that gives a result. So
//! an event comes from within one sibling to a later one only where the earlier one *leaks*: it gives no result although
//! its demands on the event itself hold. Only two kinds of rules do: those that ask for earlier events, and those that are
//! never a result themselves. From this follows, for each node:
//!
//! - a rule that asks is touched together with everything below it;
//! - a rule is the result only of events that leak from all its children: it goes with what leaks from them;
//! - what leaks from a child goes with everything that the later children touch, unless their demands exclude each other;
//! - a rule that asks leaks all that is below it and itself; one that is never a result leaks what its children leak; any
//!   other rule leaks nothing.
//!
//! An event that a rule's `ignore` falls on becomes one of the parent's: both go together.

use std::ops::Range;

use super::exclusion::{Demands, Exclusion};
use super::{Input, Union, asks, concludes, decoders, may_be};
use crate::ir::{Category, DecoderIndex, NodeIndex};
use crate::program::{Categories, DecoderId, Rule};

/// So many pairs of places are told apart; beyond that all are taken to meet.
const MAX_PAIRS: usize = 20_000_000;

/// What the walk over the tree tells of each rule.
pub(super) struct Places {
    /// Categories of the events that come to it.
    pub(super) categories: Vec<Categories>,
    /// It asks for earlier events, and when it gets its way, the event may become no alert.
    pub(super) takes_back: Vec<bool>,
}

pub(super) fn unite(input: &Input<'_>, rules: &[Rule], union: &mut Union) -> Places {
    let mut parents = vec![None; input.tree.nodes.len()];
    for (index, node) in (0..).zip(&input.tree.nodes) {
        node.children.iter().for_each(|child| parents[*child as usize] = Some(index));
    }
    let accumulating = decoders(input).filter(|decoder| input.decoders.get(*decoder).accumulate).collect();
    let mut search = Search {
        exclusion: Exclusion { input, rules, parents: &parents },
        union,
        touched: Vec::new(),
        pairs: 0,
        accumulating,
        places: Places {
            categories: vec![Categories::default(); rules.len()],
            takes_back: vec![false; rules.len()],
        },
    };
    for category in Category::ALL {
        let is_tried = |root: &&NodeIndex| search.exclusion.rule_at(**root).category == category;
        let roots: Vec<NodeIndex> = input.tree.roots.iter().filter(is_tried).copied().collect();
        search.siblings(&roots, Way { category, decoder: None });
    }
    search.places
}

struct Search<'s> {
    exclusion: Exclusion<'s>,
    union: &'s mut Union,
    /// Nodes whose rules have to do with earlier events, in the order of the walk.
    touched: Vec<NodeIndex>,
    /// How many were told apart.
    pairs: usize,
    accumulating: Vec<DecoderIndex>,
    places: Places,
}

/// What is demanded above a node.
#[derive(Clone, Copy)]
struct Way {
    category: Category,
    decoder: Option<DecoderId>,
}

/// What is below a node, itself included.
struct Below {
    /// Part of [`Search::touched`].
    touched: Range<usize>,
    /// Those of them that leak.
    leaks: Vec<usize>,
    /// A result that is no alert is among them.
    silent: bool,
}

impl Search<'_> {
    /// Recursion is as deep as the chain of parents, which is bounded.
    fn node(&mut self, node: NodeIndex, way: Way) -> Below {
        let (tree, rules) = (self.exclusion.input.tree, self.exclusion.rules);
        let index = tree.nodes[node as usize].rule;
        let rule = &rules[index as usize];
        let way = Way { decoder: way.decoder.or(rule.decoder), ..way };
        self.places.categories[index as usize].add(way.category);
        let begin = self.touched.len();
        if asks(rule) || concludes(rule) {
            self.touched.push(node);
            self.touch_decoders(index, rule, way);
        }
        let below = self.siblings(&tree.nodes[node as usize].children, way);
        let touched = begin..self.touched.len();
        if asks(rule) {
            self.unite_all(index, touched.clone());
        }
        if concludes(rule) && !rule.noalert {
            below.leaks.iter().for_each(|leak| self.unite(index, *leak));
        }
        let parent = self.exclusion.parents[node as usize].map(|node| tree.nodes[node as usize].rule);
        if rule.ignore_seconds > 0
            && let Some(parent) = parent
            && concludes(&rules[parent as usize])
        {
            self.union.unite(index, parent);
        }
        let silenced =
            rule.ignore_seconds > 0 && parent.is_none_or(|parent| rules[parent as usize].level == 0);
        let silent = below.silent || !rule.noalert && (is_silent(rule) || silenced);
        let takes_back = rule.more.as_ref().is_some_and(|more| more.check_diff || more.if_fts);
        self.places.takes_back[index as usize] |= takes_back || silent;
        let leaks = match (asks(rule), rule.noalert) {
            (true, _) => touched.clone().collect(),
            (false, true) => below.leaks,
            (false, false) => Vec::new(),
        };
        Below { touched, leaks, silent }
    }

    fn siblings(&mut self, nodes: &[NodeIndex], way: Way) -> Below {
        let begin = self.touched.len();
        let (mut leaks, mut silent) = (Vec::new(), false);
        for &node in nodes {
            let below = self.node(node, way);
            self.meet(&leaks, below.touched);
            leaks.extend(below.leaks);
            silent |= below.silent;
        }
        Below { touched: begin..self.touched.len(), leaks, silent }
    }

    /// Unites what leaks from earlier siblings with what a later one touches.
    fn meet(&mut self, leaks: &[usize], later: Range<usize>) {
        self.pairs = self.pairs.saturating_add(leaks.len().saturating_mul(later.len()));
        if self.pairs > MAX_PAIRS {
            if let (Some(first), false) = (leaks.first(), later.is_empty()) {
                let first = self.rule_of(*first);
                leaks.iter().for_each(|leak| self.unite(first, *leak));
                self.unite_all(first, later);
            }
            return;
        }
        for &leak in leaks {
            let one = self.rule_of(leak);
            let mut demands: Option<Demands> = None;
            for other in later.clone() {
                let element = self.rule_of(other);
                if self.union.find(one) == self.union.find(element) {
                    continue;
                }
                let demands = demands.get_or_insert_with(|| self.exclusion.demands(self.touched[leak]));
                if !self.exclusion.excludes(demands, self.touched[other]) {
                    self.union.unite(one, element);
                }
            }
        }
    }

    /// What the decoder brings along: what it has seen, where the rule asks for that; what it accumulates, which can change
    /// any later demand on fields.
    fn touch_decoders(&mut self, index: u32, rule: &Rule, way: Way) {
        let input = self.exclusion.input;
        let is_possible = |decoder: &DecoderIndex| {
            way.decoder.is_none_or(|id| input.decoders.get(*decoder).id == id)
                && may_be(input, *decoder, way.category)
        };
        if rule.more.as_ref().is_some_and(|more| more.if_fts) {
            let seen = decoders(input).filter(|decoder| !input.fts[*decoder as usize].is_empty());
            for decoder in seen.filter(is_possible) {
                self.union.unite(index, self.union.first_seen(decoder));
            }
        }
        for at in 0..self.accumulating.len() {
            let decoder = self.accumulating[at];
            if is_possible(&decoder) {
                self.union.unite(index, self.union.accumulated(decoder));
            }
        }
    }

    fn rule_of(&self, touched: usize) -> u32 {
        self.exclusion.input.tree.nodes[self.touched[touched] as usize].rule
    }

    fn unite(&mut self, rule: u32, touched: usize) {
        let other = self.rule_of(touched);
        self.union.unite(rule, other);
    }

    fn unite_all(&mut self, rule: u32, touched: Range<usize>) {
        touched.for_each(|other| self.unite(rule, other));
    }
}

/// As a result it is no alert, or may be none.
fn is_silent(rule: &Rule) -> bool {
    rule.level == 0
        || rule.options.no_log
        || rule.ignored.as_ref().is_some_and(|ignored| !ignored.check.is_empty())
}
