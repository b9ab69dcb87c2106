//! Correlations of every type, and how they find their rules.

use super::*;
use crate::ir::sigma::{
    Bound, CorrelationKind, Figure, Occurrence, OccurrenceExpr, Referent, SigmaCorrelation, SigmaSet,
};

const RULES: &str = "title: a
id: id-a
name: rule_a
logsource: {product: p}
detection: {s: {a: 1}, condition: s}
---
title: b
id: id-b
name: rule_b
logsource: {product: p}
detection: {s: {b: 2}, condition: s}
";

fn loaded(correlations: &str) -> Loaded {
    load(&[file("a.yml", RULES), file("r.yml", correlations)], &Placeholders::default())
}

fn set(correlations: &str) -> SigmaSet {
    let loaded = loaded(correlations);
    assert_eq!(faults(&loaded), Vec::<String>::new(), "{correlations}");
    loaded.set
}

/// A document with one correlation section; its members begin at line 2, column 15.
fn document(section: &str) -> String {
    format!("title: c\ncorrelation: {{{section}}}\n")
}

fn one(section: &str) -> SigmaCorrelation {
    set(&document(section)).correlations.remove(0)
}

fn bound(comparison: Comparison, number: f64) -> Bound {
    Bound { comparison, number }
}

#[test]
fn every_type() {
    let gte = |number| vec![bound(Comparison::GreaterOrEqual, number)];
    let head = "rules: [id-a], group-by: [u], timespan: 5m";
    for (section, expected) in [
        ("type: event_count, condition: {gte: 10}", CorrelationKind::EventCount(gte(10.0))),
        (
            "type: event_count, condition: {gt: 1, lte: 5, neq: 3}",
            CorrelationKind::EventCount(vec![
                bound(Comparison::Greater, 1.0),
                bound(Comparison::LessOrEqual, 5.0),
                bound(Comparison::NotEqual, 3.0),
            ]),
        ),
        (
            "type: event_count, condition: {eq: 3}",
            CorrelationKind::EventCount(vec![bound(Comparison::Equal, 3.0)]),
        ),
        (
            "type: value_count, condition: {field: f, gte: 3}",
            CorrelationKind::ValueCount { fields: vec!["f".into()], bounds: gte(3.0) },
        ),
        (
            "type: value_count, condition: {field: [f, g], gte: 3}",
            CorrelationKind::ValueCount { fields: vec!["f".into(), "g".into()], bounds: gte(3.0) },
        ),
        (
            "type: value_sum, condition: {field: f, gte: 1.5}",
            CorrelationKind::Value { figure: Figure::Sum, field: "f".into(), bounds: gte(1.5) },
        ),
        (
            "type: value_avg, condition: {field: f, gte: -1}",
            CorrelationKind::Value { figure: Figure::Average, field: "f".into(), bounds: gte(-1.0) },
        ),
        (
            "type: value_percentile, condition: {field: f, gte: 1, percentile: 95}",
            CorrelationKind::Value { figure: Figure::Percentile(95.0), field: "f".into(), bounds: gte(1.0) },
        ),
        (
            "type: value_median, condition: {field: [f], gte: 1}",
            CorrelationKind::Value { figure: Figure::Percentile(50.0), field: "f".into(), bounds: gte(1.0) },
        ),
        (
            "type: value_min, condition: {field: f, gte: 1}",
            CorrelationKind::Value { figure: Figure::Percentile(0.0), field: "f".into(), bounds: gte(1.0) },
        ),
        (
            "type: value_max, condition: {field: f, gte: 1}",
            CorrelationKind::Value { figure: Figure::Percentile(100.0), field: "f".into(), bounds: gte(1.0) },
        ),
        ("type: temporal", CorrelationKind::Temporal(Occurrence::Every)),
        ("type: temporal_ordered", CorrelationKind::TemporalOrdered(Occurrence::Every)),
        ("type: temporal, condition: {gte: 1}", CorrelationKind::Temporal(Occurrence::Number(gte(1.0)))),
        (
            "type: temporal_ordered, condition: rule_a",
            CorrelationKind::TemporalOrdered(Occurrence::Expr(OccurrenceExpr::Matched(0))),
        ),
    ] {
        let correlation = one(&format!("{head}, {section}"));
        assert_eq!(correlation.kind, expected, "{section}");
        assert_eq!((correlation.of, correlation.timespan), (vec![Referent::Rule(0)], 300), "{section}");
    }
}

