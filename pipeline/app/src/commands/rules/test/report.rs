//! What `rules test` writes: each failure, on request each suite, what was left out, the sum.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use threatlockdown_ruleset::testing::Failure;

use super::inputs::Inputs;
use crate::commands::print;
use crate::telemetry::plain;

/// Writes the report to stdout; `failures` are those of each test. Whether there are any.
///
/// # Errors
/// When stdout does not take it.
pub(super) fn write(inputs: &Inputs, failures: &[Vec<Failure>], verbose: bool) -> anyhow::Result<bool> {
    let (text, failed) = report(inputs, failures, verbose);
    print(&text)?;
    Ok(failed > 0)
}

fn report(inputs: &Inputs, failures: &[Vec<Failure>], verbose: bool) -> (String, usize) {
    let mut text = String::new();
    for failure in failures.iter().flatten() {
        // Ids and faults may hold what an event holds: they must not write lines of their own.
        let _ = writeln!(text, "FAILED {}", plain(&failure.to_string()));
    }
    let mut suites: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (test, failures) in inputs.tests.iter().zip(failures) {
        let (passed, failed) = suites.entry(&test.suite).or_default();
        *passed += test.checks.len() - failures.len();
        *failed += failures.len();
    }
    if verbose {
        for (suite, (passed, failed)) in &suites {
            let _ = writeln!(text, "{}: {passed} passed, {failed} failed", plain(suite));
        }
    }
    let skipped: usize = inputs.skipped.values().sum();
    if skipped > 0 {
        let reasons = inputs.skipped.iter().map(|(why, checks)| format!("{why} ({checks})"));
        let reasons: Vec<String> = reasons.collect();
        let _ = writeln!(text, "{skipped} skipped: {}", plain(&reasons.join(", ")));
    }
    let (passed, failed) = suites.values().fold((0, 0), |sum, suite| (sum.0 + suite.0, sum.1 + suite.1));
    let _ = writeln!(text, "{passed} passed, {failed} failed");
    (text, failed)
}
