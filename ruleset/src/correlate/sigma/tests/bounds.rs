//! Memory: what is forgotten, in which order, and that it is told; matches that come late.

use super::*;
use crate::ir::sigma::Figure;

fn count(number: f64) -> SigmaCorrelation {
    correlation(CorrelationKind::EventCount(at_least(number)), &[rule(0)])
}

fn user(time: i64, rule: u32, user: usize) -> Event {
    event(time, &[rule], &format!("user={user}"))
}

#[test]
fn idle_groups_are_forgotten_without_report() {
    let mut machine = correlator(vec![count(5.0)]);
    let mut most = 0;
    for number in 0..20_000 {
        observe(&mut machine, &user(number as i64 * 10, 0, number));
        most = most.max(machine.live_groups());
    }
    // Ten seconds of them, and the one at hand.
    assert!((1_001..1_010).contains(&most), "{most}");
    assert_eq!(machine.counters()[0].evicted, 0);
    advance(&mut machine, 1_000_000);
    assert_eq!((machine.live_groups(), machine.bytes()), (0, 0));
}

#[test]
fn a_correlation_that_nothing_reaches_any_more_is_cleared_by_watermarks() {
    let second = correlation(CorrelationKind::EventCount(at_least(5.0)), &[rule(1)]);
    let mut machine = correlator(vec![count(5.0), second]);
    (0..10_000).for_each(|number| drop(observe(&mut machine, &user(0, 0, number))));
    observe(&mut machine, &user(60_000, 1, 0));
    assert_eq!(machine.live_groups(), 10_001);
    for _ in 0..3 {
        advance(&mut machine, 60_000);
    }
    assert_eq!(machine.live_groups(), 1);
}

#[test]
fn the_least_recently_touched_are_evicted_and_counted() {
    let limits = Limits { max_bytes: 12_000, ..Limits::default() };
    let mut machine = Correlator::new(plans(vec![count(2.0)]), limits);
    for number in 0..1_000 {
        observe(&mut machine, &user(0, 0, number));
        // This one is touched again and again: after its match it is quiet, but stays.
        observe(&mut machine, &user(0, 0, 0));
        assert!(machine.bytes() <= limits.max_bytes);
    }
    let live = machine.live_groups();
    assert!(live > 90, "{live}");
    assert_eq!(machine.counters()[0].evicted + live as u64, 1_000);
    let plain = |machine: &mut Correlator, number| observe(machine, &user(1, 0, number)).len();
    assert_eq!((plain(&mut machine, 999), plain(&mut machine, 0), plain(&mut machine, 1)), (1, 0, 0));
}

/// A flood in one correlation does not make another one forget.
#[test]
fn the_largest_correlation_gives_way() {
    let limits = Limits { max_bytes: 20_000, ..Limits::default() };
    let second = correlation(CorrelationKind::EventCount(at_least(2.0)), &[rule(1)]);
    let mut machine = Correlator::new(plans(vec![count(2.0), second]), limits);
    (0..10).for_each(|number| drop(observe(&mut machine, &user(0, 1, number))));
    (0..5_000).for_each(|number| drop(observe(&mut machine, &user(1, 0, number))));
    let evicted: Vec<u64> = machine.counters().iter().map(|counters| counters.evicted).collect();
    assert!(evicted[0] > 4_000 && evicted[1] == 0, "{evicted:?}");
    let found: usize = (0..10).map(|number| observe(&mut machine, &user(2, 1, number)).len()).sum();
    assert_eq!(found, 10);
}

#[test]
fn one_correlation_has_its_own_limit() {
    let limits = Limits { max_bytes_each: 5_000, ..Limits::default() };
    let few = correlation(CorrelationKind::EventCount(bound(Comparison::Less, 3.0)), &[rule(0)]);
    let mut machine = Correlator::new(plans(vec![few]), limits);
    (0..1_000).for_each(|number| drop(observe(&mut machine, &user(0, 0, number))));
    assert!(machine.bytes() <= 5_000 && machine.bytes() > 4_000, "{}", machine.bytes());
    assert_eq!(machine.counters()[0].evicted + machine.live_groups() as u64, 1_000);
    assert_eq!(machine.ends.len(), machine.live_groups(), "an evicted window has no end");
    let live = machine.live_groups();
    assert_eq!(advance(&mut machine, i64::MAX).len(), live);
}

/// One group alone can be too large.
#[test]
fn a_group_beyond_all_limits_is_evicted_too() {
    let limits = Limits { max_bytes: 1_000, ..Limits::default() };
    let mut machine = Correlator::new(plans(vec![count(1_000.0)]), limits);
    for number in 0..200 {
        observe(&mut machine, &user(number, 0, 0));
        assert!(machine.bytes() <= 1_000);
    }
    assert!(machine.counters()[0].evicted > 0);
}

#[test]
fn values_beyond_the_limit_are_dropped_and_counted() {
    let limits = Limits { max_values: 3, ..Limits::default() };
    for (figure, bounds, expected) in [
        // Moving: the newest three. Standing: a sum has them all, a percentile the first three.
        (Figure::Sum, at_least(100.0), (None, 2)),
        (Figure::Sum, bound(Comparison::Less, 100.0), (Some(15.0), 0)),
        (Figure::Percentile(100.0), bound(Comparison::Less, 100.0), (Some(3.0), 2)),
    ] {
        let kind = CorrelationKind::Value { figure, field: "size".to_owned(), bounds };
        let mut machine = Correlator::new(plans(vec![correlation(kind, &[rule(0)])]), limits);
        let events = (1..6).map(|number| event(number, &[0], &format!("user=ann size={number}")));
        let found = run(&mut machine, events.collect());
        let figure = found.first().and_then(|found| found.figure);
        assert_eq!((figure, machine.counters()[0].dropped), expected);
    }
}

