//! Which rules of one set stand against which of the other.
//!
//! Enters: a loaded set and the ids of rules in it. Leaves: for each of them what has to be looked at to tell whether it
//! matches by itself, and tables from what an event matches to whom it concerns.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::alone::{Alone, Needs};
use crate::ir::sigma::{Referent, SigmaHead, SigmaRuleIndex, SigmaSet};
use crate::ir::{Rule, RuleIndex, RuleSet};
use crate::program::Program;

/// A set with the program that was made of it.
#[derive(Debug)]
pub struct Side {
    /// What the texts say.
    pub set: RuleSet,
    /// What runs.
    pub program: Arc<Program>,
}

/// One rule of the source, or what was made of it, on its side.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Sigma rules whose matches are its matches; sorted.
    pub(super) sigma: Vec<SigmaRuleIndex>,
    /// Sigma correlations whose matches are.
    pub(super) correlations: Vec<u32>,
    /// Wazuh rules of which one must be the result.
    pub(super) results: Vec<RuleIndex>,
    /// These with what they need.
    pub(super) alone: Alone,
    /// Sigma rules that its correlations count.
    fed_by: Vec<SigmaRuleIndex>,
}

impl Part {
    /// Earlier events have a say in it.
    pub(super) fn is_ordered(&self) -> bool {
        !self.correlations.is_empty() || !self.alone.triggers.is_empty()
    }
}

/// All parts of one side, by the position of their rule in the conversion; `None` where there is none.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) all: Vec<Option<Part>>,
    /// Wazuh rule → parts whose result it is.
    pub(super) of_result: FxHashMap<RuleIndex, Vec<u32>>,
    /// Sigma rule → parts that match with it.
    pub(super) of_sigma: FxHashMap<SigmaRuleIndex, Vec<u32>>,
    /// Rules whose events the ordered stage needs → parts that look at them then.
    pub(super) of_trigger: FxHashMap<RuleIndex, Vec<u32>>,
    pub(super) of_fed: FxHashMap<SigmaRuleIndex, Vec<u32>>,
    /// Parts that need every event.
    pub(super) of_everything: Vec<u32>,
    /// Which Wazuh rules, Sigma rules and correlations are looked at when the whole sets are compared.
    pub(super) in_all: Members,
}

/// Marks, by index.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) wazuh: Vec<bool>,
    pub(super) sigma: Vec<bool>,
    pub(super) correlations: Vec<bool>,
}

/// What an id stands for.
#[derive(Debug, Clone, Copy)]
enum Named {
    Wazuh(RuleIndex),
    Sigma(SigmaRuleIndex),
    Correlation(u32),
}

impl Parts {
    /// `ids` are for each rule of the conversion those on this side; an id that the set does not have is an error.
    pub(super) fn new<'i>(
        set: &RuleSet,
        ids: impl Iterator<Item = &'i [String]>,
        is_source: bool,
    ) -> Result<Self, String> {
        let names = Names::new(set);
        let needs = Needs::new(&set.tree);
        let mut parts = Self {
            all: Vec::new(),
            of_result: FxHashMap::default(),
            of_sigma: FxHashMap::default(),
            of_trigger: FxHashMap::default(),
            of_fed: FxHashMap::default(),
            of_everything: Vec::new(),
            in_all: Members {
                wazuh: vec![false; set.tree.rules.len()],
                sigma: vec![false; set.sigma.rules.len()],
                correlations: vec![false; set.sigma.correlations.len()],
            },
        };
        let mut all = Vec::new();
        for ids in ids {
            let named = ids.iter().map(|id| names.find(id)).collect::<Result<Vec<_>, _>>();
            let named = match named {
                Ok(named) => named,
                // A filter is part of the rules that it filters.
                Err(_) if is_source => Vec::new(),
                Err(id) => return Err(format!("rule {id} is not in what was written")),
            };
            named.iter().for_each(|named| parts.in_all.mark(*named));
            all.push(named);
        }
        let made = (!is_source).then_some(parts.in_all.wazuh.as_slice());
        let part = |named: Vec<Named>| (!named.is_empty()).then(|| part(set, &needs, named, made));
        parts.all = all.into_iter().map(part).collect();
        Ok(parts)
    }

    /// Fills the tables; ordered pairs are those in which either side is.
    pub(super) fn enter(&mut self, is_ordered: &[bool]) {
        for (at, part) in (0_u32..).zip(&self.all) {
            let Some(part) = part else { continue };
            if !is_ordered.get(at as usize).copied().unwrap_or_default() {
                part.results.iter().for_each(|rule| self.of_result.entry(*rule).or_default().push(at));
                part.sigma.iter().for_each(|rule| self.of_sigma.entry(*rule).or_default().push(at));
                continue;
            }
            for rule in part.alone.triggers.iter().chain(&part.results) {
                self.of_trigger.entry(*rule).or_default().push(at);
            }
            for rule in part.fed_by.iter().chain(&part.sigma) {
                self.of_fed.entry(*rule).or_default().push(at);
            }
            if part.alone.needs_everything {
                self.of_everything.push(at);
            }
        }
    }
}