#[test]
fn time_spans() {
    for (text, seconds) in
        [("10s", 10), ("90m", 5400), ("2h", 7200), ("1d", 86_400), ("2w", 1_209_600), ("1M", 2_629_746)]
    {
        let section = format!("type: temporal, rules: [id-a], timespan: {text}");
        assert_eq!(one(&section).timespan, seconds, "{text}");
    }
    assert_eq!(one("type: temporal, rules: [id-a], timeframe: 1y").timespan, 31_556_952);
}

#[test]
fn extended_conditions_name_rules() {
    use OccurrenceExpr::{All, Any, Matched, Not};
    // By id in `rules`, by name in the condition.
    let correlation =
        one("type: temporal, rules: [id-b, id-a], timespan: 1m, condition: rule_a and not (rule_b or id-a)");
    assert_eq!(correlation.of, [Referent::Rule(1), Referent::Rule(0)]);
    let expr = All(vec![Matched(1), Not(Box::new(Any(vec![Matched(0), Matched(1)])))]);
    assert_eq!(correlation.kind, CorrelationKind::Temporal(Occurrence::Expr(expr)));
    // Without `rules` those that it names, in its order.
    let correlation = one("type: temporal_ordered, timespan: 1m, condition: rule_b AND rule_a AND id-b");
    assert_eq!(correlation.of, [Referent::Rule(1), Referent::Rule(0)]);
    let expr = All(vec![Matched(0), Matched(1), Matched(0)]);
    assert_eq!(correlation.kind, CorrelationKind::TemporalOrdered(Occurrence::Expr(expr)));
}

#[test]
fn aliases_name_fields_of_each_rule() {
    let correlation = one("type: temporal, rules: [rule_a, rule_b], timespan: 1m, group-by: [host, ip], \
         aliases: {ip: {rule_a: src.ip, id-b: dst.ip}}");
    let fields = |at: usize| correlation.group_by[at].fields.iter().map(Option::as_deref).collect::<Vec<_>>();
    assert_eq!(correlation.group_by[0].name, "host");
    assert_eq!(fields(0), [Some("host"), Some("host")]);
    assert_eq!(fields(1), [Some("src.ip"), Some("dst.ip")]);
    let correlation = one("type: temporal, rules: [rule_a, rule_b], timespan: 1m, group-by: ip, \
         aliases: {ip: {rule_b: dst.ip}}");
    assert_eq!(correlation.group_by[0].fields, [None, Some("dst.ip".to_owned())]);
    assert_eq!(correlation.value_aliases, []);
    let correlation = one("type: value_count, rules: [rule_a, rule_b], timespan: 1m, group-by: host, \
         aliases: {ip: {rule_a: src.ip, id-b: dst.ip}}, condition: {field: [ip, port], gte: 3}");
    assert_eq!(correlation.value_fields(), ["ip", "port"]);
    let names = |field: &str| [0, 1].map(|place| correlation.value_field_of(field, place).map(str::to_owned));
    assert_eq!(names("ip"), [Some("src.ip".to_owned()), Some("dst.ip".to_owned())]);
    assert_eq!(names("port"), [Some("port".to_owned()), Some("port".to_owned())]);
}