#[test]
fn late_matches_count_where_their_window_exists() {
    // At once: within the window of the newest match.
    let mut machine = correlator(vec![count(3.0)]);
    for time in [0, 10_000, 20_000] {
        assert_eq!(observe(&mut machine, &event(time, &[0], "user=ann")).len(), 0, "{time}");
    }
    let found = observe(&mut machine, &event(12_000, &[0], "user=ann"));
    assert_eq!(
        (shown(&found), found[0].first, found[0].last),
        (vec!["0@20 3 ann".to_owned()], 10_000, 20_000)
    );
    assert_eq!(observe(&mut machine, &event(11_000, &[0], "user=ann")).len(), 0);
    observe(&mut machine, &event(9_000, &[0], "user=ann"));
    observe(&mut machine, &event(9_000, &[0], "user=bob"));
    observe(&mut machine, &event(10_000, &[0], "user=bob"));
    assert_eq!((machine.counters()[0].late, machine.counters()[0].counted), (2, 6));

    // At the end: in the window that is open; one that would have ended is not opened.
    let few = correlation(CorrelationKind::EventCount(bound(Comparison::LessOrEqual, 3.0)), &[rule(0)]);
    let mut machine = correlator(vec![few]);
    observe(&mut machine, &event(20_000, &[0], "user=ann"));
    advance(&mut machine, 25_000);
    for (time, name) in [(22_000, "ann"), (19_000, "ann"), (14_000, "bob"), (16_000, "eve"), (15_000, "kim")]
    {
        observe(&mut machine, &event(time, &[0], &format!("user={name}")));
    }
    assert_eq!(machine.counters()[0].late, 2);
    assert_eq!(shown(&advance(&mut machine, i64::MAX)), ["0@25 1 kim", "0@26 1 eve", "0@30 2 ann"]);
}

#[test]
fn late_matches_of_rules_in_order() {
    let ordered = CorrelationKind::TemporalOrdered(Occurrence::Every);
    let mut machine = correlator(vec![correlation(ordered, &[rule(0), rule(1), rule(2)])]);
    for (time, rule) in [(5_000, 1), (8_000, 2)] {
        assert_eq!(observe(&mut machine, &event(time, &[rule], "user=ann")), []);
    }
    let found = observe(&mut machine, &event(3_000, &[0], "user=ann"));
    assert_eq!(shown(&found), ["0@8 3 ann"]);
}

/// Equal times in any order of arrival, sorted by id: the same.
#[test]
fn the_order_of_arrival_does_not_matter_once_sorted() {
    let kind = || CorrelationKind::ValueCount { fields: vec!["p".to_owned()], bounds: at_least(4.0) };
    let set =
        || vec![correlation(kind(), &[rule(0)]), correlation(every(), &[rule(0), Referent::Correlation(0)])];
    let event = |number: u32| Event {
        id: threatlockdown_event::identity::hash(&[&number.to_be_bytes()]),
        ..event(i64::from(number / 5) * 1000, &[0], &format!("user={} p={}", number % 3, number % 7))
    };
    let run = |order: Vec<u32>| {
        let mut events: Vec<Event> = order.into_iter().map(event).collect();
        events.sort_by_key(|event| (event.time, event.id));
        let mut machine = correlator(set());
        events.iter().flat_map(|event| observe(&mut machine, event)).collect::<Vec<_>>()
    };
    let plain = run((0..200).collect());
    assert!(plain.len() > 10, "{}", plain.len());
    assert_eq!(run((0..200).rev().collect()), plain);
    assert_eq!(run((0..200).map(|number| number * 77 % 200).collect()), plain);
}

/// Whether an event was announced, or one that never comes, makes no difference.
#[test]
fn what_was_announced_is_counted_as_what_was_not() {
    let kind = || CorrelationKind::ValueCount { fields: vec!["p".to_owned()], bounds: at_least(4.0) };
    let set = || {
        vec![
            correlation(kind(), &[rule(0), rule(1)]),
            correlation(every(), &[rule(0), Referent::Correlation(0)]),
        ]
    };
    let fields = |number: i64| match number % 11 {
        0 => "p=1".to_owned(),
        _ => format!("user={} p={}", number % 3, number % 7),
    };
    let one = |number: i64| event(number / 5 * 1000, &[(number % 4).min(1) as u32], &fields(number));
    let events = numbered((0..300).map(one).collect());
    let (mut plain, mut announced) = (correlator(set()), correlator(set()));
    let plans = Arc::clone(announced.plans());
    let mut matches = 0;
    for some in events.chunks(9) {
        for left_out in [None, Some(2), Some(0)] {
            let all: Vec<_> =
                some.iter().map(|event| Named { plans: &plans, fields: &event.fields }).collect();
            let told = some.iter().zip(&all).enumerate().filter(|(place, _)| Some(*place) != left_out);
            announced.expect(told.map(|(_, (event, fields))| Matched {
                time: event.time,
                id: EventId(event.id),
                rules: &event.rules,
                fields,
            }));
        }
        for (place, event) in some.iter().enumerate().filter(|(place, _)| *place != 5) {
            let found = observe(&mut plain, event);
            assert_eq!(observe(&mut announced, event), found, "{place}");
            matches += found.len();
        }
    }
    assert!(matches > 10, "{matches}");
    assert_eq!(announced.counters(), plain.counters());
}
