//! One rule of the tree as one Sigma rule, its demands on earlier events aside.
//!
//! Enters: a rule with its chains. Leaves: log source, formula, differences; or why there is none. A rule with several chains
//! holds when one of them does: what all have in common stands beside the alternatives.

use crate::decode::mapping::Mapping;
use crate::ir::{Rule, RuleIndex, RuleSet};

use super::super::{ALSO_LOOKED_AT, NOT_IGNORED, NOT_LEFT_OUT};
use super::demands::{Demands, Remarks};
use super::formula::{FALSE, Formula, TRUE, all, any, not, of_rule, without_presence};
use super::place::{Chain, Places};
use super::priority::{self, Rivals};
use super::sources::is_about_others;
use super::spelling::Spelling;
use super::target::{Kind, Target};

/// Places of one rule that are written out.
const MAX_CHAINS: usize = 256;

/// Rules that take events from another one and are written as what must not hold.
const MAX_FILTERS: usize = 4;

/// Everything that is known of a set before its rules are converted.
pub(super) struct Known<'s> {
    pub(super) set: &'s RuleSet,
    pub(super) places: Places<'s>,
    pub(super) rivals: Rivals,
    pub(super) mappings: &'s [Mapping],
    pub(super) spelling: Spelling,
}

/// A rule's demands on one event.
pub(super) struct Plain<'k> {
    pub(super) target: Target<'k>,
    pub(super) formula: Formula,
    pub(super) differences: Vec<String>,
}

impl<'s> Known<'s> {
    pub(super) fn new(set: &'s RuleSet, mappings: &'s [Mapping]) -> Self {
        Self {
            set,
            places: Places::new(&set.tree),
            rivals: Rivals::new(&set.tree),
            mappings,
            spelling: Spelling::of_set(set, mappings),
        }
    }

