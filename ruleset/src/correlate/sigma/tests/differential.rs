//! The state machine against the definition: random correlations, chains of them too, over random matches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ir::sigma::Figure;
use crate::naive::sigma_correlations::{NaiveMatch, NaiveMatched, correlate};

fn bounds() -> impl Strategy<Value = Vec<Bound>> {
    let comparison = prop_oneof![
        4 => Just(Comparison::GreaterOrEqual),
        2 => Just(Comparison::Greater),
        1 => Just(Comparison::Less),
        1 => Just(Comparison::LessOrEqual),
        1 => Just(Comparison::Equal),
        1 => Just(Comparison::NotEqual),
    ];
    let one = (comparison, 0..10_u8).prop_map(|(comparison, number)| {
        let number = if number == 9 { 2.5 } else { f64::from(number) / 2.0 };
        Bound { comparison, number: number.ceil().max(number) }
    });
    vec(one, 1..3)
}

fn expr(of: u32) -> impl Strategy<Value = OccurrenceExpr> {
    let leaf = (0..of).prop_map(OccurrenceExpr::Matched);
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(OccurrenceExpr::All),
            vec(inner.clone(), 1..3).prop_map(OccurrenceExpr::Any),
            inner.prop_map(|inner| OccurrenceExpr::Not(Box::new(inner))),
        ]
    })
}

fn occurrence(of: u32) -> impl Strategy<Value = Occurrence> {
    prop_oneof![
        2 => Just(Occurrence::Every),
        1 => bounds().prop_map(Occurrence::Number),
        2 => expr(of).prop_map(Occurrence::Expr),
    ]
}

fn kind(of: u32) -> impl Strategy<Value = CorrelationKind> {
    let figure = prop_oneof![
        Just(Figure::Sum),
        Just(Figure::Average),
        Just(Figure::Percentile(50.0)),
        Just(Figure::Percentile(90.0)),
    ];
    let fields =
        prop_oneof![Just(vec!["port".to_owned()]), Just(vec!["port".to_owned(), "host".to_owned()]),];
    prop_oneof![
        3 => bounds().prop_map(CorrelationKind::EventCount),
        3 => (fields, bounds()).prop_map(|(fields, bounds)| CorrelationKind::ValueCount { fields, bounds }),
        2 => occurrence(of).prop_map(CorrelationKind::Temporal),
        3 => occurrence(of).prop_map(CorrelationKind::TemporalOrdered),
        2 => (figure, bounds()).prop_map(|(figure, bounds)| {
            CorrelationKind::Value { figure, field: "size".to_owned(), bounds }
        }),
    ]
}

/// A correlation of rules 0–3 and of correlations before the one at `index`.
fn one(index: u32) -> impl Strategy<Value = SigmaCorrelation> {
    let of =
        proptest::sample::subsequence((0..4 + index).collect::<Vec<u32>>(), 1..4.min(4 + index as usize));
    (of.prop_shuffle(), 1..5_u64, vec(0..8_u8, 0..3)).prop_flat_map(move |(of, timespan, group)| {
        let of: Vec<Referent> = of
            .into_iter()
            .map(|of| if of < 4 { Referent::Rule(of) } else { Referent::Correlation(of - 4) })
            .collect();
        let group_by: Vec<GroupField> = group
            .iter()
            .enumerate()
            .map(|(place, choice)| {
                let mut field = by(if place == 0 { "user" } else { "host" }, of.len());
                if *choice == 0 {
                    field.fields[0] = None;
                } else if *choice == 1 {
                    field.fields[0] = Some("port".to_owned());
                } else if *choice == 2 {
                    field.name = "alias".to_owned();
                }
                field
            })
            .collect();
        (kind(of.len() as u32), 0..4_u8).prop_map(move |(kind, choice)| {
            // The values of one rule are those of another field, or it has none.
            let mut alias = by(if choice < 2 { "port" } else { "size" }, of.len());
            alias.fields[0] = (choice != 1).then(|| "port".to_owned());
            SigmaCorrelation {
                head: head("c"),
                kind,
                of: of.clone(),
                group_by: group_by.clone(),
                value_aliases: if choice == 0 { Vec::new() } else { vec![alias] },
                timespan,
            }
        })
    })
}

