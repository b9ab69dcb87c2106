//! rsigma on one thread, for the rows `rsigma` and `rsigma-pruned` of `ratios`: `rsigma-peer DIR`, `rsigma-peer-pruned DIR`.
//!
//! Enters: a folder of Sigma rules, then on stdin rounds, each a line with the number of bytes and so many bytes of JSON lines.
//! Leaves: a line with the number of rules, then for each round a line with events, nanoseconds, events that a rule matched,
//! matches. A process of its own, because the peer asks for a newer compiler than the product promises; what is measured lies
//! between two looks at the clock here, so that the pipe costs it nothing. An event is parsed by serde_json and borrowed by
//! the engine, as rsigma's own program does it; both programs are built with link-time optimisation. What they differ in
//! ([`Mode`] and the allocator, which each program names) is all that was found to make the peer faster: its bloom filter
//! makes it slower on this corpus, and its index of all literals is for many thousands of rules.

use std::hint::black_box;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use rsigma_eval::{Engine, EvaluationResult, JsonEvent};
use rsigma_parser::{LogSource, parse_sigma_directory};
use serde_json::Value;

/// How the engine is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As rsigma's own program asks it unless it is told otherwise: `evaluate`, all rules for every event.
    Plain,
    /// The quickest way that it has here: `evaluate_pruned`, told that all events are CloudTrail's, which spares it the rules
    /// of other products.
    Pruned,
}

/// The whole program.
#[must_use]
pub fn main(mode: Mode) -> ExitCode {
    match run(mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "rsigma-peer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mode: Mode) -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: rsigma-peer DIR < ROUNDS")?;
    let engine = engine(Path::new(&folder))?;
    let source = LogSource {
        product: Some("aws".to_owned()),
        service: Some("cloudtrail".to_owned()),
        ..LogSource::default()
    };
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    writeln!(output, "{}", engine.rule_count())?;
    output.flush()?;
    let (mut head, mut text) = (String::new(), Vec::new());
    loop {
        head.clear();
        if input.read_line(&mut head)? == 0 {
            return Ok(());
        }
        text.resize(head.trim().parse()?, 0);
        input.read_exact(&mut text)?;
        let round = match mode {
            Mode::Plain => judge(&text, |event| engine.evaluate(event))?,
            Mode::Pruned => judge(&text, |event| engine.evaluate_pruned(event, &source))?,
        };
        writeln!(output, "{} {} {} {}", round.events, round.nanoseconds, round.matched, round.matches)?;
        output.flush()?;
    }
}

/// The rules that load; the caller compares the number.
fn engine(folder: &Path) -> Result<Engine, Box<dyn std::error::Error>> {
    let collection = parse_sigma_directory(folder)?;
    let mut engine = Engine::new();
    for (rule, error) in engine.add_rules(&collection.rules) {
        writeln!(io::stderr(), "rsigma-peer: rule {rule} does not load: {error}")?;
    }
    Ok(engine)
}

struct Round {
    events: u64,
    nanoseconds: u128,
    matched: u64,
    matches: usize,
}

fn judge(
    text: &[u8],
    evaluate: impl Fn(&JsonEvent<'_>) -> Vec<EvaluationResult>,
) -> Result<Round, serde_json::Error> {
    let (mut events, mut matched, mut matches) = (0, 0, 0);
    let started = Instant::now();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let value: Value = serde_json::from_slice(line)?;
        let results = black_box(evaluate(&JsonEvent::borrow(&value)));
        events += 1;
        matched += u64::from(!results.is_empty());
        matches += results.len();
    }
    Ok(Round { events, nanoseconds: started.elapsed().as_nanos(), matched, matches })
}