    pub(super) fn rule(&self, index: RuleIndex) -> Option<&'s Rule> {
        self.set.tree.rules.get(index as usize)
    }

    /// The rules of a chain.
    pub(super) fn rules(&self, chain: &Chain) -> Vec<&'s Rule> {
        chain.rules.iter().filter_map(|index| self.rule(*index)).collect()
    }

    /// Why a rule can never be an alert.
    pub(super) fn silent(rule: &Rule) -> Option<&'static str> {
        if rule.noalert {
            return Some(
                "It gives no alert itself (noalert), and every Sigma rule does: its conditions are part of the rules below it.",
            );
        }
        if rule.level == 0 && !rule.options.log_alert {
            return Some(
                "A rule of level 0 gives no alert, and every Sigma rule does: its conditions are part of the rules below it.",
            );
        }
        rule.options.no_log.then_some("It gives no alert (no_log), and every Sigma rule does.")
    }

    /// What a rule demands of an event, by all of its chains.
    pub(super) fn plain(&self, index: RuleIndex) -> Result<Plain<'_>, Vec<String>> {
        let chains = self.chains(index).map_err(|reason| vec![reason])?;
        let (target, formula, mut remarks) = self.formula(&chains)?;
        let is_apart = |rule: &Rule| is_about_others(rule, &target, self.mappings);
        let (before, below) = self.rivals.of(&self.set.tree, &self.places, &chains, &is_apart);
        let ids = |rivals: &[RuleIndex]| -> Vec<u32> {
            rivals.iter().filter_map(|rival| Some(self.rule(*rival)?.id)).collect()
        };
        let filters = if chains.len() == 1 {
            self.filters(&target, &[before.as_slice(), &below].concat())
        } else {
            None
        };
        let formula = match filters {
            Some(filters) => all(std::iter::once(formula).chain(filters)),
            None => {
                priority::remarks(&ids(&before), &ids(&below))
                    .into_iter()
                    .for_each(|remark| remarks.add(remark));
                formula
            }
        };
        if formula == FALSE {
            return Err(vec![
                "Rules that are tried before it take every event that it could match.".to_owned(),
            ]);
        }
        let formula = without_presence(formula);
        if let Some(rule) = self.rule(index) {
            of_memory(rule, &mut remarks);
        }
        Ok(Plain { target, formula, differences: remarks.0 })
    }

    /// That none of these rules holds, where they are few and each can be said without a difference. What is above them is
    /// above the rule, too, so their own conditions are enough.
    fn filters(&self, target: &Target<'_>, rivals: &[RuleIndex]) -> Option<Vec<Formula>> {
        if rivals.len() > MAX_FILTERS {
            return None;
        }
        let filter = |rival: &RuleIndex| {
            let rule = self.rule(*rival).filter(|rule| !rule.noalert && rule.ignore_seconds == 0)?;
            let (mut differences, mut lists) = (Remarks::default(), Vec::new());
            let mut demands =
                Demands { set: self.set, target, differences: &mut differences, lists: &mut lists };
            let formula = demands.of(rule).ok()?;
            let is_exact = differences.0.is_empty() && lists.is_empty() && formula != TRUE;
            is_exact.then(|| of_rule(rule.id, not(formula)))
        };
        rivals.iter().map(filter).collect()
    }

    pub(super) fn chains(&self, index: RuleIndex) -> Result<Vec<Chain>, String> {
        let count = self.places.count(index);
        match count {
            0 => Err("It hangs nowhere in the tree, so it never matches.".to_owned()),
            1..=MAX_CHAINS => Ok(self.places.chains(index)),
            _ => Err(format!("It hangs at {count} places below other rules, too many for one Sigma rule.")),
        }
    }

    /// The formula of some chains.
    pub(super) fn formula(&self, chains: &[Chain]) -> Result<(Target<'_>, Formula, Remarks), Vec<String>> {
        let common: Vec<RuleIndex> = match chains {
            [first, others @ ..] => {
                let in_all = |rule: &&RuleIndex| others.iter().all(|chain| chain.rules.contains(rule));
                first.rules.iter().filter(in_all).copied().collect()
            }
            [] => Vec::new(),
        };
        let mut targets: Vec<Target<'_>> = Vec::new();
        for chain in chains {
            let target = Target::of(&self.rules(chain), self.mappings, &self.spelling);
            if targets.iter().all(|known| known.logsource != target.logsource) {
                targets.push(target);
            }
        }
        let count = targets.len();
        let is_lines = |target: &Target<'_>| matches!(target.kind, Kind::Lines { .. });
        let target = match targets.iter().all(is_lines) && count > 1 {
            true => targets.swap_remove(0).of_any_service(),
            false => targets.pop().filter(|_| count == 1),
        };
        let Some(target) = target else {
            return Err(vec![format!(
                "The rules above it are about {count} log sources, and a Sigma rule is about one."
            )]);
        };
        let (mut differences, mut lists, mut reasons) = (Remarks::default(), Vec::new(), Remarks::default());
        let mut demands =
            Demands { set: self.set, target: &target, differences: &mut differences, lists: &mut lists };
        let mut of = |index: &RuleIndex| match self.rule(*index) {
            Some(rule)
                if rule.correlation.is_some()
                    && chains.iter().any(|chain| chain.rules.last() != Some(index)) =>
            {
                Err(format!(
                    "It hangs below {}, which counts events, and Sigma cannot test the last of them.",
                    rule.id
                ))
            }
            Some(rule) => demands.of(rule).map(|formula| of_rule(rule.id, formula)),
            None => Ok(FALSE),
        };
        let mut ways = Vec::new();
        for chain in chains {
            let own = chain.rules.iter().filter(|rule| !common.contains(rule)).map(&mut of);
            match own.collect::<Result<Vec<Formula>, String>>() {
                Ok(parts) => ways.push(all(parts)),
                Err(reason) => reasons.add(reason),
            }
        }
        let shared = common.iter().map(&mut of).collect::<Result<Vec<Formula>, String>>();
        let shared = match shared {
            Ok(parts) => all(parts),
            Err(reason) => {
                reasons.add(reason);
                FALSE
            }
        };
        if !reasons.0.is_empty() {
            return Err(reasons.0);
        }
        let formula = all([shared, any(ways)]);
        if formula == TRUE && !differences.0.is_empty() {
            return Err(differences.0);
        }
        if formula == FALSE {
            return Err(vec![
                "Its conditions cannot hold together for any event of its log source.".to_owned(),
            ]);
        }
        if !lists.is_empty() {
            let (names, are) = (lists.join(", "), if lists.len() == 1 { "is" } else { "are" });
            differences.add(format!(
                "Where {names} {are} a list or an object, the reference tests the text of the whole, Sigma each element."
            ));
        }
        if !target.others.is_empty() {
            let others = target.others.join(", ");
            differences.add(format!("Sigma rules for this log source {ALSO_LOOKED_AT} {others}."));
        }
        if matches!(target.kind, Kind::Windows) {
            differences.add(
                "Fields are named as Sigma names those of Windows, which is how the events must come; the agent's own additions are not among them.",
            );
        }
        Ok((target, formula, differences))
    }
}

/// What a rule remembers of its own results.
fn of_memory(rule: &Rule, remarks: &mut Remarks) {
    if rule.ignore_seconds > 0 {
        let seconds = rule.ignore_seconds;
        remarks.add(format!("The reference ignores it for {seconds} seconds after a match; {NOT_IGNORED}."));
    }
    if !rule.ignore.is_empty() {
        remarks.add("Later events that <check_if_ignored> compares with its own are not left out.");
    }
    if !rule.check_if_ignored.is_empty() {
        remarks.add(format!("{NOT_LEFT_OUT} <check_if_ignored>."));
    }
}
