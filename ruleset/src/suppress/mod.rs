//! Suppressions: rules of their own that hold alerts back.
//!
//! ```text
//! *.suppressions.yaml ─ read ─▶ ir::Suppression ─ check ─▶ Suppressions (in the program) ─▶ Decision for an alert
//!                                                                        first N, then quiet ─▶ Throttle
//! ```
//!
//! Enters: files, and alerts that are about to be written. Leaves: for each alert whether it is written. Only alerts are
//! asked, and of the suppressions only those that name the alert's rule: which these are is worked out when rules are
//! loaded. Counting for rules that look back on earlier events is not touched: an event whose alert is held back counts
//! there as before. Whether a suppression has expired is decided by the time of the event, so that reading the same
//! events again gives the same alerts.
//!
//! Those without `allow` know nothing of earlier alerts. Those with it ask a [`Throttle`], which has to be asked in one
//! order, whatever the number of workers: that of event time.

mod check;
mod fields;
mod read;
mod terms;
#[cfg(test)]
mod tests;
mod throttle;
mod value;

use std::sync::Arc;

use threatlockdown_event::Millis;
use threatlockdown_event::identity::hash;

pub(crate) use self::check::unknown_names;
pub use self::check::{SOON, expiry};
pub use self::fields::{AlertFields, CorrelationFields, Language};
pub use self::read::{LoadedSuppressions, SuppressionText, has_suppressions, is_suppressions, load};
pub use self::throttle::{Answer, Ask, MOST_KEYS, Throttle, ThrottleState};
use self::value::Value;
use crate::ir::sigma::SigmaHead;
use crate::ir::suppression::{RuleName, Suppression};
use crate::program::{Rule, Sigma, SigmaCorrelation, SigmaRule};

/// Position of a suppression among all of a program.
pub type SuppressionIndex = u32;

/// The suppressions of a program.
#[derive(Debug, Default)]
pub struct Suppressions {
    entries: Vec<Entry>,
    /// By the position of a numbered rule; empty when there are no suppressions.
    of_rules: Vec<Box<[SuppressionIndex]>>,
    /// By the position of a Sigma rule.
    of_sigma: Vec<Box<[SuppressionIndex]>>,
    /// By the position of a correlation.
    of_correlations: Vec<Box<[SuppressionIndex]>>,
    /// In lower case, sorted: every field that one of them looks at.
    fields: Vec<String>,
}

/// One of them.
#[derive(Debug)]
pub struct Entry {
    /// What it says.
    pub head: Suppression,
    id: Arc<str>,
    conditions: Vec<(String, Vec<Value>)>,
    per: Vec<String>,
}

/// What a suppression wants to know of a rule.
#[derive(Debug, Clone, Copy)]
pub struct RuleTraits<'r> {
    /// Its id, as alerts show it.
    pub id: &'r str,
    /// What Sigma's correlations call it.
    pub name: Option<&'r str>,
    /// Its groups.
    pub groups: &'r [String],
    /// Its level.
    pub level: u8,
}

impl<'r> From<&'r Rule> for RuleTraits<'r> {
    fn from(rule: &'r Rule) -> Self {
        Self { id: &rule.id, name: None, groups: &rule.groups, level: rule.level }
    }
}

impl<'r> From<&'r SigmaRule> for RuleTraits<'r> {
    fn from(rule: &'r SigmaRule) -> Self {
        Self::headed(&rule.head, &rule.groups)
    }
}

impl<'r> From<&'r SigmaCorrelation> for RuleTraits<'r> {
    fn from(correlation: &'r SigmaCorrelation) -> Self {
        Self::headed(&correlation.head, &correlation.groups)
    }
}

impl<'r> RuleTraits<'r> {
    fn headed(head: &'r SigmaHead, groups: &'r [String]) -> Self {
        Self { id: &head.id, name: head.name.as_deref(), groups, level: head.level.number() }
    }
}

/// The fields of an alert.
pub trait Fields {
    /// Shows every value of the field; `name` is in lower case.
    fn visit(&self, name: &str, visit: &mut dyn FnMut(&str));
}

/// What becomes of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is written.
    Write,
    /// It is held back.
    HoldBack(SuppressionIndex),
    /// The throttle decides, in its turn.
    Throttle(Ask),
}

/// How a suppression stands at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds back until then.
    Active,
    /// It holds back for good.
    Permanent,
    /// It holds back nothing of this time any more.
    Expired,
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Permanent => "permanent",
            Self::Expired => "expired",
        }
    }
}

impl Entry {
    fn new(head: &Suppression) -> Self {
        let demand = |demand: &crate::ir::suppression::FieldDemand| {
            (demand.field.to_lowercase(), demand.values.iter().map(Value::new).collect())
        };
        let per = head.allowance.iter().flat_map(|allowance| &allowance.per);
        Self {
            id: head.id.as_str().into(),
            conditions: head.conditions.iter().map(demand).collect(),
            per: per.map(|field| field.to_lowercase()).collect(),
            head: head.clone(),
        }
    }

    /// How it stands at that time.
    #[must_use]
    pub fn standing(&self, now: Millis) -> Standing {
        match self.head.until {
            None => Standing::Permanent,
            Some(until) if now.0 < until => Standing::Active,
            Some(_) => Standing::Expired,
        }
    }

