//! Each type and bound on sequences that can be checked by eye.

#![allow(clippy::type_complexity)] // tables

use super::*;
use crate::ir::sigma::Figure;

/// Matches of rule 0 by `ann` at these seconds.
fn at(seconds: &[i64]) -> Vec<Event> {
    seconds.iter().map(|second| event(second * 1000, &[0], "user=ann")).collect()
}

/// Rules at seconds.
fn rules_at(sequence: &[(u32, i64)]) -> Vec<Event> {
    sequence.iter().map(|(rule, second)| event(second * 1000, &[*rule], "user=ann")).collect()
}

#[test]
fn event_count_by_bound() {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let range = vec![bound(Greater, 1.0)[0], bound(LessOrEqual, 3.0)[0]];
    let cases: &[(&[Bound], &[i64], &[&str])] = &[
        // At once, with the third; both ends of the window count.
        (&at_least(3.0), &[0, 5, 10], &["0@10 3 ann"]),
        (&at_least(3.0), &[0, 5, 11], &[]),
        (&bound(Greater, 2.0), &[0, 5, 10], &["0@10 3 ann"]),
        (&bound(Greater, 2.5), &[0, 5, 10], &["0@10 3 ann"]),
        (&at_least(0.0), &[3], &["0@3 1 ann"]),
        // At the end of the window that the first one opened.
        (&bound(Less, 3.0), &[0, 5], &["0@10 2 ann"]),
        (&bound(Less, 3.0), &[0, 5, 10], &[]),
        (&bound(Less, 3.0), &[0, 5, 11], &["0@10 2 ann", "0@21 1 ann"]),
        (&bound(LessOrEqual, 2.0), &[0, 5], &["0@10 2 ann"]),
        (&bound(Equal, 2.0), &[0, 5], &["0@10 2 ann"]),
        (&bound(Equal, 2.0), &[0, 5, 6], &[]),
        (&bound(NotEqual, 2.0), &[0, 5], &[]),
        (&bound(NotEqual, 2.0), &[0, 5, 6], &["0@10 3 ann"]),
        (&range, &[0], &[]),
        (&range, &[0, 1, 2], &["0@10 3 ann"]),
        (&range, &[0, 1, 2, 3], &[]),
        // A group that nothing was heard of is not known.
        (&bound(Equal, 0.0), &[0], &[]),
        (&bound(GreaterOrEqual, f64::NAN), &[0, 1, 2], &[]),
    ];
    for (bounds, seconds, expected) in cases {
        let kind = CorrelationKind::EventCount(bounds.to_vec());
        let found = run(&mut correlator(vec![correlation(kind, &[rule(0)])]), at(seconds));
        assert_eq!(shown(&found), *expected, "{bounds:?} {seconds:?}");
    }
}

/// An attack that goes on gives one match per timespan, and no event is in two of them.
#[test]
fn a_group_is_quiet_for_a_timespan_after_a_match() {
    let mut machine = correlator(vec![correlation(CorrelationKind::EventCount(at_least(5.0)), &[rule(0)])]);
    let attack: Vec<i64> = (0..60).collect();
    let found = run(&mut machine, at(&attack));
    let times: Vec<i64> = found.iter().map(|found| found.time / 1000).collect();
    assert_eq!(times, [4, 15, 26, 37, 48, 59]);
    let mut events: Vec<EventId> = found.iter().flat_map(|found| found.events.clone()).collect();
    let all = events.len();
    events.sort_unstable();
    events.dedup();
    assert_eq!((all, events.len()), (30, 30));
    let ids: std::collections::BTreeSet<_> = found.iter().map(|found| found.id).collect();
    assert_eq!(ids.len(), 6);
    assert_eq!((machine.counters()[0].counted, machine.counters()[0].matched), (60, 6));
}

