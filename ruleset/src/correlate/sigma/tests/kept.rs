//! Snapshots, changes of the rules, plans that are refused.

use super::super::{PlanError, SnapshotError};
use super::*;

fn kinds() -> Vec<SigmaCorrelation> {
    let values = |bounds| CorrelationKind::ValueCount { fields: vec!["p".to_owned()], bounds };
    let few = bound(Comparison::Less, 500.0);
    let ordered = CorrelationKind::TemporalOrdered(Occurrence::Every);
    [
        CorrelationKind::EventCount(at_least(30.0)),
        CorrelationKind::EventCount(few.clone()),
        values(at_least(90.0)),
        values(few),
        ordered,
        every(),
    ]
    .into_iter()
    .map(|kind| correlation(kind, &[rule(0), rule(1)]))
    .collect()
}

fn events() -> Vec<Event> {
    let one = |number: i64| {
        let rule = u32::from(number % 17 == 0);
        event(number * 40, &[rule], &format!("user={} p={}", number % 2, number * 7 % 113))
    };
    numbered((0..2_000).map(one).collect())
}

#[test]
fn a_snapshot_at_any_point_changes_nothing() {
    let (plans, events) = (plans(kinds()), events());
    let mut machine = Correlator::new(Arc::clone(&plans), Limits::default());
    let plain: Vec<_> = events.iter().flat_map(|event| observe(&mut machine, event)).collect();
    for index in 0..6 {
        assert!(plain.iter().any(|found| found.correlation == index), "{index}");
    }
    for cut in (0..events.len()).step_by(97) {
        let mut machine = Correlator::new(Arc::clone(&plans), Limits::default());
        let (before, after) = events.split_at(cut);
        let mut found: Vec<_> = before.iter().flat_map(|event| observe(&mut machine, event)).collect();
        let bytes = machine.snapshot().unwrap();
        drop(machine);
        let mut machine = Correlator::restore(&plans, Limits::default(), &bytes).unwrap();
        found.extend(after.iter().flat_map(|event| observe(&mut machine, event)));
        assert_eq!(found, plain, "{cut}");
    }
}

/// Rules that a change leaves alone keep what they have counted, wherever they stand in the new set.
#[test]
fn counts_outlive_a_change_of_other_rules() {
    let count = |number, of| correlation(CorrelationKind::EventCount(at_least(number)), &[rule(of)]);
    let mut machine = correlator(vec![count(3.0, 0), count(2.0, 1)]);
    observe(&mut machine, &event(0, &[0, 1], "user=ann"));
    observe(&mut machine, &event(1, &[0], "user=ann"));
    // The first one is the same, now behind another; the second one has another bound.
    let mut changed = set(vec![count(3.0, 1), count(3.0, 0)]);
    changed.correlations[0].head = head("correlation 1");
    changed.correlations[1].head = head("correlation 0");
    let mut machine = machine.with_plans(&Arc::new(Plans::new(&changed).unwrap())).unwrap();
    assert_eq!(machine.live_groups(), 1);
    assert_eq!(shown(&observe(&mut machine, &event(2, &[0, 1], "user=ann"))), ["1@0.002 3 ann"]);
    // A rule that is not what it was starts anew.
    let plans = |expr| {
        let mut set = set(vec![count(2.0, 0)]);
        set.rules[0].expr = expr;
        Arc::new(Plans::new(&set).unwrap())
    };
    let mut machine = Correlator::new(plans(Expr::All(Vec::new())), Limits::default());
    observe(&mut machine, &event(0, &[0], "user=ann"));
    let same = machine.with_plans(&plans(Expr::All(Vec::new()))).unwrap();
    let other = machine.with_plans(&plans(Expr::Any(Vec::new()))).unwrap();
    assert_eq!((same.live_groups(), other.live_groups()), (1, 0));
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let plans = plans(kinds());
    let restore = |bytes: &[u8]| Correlator::restore(&plans, Limits::default(), bytes).map(|_| ());
    let mut machine = Correlator::new(Arc::clone(&plans), Limits::default());
    events().iter().take(50).for_each(|event| drop(observe(&mut machine, event)));
    let bytes = machine.snapshot().unwrap();
    assert_eq!(restore(&bytes), Ok(()));
    assert_eq!(restore(&[]), Err(SnapshotError::Damaged));
    assert_eq!(restore(&[2, 0, 0]), Err(SnapshotError::Format(2)));
    assert_eq!(restore(&[&bytes[..], b"x"].concat()), Err(SnapshotError::Damaged));
    for cut in 1..bytes.len() {
        assert_eq!(restore(&bytes[..cut]), Err(SnapshotError::Damaged), "{cut}");
    }
    // Any byte may be another: it is refused, or what it gives can be used.
    for at in 1..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x5a;
        if let Ok(mut machine) = Correlator::restore(&plans, Limits::default(), &bytes) {
            events().iter().take(60).for_each(|event| drop(observe(&mut machine, event)));
            advance(&mut machine, i64::MAX);
        }
    }
}

#[test]
fn plans_say_what_they_need() {
    let failed = SigmaCorrelation {
        group_by: vec![by("host", 1)],
        ..correlation(CorrelationKind::EventCount(at_least(3.0)), &[rule(0)])
    };
    let then = correlation(every(), &[Referent::Correlation(0), rule(1)]);
    let plans = plans(vec![failed, then]);
    let names = |rule| -> Option<Vec<&str>> {
        let fields = plans.fields_of(rule)?.iter();
        let mut names: Vec<&str> =
            fields.map(|field| plans.field_names()[field.0 as usize].as_str()).collect();
        names.sort_unstable();
        Some(names)
    };
    // What the second correlation asks of the first one's match, the first one must take from its last event.
    assert_eq!(names(0), Some(vec!["host", "user"]));
    assert_eq!(names(1), Some(vec!["user"]));
    assert_eq!(names(2), None);
    assert_eq!((plans.len(), plans.timespan(0), plans.timespan(7)), (2, 10_000, 0));
}

#[test]
fn what_would_need_too_much_is_refused() {
    let of: Vec<Referent> = (0..6).map(rule).collect();
    let branches = vec![OccurrenceExpr::Any(vec![matched(0), matched(1)]); 9];
    let kind = CorrelationKind::TemporalOrdered(Occurrence::Expr(OccurrenceExpr::All(branches)));
    let refused = Plans::new(&set(vec![correlation(kind, &of)])).map(|_| ());
    assert!(matches!(&refused, Err(PlanError::TooComplex { correlation: 0, .. })), "{refused:?}");
    let refused = Plans::new(&set(vec![correlation(every(), &[Referent::Correlation(0)])])).map(|_| ());
    assert!(matches!(&refused, Err(PlanError::Order { correlation: 0, .. })), "{refused:?}");
    assert!(refused.is_err_and(|error| error.to_string().contains("`correlation 0`")));
}