fn correlations() -> impl Strategy<Value = Vec<SigmaCorrelation>> {
    (one(0), one(1), one(2), one(3), 1..5_usize).prop_map(|(first, second, third, fourth, count)| {
        vec![first, second, third, fourth].into_iter().take(count).collect()
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let value = |name: &'static str, values: &'static [&'static str]| {
        proptest::option::weighted(0.9, proptest::sample::select(values))
            .prop_map(move |value| value.map(|value| (name.to_owned(), value.as_bytes().to_vec())))
    };
    let fields = (
        value("user", &["ann", "ann", "bob"]),
        value("host", &["a", "b"]),
        value("port", &["1", "2", "3", "ann"]),
        value("size", &["1", "2", "0.5", "-1", "none", "2.25"]),
    );
    let fields =
        fields.prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect::<BTreeMap<_, _>>());
    let rules = proptest::sample::subsequence((0..4_u32).collect::<Vec<_>>(), 1..3);
    let gap = prop_oneof![3 => 0..2_i64, 3 => 1..5_i64, 1 => 5..25_i64];
    let one = (gap, rules, fields);
    vec(one, 0..40).prop_map(|steps| {
        let mut time = 0;
        let events = steps.into_iter().map(|(gap, rules, fields)| {
            time += gap * 250;
            Event { time, id: [0; 16], rules, fields }
        });
        numbered(events.collect())
    })
}

/// What the oracle tells of a match: events by their places, through all correlations.
fn resolve(set: &SigmaSet, found: &[CorrelationMatch]) -> Vec<NaiveMatch> {
    let mut known: BTreeMap<[u8; 16], Option<BTreeSet<usize>>> = BTreeMap::new();
    let mut resolved = Vec::new();
    for found in found {
        let kind = &set.correlations[found.correlation as usize].kind;
        let is_exact = !matches!(kind, CorrelationKind::TemporalOrdered(_));
        let mut events = Some(BTreeSet::new());
        for id in &found.events {
            let inner = known.get(&id.0).cloned();
            let inner = inner.unwrap_or_else(|| Some(BTreeSet::from([u128::from_be_bytes(id.0) as usize])));
            events = events.zip(inner).map(|(one, other)| &one | &other);
        }
        let events = events.filter(|_| is_exact);
        known.insert(found.id.0, events.clone());
        resolved.push(NaiveMatch {
            correlation: found.correlation,
            group: found.group.iter().map(|value| value.to_vec()).collect(),
            time: found.time,
            events,
            span: (found.first, found.last),
            count: found.count,
            figure: found.figure,
        });
    }
    resolved
}

/// Of chains only when they start is defined, where several that start then are there; and not even that where an absence
/// alone would do.
fn comparable(mut matches: Vec<NaiveMatch>, set: &SigmaSet) -> Vec<NaiveMatch> {
    for found in &mut matches {
        if let CorrelationKind::TemporalOrdered(occurrence) =
            &set.correlations[found.correlation as usize].kind
        {
            found.count = 0;
            found.span.1 = 0;
            found.events = None;
            if format!("{occurrence:?}").contains("Not(") {
                found.span.0 = 0;
            }
        }
    }
    matches
}

/// What happens beside events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interruption {
    None,
    Watermark,
    Restart,
}

fn interruption() -> impl Strategy<Value = Interruption> {
    prop_oneof![
        4 => Just(Interruption::None),
        2 => Just(Interruption::Watermark),
        1 => Just(Interruption::Restart),
    ]
}

