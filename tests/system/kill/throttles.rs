//! Which alerts a throttle lets pass does not depend on kills, nor on the number of workers, nor on which of several files an
//! event lies in: not for alerts that are made at once, and not for those that counting makes.

use super::counting::{Case, RULES, Texts, expected, load, run};

const EVENTS: usize = 3_000;
/// Longer than a part of so many events, a second apart.
const LATENESS: &str = "5m";

/// Counted apart by address, by rule alone, and of a composite rule; and beside them one that holds everything back.
const THROTTLES: &str = "suppressions:
  - {id: failed, rules: 100600, allow: 2, quiet: 3m, per: [address], reason: enough}
  - {id: login, rules: 100602, allow: 5, quiet: 10m, reason: enough}
  - {id: again, rules: 100601, allow: 1, quiet: 5m, per: [address], reason: enough}
  - {id: known, rules: 100604, where: {address: 10.0.0.3}, reason: known, permanent: true}
";

const THROTTLED: Case = Case {
    files: &[("rules/a.xml", RULES), ("rules/own.suppressions.yaml", THROTTLES)],
    alerting: &[("100600", 20), ("100601", 10), ("100602", 20), ("100603", 10), ("100604", 10)],
    lateness: LATENESS,
};

const UNTHROTTLED: Case = Case { files: &[("rules/a.xml", RULES)], alerting: &[], lateness: LATENESS };

fn of_rule(texts: &Texts, wanted: &str) -> usize {
    texts.iter().filter(|((rule, _), _)| rule == wanted).map(|(_, count)| count).sum()
}

#[test]
fn throttles_let_the_same_alerts_pass_with_any_number_of_workers_and_kills() {
    let load = load(EVENTS);
    let expected = expected(&THROTTLED, &load);
    let all = super::counting::expected(&UNTHROTTLED, &load);
    for rule in ["100600", "100601", "100602", "100604"] {
        let (passed, all) = (of_rule(&expected, rule), of_rule(&all, rule));
        assert!(passed < all, "{passed} of {all} alerts of rule {rule}");
    }
    assert_eq!(of_rule(&expected, "100603"), of_rule(&all, "100603"), "what is held back counts");
    let calm = run(&THROTTLED, &load, &expected, (1, false));
    for (workers, kills) in [(4, false), (1, true), (4, true)] {
        let found = run(&THROTTLED, &load, &expected, (workers, kills));
        assert!(found == calm, "{workers} workers, kills: {kills}");
    }
}
