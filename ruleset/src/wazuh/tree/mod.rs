//! Where each rule hangs, and in which order siblings are tried.
//!
//! Enters: the rules of all files in load order. Leaves: the rule tree. Only rules loaded earlier are found as
//! parents. One rule can hang at many places: below several ids, below everything of a level or group, and below every
//! place of its parent. Since that multiplies, the number of places is bounded.

mod feeds;
mod find;
mod overwrite;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Origin;
use super::lower::{Attach, AttachTo, Broken, Counts, Pending, blank};
use super::parents::{self, Definitions};
use super::vocabulary::nearest;
use crate::diagnostic::Diagnostic;
use crate::ir::{Category, Node, NodeIndex, Place, Rule, RuleIndex, RuleTree};

/// Places that all rules together may have.
const MAX_NODES: usize = 1_000_000;
/// Rules with a smaller id are roots.
const FIRST_CHILD_ID: u32 = 10;
/// Faults told about the tree, as there is a limit for each file.
const MAX_FAULTS: usize = 10_000;

/// Builds the tree of all rules.
pub(super) fn build(pending: Vec<Pending>, broken: Vec<Broken>) -> (RuleTree, Vec<Diagnostic>) {
    let definitions = Definitions::new(&pending, &broken);
    let mut builder = Builder { definitions, ..Builder::default() };
    if !pending.iter().any(|rule| rule.rule.id < FIRST_CHILD_ID) {
        roots().into_iter().for_each(|root| builder.add(root));
    }
    pending.into_iter().for_each(|rule| builder.add(rule));
    // Rules with faults are not hung, but whether their parents are there is told with their other faults.
    for rest in broken.into_iter().filter_map(|broken| broken.rest) {
        if let Err(fault) = builder.parents(&rest) {
            builder.diagnostics.push(rest.origin.left_out(fault));
        }
    }
    (builder.tree, limit(builder.diagnostics))
}

fn limit(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let more = diagnostics.len().saturating_sub(MAX_FAULTS);
    diagnostics.truncate(MAX_FAULTS);
    if more > 0
        && let Some(last) = diagnostics.last()
    {
        let message = format!("the rule tree has {more} more faults, which are not shown");
        diagnostics.push(Diagnostic::error(
            last.place.clone(),
            "",
            message,
            "mend the first ones, they may have caused the others",
        ));
    }
    diagnostics
}

/// The roots that everything needs, for rule files that come without.
fn roots() -> Vec<Pending> {
    let file: Arc<str> = Arc::from("(roots)");
    let root = |(id, category): (u32, Category)| Pending {
        rule: Rule {
            noalert: true,
            groups: vec![category.name().to_owned()],
            builtin: true,
            ..blank(id, 0, category, Place::new(&file, 1, 1))
        },
        group_text: format!("{},", category.name()),
        overwrite: false,
        tried_last: false,
        attach: Attach { to: AttachTo::Category, implied: false },
        counts: None,
        origin: Origin::Builtin,
    };
    (1..).zip(Category::ALL).map(root).collect()
}

fn too_many(rule: &Rule) -> Diagnostic {
    Diagnostic::error(
        rule.place.clone(),
        format!("<rule id=\"{}\">", rule.id),
        format!("with this rule the tree would have more than {MAX_NODES} places"),
        "name fewer parents: each place of each parent becomes a place of the child",
    )
}

/// The tree while it grows.
#[derive(Default)]
struct Builder {
    tree: RuleTree,
    /// What is kept of each rule beside the tree, by rule index.
    facts: Vec<Facts>,
    /// Parent of each node.
    parent_of: Vec<Option<NodeIndex>>,
    /// The root above each node, itself where it is one.
    root_of: Vec<NodeIndex>,
    /// Rules by id.
    by_id: FxHashMap<u32, RuleIndex>,
    /// Nodes by the id of their rule.
    nodes_of: FxHashMap<u32, Vec<NodeIndex>>,
    /// Parents of siblings that are no longer in descending order: an overwritten rule keeps its place.
    unsorted: FxHashSet<Option<NodeIndex>>,
    /// How many feeds all rules have together.
    feeds: usize,
    definitions: Definitions,
    diagnostics: Vec<Diagnostic>,
}

/// What only the building of the tree needs of a rule.
struct Facts {
    /// In lower case.
    group_text: String,
    tried_last: bool,
    attach: Attach,
    counts: Option<Counts>,
}

