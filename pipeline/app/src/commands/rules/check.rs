//! `rules check`: everything that is wrong with rule files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use crate::commands::rule_set::{self, Selection};
use crate::commands::{EXIT_ERROR, report, report_faults};

pub(super) fn execute(selection: Selection<'_>) -> anyhow::Result<ExitCode> {
    let rule_set::Loaded { program, mut diagnostics, .. } = rule_set::load_all(selection);
    report_faults(&mut diagnostics);
    let Some(program) = program else {
        report(&rule_set::summary(&diagnostics));
        return Ok(ExitCode::from(EXIT_ERROR));
    };
    let own = program.rules().iter().filter(|rule| !rule.builtin).count();
    let builtin = program.rules().len() - own;
    let mut text = format!("ok: {own} rules of yours, {builtin} built in");
    if !diagnostics.is_empty() {
        let _ = write!(text, "; {}", rule_set::summary(&diagnostics));
    }
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
