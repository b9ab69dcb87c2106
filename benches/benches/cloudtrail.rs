//! What each stage costs on seeded CloudTrail records, against a plain tape parse of the same bytes in the same run.
//!
//! `parse` is the baseline: simd-json fills a tape and nothing looks at it. `split` cuts a file into records; `decode` is
//! the engine with no rules but the roots; `match` is the engine with the built-in rules; `worker` is the whole loop
//! with alerts. Read the ratios of one run; absolute figures belong to a machine.

#![allow(clippy::expect_used, missing_docs)] // a benchmark that cannot run has to stop; criterion's macros make items

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use simd_json::{Buffers, Tape};
use threatlockdown_analysis::worker::Worker;
use threatlockdown_analysis::{Metrics, WorkerOptions};
use threatlockdown_benches::{cloudtrail, context};
use threatlockdown_connectors::formats::{self, Resume, Splitter};
use threatlockdown_event::{Millis, Record, Unit};
use threatlockdown_ruleset::matcher::{Input, Scratch};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{Texts, load};

const SOURCE: &str = "aws.cloudtrail";
const EVENTS: usize = 2_000;

fn program() -> Arc<Program> {
    load(Texts::builtin()).program.expect("the built-in rules load")
}

fn unit(corpus: &str) -> Unit {
    let mut start = 0;
    let records = corpus
        .lines()
        .map(|line| {
            let record = Record { start, len: line.len() as u32, origin: u64::from(start) };
            start += line.len() as u32 + 1;
            record
        })
        .collect();
    Unit {
        stream: "bench".into(),
        sequence: 0,
        checkpoint: None,
        context: context(SOURCE).into(),
        ingested: Millis(0),
        buffer: corpus.as_bytes().to_vec(),
        records,
        dead_letters: Vec::new(),
    }
}

fn stages(criterion: &mut Criterion) {
    let corpus = cloudtrail::lines(1, EVENTS);
    let program = program();
    let context = context(SOURCE);
    let mut group = criterion.benchmark_group("cloudtrail");
    group.throughput(Throughput::Elements(EVENTS as u64));

    group.bench_function("parse", |bencher| {
        let (mut bytes, mut buffers, mut kept) = (Vec::new(), Buffers::new(4096), Tape(Vec::new()));
        bencher.iter(|| {
            for line in corpus.lines() {
                bytes.clear();
                bytes.extend_from_slice(line.as_bytes());
                let mut tape = std::mem::replace(&mut kept, Tape(Vec::new())).reset();
                simd_json::fill_tape(&mut bytes, &mut buffers, &mut tape).expect("valid JSON");
                black_box(tape.0.len());
                kept = tape.reset();
            }
        });
    });

    group.bench_function("split", |bencher| {
        bencher.iter(|| {
            let mut splitter = Splitter::new(formats::json(SOURCE), Resume::default());
            let mut rest = corpus.as_bytes();
            while !rest.is_empty() {
                let (taken, piece) = splitter.next(rest);
                black_box(piece);
                rest = &rest[taken..];
            }
        });
    });

    let no_rules = load(Texts::default()).program.expect("no rules load");
    for (name, program) in [("decode", &no_rules), ("match", &program)] {
        group.bench_function(name, |bencher| {
            let mut scratch = Scratch::new(program);
            let binding = program.binding(SOURCE);
            bencher.iter(|| {
                for line in corpus.lines() {
                    let input = Input {
                        binding,
                        record: line.as_bytes(),
                        context: &context,
                        received: threatlockdown_event::Millis(0),
                    };
                    let verdict = program.evaluate(&mut scratch, &input, |verdict| verdict.rule_index());
                    black_box(verdict.expect("valid JSON"));
                }
            });
        });
    }

    group.bench_function("worker", |bencher| {
        let options = WorkerOptions { min_level: 3, host: "bench".into(), ..WorkerOptions::default() };
        let mut worker = Worker::new(&program, &options, &Metrics::unregistered());
        let unit = unit(&corpus);
        bencher.iter(|| black_box(worker.analyze(unit.clone()).alerts.len()));
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