#[test]
fn a_match_tells_what_it_rests_on() {
    let kind = CorrelationKind::EventCount(at_least(3.0));
    let by_two =
        SigmaCorrelation { group_by: vec![by("user", 1), by("host", 1)], ..correlation(kind, &[rule(0)]) };
    let mut machine = Correlator::new(plans(vec![by_two]), Limits { max_events: 2, ..Limits::default() });
    let events = [1, 2, 3].map(|second| event(second * 1000, &[0], "user=ann host=web"));
    let found = run(&mut machine, events.to_vec()).remove(0);
    assert_eq!((found.first, found.last, found.time, found.count), (1000, 3000, 3000, 3));
    assert_eq!(found.events, [0_u128, 1].map(|number| EventId(number.to_be_bytes())));
    assert_eq!(found.group, [Box::from(&b"ann"[..]), Box::from(&b"web"[..])]);
    // Equal again from the same matches, and another for other ones.
    let again = run(&mut correlator_of(&machine), events.to_vec()).remove(0);
    assert_eq!(again, found);
    let other = [1, 2, 3].map(|second| event(second * 1000, &[0], "user=bob host=web"));
    assert_ne!(run(&mut correlator_of(&machine), other.to_vec()).remove(0).id, found.id);
}

fn correlator_of(machine: &Correlator) -> Correlator {
    Correlator::new(Arc::clone(machine.plans()), machine.limits)
}

#[test]
fn groups_and_missing_fields() {
    let mut machine = correlator(vec![correlation(CorrelationKind::EventCount(at_least(2.0)), &[rule(0)])]);
    let events = vec![
        event(0, &[0], "user=ann"),
        event(1, &[0], "user=bob"),
        event(2, &[0], ""),
        event(3, &[0], ""),
        event(4, &[0], "user=Ann"),
        event(5, &[1], "user=ann"),
        event(6, &[0], "user=ann"),
    ];
    assert_eq!(shown(&run(&mut machine, events)), ["0@0.006 2 ann"]);
    assert_eq!((machine.counters()[0].without_group, machine.counters()[0].counted), (2, 4));
    // Without `group-by` all matches are one group.
    let together = SigmaCorrelation { group_by: Vec::new(), ..correlation(every(), &[rule(0), rule(1)]) };
    let events = vec![event(0, &[0], ""), event(1, &[1], "user=bob")];
    assert_eq!(shown(&run(&mut correlator(vec![together]), events)), ["0@0.001 2 "]);
}

#[test]
fn aliases_join_different_fields() {
    let peer = |one: Option<&str>, other: Option<&str>| GroupField {
        name: "peer".to_owned(),
        fields: vec![one.map(str::to_owned), other.map(str::to_owned)],
    };
    let joined =
        |field| SigmaCorrelation { group_by: vec![field], ..correlation(every(), &[rule(0), rule(1)]) };
    let events = vec![event(0, &[0], "src=x dst=y"), event(1, &[1], "src=y dst=x")];
    for (field, expected) in [
        (peer(Some("dst"), Some("src")), vec!["0@0.001 2 y"]),
        (peer(Some("src"), Some("dst")), vec!["0@0.001 2 x"]),
        (peer(Some("src"), Some("src")), vec![]),
        // A referent that the alias leaves out has no such field.
        (peer(Some("src"), None), vec![]),
    ] {
        let mut machine = correlator(vec![joined(field)]);
        assert_eq!(shown(&run(&mut machine, events.clone())), expected);
    }
    // One event as two rules: twice in one group, or once in each of two.
    let both = vec![event(0, &[0, 1], "src=x dst=x"), event(1, &[0, 1], "src=x dst=y")];
    let kind = CorrelationKind::EventCount(at_least(3.0));
    let group_by = vec![peer(Some("src"), Some("dst"))];
    let counted = SigmaCorrelation { group_by, ..correlation(kind, &[rule(0), rule(1)]) };
    let mut machine = correlator(vec![counted]);
    assert_eq!(shown(&run(&mut machine, both)), Vec::<String>::new());
    assert_eq!(machine.counters()[0].counted, 3);
}

