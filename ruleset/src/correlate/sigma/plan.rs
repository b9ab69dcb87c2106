//! Correlations as they are counted: which matches feed them, where their values stand, when they are decided.
//!
//! Enters: a [`SigmaSet`]. Leaves: [`Plans`], immutable and shared. Field names become indices, so that a caller binds
//! each name once; a field that a correlation asks of the matches of another one is either in that one's `group-by`, or is
//! handed on from the last event of its match.

use rustc_hash::FxHashMap;
use serde::Serialize;
use thiserror::Error;
use threatlockdown_event::identity::hash;

use super::measure::{self, Measure, Threshold, TooComplex};
use super::places;
use crate::ir::sigma::{
    Bound, Comparison, CorrelationKind, Occurrence, Referent, SigmaCorrelation, SigmaRuleIndex, SigmaSet,
};

/// Times and spans are cut to this, so that sums of them cannot overflow.
pub(super) const MAX_TIME: i64 = i64::MAX / 8;

/// Index into [`Plans::field_names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldIndex(pub u32);

/// Why a correlation cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// See the message.
    #[error(
        "the condition of the correlation `{title}` allows more than 256 orders of rules, or is nested more than 64 \
         deep; write it as several correlations"
    )]
    TooComplex {
        /// Its title.
        title: String,
        /// Its index.
        correlation: u32,
    },
    /// What the front end must have checked.
    #[error("the correlation `{title}` refers to a rule or correlation that does not come before it")]
    Order {
        /// Its title.
        title: String,
        /// Its index.
        correlation: u32,
    },
}

/// All correlations of a set, compiled.
#[derive(Debug, Default)]
pub struct Plans {
    pub(super) plans: Vec<Plan>,
    by_rule: FxHashMap<SigmaRuleIndex, Vec<Feed>>,
    by_correlation: Vec<Vec<Feed>>,
    fields: Vec<String>,
    fields_of_rule: FxHashMap<SigmaRuleIndex, Vec<FieldIndex>>,
    fingerprint: [u8; 8],
}

/// Whose matches count where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Feed {
    pub(super) correlation: u32,
    pub(super) referent: u32,
}

/// One correlation.
#[derive(Debug)]
pub(super) struct Plan {
    /// Hash of all that it demands: what was counted for it stays valid as long as this does.
    pub(super) identity: [u8; 16],
    pub(super) id: String,
    /// Milliseconds.
    pub(super) span: i64,
    pub(super) measure: Measure,
    /// Decided at the end of a window, not on each match.
    pub(super) at_end: bool,
    /// Referents whose match opens a window.
    pub(super) opens: Vec<bool>,
    pub(super) referents: Vec<Sources>,
    /// The number of its chain, where it counts matches of others or they count its own.
    pub(super) chain: Option<u64>,
}

/// Where values stand in the matches of a referent.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// For each field of `group-by`; `None` where the referent has no such field.
    pub(super) group: Vec<Option<Source>>,
    /// What is counted; `None` where the referent has no such field.
    pub(super) value: Vec<Option<Source>>,
    /// What is handed on.
    pub(super) carried: Vec<Source>,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// In the event.
    Event(FieldIndex),
    /// Among the `group-by` values of a correlation's match.
    Group(u32),
    /// Among the values that it hands on.
    Carried(u32),
}

impl Plans {
    /// Compiles all correlations of `set`.
    ///
    /// # Errors
    /// The first condition that would need too much, see [`PlanError`].
    pub fn new(set: &SigmaSet) -> Result<Self, PlanError> {
        let mut plans = Self { by_correlation: vec![Vec::new(); set.correlations.len()], ..Self::default() };
        for (index, correlation) in (0_u32..).zip(&set.correlations) {
            let plan = plans.plan(set, index, correlation)?;
            plans.plans.push(plan);
        }
        plans.bind(set);
        Ok(plans)
    }

    /// How many correlations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// The names of all fields that are asked for, by [`FieldIndex`].
    #[must_use]
    pub fn field_names(&self) -> &[String] {
        &self.fields
    }

    /// The fields that a match of `rule` must bring; `None` where no correlation counts it.
    #[must_use]
    pub fn fields_of(&self, rule: SigmaRuleIndex) -> Option<&[FieldIndex]> {
        self.by_rule.get(&rule)?;
        Some(self.fields_of_rule.get(&rule).map(Vec::as_slice).unwrap_or_default())
    }

