//! A profile as JSON, with everything in it.

use serde_json::{Value, json};
use threatlockdown_ruleset::matcher::profile::{Cost, RuleCost};
use threatlockdown_ruleset::program::SigmaRule;

use super::Shown;

pub(super) fn object(shown: &Shown<'_>) -> Value {
    let (report, sorted) = (shown.report, shown.sorted());
    let ids = |rules: &[&RuleCost]| -> Vec<&str> {
        rules.iter().filter_map(|cost| shown.rule(cost)).map(|rule| rule.id.as_str()).collect()
    };
    let rule = |cost: &&RuleCost| {
        let rule = shown.rule(cost)?;
        let mut object = figures(shown, &cost.cost);
        object["id"] = rule.id.as_str().into();
        object["level"] = rule.level.into();
        object["results"] = cost.results.into();
        object["file"] = (*rule.place.file).into();
        object["line"] = rule.place.line.into();
        Some(object)
    };
    let mut tests: Vec<_> = report.tests.iter().collect();
    tests.sort_by_key(|test| std::cmp::Reverse(test.cost.nanos));
    let test = |test: &&threatlockdown_ruleset::matcher::profile::TestCost| {
        let mut object = figures(shown, &test.cost);
        object["subject"] = test.subject.as_str().into();
        object["how"] = test.how.into();
        object["pattern"] = json!(test.pattern);
        object["rules"] = json!(test.rules);
        object
    };
    let field = |field: &threatlockdown_ruleset::matcher::profile::FieldUse| json!({"field": field.field, "rules": field.rules});
    let sigma = |(rule, cost): &(&SigmaRule, &Cost)| {
        let mut object = figures(shown, cost);
        object["id"] = rule.head.id.as_str().into();
        object["level"] = rule.head.level.number().into();
        object["file"] = (*rule.head.place.file).into();
        object["line"] = rule.head.place.line.into();
        object
    };
    json!({
        "ruleset": shown.program.version(),
        "events": report.events,
        "unreadable": report.faults,
        "events_per_second": shown.events_a_second(),
        "timed_events": report.timed_events,
        "decoding_nanos": report.decode_nanos,
        "rules_nanos": report.rules_nanos,
        "rules": {
            "tried": sorted.by_time.iter().filter_map(rule).collect::<Vec<_>>(),
            "results": ids(&sorted.results),
            "unmatched": ids(&sorted.unmatched),
            "ruled_out": ids(&sorted.ruled_out),
            "unreached": ids(&sorted.unreached),
        },
        "sigma": shown.sigma().iter().map(sigma).collect::<Vec<_>>(),
        "tests": tests.iter().map(test).collect::<Vec<_>>(),
        "unseen_fields": report.unseen.iter().map(field).collect::<Vec<_>>(),
        "decoders": report.decoders,
        "unreached_decoders": report.unreached,
    })
}

fn figures(shown: &Shown<'_>, cost: &Cost) -> Value {
    json!({
        "tried": cost.tried,
        "matched": cost.held,
        "nanos": cost.nanos,
        "share": shown.share(cost.nanos),
    })
}
