//! `rules check` and `rules list`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use threatlockdown_ruleset::ir::Part;
use threatlockdown_ruleset::program::Rule;

use super::rule_set::{self, Selection};
use super::{EXIT_ERROR, report, report_faults};
use crate::cli::RulesCommand;

pub(crate) fn execute(command: &RulesCommand) -> anyhow::Result<ExitCode> {
    match command {
        RulesCommand::Check { paths, home, no_builtin } => {
            check(Selection { paths, home: home.as_deref(), builtin: !no_builtin })
        }
        RulesCommand::List { search, rules } => list(search.as_deref(), rules.into()),
    }
}

fn check(selection: Selection<'_>) -> anyhow::Result<ExitCode> {
    let rule_set::Loaded { program, mut diagnostics } = rule_set::load_all(selection);
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

/// One line a rule: id, level, groups, description, where it stands.
fn list(search: Option<&str>, selection: Selection<'_>) -> anyhow::Result<ExitCode> {
    let program = rule_set::program(selection)?;
    let wanted = search.map(str::to_lowercase);
    let mut text = String::new();
    for rule in program.rules() {
        let groups = rule.groups.join(",");
        let description = description(rule);
        let shown = format!("{:>6}  {:>2}  {groups}  {description}", rule.id, rule.level);
        if wanted.as_ref().is_none_or(|wanted| shown.to_lowercase().contains(wanted)) {
            let _ = writeln!(text, "{shown}  ({}:{})", rule.place.file, rule.place.line);
        }
    }
    // A reader such as `head` may leave early; that is its right.
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
    Ok(ExitCode::SUCCESS)
}

fn description(rule: &Rule) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Field(name) => format!("$({name})"),
    };
    rule.description.parts.iter().map(part).collect()
}