    /// The fields that it looks at, in lower case.
    fn fields(&self) -> impl Iterator<Item = &String> {
        self.conditions.iter().map(|(field, _)| field).chain(&self.per)
    }

    fn holds(&self, fields: &dyn Fields) -> bool {
        self.conditions.iter().all(|(field, values)| {
            let mut found = false;
            fields.visit(field, &mut |text| found |= values.iter().any(|value| value.fits(text)));
            found
        })
    }

    /// Alerts with the same key are counted together.
    fn key(&self, rule: &str, fields: &dyn Fields) -> [u8; 16] {
        let mut values: Vec<String> = Vec::new();
        for field in &self.per {
            let mut all = String::new();
            fields.visit(field, &mut |text| {
                all.push_str(text);
                all.push('\0');
            });
            values.push(all);
        }
        let parts: Vec<&[u8]> = [self.head.id.as_bytes(), rule.as_bytes()]
            .into_iter()
            .chain(values.iter().map(String::as_bytes))
            .collect();
        hash(&parts)
    }
}

impl Suppression {
    /// Whether it is about such a rule.
    #[must_use]
    pub fn is_about(&self, rule: &RuleTraits<'_>) -> bool {
        let named = self.rules.is_empty() || self.rules.iter().any(|wanted| wanted.which.is(rule));
        let grouped =
            self.groups.is_empty() || self.groups.iter().any(|group| rule.groups.contains(&group.name));
        let levelled = self.levels.is_none_or(|(least, most)| (least..=most).contains(&rule.level));
        named && grouped && levelled
    }
}

impl RuleName {
    fn is(&self, rule: &RuleTraits<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Id(wanted) => {
                wanted.eq_ignore_ascii_case(rule.id)
                    || rule.name.is_some_and(|name| wanted.eq_ignore_ascii_case(name))
            }
            Self::Numbers(first, last) => rule.id.parse().is_ok_and(|id: u32| (*first..=*last).contains(&id)),
        }
    }
}

impl Suppressions {
    /// Those of a set whose rules are these.
    pub(crate) fn new(heads: &[Suppression], rules: &[Rule], sigma: &Sigma) -> Self {
        if heads.is_empty() {
            return Self::default();
        }
        let entries: Vec<Entry> = heads.iter().map(Entry::new).collect();
        let mut fields: Vec<String> = entries.iter().flat_map(Entry::fields).cloned().collect();
        fields.sort_unstable();
        fields.dedup();
        let mut all = Self { entries, fields, ..Self::default() };
        all.of_rules = rules.iter().map(|rule| all.select(&rule.into())).collect();
        all.of_sigma = sigma.rules().iter().map(|rule| all.select(&rule.into())).collect();
        all.of_correlations = sigma.correlations().iter().map(|one| all.select(&one.into())).collect();
        all
    }

    /// All of them, in the order in which they are asked, but for this: those without an allowance go first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether one of them counts alerts.
    #[must_use]
    pub fn count(&self) -> bool {
        self.entries.iter().any(|entry| entry.head.allowance.is_some())
    }

    /// Those about the numbered rule at this position.
    #[must_use]
    pub fn of_rule(&self, position: usize) -> &[SuppressionIndex] {
        self.of_rules.get(position).map(|found| &**found).unwrap_or_default()
    }

    /// Those about the Sigma rule at this position.
    #[must_use]
    pub fn of_sigma(&self, position: usize) -> &[SuppressionIndex] {
        self.of_sigma.get(position).map(|found| &**found).unwrap_or_default()
    }

    /// Those about the correlation at this position.
    #[must_use]
    pub fn of_correlation(&self, position: usize) -> &[SuppressionIndex] {
        self.of_correlations.get(position).map(|found| &**found).unwrap_or_default()
    }

    /// Those about a rule: what [`Suppressions::of_rule`] knows already, for rules of other kinds.
    #[must_use]
    pub fn select(&self, rule: &RuleTraits<'_>) -> Box<[SuppressionIndex]> {
        let about = (0..).zip(&self.entries).filter(|(_, entry)| entry.head.is_about(rule));
        let (plain, counting): (Vec<_>, Vec<_>) =
            about.partition(|(_, entry)| entry.head.allowance.is_none());
        plain.into_iter().chain(counting).map(|(index, _)| index).collect()
    }

    /// What becomes of an alert of rule `id` that happened at `time`: the first of `among` that fits decides.
    #[must_use]
    pub fn decide(
        &self,
        among: &[SuppressionIndex],
        id: &str,
        time: Millis,
        fields: &dyn Fields,
    ) -> Decision {
        for index in among {
            let Some(entry) = self.entries.get(*index as usize) else { continue };
            if entry.standing(time) == Standing::Expired || !entry.holds(fields) {
                continue;
            }
            return match &entry.head.allowance {
                None => Decision::HoldBack(*index),
                Some(allowance) => Decision::Throttle(Ask {
                    suppression: Arc::clone(&entry.id),
                    key: entry.key(id, fields),
                    allow: allowance.allow,
                    quiet: allowance.quiet,
                }),
            };
        }
        Decision::Write
    }

    /// Whether one of them looks at the field, whose name is in any letter case.
    fn looks_at(&self, field: &str) -> Option<&str> {
        let lower = field.to_lowercase();
        let at = self.fields.binary_search(&lower).ok()?;
        self.fields.get(at).map(String::as_str)
    }
}
