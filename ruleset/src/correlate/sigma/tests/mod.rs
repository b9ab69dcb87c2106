//! What correlations give: tables by type and bound, the oracle, memory, snapshots.

mod bounds;
mod differential;
mod kept;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use threatlockdown_event::EventId;

use super::{CorrelationMatch, Correlator, FieldIndex, Fields, Limits, Matched, Plans, Share};
use crate::ir::Place;
use crate::ir::sigma::{
    Bound, Comparison, CorrelationKind, Expr, GroupField, Logsource, Occurrence, OccurrenceExpr, Referent,
    SigmaCorrelation, SigmaHead, SigmaRule, SigmaSet,
};

fn head(id: &str) -> SigmaHead {
    SigmaHead::new(id, Place { file: "test.yml".into(), line: 1, column: 1 })
}

fn rule(number: u32) -> Referent {
    Referent::Rule(number)
}

fn at_least(number: f64) -> Vec<Bound> {
    vec![Bound { comparison: Comparison::GreaterOrEqual, number }]
}

fn bound(comparison: Comparison, number: f64) -> Vec<Bound> {
    vec![Bound { comparison, number }]
}

/// A correlation of ten seconds, by `user`.
fn correlation(kind: CorrelationKind, of: &[Referent]) -> SigmaCorrelation {
    SigmaCorrelation {
        head: head("c"),
        kind,
        of: of.to_vec(),
        group_by: vec![by("user", of.len())],
        value_aliases: Vec::new(),
        timespan: 10,
    }
}

fn by(name: &str, referents: usize) -> GroupField {
    GroupField { name: name.to_owned(), fields: vec![Some(name.to_owned()); referents] }
}

/// Six rules and these correlations.
fn set(correlations: Vec<SigmaCorrelation>) -> SigmaSet {
    let rule = |number: u32| SigmaRule {
        head: head(&format!("rule {number}")),
        logsource: Logsource::default(),
        expr: Expr::All(Vec::new()),
    };
    let mut correlations = correlations;
    for (index, correlation) in correlations.iter_mut().enumerate() {
        correlation.head = head(&format!("correlation {index}"));
    }
    SigmaSet { rules: (0..6).map(rule).collect(), correlations }
}

fn plans(correlations: Vec<SigmaCorrelation>) -> Arc<Plans> {
    Arc::new(Plans::new(&set(correlations)).unwrap())
}

fn correlator(correlations: Vec<SigmaCorrelation>) -> Correlator {
    Correlator::new(plans(correlations), Limits::default())
}

/// Fields by name.
struct Named<'a> {
    plans: &'a Plans,
    fields: &'a BTreeMap<String, Vec<u8>>,
}

impl Fields for Named<'_> {
    fn value(&self, field: FieldIndex) -> Option<&[u8]> {
        let name = self.plans.field_names().get(field.0 as usize)?;
        self.fields.get(name).map(Vec::as_slice)
    }
}

/// An event: milliseconds, rules, fields as `name=value`.
#[derive(Debug, Clone)]
struct Event {
    time: i64,
    id: [u8; 16],
    rules: Vec<u32>,
    fields: BTreeMap<String, Vec<u8>>,
}

fn event(time: i64, rules: &[u32], fields: &str) -> Event {
    let fields = fields.split_whitespace().filter_map(|field| field.split_once('='));
    Event {
        time,
        id: [0; 16],
        rules: rules.to_vec(),
        fields: fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect(),
    }
}

/// Numbers the events, so that their ids are in order.
fn numbered(events: Vec<Event>) -> Vec<Event> {
    let number = |(number, event): (u128, Event)| Event { id: number.to_be_bytes(), ..event };
    (0_u128..).zip(events).map(number).collect()
}

fn observe(correlator: &mut Correlator, event: &Event) -> Vec<CorrelationMatch> {
    let plans = Arc::clone(correlator.plans());
    let mut found = Vec::new();
    let fields = Named { plans: &plans, fields: &event.fields };
    let matched = Matched { time: event.time, id: EventId(event.id), rules: &event.rules, fields: &fields };
    correlator.observe(&matched, &mut found);
    found
}

fn advance(correlator: &mut Correlator, watermark: i64) -> Vec<CorrelationMatch> {
    let mut found = Vec::new();
    correlator.advance(watermark, &mut found);
    found
}

/// All matches of these events, until the end of time.
fn run(correlator: &mut Correlator, events: Vec<Event>) -> Vec<CorrelationMatch> {
    let mut found: Vec<_> = numbered(events).iter().flat_map(|event| observe(correlator, event)).collect();
    found.extend(advance(correlator, i64::MAX));
    found
}

/// `correlation@seconds count`, the group behind it.
fn shown(found: &[CorrelationMatch]) -> Vec<String> {
    let show = |found: &CorrelationMatch| {
        let group: Vec<_> = found.group.iter().map(|value| String::from_utf8_lossy(value)).collect();
        let time = found.time as f64 / 1000.0;
        format!("{}@{time} {} {}", found.correlation, found.count, group.join("/"))
    };
    found.iter().map(show).collect()
}

fn matched(rule: u32) -> OccurrenceExpr {
    OccurrenceExpr::Matched(rule)
}

fn not(expr: OccurrenceExpr) -> OccurrenceExpr {
    OccurrenceExpr::Not(Box::new(expr))
}

fn every() -> CorrelationKind {
    CorrelationKind::Temporal(Occurrence::Every)
}
