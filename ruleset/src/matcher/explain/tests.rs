use std::sync::Arc;

use threatlockdown_event::Context;

use super::*;
use crate::ir::{Correlation, CorrelationSource, Subject};
use crate::matcher::{Input, Scratch};
use crate::program::Program;
use crate::wazuh::{Origin, RuleText};
use crate::{Texts, build, load};

const RULES: &str = r#"<group name="own,">
  <rule id="100" level="0"><decoded_as>json</decoded_as><description>all</description></rule>
  <rule id="200" level="9"><if_sid>100</if_sid><field name="a">^first$</field><description>first</description></rule>
  <rule id="300" level="5"><if_sid>100</if_sid><field name="b">\d+</field><description>second</description></rule>
  <rule id="400" level="7"><if_sid>300</if_sid><field name="c" negate="yes">^x</field><description>third</description></rule>
</group>"#;

fn set() -> RuleSet {
    let file = RuleText { path: "own.xml".into(), text: RULES.into(), origin: Origin::User };
    let loaded = load(Texts::rules_only(vec![file]));
    assert!(loaded.program.is_some(), "{:?}", loaded.diagnostics);
    loaded.set
}

struct Session<'s> {
    program: Arc<Program>,
    scratch: Scratch,
    explainer: Explainer<'s>,
}

impl<'s> Session<'s> {
    fn new(set: &'s RuleSet, rule: u32) -> Self {
        let program = build(set, "v".into()).unwrap();
        Self { scratch: Scratch::new(&program), program, explainer: Explainer::new(set, rule).unwrap() }
    }

    fn explain(&mut self, event: &str, second: i64) -> Explanation {
        let context = Context {
            source: "json".into(),
            connector: "test".into(),
            location: "test".into(),
            account: None,
            envelope: Vec::new(),
            origin: "test".into(),
            origin_id: [0; 16],
        };
        let received = Millis(second * 1000);
        let binding = self.program.binding("json");
        let input = Input { binding, record: event.as_bytes(), context: &context, received };
        let explainer = &mut self.explainer;
        self.program
            .examine(&mut self.scratch, &input, |verdict| explainer.explain(verdict, received))
            .unwrap()
    }
}

fn reason(rule: u32, event: &str) -> String {
    let set = set();
    Session::new(&set, rule).explain(event, 0).reason
}

#[test]
fn a_rule_that_fires_says_so_with_its_path() {
    let set = set();
    let explanation = Session::new(&set, 400).explain(r#"{"b":12,"c":"y"}"#, 0);
    assert!(explanation.fired);
    assert_eq!(explanation.result, Some((400, 7)));
    assert_eq!(explanation.reason, "rule 400 fired");
    let path: Vec<u32> = explanation.path.iter().map(|stage| stage.rule).collect();
    assert_eq!(path, [1, 100, 300, 400]);
    assert!(explanation.path.iter().all(|stage| stage.holds() == Holds::Yes));
    let own = &explanation.path[3].checks[0];
    assert_eq!((own.what.as_str(), own.saw.as_deref()), ("field c: not osregex '^x'", Some("'y'")));
}

#[test]
fn the_first_condition_that_fails_is_named() {
    let text = reason(400, r#"{"b":12,"c":"xx"}"#);
    assert_eq!(text, "rule 400 did not match: field c: not osregex '^x' – the event has 'xx'");
    let text = reason(400, r#"{"b":12}"#);
    assert_eq!(text, "rule 400 did not match: field c: not osregex '^x' – the event has none");
    let text = reason(400, r#"{"b":"no","c":"y"}"#);
    assert_eq!(
        text,
        r"rule 400 did not match: its parent 300 did not match: field b: osregex '\d+' – the event has 'no'"
    );
}

#[test]
fn what_took_the_event_before_is_named() {
    let text = reason(400, r#"{"a":"first","b":12,"c":"y"}"#);
    assert_eq!(
        text,
        "rule 400 was not tried: rule 200, whose branch is tried earlier below 100, took the event"
    );
    let text = reason(400, r#"{"a":"first","b":12}"#);
    assert!(text.contains("the event has none; and rule 200"), "{text}");
    let text = reason(300, r#"{"b":12,"c":"y"}"#);
    assert_eq!(text, "rule 300 matched, but its descendant 400, which is tried then, decided");
}

#[test]
fn correlations_tell_how_many_of_how_many() {
    let mut set = set();
    let at = set.tree.rules.iter().position(|rule| rule.id == 400).unwrap();
    set.tree.rules[at].correlation = Some(Correlation {
        source: CorrelationSource::Sid(300),
        frequency: 3,
        timeframe: 60,
        global: false,
        same: vec![Subject::Field("u".into())],
        different: Vec::new(),
    });
    // What rule 300 decides is counted; the rule itself fails by its own condition first, then by the count.
    let mut session = Session::new(&set, 400);
    for (second, user) in [(0, "ann"), (10, "ann"), (20, "bob"), (30, "ann")] {
        session.explain(&format!(r#"{{"b":1,"c":"x","u":"{user}"}}"#), second);
    }
    let counts = |session: &mut Session<'_>, event: &str, second| {
        let explanation = session.explain(event, second);
        let stage = explanation.path.last().unwrap();
        assert_eq!(stage.rule, 400);
        let check = stage.checks.last().unwrap();
        assert!(check.what.starts_with("3 events of rule 300 within 60 s with the same field u"), "{check}");
        (check.saw.clone().unwrap(), check.holds)
    };
    let event = |user: &str| format!(r#"{{"b":1,"c":"y","u":"{user}"}}"#);
    let (saw, holds) = counts(&mut session, &event("bob"), 40);
    assert_eq!((saw.as_str(), holds), ("1 before it, itself the 2.", Holds::No));
    // Exactly as old as the timeframe still counts, older does not.
    assert_eq!(counts(&mut session, &event("ann"), 70).1, Holds::Yes);
    assert_eq!(counts(&mut session, &event("eve"), 70).0, "0 before it, itself the 1.");
    assert_eq!(counts(&mut session, &event("ann"), 91).1, Holds::No);
}

#[test]
fn a_rule_that_is_not_there_is_no_rule() {
    assert!(Explainer::new(&set(), 4711).is_none());
}