#[test]
fn value_count_counts_different_values() {
    let kind = |fields: &[&str], bounds| CorrelationKind::ValueCount {
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        bounds,
    };
    let events = |ports: &[&str]| -> Vec<Event> {
        let one = |(second, port): (i64, &&str)| event(second * 1000, &[0], &format!("user=ann {port}"));
        (0..).zip(ports).map(one).collect()
    };
    let cases: &[(&[&str], Vec<Bound>, &[&str], &[&str])] = &[
        (&["p"], at_least(2.0), &["p=1", "p=1", "p=2"], &["0@2 2 ann"]),
        (&["p"], at_least(3.0), &["p=1", "p=2", "p=1"], &[]),
        // The two first ones have left the window when the third value comes.
        (&["p"], at_least(3.0), &["p=1", "p=2", "", "", "", "", "", "", "", "", "", "", "p=3"], &[]),
        // What was seen again counts from then on.
        (
            &["p"],
            at_least(2.0),
            &["p=1", "", "", "", "p=1", "", "", "", "", "", "", "", "p=2"],
            &["0@12 2 ann"],
        ),
        (&["p", "q"], at_least(2.0), &["p=1 q=1", "p=1", "p=1 q=1", "p=1 q=2"], &["0@3 2 ann"]),
        (&["p"], bound(Comparison::LessOrEqual, 1.0), &["p=1", "p=1"], &["0@10 1 ann"]),
        (&["p"], bound(Comparison::LessOrEqual, 1.0), &["p=1", "p=2"], &[]),
        (&["p"], bound(Comparison::NotEqual, 1.0), &["p=1", "p=2", "p=3", "p=4"], &["0@10 2 ann"]),
    ];
    for (fields, bounds, ports, expected) in cases {
        let mut machine = correlator(vec![correlation(kind(fields, bounds.clone()), &[rule(0)])]);
        assert_eq!(shown(&run(&mut machine, events(ports))), *expected, "{bounds:?} {ports:?}");
    }
    let mut machine = correlator(vec![correlation(kind(&["p", "q"], at_least(2.0)), &[rule(0)])]);
    run(&mut machine, events(&["p=1", "q=1", "p=1 q=1"]));
    assert_eq!((machine.counters()[0].without_value, machine.counters()[0].counted), (2, 1));
}

#[test]
fn aliases_join_the_values_of_different_fields() {
    let alias = |one: &str, other: Option<&str>| GroupField {
        name: "peer".to_owned(),
        fields: vec![Some(one.to_owned()), other.map(str::to_owned)],
    };
    let counted = |alias| {
        let kind = CorrelationKind::ValueCount { fields: vec!["peer".to_owned()], bounds: at_least(3.0) };
        SigmaCorrelation { value_aliases: vec![alias], ..correlation(kind, &[rule(0), rule(1)]) }
    };
    let events = vec![
        event(0, &[0], "user=ann src=x dst=z"),
        event(1000, &[1], "user=ann src=q dst=y"),
        event(2000, &[0], "user=ann src=z dst=z"),
    ];
    for (alias, expected, without) in [
        (alias("src", Some("dst")), vec!["0@2 3 ann"], 0),
        (alias("dst", Some("dst")), vec![], 0),
        (alias("src", None), vec![], 1),
    ] {
        let mut machine = correlator(vec![counted(alias)]);
        assert_eq!(shown(&run(&mut machine, events.clone())), expected);
        assert_eq!(machine.counters()[0].without_value, without);
    }
    // One event as two rules: the first that has the field says what the value is.
    let both = vec![
        event(0, &[0, 1], "user=ann src=x dst=z"),
        event(1000, &[0, 1], "user=ann dst=y"),
        event(2000, &[0, 1], "user=ann src=v"),
    ];
    let mut machine = correlator(vec![counted(alias("src", Some("dst")))]);
    assert_eq!(shown(&run(&mut machine, both)), ["0@2 3 ann"]);
    let kind = CorrelationKind::Value { figure: Figure::Sum, field: "n".to_owned(), bounds: at_least(30.0) };
    let alias =
        GroupField { name: "n".to_owned(), fields: vec![Some("in".to_owned()), Some("out".to_owned())] };
    let summed = SigmaCorrelation { value_aliases: vec![alias], ..correlation(kind, &[rule(0), rule(1)]) };
    let events = vec![event(0, &[0], "user=ann in=10 out=1"), event(1000, &[1], "user=ann in=1 out=20")];
    assert_eq!(shown(&run(&mut correlator(vec![summed]), events)).len(), 1);
}