fn run_interrupted(
    plans: &Arc<Plans>,
    events: &[Event],
    interruptions: &[Interruption],
    limits: Limits,
) -> Vec<CorrelationMatch> {
    let mut correlator = Correlator::new(Arc::clone(plans), limits);
    let mut found = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match interruptions.get(at) {
            Some(Interruption::Watermark) => found.extend(advance(&mut correlator, event.time)),
            Some(Interruption::Restart) => {
                let bytes = correlator.snapshot().unwrap();
                let restored = Correlator::restore(plans, limits, &bytes).unwrap();
                assert_eq!(
                    (restored.bytes(), restored.live_groups(), restored.snapshot().unwrap()),
                    (correlator.bytes(), correlator.live_groups(), bytes)
                );
                correlator = restored;
            }
            _ => {}
        }
        found.extend(observe(&mut correlator, event));
    }
    found.extend(advance(&mut correlator, 1_000_000));
    let bytes: usize = correlator.groups.iter().map(super::super::groups::Groups::bytes).sum();
    assert_eq!(correlator.bytes(), bytes, "what is kept is accounted for");
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 1_500 } else { 20_000 }))]

    /// The same matches, in the same order, as by definition; watermarks and restarts in between change nothing.
    #[test]
    fn matches_are_those_of_the_definition(
        correlations in correlations(),
        events in events(),
        interruptions in vec(interruption(), 40),
    ) {
        let set = set(correlations);
        let plans = Arc::new(Plans::new(&set).unwrap());
        let limits = Limits { max_events: 1_000, ..Limits::default() };
        let found = run_interrupted(&plans, &events, &interruptions, limits);
        let naive: Vec<NaiveMatched> = events
            .iter()
            .map(|event| NaiveMatched {
                time: event.time,
                id: event.id,
                rules: event.rules.clone(),
                fields: event.fields.clone(),
            })
            .collect();
        let expected = correlate(&set, &naive, 1_000_000);
        let found = comparable(resolve(&set, &found), &set);
        prop_assert_eq!(found, comparable(expected, &set));
    }

    /// With little memory the result is no longer that of the definition, but still the same whenever the caller says
    /// that time has passed, and however often it restarts; and memory stays within its limits.
    #[test]
    fn forgetting_does_not_depend_on_watermarks_or_restarts(
        correlations in correlations(),
        events in events(),
        interruptions in vec(interruption(), 40),
        max_bytes in 100..3_000_usize,
    ) {
        let plans = plans(correlations);
        let limits = Limits { max_bytes, max_bytes_each: max_bytes, max_values: 3, max_events: 2 };
        let plain = run_interrupted(&plans, &events, &[], limits);
        let found = run_interrupted(&plans, &events, &interruptions, limits);
        prop_assert_eq!(&found, &plain);
        let mut correlator = Correlator::new(plans, limits);
        for event in &events {
            observe(&mut correlator, event);
            prop_assert!(correlator.bytes() <= max_bytes);
        }
    }

    /// Divided among several, each of which is shown what it counts alone, the same matches come.
    #[test]
    fn several_find_together_what_one_finds(
        correlations in correlations(),
        events in events(),
        interruptions in vec(interruption(), 40),
        of in 1..5_u32,
    ) {
        let plans = plans(correlations);
        let limits = Limits { max_events: 1_000, ..Limits::default() };
        let mut whole = run_interrupted(&plans, &events, &[], limits);
        let mut divided = Vec::new();
        for number in 0..of {
            let share = Share::Part { number, of };
            let is_shown = |event: &Event| {
                let fields = Named { plans: &plans, fields: &event.fields };
                let matched = Matched { time: event.time, id: EventId(event.id), rules: &event.rules, fields: &fields };
                plans.places(&matched).into_iter().any(|place| share.has(place))
            };
            let mut correlator = Correlator::new(Arc::clone(&plans), limits);
            correlator.set_share(share);
            for (event, interruption) in events.iter().zip(&interruptions) {
                match interruption {
                    Interruption::None => {}
                    Interruption::Watermark => divided.extend(advance(&mut correlator, event.time)),
                    Interruption::Restart => correlator = correlator.with_plans(&plans).unwrap(),
                }
                if is_shown(event) {
                    divided.extend(observe(&mut correlator, event));
                }
            }
            divided.extend(advance(&mut correlator, 1_000_000));
        }
        let order = |found: &CorrelationMatch| (found.correlation, found.time, found.id);
        whole.sort_by_key(order);
        divided.sort_by_key(order);
        prop_assert_eq!(divided, whole);
    }

    /// Garbage in any order, at any time: no panic, memory within its limits, and a state that can be written and read.
    #[test]
    fn no_time_or_order_breaks_it(
        correlations in correlations(),
        mut events in events(),
        times in vec(prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), 0..20_000_i64], 40),
        watermark in any::<i64>(),
    ) {
        for (event, time) in events.iter_mut().zip(&times) {
            event.time = *time;
        }
        let plans = plans(correlations);
        let limits = Limits { max_bytes: 4_000, ..Limits::default() };
        let mut correlator = Correlator::new(Arc::clone(&plans), limits);
        for (at, event) in events.iter().enumerate() {
            observe(&mut correlator, event);
            prop_assert!(correlator.bytes() <= limits.max_bytes);
            if at % 8 == 7 {
                advance(&mut correlator, watermark.saturating_add(at as i64));
                let bytes = correlator.snapshot().unwrap();
                correlator = Correlator::restore(&plans, limits, &bytes).unwrap();
            }
        }
        advance(&mut correlator, i64::MAX);
        prop_assert_eq!(correlator.next_end(), None);
    }
}
