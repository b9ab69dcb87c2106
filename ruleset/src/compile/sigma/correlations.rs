//! Correlations: from the intermediate form to what is counted and what alerts show.
//!
//! Enters: a [`SigmaSet`] in the words of the sources. Leaves: its [`Plans`], and beside each what tools and alerts tell of it.

use std::sync::Arc;

use crate::compile::attack::{Techniques, tactics_of};
use crate::correlate::sigma::{PlanError, Plans};
use crate::diagnostic::Diagnostic;
use crate::ir::sigma::{
    CorrelationKind, Figure, Referent, SigmaCorrelation as IrCorrelation, SigmaHead, SigmaSet,
};
use crate::program::{Mitre, SigmaCorrelation};

/// All correlations of a set.
pub(super) struct Correlations {
    pub(super) correlations: Vec<SigmaCorrelation>,
    pub(super) plans: Arc<Plans>,
}

/// The correlations; one that cannot be counted is a fault.
pub(super) fn correlations(
    set: &SigmaSet,
    attack: &Techniques,
    faults: &mut Vec<Diagnostic>,
) -> Correlations {
    let plans = Plans::new(set).unwrap_or_else(|error| {
        let (index, help) = match &error {
            PlanError::TooComplex { correlation, .. } => (*correlation, "write it as several correlations"),
            PlanError::Order { correlation, .. } => (*correlation, "refer to rules that are loaded"),
        };
        if let Some(correlation) = set.correlations.get(index as usize) {
            let place = correlation.head.place.clone();
            faults.push(Diagnostic::error(place, "", error.to_string(), help));
        }
        Plans::default()
    });
    let shown = |correlation| shown(correlation, set, attack);
    Correlations { correlations: set.correlations.iter().map(shown).collect(), plans: Arc::new(plans) }
}

fn shown(correlation: &IrCorrelation, set: &SigmaSet, attack: &Techniques) -> SigmaCorrelation {
    let head = &correlation.head;
    let mitre = attack.describe(&head.mitre, &[]);
    let tactics = tactics_of(&head.tags);
    let referent = |of: &Referent| -> Option<&SigmaHead> {
        match *of {
            Referent::Rule(rule) => set.rules.get(rule as usize).map(|rule| &rule.head),
            Referent::Correlation(inner) => set.correlations.get(inner as usize).map(|inner| &inner.head),
        }
    };
    SigmaCorrelation {
        head: head.clone(),
        mitre: Mitre { tactic: if tactics.is_empty() { mitre.tactic } else { tactics }, ..mitre },
        groups: vec!["sigma".to_owned(), "correlation".to_owned()],
        kind: kind(&correlation.kind),
        of: correlation.of.iter().filter_map(referent).map(|head| head.id.clone()).collect(),
        group_by: correlation.group_by.iter().map(|field| field.name.clone()).collect(),
        timespan: correlation.timespan,
    }
}

fn kind(kind: &CorrelationKind) -> &'static str {
    match kind {
        CorrelationKind::EventCount(_) => "event_count",
        CorrelationKind::ValueCount { .. } => "value_count",
        CorrelationKind::Temporal(_) => "temporal",
        CorrelationKind::TemporalOrdered(_) => "temporal_ordered",
        CorrelationKind::Value { figure: Figure::Sum, .. } => "value_sum",
        CorrelationKind::Value { figure: Figure::Average, .. } => "value_avg",
        CorrelationKind::Value { figure: Figure::Percentile(percentile), .. } => match percentile {
            0.0 => "value_min",
            50.0 => "value_median",
            100.0 => "value_max",
            _ => "value_percentile",
        },
    }
}
