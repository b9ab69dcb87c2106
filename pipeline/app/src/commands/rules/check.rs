//! `rules check`: everything that is wrong with rule files, and which stateful rules must be judged together.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::components;
use crate::commands::rule_set::{self, Selection};
use crate::commands::{EXIT_ERROR, report, report_faults};

pub(super) fn execute(selection: Selection<'_>, as_json: bool) -> anyhow::Result<ExitCode> {
    let rule_set::Loaded { program, mut diagnostics, .. } = rule_set::load_all(selection);
    report_faults(&mut diagnostics);
    let Some(program) = program else {
        report(&rule_set::summary(&diagnostics));
        return Ok(ExitCode::from(EXIT_ERROR));
    };
    let own = program.rules().iter().filter(|rule| !rule.builtin).count();
    let builtin = program.rules().len() - own;
    if as_json {
        let object = json!({
            "rules": own,
            "builtin_rules": builtin,
            "warnings": diagnostics.len(),
            "components": components::objects(&program),
        });
        writeln!(std::io::stdout().lock(), "{object}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("ok: {own} rules of yours, {builtin} built in");
    if !diagnostics.is_empty() {
        let _ = write!(text, "; {}", rule_set::summary(&diagnostics));
    }
    text.push('\n');
    text.push_str(&components::table(&program));
    // A reader such as `head` may leave early; that is its right.
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
    Ok(ExitCode::SUCCESS)
}
