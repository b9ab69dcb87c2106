//! `rules test`: what must come of events, against what comes of them.
//!
//! ```text
//! FILES, or the tests beside the rule files ─ inputs ─▶ Test ─▶ threads, each with the shared program ─ report ─▶ stdout
//! ```
//!
//! Enters: rules and tests. Leaves: the failures, and the exit code. Tests do not know of each other, so they are run in
//! parallel; the report is in their order all the same.

mod inputs;
mod report;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{anyhow, bail};
use threatlockdown_ruleset::build;
use threatlockdown_ruleset::ir::RuleSet;
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::testing::{CaseOptions, ExtraEntries, Failure, Test, View, run_one};

use self::inputs::Inputs;
use crate::cli::{TestArgs, ViewArg};
use crate::commands::{cores, counted, report_faults, rule_set};

/// At least one check failed.
const EXIT_FAILED: u8 = 1;

pub(super) fn execute(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let (program, set) = rule_set::program_and_set((&args.rules).into())?;
    let view = match args.view {
        ViewArg::Envelope => View::Envelope,
        ViewArg::Raw => View::Raw,
    };
    let mut inputs = Inputs::new(CaseOptions { view, every_event: args.every_event });
    if args.files.is_empty() {
        inputs.beside(&program);
    } else {
        args.files.iter().for_each(|path| inputs.add(path));
    }
    if !inputs.faults.is_empty() {
        let count = inputs.faults.len();
        report_faults(&mut inputs.faults);
        bail!("the tests cannot be used: {}", counted(count, "error"));
    }
    if inputs.tests.is_empty() && inputs.skipped.is_empty() {
        bail!("there are no tests: put x.tests.yaml beside a rule file x.xml, or name test files");
    }
    let threads = args.threads.map_or_else(cores, usize::from);
    let failures = run(&program, &set, &inputs.tests, threads)?;
    let failed = report::write(&inputs, &failures, args.verbose)?;
    Ok(if failed { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
}

/// The set with list entries that tests have of their own, compiled when the first of these tests is reached.
type Variants<'t> = BTreeMap<&'t ExtraEntries, OnceLock<Result<Arc<Program>, String>>>;

/// The failures of each test, in the order of the tests.
fn run(
    program: &Arc<Program>,
    set: &RuleSet,
    tests: &[Test],
    threads: usize,
) -> anyhow::Result<Vec<Vec<Failure>>> {
    let lists = tests.iter().map(|test| &test.lists).filter(|lists| !lists.is_empty());
    let variants: Variants<'_> = lists.map(|lists| (lists, OnceLock::new())).collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let work = || -> Result<(), String> {
        let mut own = Vec::new();
        while let Some((at, test)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            tests.get(at).map(|test| (at, test))
        } {
            let changed = variants.get(&test.lists).map(|variant| {
                let make = || changed_program(program, set, &test.lists);
                variant.get_or_init(make).as_ref().map_err(Clone::clone)
            });
            let failures = run_one(changed.transpose()?.unwrap_or(program), test);
            if !failures.is_empty() {
                own.push((at, failures));
            }
        }
        results.lock().map_err(|_| "a thread died".to_owned())?.append(&mut own);
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(tests.len())).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a thread died".to_owned())?)
            .map_err(|error| anyhow!(error))
    })?;
    let mut failures = vec![Vec::new(); tests.len()];
    for (at, of_test) in results.into_inner().map_err(|_| anyhow!("a thread died"))? {
        if let Some(place) = failures.get_mut(at) {
            *place = of_test;
        }
    }
    Ok(failures)
}

fn changed_program(program: &Program, set: &RuleSet, lists: &ExtraEntries) -> Result<Arc<Program>, String> {
    build(&lists.added_to(set), program.version().to_owned()).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        format!("the rules do not compile with the list entries of a test: {first}")
    })
}