/// Several hundred values: beyond what is searched one by one.
#[test]
fn value_count_of_many_values() {
    let kind = CorrelationKind::ValueCount { fields: vec!["p".to_owned()], bounds: at_least(300.0) };
    let mut machine = correlator(vec![correlation(kind, &[rule(0)])]);
    let values = (0..1_000_i64).map(|number| event(number, &[0], &format!("user=ann p={}", number % 299)));
    let mut events: Vec<Event> = values.collect();
    events.push(event(1_000, &[0], "user=ann p=other"));
    assert_eq!(shown(&run(&mut machine, events)), ["0@1 300 ann"]);
}

#[test]
fn temporal_by_condition() {
    let (all, any) = (OccurrenceExpr::All, OccurrenceExpr::Any);
    let number = |bounds| Occurrence::Number(bounds);
    let without = || Occurrence::Expr(all(vec![matched(0), not(matched(1))]));
    let cases: &[(Occurrence, &[(u32, i64)], &[&str])] = &[
        (Occurrence::Every, &[(2, 0), (0, 1), (1, 10)], &["0@10 3 ann"]),
        (Occurrence::Every, &[(2, 0), (0, 1), (1, 11)], &[]),
        (Occurrence::Every, &[(2, 0), (0, 1), (2, 5), (1, 11)], &["0@11 3 ann"]),
        (Occurrence::Every, &[(0, 0), (0, 1), (0, 2)], &[]),
        (number(at_least(2.0)), &[(0, 0), (0, 1), (2, 3)], &["0@3 2 ann"]),
        (number(bound(Comparison::Less, 2.0)), &[(0, 0), (0, 1)], &["0@10 1 ann"]),
        (number(bound(Comparison::Less, 2.0)), &[(0, 0), (1, 1)], &[]),
        (
            Occurrence::Expr(any(vec![matched(2), all(vec![matched(0), matched(1)])])),
            &[(1, 0), (0, 2)],
            &["0@2 2 ann"],
        ),
        // What is wanted absent: at the end of the window that a wanted one opened.
        (without(), &[(0, 0)], &["0@10 1 ann"]),
        (without(), &[(0, 0), (1, 10)], &[]),
        (without(), &[(0, 0), (1, 11)], &["0@10 1 ann"]),
        (without(), &[(1, 0), (0, 1)], &["0@11 1 ann"]),
        (Occurrence::Expr(not(matched(0))), &[(0, 0), (1, 1)], &[]),
    ];
    for (occurrence, sequence, expected) in cases {
        let kind = CorrelationKind::Temporal(occurrence.clone());
        let mut machine = correlator(vec![correlation(kind, &[rule(0), rule(1), rule(2)])]);
        assert_eq!(shown(&run(&mut machine, rules_at(sequence))), *expected, "{occurrence:?} {sequence:?}");
    }
}

