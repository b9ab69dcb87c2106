//! What it costs to find the members that the built-in rules name in seeded CloudTrail records.
//!
//! `parse` is the parser alone, `parse_and_extract` the way over its tape, `read` the reader that goes without one, and
//! `marks` that reader's first pass. Read the ratios of one run; absolute figures belong to a machine.

#![allow(clippy::expect_used, missing_docs)] // a benchmark that cannot run has to stop; criterion's macros make items

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use threatlockdown_benches::cloudtrail;
use threatlockdown_ruleset::bench_api::Bench;
use threatlockdown_ruleset::{Texts, load};

const EVENTS: usize = 2_000;

fn ways(criterion: &mut Criterion) {
    let corpus = cloudtrail::lines(1, EVENTS);
    let program = load(Texts::builtin()).program.expect("the built-in rules load");
    let mut bench = Bench::new(&program, "aws.cloudtrail");
    for line in corpus.lines() {
        assert!(bench.tape(line.as_bytes(), true), "the parser refuses {line}");
        let by_tape = bench.filled();
        assert!(bench.read(line.as_bytes()), "the reader leaves to the parser {line}");
        assert_eq!(bench.filled(), by_tape, "{line}");
    }
    let mut group = criterion.benchmark_group("reader");
    group.throughput(Throughput::Elements(EVENTS as u64));
    let mut over_all = |name: &str, way: &mut dyn FnMut(&mut Bench<'_>, &[u8]) -> bool| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for line in corpus.lines() {
                    black_box(way(&mut bench, line.as_bytes()));
                }
            });
        });
    };
    over_all("parse", &mut |bench, record| bench.tape(record, false));
    over_all("parse_and_extract", &mut |bench, record| bench.tape(record, true));
    over_all("read", &mut |bench, record| bench.read(record));
    over_all("marks", &mut |bench, record| bench.marks(record));
    group.finish();
}

criterion_group!(benches, ways);
criterion_main!(benches);