impl Members {
    fn mark(&mut self, named: Named) {
        let place = match named {
            Named::Wazuh(at) => self.wazuh.get_mut(at as usize),
            Named::Sigma(at) => self.sigma.get_mut(at as usize),
            Named::Correlation(at) => self.correlations.get_mut(at as usize),
        };
        if let Some(place) = place {
            *place = true;
        }
    }
}

/// Those that alert, or the first where none does.
fn part(set: &RuleSet, needs: &Needs, mut named: Vec<Named>, made: Option<&[bool]>) -> Part {
    let alerts = |named: &Named| match *named {
        Named::Wazuh(at) => set.tree.rules.get(at as usize).is_some_and(alerts),
        Named::Sigma(at) => set.sigma.rules.get(at as usize).is_some_and(|rule| rule.head.alerts),
        Named::Correlation(at) => set.sigma.correlations.get(at as usize).is_some_and(|it| it.head.alerts),
    };
    match named.iter().any(alerts) {
        true => named.retain(alerts),
        false => named.truncate(1),
    }
    let mut part = Part::default();
    for named in named {
        match named {
            Named::Wazuh(at) => part.results.push(at),
            Named::Sigma(at) => part.sigma.push(at),
            Named::Correlation(at) => part.correlations.push(at),
        }
    }
    part.sigma.sort_unstable();
    part.fed_by = fed_by(&set.sigma, &part.correlations);
    part.alone = match made {
        None => needs.of_source(&set.tree, &part.results),
        Some(made) => needs.of_made(&set.tree, &part.results, made),
    };
    part
}

fn alerts(rule: &Rule) -> bool {
    rule.level > 0 && !rule.noalert && !rule.options.no_log
}

/// The rules whose matches correlations count, in the end.
fn fed_by(set: &SigmaSet, correlations: &[u32]) -> Vec<SigmaRuleIndex> {
    let mut rules = Vec::new();
    let mut seen = vec![false; set.correlations.len()];
    let mut open = correlations.to_vec();
    while let Some(at) = open.pop() {
        match seen.get_mut(at as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        for of in set.correlations.get(at as usize).map(|it| it.of.as_slice()).unwrap_or_default() {
            match *of {
                Referent::Rule(rule) => rules.push(rule),
                Referent::Correlation(correlation) => open.push(correlation),
            }
        }
    }
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// All ids of a set.
struct Names<'s> {
    wazuh: FxHashMap<String, RuleIndex>,
    sigma: FxHashMap<&'s str, Named>,
}

impl<'s> Names<'s> {
    fn new(set: &'s RuleSet) -> Self {
        let rules = (0..).zip(&set.tree.rules).map(|(at, rule)| (rule.id.to_string(), at));
        let id = |head: &'s SigmaHead| head.id.as_str();
        let sigma = (0..).zip(&set.sigma.rules).map(|(at, rule)| (id(&rule.head), Named::Sigma(at)));
        let correlations = (0..).zip(&set.sigma.correlations);
        let correlations = correlations.map(|(at, it)| (id(&it.head), Named::Correlation(at)));
        Self { wazuh: rules.collect(), sigma: sigma.chain(correlations).collect() }
    }

    fn find(&self, id: &str) -> Result<Named, String> {
        let wazuh = || self.wazuh.get(id).copied().map(Named::Wazuh);
        self.sigma.get(id).copied().or_else(wazuh).ok_or_else(|| id.to_owned())
    }
}