    /// The correlation's timespan in milliseconds. A group without a match for longer than that is as if it had never been;
    /// while matches keep coming, when it matches next depends on all of them, so replaying one timespan is not enough
    /// to restore it: that takes a snapshot.
    #[must_use]
    pub fn timespan(&self, correlation: u32) -> i64 {
        self.get(correlation).map_or(0, |plan| plan.span)
    }

    /// A hash of all that gives rules and fields their numbers, and of what the correlations demand.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }

    /// A hash of what the correlation demands; what is kept for it survives a change of the rules while this does.
    #[must_use]
    pub fn identity(&self, correlation: u32) -> Option<[u8; 16]> {
        self.get(correlation).map(|plan| plan.identity)
    }

    pub(super) fn get(&self, correlation: u32) -> Option<&Plan> {
        self.plans.get(correlation as usize)
    }

    pub(super) fn fed_by_rule(&self, rule: SigmaRuleIndex) -> &[Feed] {
        self.by_rule.get(&rule).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn fed_by(&self, correlation: u32) -> &[Feed] {
        self.by_correlation.get(correlation as usize).map(Vec::as_slice).unwrap_or_default()
    }

    fn plan(
        &mut self,
        set: &SigmaSet,
        index: u32,
        correlation: &SigmaCorrelation,
    ) -> Result<Plan, PlanError> {
        let title = || correlation.head.title.clone();
        let mut identities = Vec::new();
        for (referent, of) in (0_u32..).zip(&correlation.of) {
            let feed = Feed { correlation: index, referent };
            let identity = match *of {
                Referent::Rule(rule) => {
                    self.by_rule.entry(rule).or_default().push(feed);
                    set.rules.get(rule as usize).map(|rule| {
                        hash(&[rule.head.id.as_bytes(), &bytes(&rule.logsource), &bytes(&rule.expr)])
                    })
                }
                Referent::Correlation(inner) => {
                    if let Some(feeds) = self.by_correlation.get_mut(inner as usize) {
                        feeds.push(feed);
                    }
                    self.get(inner).map(|plan| plan.identity)
                }
            };
            identities.push(identity.ok_or_else(|| PlanError::Order { title: title(), correlation: index })?);
        }
        let of = u32::try_from(correlation.of.len()).unwrap_or(u32::MAX);
        let Decision { measure, at_end, opens } = decision(&correlation.kind, of)
            .map_err(|TooComplex| PlanError::TooComplex { title: title(), correlation: index })?;
        let fields = (&correlation.group_by, &correlation.value_aliases);
        let demand = (&correlation.kind, fields, correlation.timespan);
        let span = i64::try_from(correlation.timespan).unwrap_or(MAX_TIME).saturating_mul(1000).min(MAX_TIME);
        Ok(Plan {
            identity: hash(&[correlation.head.id.as_bytes(), &identities.concat(), &bytes(&demand)]),
            id: correlation.head.id.clone(),
            span,
            measure,
            at_end,
            opens: (0..of)
                .map(|referent| opens.as_ref().is_none_or(|opens| opens.contains(&referent)))
                .collect(),
            referents: Vec::new(),
            chain: None,
        })
    }

    /// Says where values stand, the last correlation first: what it asks of those before it, they must hand on.
    fn bind(&mut self, set: &SigmaSet) {
        let mut indices = FxHashMap::default();
        let mut carried: Vec<Vec<String>> = vec![Vec::new(); set.correlations.len()];
        for (index, correlation) in set.correlations.iter().enumerate().rev() {
            let values = correlation.value_fields();
            let hands_on = carried.get(index).cloned().unwrap_or_default();
            let mut referents = Vec::new();
            for (place, of) in correlation.of.iter().enumerate() {
                let mut find = |name: &str| match *of {
                    Referent::Rule(rule) => Source::Event(self.field(&mut indices, rule, name)),
                    Referent::Correlation(inner) => from_match(set, &mut carried, inner, name),
                };
                let group = correlation.group_by.iter();
                let group = group.map(|field| field.fields.get(place)?.as_deref().map(&mut find)).collect();
                let value = values.iter().map(|name| correlation.value_field_of(name, place).map(&mut find));
                let value = value.collect();
                let carried = hands_on.iter().map(|name| find(name)).collect();
                referents.push(Sources { group, value, carried });
            }
            if let Some(plan) = self.plans.get_mut(index) {
                plan.referents = referents;
            }
        }
        for feeds in self.by_rule.values_mut() {
            feeds.sort_unstable();
        }
        let chains = places::chains(&self.plans, &self.by_correlation);
        self.plans.iter_mut().zip(chains).for_each(|(plan, chain)| plan.chain = chain);
        let identities: Vec<_> = self.plans.iter().map(|plan| plan.identity).collect();
        let of_rule = |(rule, feeds): (&SigmaRuleIndex, &Vec<Feed>)| {
            let feeds = feeds.iter().map(|feed| (feed.correlation, feed.referent));
            (*rule, feeds.collect::<Vec<_>>())
        };
        let mut rules: Vec<_> = self.by_rule.iter().map(of_rule).collect();
        rules.sort_unstable();
        let whole = hash(&[&bytes(&(identities, rules, &self.fields))]);
        self.fingerprint = whole.first_chunk().copied().unwrap_or_default();
    }

    fn field(
        &mut self,
        indices: &mut FxHashMap<String, FieldIndex>,
        rule: SigmaRuleIndex,
        name: &str,
    ) -> FieldIndex {
        let index = *indices.entry(name.to_owned()).or_insert_with(|| {
            self.fields.push(name.to_owned());
            FieldIndex(self.fields.len() as u32 - 1)
        });
        let fields = self.fields_of_rule.entry(rule).or_default();
        if !fields.contains(&index) {
            fields.push(index);
        }
        index
    }
}

/// Where a field stands in the matches of a correlation; what is not in its `group-by` it must hand on.
fn from_match(set: &SigmaSet, carried: &mut [Vec<String>], inner: u32, name: &str) -> Source {
    let group =
        set.correlations.get(inner as usize).map(|inner| inner.group_by.as_slice()).unwrap_or_default();
    if let Some(place) = group.iter().position(|field| field.name == name) {
        return Source::Group(place as u32);
    }
    let Some(names) = carried.get_mut(inner as usize) else { return Source::Carried(u32::MAX) };
    let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    Source::Carried(place as u32)
}

/// How a correlation is decided.
struct Decision {
    measure: Measure,
    at_end: bool,
    /// The referents that open a window, where not all do.
    opens: Option<Vec<u32>>,
}

fn decision(kind: &CorrelationKind, of: u32) -> Result<Decision, TooComplex> {
    let counted =
        |measure, bounds: &[Bound]| Decision { measure, at_end: !measure::is_rising(bounds), opens: None };
    let every = [Bound { comparison: Comparison::GreaterOrEqual, number: f64::from(of) }];
    Ok(match kind {
        CorrelationKind::EventCount(bounds) => counted(Measure::Count(Threshold::new(bounds)), bounds),
        CorrelationKind::ValueCount { bounds, .. } => {
            counted(Measure::Distinct(Threshold::new(bounds)), bounds)
        }
        CorrelationKind::Value { figure, bounds, .. } => {
            counted(Measure::Figure(*figure, bounds.clone()), bounds)
        }
        CorrelationKind::Temporal(Occurrence::Every) => {
            counted(Measure::Rules(Threshold::new(&every)), &every)
        }
        CorrelationKind::Temporal(Occurrence::Number(bounds)) => {
            counted(Measure::Rules(Threshold::new(bounds)), bounds)
        }
        CorrelationKind::Temporal(Occurrence::Expr(expr)) => {
            let at_end = !measure::named(expr, false)?.is_empty();
            let opens = Some(measure::named(expr, true)?);
            Decision { measure: Measure::Expr(expr.clone()), at_end, opens }
        }
        CorrelationKind::TemporalOrdered(Occurrence::Every) => {
            counted(Measure::Chains(measure::subsets(of, of)?), &every)
        }
        CorrelationKind::TemporalOrdered(Occurrence::Number(bounds)) if measure::is_rising(bounds) => {
            counted(Measure::Chains(measure::subsets(of, Threshold::new(bounds).keep)?), bounds)
        }
        // Fewer rules than so many: then their order says nothing.
        CorrelationKind::TemporalOrdered(Occurrence::Number(bounds)) => {
            counted(Measure::Rules(Threshold::new(bounds)), bounds)
        }
        CorrelationKind::TemporalOrdered(Occurrence::Expr(expr)) => {
            let branches = measure::branches(expr)?;
            let at_end = !measure::named(expr, false)?.is_empty();
            let opens = Some(measure::named(expr, true)?);
            Decision { measure: Measure::Chains(branches), at_end, opens }
        }
    })
}

/// What is part of an identity. Everything that is here can be written.
fn bytes(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}