#[test]
fn temporal_ordered_by_condition() {
    let (all, any) = (OccurrenceExpr::All, OccurrenceExpr::Any);
    let either =
        Occurrence::Expr(any(vec![all(vec![matched(0), matched(2)]), all(vec![matched(1), matched(2)])]));
    let without = Occurrence::Expr(all(vec![matched(0), matched(1), not(matched(2))]));
    let cases: &[(Occurrence, &[(u32, i64)], &[&str])] = &[
        (Occurrence::Every, &[(0, 0), (1, 1), (2, 10)], &["0@10 3 ann"]),
        (Occurrence::Every, &[(0, 0), (1, 1), (2, 11)], &[]),
        (Occurrence::Every, &[(0, 0), (2, 1), (1, 2)], &[]),
        // A later start is found behind one that is too early, and what lies between does no harm.
        (Occurrence::Every, &[(0, 0), (1, 3), (0, 5), (2, 6), (1, 7), (2, 15)], &["0@6 3 ann"]),
        (Occurrence::Every, &[(0, 0), (1, 3), (0, 5), (1, 7), (2, 15)], &["0@15 3 ann"]),
        (Occurrence::Every, &[(0, 0), (1, 3), (0, 5), (2, 15)], &[]),
        // At the same time: in any order.
        (Occurrence::Every, &[(2, 4), (1, 4), (0, 4)], &["0@4 3 ann"]),
        (Occurrence::Every, &[(2, 4), (0, 4), (1, 5)], &[]),
        (Occurrence::Number(at_least(2.0)), &[(1, 0), (0, 1), (2, 2)], &["0@2 2 ann"]),
        (Occurrence::Number(at_least(2.0)), &[(2, 0), (1, 1), (0, 2)], &[]),
        (either.clone(), &[(2, 0), (1, 1), (2, 3)], &["0@3 2 ann"]),
        (either, &[(2, 0), (1, 1)], &[]),
        (without.clone(), &[(0, 0), (1, 1)], &["0@10 2 ann"]),
        (without.clone(), &[(0, 0), (1, 1), (2, 9)], &[]),
        (without, &[(1, 0), (0, 1)], &[]),
    ];
    for (occurrence, sequence, expected) in cases {
        let kind = CorrelationKind::TemporalOrdered(occurrence.clone());
        let mut machine = correlator(vec![correlation(kind, &[rule(0), rule(1), rule(2)])]);
        assert_eq!(shown(&run(&mut machine, rules_at(sequence))), *expected, "{occurrence:?} {sequence:?}");
    }
}

#[test]
fn figures_by_bound() {
    let events = |sizes: &[&str]| -> Vec<Event> {
        let one = |(second, size): (i64, &&str)| event(second * 1000, &[0], &format!("user=ann size={size}"));
        (0..).zip(sizes).map(one).collect()
    };
    let (sum, average, median) = (Figure::Sum, Figure::Average, Figure::Percentile(50.0));
    let below = |number| bound(Comparison::Less, number);
    let cases: &[(Figure, Vec<Bound>, &[&str], Option<(i64, f64)>)] = &[
        (sum, at_least(10.0), &["4", "no", "5", "1"], Some((3, 10.0))),
        (sum, at_least(10.0), &["4", "5", "0.9"], None),
        (sum, at_least(1.0), &["0.1", "0.2", "0.7"], Some((2, 1.0))),
        (sum, at_least(9.0), &["4", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "5"], None),
        (average, at_least(3.0), &["1", "2", "6"], Some((2, 3.0))),
        (average, below(3.0), &["1", "2", "6"], None),
        (average, below(3.0), &["1", "2", "5"], Some((10, 8.0 / 3.0))),
        (median, at_least(5.0), &["1", "9"], Some((1, 5.0))),
        (median, below(5.0), &["1", "8"], Some((10, 4.5))),
        (Figure::Percentile(90.0), at_least(9.1), &["1", "10"], Some((1, 9.1))),
    ];
    for (figure, bounds, sizes, expected) in cases {
        let kind =
            CorrelationKind::Value { figure: *figure, field: "size".to_owned(), bounds: bounds.clone() };
        let mut machine = correlator(vec![correlation(kind, &[rule(0)])]);
        let found = run(&mut machine, events(sizes));
        let found = found.first().and_then(|found| Some((found.time / 1000, found.figure?)));
        assert_eq!(found, *expected, "{figure:?} {bounds:?} {sizes:?}");
    }
    let kind = CorrelationKind::Value { figure: sum, field: "size".to_owned(), bounds: at_least(10.0) };
    let mut machine = correlator(vec![correlation(kind, &[rule(0)])]);
    run(&mut machine, events(&["1", "big", "2"]));
    assert_eq!((machine.counters()[0].without_value, machine.counters()[0].counted), (1, 2));
}

