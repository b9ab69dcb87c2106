//! What the stateful stage remembers stays within its bound, whatever is sent, and what had to go for that is counted.

#![allow(clippy::unwrap_used)] // clippy sees a test in a function that is marked as one, not in what it calls

use std::sync::Arc;

use threatlockdown_analysis::correlator::Span;
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{ActiveProgram, Correlator, CorrelatorOptions, Metrics, WorkerOptions};
use threatlockdown_event::{Context, Millis, Record, Unit};
use threatlockdown_ruleset::correlate::MemoryOptions;
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{Origin, RuleText, Texts, load};
use threatlockdown_topics::{Commit, LogPosition};

const MAX_BYTES: u64 = 1 << 20;

const FREQUENCY: &str = r#"<group name="bounds,">
  <rule id="100100" level="3"><decoded_as>json</decoded_as><field name="aws.eventName">^ConsoleLogin$</field><description>Login.</description></rule>
  <rule id="100101" level="10" frequency="9" timeframe="3600"><if_matched_sid>100100</if_matched_sid><same_field>aws.userIdentity.userName</same_field><description>Logins.</description></rule>
</group>
"#;
const CORRELATION: &str = "\
title: Login
name: login
logsource: {product: aws, service: cloudtrail}
detection: {selection: {eventName: ConsoleLogin}, condition: selection}
level: low
---
title: Logins
correlation: {type: event_count, rules: [login], group-by: [userIdentity.userName], timespan: 1h, condition: {gte: 9}}
level: high
";

fn program(rules: &[(&str, &str)]) -> Arc<Program> {
    let rule = |(path, text): &(&str, &str)| RuleText {
        path: (*path).into(),
        text: text.as_bytes().to_vec(),
        origin: Origin::User,
    };
    let mut texts = Texts::builtin_decoders();
    rules.iter().for_each(|file| texts.add(rule(file)));
    let loaded = load(texts);
    let faults: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    loaded.program.unwrap_or_else(|| panic!("{}", faults.join("\n")))
}

/// Logins of as many users, one each.
fn unit(users: std::ops::Range<u32>) -> Unit {
    let (mut buffer, mut records) = (Vec::new(), Vec::new());
    for user in users {
        let (minute, second) = (user / 60_000 % 60, user / 1_000 % 60);
        let record = format!(
            r#"{{"eventVersion":"1.08","eventID":"e{user}","eventTime":"2025-03-01T10:{minute:02}:{second:02}Z","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","userIdentity":{{"userName":"user-{user}"}},"recipientAccountId":"123456789012"}}"#
        );
        let start = u32::try_from(buffer.len()).unwrap();
        records.push(Record { start, len: record.len() as u32, origin: start.into() });
        buffer.extend_from_slice(record.as_bytes());
    }
    let context = Context {
        source: "aws.cloudtrail".into(),
        connector: "test".into(),
        location: "/trail".into(),
        account: None,
        envelope: Vec::new(),
        origin: "trail".into(),
        origin_id: [1; 16],
    };
    Unit {
        stream: "test/file/1".into(),
        sequence: 0,
        checkpoint: None,
        context: Arc::new(context),
        ingested: Millis(1_795_226_400_000),
        buffer,
        records,
        dead_letters: Vec::new(),
    }
}

struct Run {
    active: Arc<ActiveProgram>,
    correlator: Correlator,
    commits: u64,
}

impl Run {
    fn new(program: Arc<Program>) -> Self {
        let active = ActiveProgram::new(program);
        let options = CorrelatorOptions {
            min_level: 3,
            host: "host".into(),
            memory: MemoryOptions::default(),
            max_bytes: MAX_BYTES,
            buffer_bytes: 1 << 20,
            folder: std::env::temp_dir(),
        };
        let correlator = Correlator::new(&options, &active, &Metrics::unregistered());
        Self { active, correlator, commits: 0 }
    }

    /// Bytes that are remembered afterwards, by component, and what was forgotten.
    fn take(&mut self, users: std::ops::Range<u32>) -> (Vec<u64>, u64) {
        let options = WorkerOptions { min_level: 3, host: "host".into(), ..WorkerOptions::default() };
        let mut worker = Worker::new(&self.active.current(), &options, &Metrics::unregistered());
        let outcome = worker.analyze(unit(users));
        let at = |offset| LogPosition { segment: 1, offset };
        let span = Span { start: at(self.commits), end: at(self.commits + 1) };
        self.commits += 1;
        let commit = Commit { candidates: outcome.candidates, markers: outcome.markers, ..Commit::default() };
        self.correlator.apply(span, commit, &mut |_| {}).unwrap();
        let remembered = self.correlator.remembered();
        (remembered.iter().map(|one| one.bytes).collect(), remembered.iter().map(|one| one.evicted).sum())
    }
}

#[test]
fn many_keys_stay_within_the_bound_and_what_goes_is_counted() {
    for rules in [&[("f.xml", FREQUENCY)][..], &[("c.yml", CORRELATION)]] {
        let mut run = Run::new(program(rules));
        let (mut bytes, mut evicted) = (Vec::new(), 0);
        for step in 0..20 {
            (bytes, evicted) = run.take(step * 1_000..(step + 1) * 1_000);
            assert!(bytes.iter().sum::<u64>() <= MAX_BYTES, "{bytes:?}");
        }
        // Of 20,000 users a few thousand have room; all others were counted.
        assert!(bytes[0] > MAX_BYTES / 8, "{bytes:?}");
        assert!((10_000..20_000).contains(&evicted), "{evicted}");
    }
}

/// The most that each remembers while so many users come.
fn most(run: &mut Run, steps: std::ops::Range<u32>) -> Vec<u64> {
    let mut most = Vec::new();
    for step in steps {
        let (bytes, _) = run.take(step * 1_000..(step + 1) * 1_000);
        assert!(bytes.iter().sum::<u64>() <= MAX_BYTES, "{bytes:?}");
        most.resize(bytes.len(), 0);
        most = most.iter().zip(&bytes).map(|(most, bytes)| *most.max(bytes)).collect();
    }
    most
}

#[test]
fn the_first_correlation_of_a_reload_gets_its_share_from_the_other_rules() {
    let of_rules = MAX_BYTES / 4 * 3;
    let mut run = Run::new(program(&[("f.xml", FREQUENCY)]));
    let before = most(&mut run, 0..20);
    assert!(before[0] > of_rules, "the rules have all: {before:?}");
    run.active.replace(program(&[("f.xml", FREQUENCY), ("c.yml", CORRELATION)]));
    let both = most(&mut run, 20..40);
    assert!(both[0] <= of_rules && both[1] > MAX_BYTES / 8, "{both:?}");
    // Without it they get it back.
    run.active.replace(program(&[("f.xml", FREQUENCY)]));
    let after = most(&mut run, 40..60);
    assert!(after[0] > of_rules, "{after:?}");
}