/// Siblings are tried in descending order of this.
type Rank = (bool, u8);

fn rank(level: u8, tried_last: bool) -> Rank {
    (!tried_last, if level == 0 && !tried_last { 99 } else { level })
}

impl Builder {
    fn add(&mut self, pending: Pending) {
        self.definitions.pass(pending.rule.id);
        match self.by_id.get(&pending.rule.id).copied() {
            Some(existing) if pending.overwrite => self.overwrite(existing, pending),
            Some(existing) => self.duplicate(existing, &pending.rule),
            None => {
                if pending.overwrite {
                    self.nothing_to_overwrite(&pending.rule);
                }
                self.attach(pending);
            }
        }
    }

    fn duplicate(&mut self, existing: RuleIndex, rule: &Rule) {
        let Some(first) = self.rule(existing).map(|first| first.place.clone()) else { return };
        let id = rule.id;
        self.diagnostics.push(Diagnostic::warning(
            rule.place.clone(),
            format!("<rule id=\"{id}\">"),
            format!(
                "rule {id} is already defined at {}:{}, this second one is left out",
                first.file, first.line
            ),
            "give it another id, or write overwrite=\"yes\" to replace the first",
        ));
    }

    fn nothing_to_overwrite(&mut self, rule: &Rule) {
        let id = rule.id;
        self.diagnostics.push(Diagnostic::warning(
            rule.place.clone(),
            format!("<rule id=\"{id}\">"),
            format!("there is no rule {id} to overwrite, it is loaded as a new rule"),
            "check the id, or remove the attribute overwrite",
        ));
    }

    fn attach(&mut self, pending: Pending) {
        let parents = match self.parents(&pending).and_then(|parents| {
            self.check_target(&pending)?;
            Ok(parents)
        }) {
            Ok(parents) => parents,
            Err(fault) => {
                self.diagnostics.push(pending.origin.left_out(fault));
                self.definitions.mark_broken(pending.rule.id, pending.rule.place);
                return;
            }
        };
        let Pending { mut rule, group_text, tried_last, attach, counts, .. } = pending;
        if let Some(root) = parents.first().and_then(|parent| self.category_of(*parent)) {
            rule.category = root;
        }
        let group_text = group_text.to_ascii_lowercase();
        let (id, index) = (rule.id, self.tree.rules.len() as RuleIndex);
        self.tree.rules.push(rule);
        self.facts.push(Facts { group_text, tried_last, attach, counts });
        self.by_id.insert(id, index);
        if parents.is_empty() {
            self.hang(index, id, None);
        }
        for parent in parents {
            self.hang(index, id, Some(parent));
        }
        self.link_feeds(index);
    }

    /// The nodes below which a rule hangs; none for a root.
    fn parents(&mut self, pending: &Pending) -> Result<Vec<NodeIndex>, Diagnostic> {
        let rule = &pending.rule;
        let parents = if rule.id < FIRST_CHILD_ID {
            Vec::new()
        } else {
            match &pending.attach.to {
                AttachTo::Sids(ids) => self.below_ids(rule, ids)?,
                AttachTo::Level(level, place) => self.below_level(rule, *level, place)?,
                AttachTo::Group(pattern, place) => self.below_group(rule, pattern, place)?,
                AttachTo::Category => self.below_category(rule)?,
            }
        };
        if self.tree.nodes.len() + parents.len().max(1) > MAX_NODES {
            return Err(too_many(rule));
        }
        Ok(parents)
    }

    fn below_ids(&mut self, rule: &Rule, ids: &[(u32, Place)]) -> Result<Vec<NodeIndex>, Diagnostic> {
        let mut parents = Vec::new();
        let mut missing = Vec::new();
        for (id, place) in ids {
            let found = self.first_in_each_branch(*id);
            if found.is_empty() {
                missing.push(parents::missing(rule, *id, place, &self.definitions));
            }
            parents.extend(found);
        }
        parents.sort_unstable();
        parents.dedup();
        if !parents.is_empty() {
            // As in the reference: the rule works below the parents that are there.
            self.diagnostics.extend(missing.into_iter().map(parents::one_of_several));
            return Ok(parents);
        }
        Err(parents::none_of(rule, missing))
    }

