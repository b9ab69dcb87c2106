//! Running tests.
//!
//! Enters: a program and tests. Leaves: the checks that fail. Each test has a memory of its own, which follows the
//! reference's test front end and takes the time of receipt, because that is what tests state. After the last event time
//! goes on until every window has ended, so that correlations which are decided then belong to the last event's verdict.

use std::sync::Arc;

use threatlockdown_event::Context;
use threatlockdown_event::unit::DEFAULT_MAX_EVENT_BYTES;

use super::{Failure, Outcome, Step, Test};
use crate::correlate::sigma::CorrelationMatch;
use crate::correlate::{Clock, FrontEnd, Memory, MemoryOptions};
use crate::matcher::{Arrivals, Input, Scratch, Verdict};
use crate::program::Program;

/// Runs tests one after the other. Tests with list entries of their own need a program that has them.
#[must_use]
pub fn run(program: &Arc<Program>, tests: &[Test]) -> Vec<Failure> {
    tests.iter().flat_map(|test| run_one(program, test)).collect()
}

/// Runs one test.
#[must_use]
pub fn run_one(program: &Arc<Program>, test: &Test) -> Vec<Failure> {
    let options =
        MemoryOptions { front_end: FrontEnd::Test, clock: Clock::Received, ..MemoryOptions::default() };
    let mut scratch = Scratch::sharing(program, Memory::new(options));
    let mut arrivals = Arrivals::new(program);
    let mut failures = Vec::new();
    for (event, step) in test.steps.iter().enumerate() {
        let mut actual = outcome(program, &mut scratch, &mut arrivals, step);
        if event + 1 == test.steps.len() {
            actual.sigma.extend(ids(program, arrivals.end()));
        }
        for check in test.checks.iter().filter(|check| check.event == event) {
            if !check.expected.is_met(&actual) {
                failures.push(Failure {
                    id: test.id.clone(),
                    place: test.place.clone(),
                    event,
                    events: test.steps.len(),
                    expected: check.expected.clone(),
                    actual: actual.clone(),
                });
            }
        }
    }
    failures
}

fn outcome(program: &Program, scratch: &mut Scratch, arrivals: &mut Arrivals, step: &Step) -> Outcome {
    let length = step.record.len();
    if length > DEFAULT_MAX_EVENT_BYTES {
        // Rules would take it, but in a stream they never see it.
        let fault = format!(
            "it has {length} bytes, and events of more than {DEFAULT_MAX_EVENT_BYTES} become dead letters"
        );
        return Outcome { fault: Some(fault), ..Outcome::default() };
    }
    let context = Context {
        source: Arc::clone(&step.source),
        connector: "test".into(),
        location: Arc::clone(&step.location),
        account: None,
        envelope: step.facts.clone(),
        origin: "test".into(),
        origin_id: [0; 16],
    };
    let input = Input {
        binding: program.binding(&step.source),
        record: &step.record,
        context: &context,
        received: step.received,
    };
    let judged = program.evaluate(scratch, &input, |verdict| Outcome {
        decoder: verdict.decoder().map(str::to_owned),
        rule: verdict.rule().map(|rule| rule.id.clone()),
        level: verdict.rule().map(|rule| rule.level),
        fault: None,
        sigma: sigma(program, verdict, arrivals, step),
    });
    judged.unwrap_or_else(|fault| Outcome { fault: Some(fault.to_string()), ..Outcome::default() })
}

/// Ids of the Sigma rules that match, and of the correlations that match with the event.
fn sigma(program: &Program, verdict: &Verdict<'_>, arrivals: &mut Arrivals, step: &Step) -> Vec<String> {
    let rules = verdict.sigma_matches().map(|(_, rule)| &rule.head.id);
    let found = arrivals.take(verdict, step.received);
    rules.cloned().chain(ids(program, found)).collect()
}

/// Ids of the correlations that matched.
fn ids(program: &Program, found: &[CorrelationMatch]) -> impl Iterator<Item = String> {
    let correlations = program.sigma().correlations();
    found.iter().filter_map(|found| Some(correlations.get(found.correlation as usize)?.head.id.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::testing::{CaseOptions, read_cases, read_rule_tests};
    use crate::wazuh::{Origin, RuleText, Texts};

    const CORRELATION: &str = r"
title: Login failed
name: failed
logsource: {product: aws, service: cloudtrail}
detection:
    failed: {eventName: ConsoleLogin}
    condition: failed
---
title: Many
id: 00000000-0000-4000-8000-000000000001
correlation:
    type: event_count
    rules: [failed]
    group-by: [userIdentity.userName]
    timespan: 1m
    condition: {gte: 2}
";

    #[test]
    fn a_correlation_is_tested_by_its_id() {
        let mut texts = Texts::rules_only(Vec::new());
        let text = CORRELATION.as_bytes().to_vec();
        texts.add(RuleText { path: "c.yml".into(), text, origin: Origin::User });
        let program = load(texts).program.unwrap();
        let failures = |seconds: u32, other: &str| {
            let test = |user: &str| {
                format!(r#"{{"eventName":"ConsoleLogin","userIdentity":{{"userName":"{user}"}}}}"#)
            };
            let (one, two) = (test("ann"), test(other));
            let tests = format!(
                "- rule: 00000000-0000-4000-8000-000000000001\n  fires:\n    - source: aws.cloudtrail\n      events: ['{one}', '{two}']\n      times: [0, {seconds}]\n"
            );
            run(&program, &read_rule_tests("c.tests.yaml", tests.as_bytes()).unwrap()).len()
        };
        assert_eq!(failures(60, "ann"), 0);
        assert_eq!(failures(61, "ann"), 1);
        assert_eq!(failures(60, "bob"), 1);
    }

    #[test]
    fn windows_that_are_decided_at_their_end_end_with_the_test() {
        let mut texts = Texts::rules_only(Vec::new());
        let text = CORRELATION.replace("{gte: 2}", "{eq: 2}").into_bytes();
        texts.add(RuleText { path: "c.yml".into(), text, origin: Origin::User });
        let program = load(texts).program.unwrap();
        let failures = |count: usize| {
            let event = r#"'{"eventName":"ConsoleLogin","userIdentity":{"userName":"ann"}}'"#;
            let tests = format!(
                "- rule: 00000000-0000-4000-8000-000000000001\n  fires:\n    - {{source: aws.cloudtrail, events: [{}]}}\n",
                vec![event; count].join(", ")
            );
            run(&program, &read_rule_tests("c.tests.yaml", tests.as_bytes()).unwrap()).len()
        };
        assert_eq!([1, 2, 3].map(failures), [1, 0, 1]);
    }

    #[test]
    fn an_event_that_no_stream_takes_fails_its_check() {
        let program = load(Texts::builtin()).program.unwrap();
        let failures = |length: usize| {
            let event = "x".repeat(length);
            let case = format!(
                r#"{{"id":"a/1","events":["{event}"],"expect":{{"decoder":null,"rule":null,"level":null}}}}"#
            );
            run(&program, &read_cases("c.jsonl", case.as_bytes(), CaseOptions::default()).unwrap().tests)
        };
        assert_eq!(failures(DEFAULT_MAX_EVENT_BYTES), []);
        let told = failures(DEFAULT_MAX_EVENT_BYTES + 1);
        assert_eq!(told.len(), 1);
        let told = told[0].to_string();
        assert!(told.contains("1048577 bytes") && told.contains("dead letters"), "{told}");
    }
}