/// The specification's own example: many failed logins, then a successful one, by a field that the inner correlation does
/// not group by.
#[test]
fn correlations_feed_correlations() {
    let failed = SigmaCorrelation {
        group_by: vec![by("host", 1)],
        ..correlation(CorrelationKind::EventCount(at_least(3.0)), &[rule(0)])
    };
    let ordered = CorrelationKind::TemporalOrdered(Occurrence::Every);
    let then = correlation(ordered, &[Referent::Correlation(0), rule(1)]);
    let count = CorrelationKind::EventCount(at_least(2.0));
    let again = SigmaCorrelation { timespan: 3600, ..correlation(count, &[Referent::Correlation(1)]) };
    let mut machine = correlator(vec![failed, then, again]);
    let round = |start: i64| {
        let mut events: Vec<Event> =
            (start..start + 3).map(|second| event(second * 1000, &[0], "user=ann host=web")).collect();
        events.push(event((start + 4) * 1000, &[1], "user=ann host=other"));
        events
    };
    let events = [round(0), round(100), vec![event(200_000, &[1], "user=ann")]].concat();
    let found = run(&mut machine, events);
    assert_eq!(shown(&found), ["0@2 3 web", "1@4 2 ann", "0@102 3 web", "1@104 2 ann", "2@104 2 ann"]);
    // What a match names are the ids of the matches that it counts.
    assert_eq!(found[1].events[0].0, found[0].id.0);
    assert_eq!(found[4].events.iter().map(|id| id.0).collect::<Vec<_>>(), [found[1].id.0, found[3].id.0]);
}

/// A match that is decided at the end of a window counts with the time of that end, in the order of time.
#[test]
fn ends_of_windows_feed_correlations_in_the_order_of_time() {
    let few = correlation(CorrelationKind::EventCount(bound(Comparison::Less, 3.0)), &[rule(0)]);
    let ordered = CorrelationKind::TemporalOrdered(Occurrence::Every);
    let then = correlation(ordered, &[Referent::Correlation(0), rule(1)]);
    for (second, expected) in
        [(9, vec!["0@10 1 ann"]), (12, vec!["0@10 1 ann", "1@12 2 ann"]), (21, vec!["0@10 1 ann"])]
    {
        let events = vec![event(0, &[0], "user=ann"), event(second * 1000, &[1], "user=ann")];
        let found = run(&mut correlator(vec![few.clone(), then.clone()]), events);
        assert_eq!(shown(&found), expected, "{second}");
    }
}

#[test]
fn nothing_is_decided_before_its_time() {
    let few = correlation(CorrelationKind::EventCount(bound(Comparison::Less, 3.0)), &[rule(0)]);
    let mut machine = correlator(vec![few]);
    observe(&mut machine, &event(0, &[0], "user=ann"));
    assert_eq!((machine.next_end(), advance(&mut machine, 10_000)), (Some(10_000), Vec::new()));
    // A match at the very end still counts.
    observe(&mut machine, &event(10_000, &[0], "user=ann"));
    assert_eq!(shown(&advance(&mut machine, 10_001)), ["0@10 2 ann"]);
    assert_eq!((machine.live_groups(), machine.bytes(), machine.next_end()), (0, 0, None));
}