#[test]
fn chains_stand_in_their_order_and_only_the_last_alerts() {
    let chain = "title: last
name: last
correlation: {type: temporal_ordered, rules: [first, rule_b], timespan: 1h}
level: critical
---
title: first
name: first
correlation: {type: event_count, rules: [rule_a], timespan: 1m, condition: {gte: 5}}
";
    let set = set(chain);
    let titles: Vec<&str> = set.correlations.iter().map(|found| found.head.title.as_str()).collect();
    assert_eq!(titles, ["first", "last"]);
    assert_eq!(set.correlations[1].of, [Referent::Correlation(0), Referent::Rule(1)]);
    let alerts = |set: &SigmaSet| -> Vec<bool> {
        let heads = set.rules.iter().map(|rule| &rule.head);
        heads.chain(set.correlations.iter().map(|found| &found.head)).map(|head| head.alerts).collect()
    };
    assert_eq!(alerts(&set), [false, false, false, true]);
    // `generate` stands in the section or beside it; one that wants them to alert is enough.
    let generating = chain.replace("timespan: 1m", "timespan: 1m, generate: true");
    assert_eq!(alerts(&super::correlations::set(&generating)), [true, false, false, true]);
    let generating = chain.replace("level: critical", "level: critical\ngenerate: true");
    assert_eq!(alerts(&super::correlations::set(&generating)), [false, true, true, true]);
}

#[test]
fn circles_are_told_once() {
    let circle = "title: x\nname: x\ncorrelation: {type: temporal, rules: [y], timespan: 1m}
---
title: y\nname: y\ncorrelation: {type: temporal, rules: [rule_a, x], timespan: 1m}
---
title: z\nname: z\ncorrelation: {type: temporal, rules: [x], timespan: 1m}
---
title: self\nname: self\ncorrelation: {type: temporal, rules: [self], timespan: 1m}
";
    let loaded = loaded(circle);
    assert_eq!(
        faults(&loaded),
        ["3:14: error: the correlation refers to itself", "15:14: error: the correlation refers to itself"]
    );
    assert_eq!(loaded.diagnostics[0].help, "break the circle: x → y → x");
    assert!(loaded.set.correlations.is_empty());
}

#[test]
fn chains_have_an_end() {
    let mut text =
        document("type: temporal, rules: [rule_a], timespan: 1m").replace("title: c", "title: c\nname: c0");
    for number in 1..=40 {
        let section = format!("type: temporal, rules: [c{}], timespan: 1m", number - 1);
        let next = document(&section).replace("title: c", &format!("title: c\nname: c{number}"));
        text.push_str(&format!("---\n{next}"));
    }
    let found = faults(&loaded(&text));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("go deeper than 32"), "{found:?}");
}