    fn below_level(&self, rule: &Rule, level: u32, place: &Place) -> Result<Vec<NodeIndex>, Diagnostic> {
        // Level 0 ranks above all others here too.
        let is_parent = |rule: &Rule| rule.level == 0 || u32::from(rule.level) >= level;
        let parents = self.nodes_where(|_, rule| is_parent(rule)).ok_or_else(|| too_many(rule))?;
        if !parents.is_empty() {
            return Ok(parents);
        }
        Err(Diagnostic::error(
            place.clone(),
            level.to_string(),
            format!("no rule loaded before this one has level {level} or more"),
            "load the rules it builds on before it, or name a lower level",
        ))
    }

    fn below_group(&self, rule: &Rule, pattern: &str, place: &Place) -> Result<Vec<NodeIndex>, Diagnostic> {
        let matches = find::word_pattern(pattern);
        let parents = self
            .nodes_where(|facts, _| !pattern.is_empty() && matches(&facts.group_text))
            .ok_or_else(|| too_many(rule))?;
        if !parents.is_empty() {
            return Ok(parents);
        }
        let known = self.tree.rules.iter().flat_map(|rule| rule.groups.iter().map(String::as_str));
        let help = match self.definitions.later_group(&matches).filter(|_| !pattern.is_empty()) {
            Some((id, place)) => format!(
                "rule {id} at {}:{} has it, but is loaded after this one: parents must be loaded first",
                place.file, place.line
            ),
            None => match nearest(pattern.trim_matches([',', ' ']), known) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => "load the rules of that group before this one".to_owned(),
            },
        };
        let message = format!("no rule loaded before this one is in a group {pattern}");
        Err(Diagnostic::error(place.clone(), pattern, message, help))
    }

    fn below_category(&self, rule: &Rule) -> Result<Vec<NodeIndex>, Diagnostic> {
        let category = rule.category;
        let is_root = |node: &&NodeIndex| self.rule_at(**node).is_some_and(|root| root.category == category);
        self.tree.roots.iter().find(is_root).map(|root| vec![*root]).ok_or_else(|| {
            Diagnostic::error(
                rule.place.clone(),
                format!("<rule id=\"{}\">", rule.id),
                format!("there is no root rule of the category {}", category.name()),
                "load a rule with an id below 10 of that category first, or none at all to get the usual roots",
            )
        })
    }

    /// Adds one place of a rule.
    fn hang(&mut self, rule: RuleIndex, id: u32, parent: Option<NodeIndex>) {
        let node = self.tree.nodes.len() as NodeIndex;
        let own = self.rank_of(rule);
        let siblings = match parent {
            Some(parent) => self.tree.nodes.get(parent as usize).map(|node| &node.children),
            None => Some(&self.tree.roots),
        };
        let Some(siblings) = siblings else { return };
        let is_behind = |sibling: &NodeIndex| self.rank_of_node(*sibling) < own;
        let at = if self.unsorted.contains(&parent) {
            siblings.iter().position(is_behind).unwrap_or(siblings.len())
        } else {
            siblings.partition_point(|sibling| !is_behind(sibling))
        };
        let siblings = match parent {
            Some(parent) => self.tree.nodes.get_mut(parent as usize).map(|node| &mut node.children),
            None => Some(&mut self.tree.roots),
        };
        if let Some(siblings) = siblings {
            siblings.insert(at, node);
        }
        self.tree.nodes.push(Node { rule, children: Vec::new() });
        self.parent_of.push(parent);
        self.root_of.push(parent.map_or(node, |parent| self.root_above(parent)));
        self.nodes_of.entry(id).or_default().push(node);
    }

    fn rank_of(&self, rule: RuleIndex) -> Rank {
        let level = self.rule(rule).map_or(0, |rule| rule.level);
        rank(level, self.facts.get(rule as usize).is_some_and(|facts| facts.tried_last))
    }

    fn rank_of_node(&self, node: NodeIndex) -> Rank {
        self.tree.nodes.get(node as usize).map_or((false, 0), |node| self.rank_of(node.rule))
    }

    fn rule(&self, index: RuleIndex) -> Option<&Rule> {
        self.tree.rules.get(index as usize)
    }

    fn rule_at(&self, node: NodeIndex) -> Option<&Rule> {
        self.tree.nodes.get(node as usize).and_then(|node| self.rule(node.rule))
    }
}
