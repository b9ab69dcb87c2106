//! What it costs to count a match in Sigma correlations while a million groups are live.
//!
//! Before the clock starts each of a million users has matched once; then matches of random users are counted, one
//! millisecond apart in an hour's window, so that every group stays live. The bytes that a live group costs, as the correlator
//! accounts for them, are printed first.

#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)] // criterion's macros make items

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use threatlockdown_benches::random::Random;
use threatlockdown_event::EventId;
use threatlockdown_ruleset::correlate::sigma::{
    CorrelationMatch, Correlator, FieldIndex, Fields, Limits, Matched, Plans,
};
use threatlockdown_ruleset::ir::Place;
use threatlockdown_ruleset::ir::sigma::{
    Bound, Comparison, CorrelationKind, Expr, GroupField, Logsource, Occurrence, Referent, SigmaCorrelation,
    SigmaHead, SigmaRule, SigmaSet,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: u64 = 1_000_000;
const EVENTS: u64 = 10_000;

fn head(id: &str) -> SigmaHead {
    SigmaHead::new(id, Place { file: "bench.yml".into(), line: 1, column: 1 })
}

fn set(kind: CorrelationKind) -> SigmaSet {
    let rule =
        |id: &str| SigmaRule { head: head(id), logsource: Logsource::default(), expr: Expr::All(Vec::new()) };
    let user = GroupField { name: "user".to_owned(), fields: vec![Some("user".to_owned()); 2] };
    let correlation = SigmaCorrelation {
        head: head("correlation"),
        kind,
        of: vec![Referent::Rule(0), Referent::Rule(1)],
        group_by: vec![user],
        value_aliases: Vec::new(),
        timespan: 3600,
    };
    SigmaSet { rules: vec![rule("failed"), rule("success")], correlations: vec![correlation] }
}

/// A user, and a port, by the names of the plans.
struct Login {
    user: Vec<u8>,
    port: Vec<u8>,
    is_user: Vec<bool>,
}

impl Fields for Login {
    fn value(&self, field: FieldIndex) -> Option<&[u8]> {
        let is_user = self.is_user.get(field.0 as usize)?;
        Some(if *is_user { &self.user } else { &self.port })
    }
}

/// Over the digits that are there: what it costs to make the text is not to be measured.
fn write_digits(text: &mut [u8], from: usize, mut number: u64) {
    let digits = text.iter_mut().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    for place in (from..from + digits).rev() {
        text[place] = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Matches in the order of time.
struct Stream {
    random: Random,
    login: Login,
    time: i64,
}

impl Stream {
    fn count(&mut self, correlator: &mut Correlator, user: u64, found: &mut Vec<CorrelationMatch>) {
        self.time += 1;
        write_digits(&mut self.login.user, 5, user);
        write_digits(&mut self.login.port, 0, self.random.below(60_000));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.time.to_be_bytes());
        let event = Matched { time: self.time, id: EventId(id), rules: &[0], fields: &self.login };
        correlator.observe(&event, found);
    }
}

fn live_groups(criterion: &mut Criterion) {
    let at_least = |number| vec![Bound { comparison: Comparison::GreaterOrEqual, number }];
    let below = |number| vec![Bound { comparison: Comparison::Less, number }];
    let ports = |bounds| CorrelationKind::ValueCount { fields: vec!["port".to_owned()], bounds };
    let mut group = criterion.benchmark_group("correlations");
    group.throughput(Throughput::Elements(EVENTS));
    group.sample_size(20);
    for (name, kind) in [
        ("event_count", CorrelationKind::EventCount(at_least(10.0))),
        ("value_count", ports(at_least(10.0))),
        ("temporal_ordered", CorrelationKind::TemporalOrdered(Occurrence::Every)),
        ("event_count_at_end", CorrelationKind::EventCount(below(10.0))),
    ] {
        let plans = Arc::new(Plans::new(&set(kind)).expect("the correlation can be counted"));
        let limits = Limits { max_bytes: 2 << 30, max_bytes_each: 2 << 30, ..Limits::default() };
        let mut correlator = Correlator::new(Arc::clone(&plans), limits);
        let is_user = plans.field_names().iter().map(|name| name == "user").collect();
        let login = Login { user: b"user-0000000@example.com".to_vec(), port: b"00000".to_vec(), is_user };
        let mut stream = Stream { random: Random::new(1), login, time: 1_795_132_800_000 };
        let mut found = Vec::new();
        for user in 0..KEYS {
            stream.count(&mut correlator, user, &mut found);
        }
        assert_eq!(correlator.live_groups() as u64, KEYS);
        println!("{name}: {} bytes a group", correlator.bytes() as u64 / KEYS);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for _ in 0..EVENTS {
                    let user = stream.random.below(KEYS);
                    stream.count(&mut correlator, user, &mut found);
                }
                black_box(found.len());
                found.clear();
            });
        });
        assert_eq!(correlator.counters()[0].evicted, 0);
    }
    group.finish();
}

criterion_group!(benches, live_groups);
criterion_main!(benches);