#[test]
fn faults_have_their_place() {
    for (section, expected) in [
        ("rules: [id-a], timespan: 1m", "2:14: error: `type` is missing"),
        (
            "type: event_cuont, rules: [id-a], timespan: 1m",
            "2:21: error: there is no type of correlation event_cuont",
        ),
        ("type: temporal, timespan: 1m", "2:14: error: the correlation names no rules"),
        ("type: temporal, rules: [], timespan: 1m", "2:38: error: `rules` must be a list of ids"),
        ("type: temporal, rules: [[x]], timespan: 1m", "2:39: error: a rule of `rules` must be"),
        ("type: temporal, rules: [id-a]", "2:14: error: `timespan` is missing"),
        ("type: temporal, rules: [id-a], timespan: 5", "2:56: error: this is no time span"),
        ("type: temporal, rules: [id-a], timespan: 0s", "2:56: error: this is no time span"),
        (
            "type: temporal, rules: [id-a], timespan: 99999999999999999999y",
            "2:56: error: this is no time span",
        ),
        ("type: temporal, rules: [id-a], timespan: -5m", "2:56: error: this is no time span"),
        ("type: temporal, rules: [id-a], timespan: 1000000000d", "2:56: error: this time span is longer"),
        ("type: temporal, rules: [id-a], timespan: 11y", "2:56: error: this time span is longer"),
        ("type: temporal, rules: [id-c], timespan: 1m", "2:39: error: there is no rule id-c"),
        (
            "type: temporal, rules: [id-a, rule_a], timespan: 1m",
            "2:45: error: the rule rule_a stands here twice",
        ),
        (
            "type: temporal, rules: [id-a], timespan: 1m, group: [x]",
            "2:60: warning: a correlation has no `group`",
        ),
        ("type: event_count, rules: [id-a], timespan: 1m", "2:14: error: event_count needs a condition"),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {}",
            "2:74: error: the condition has no bound",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: 5",
            "2:74: error: `condition` must be a mapping",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {ge: 5}",
            "2:75: error: a condition has no `ge`",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gte: x}",
            "2:80: error: a bound must be",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gte: 1.5}",
            "2:80: error: a bound must be",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gt: 5, lt: 3}",
            "2:74: error: no number is",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gt: 5, lt: 6}",
            "2:74: error: no count is within",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gte: 3, lte: 4, neq: 3, neq: 4}",
            "2:99: error: `neq` stands here twice",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {eq: 0}",
            "2:74: error: no count is within",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {lt: 1}",
            "2:74: error: no count is within",
        ),
        (
            "type: temporal, rules: [id-a], timespan: 1m, condition: {lt: 1}",
            "2:71: error: no count is within",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gte: -1}",
            "2:80: error: a bound must be",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gte: .nan}",
            "2:80: error: a bound must be",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gte: .inf}",
            "2:80: error: a bound must be",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gte: 1e300}",
            "2:80: error: this is more than",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gte: 0}",
            "2:74: warning: every count is within",
        ),
        (
            "type: value_sum, rules: [id-a], timespan: 1m, condition: {gt: 1e999, field: a}",
            "2:77: error: a bound must be",
        ),
        (
            "type: event_count, rules: [id-a], timespan: 1m, condition: {gt: 5, field: x}",
            "2:89: warning: event_count",
        ),
        (
            "type: value_count, rules: [id-a], timespan: 1m, condition: {gt: 5}",
            "2:74: error: value_count needs the",
        ),
        (
            "type: value_sum, rules: [id-a], timespan: 1m, condition: {gt: 5, field: [a, b]}",
            "2:87: error: `field`",
        ),
        (
            "type: value_percentile, rules: [id-a], timespan: 1m, condition: {gt: 5, field: a}",
            "2:79: error: value_",
        ),
        (
            "type: value_percentile, rules: [id-a], timespan: 1m, condition: {gt: 5, field: a, percentile: 101}",
            "2:109: error: `percentile` must be a number from 0 to 100",
        ),
        (
            "type: temporal, rules: [id-a], timespan: 1m, generate: yes",
            "2:70: error: `generate` must be true",
        ),
        (
            "type: temporal, rules: [id-a], timespan: 1m, condition: id-b",
            "2:71: error: the condition names the rule",
        ),
        (
            "type: temporal, rules: [id-a, id-b], timespan: 1m, condition: not id-a and not (id-b or id-a)",
            "2:77: error: the condition names only what must not match",
        ),
        ("type: temporal, rules: [id-a], timespan: 1m, condition: 1 of them", "2:71: error: a correlation's"),
        (
            "type: temporal, rules: [id-a], timespan: 1m, condition: (id-a",
            "2:71: error: the bracket is not closed",
        ),
        ("type: temporal, rules: [id-a], timespan: 1m, aliases: [x]", "2:69: error: `aliases` must be"),
        (
            "type: temporal, rules: [id-a], timespan: 1m, aliases: {x: y}",
            "2:73: error: an alias must be a mapping",
        ),
        (
            "type: temporal, rules: [id-a], timespan: 1m, group-by: [x], aliases: {x: {id-b: f}}",
            "2:89: error: an alias names the rule id-b, which is not among `rules`",
        ),
        (
            "type: temporal, rules: [id-a], timespan: 1m, aliases: {x: {id-a: f}}",
            "2:70: warning: neither `group-by` nor the condition uses the alias x",
        ),
    ] {
        let found = faults(&loaded(&document(section)));
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{section}: {found:#?}");
    }
    assert_eq!(faults(&load_text("title: c\ncorrelation: x")).len(), 1);
}

#[test]
fn a_rule_with_faults_is_not_missing_as_well() {
    let broken = "title: broken\nname: broken\nlogsource: {product: p}\ndetection: {condition: x}\n---\n";
    let text = format!("{broken}{}", document("type: temporal, rules: [broken], timespan: 1m"));
    assert_eq!(faults(&loaded(&text)), ["4:24: error: there is no selection x"]);
}
