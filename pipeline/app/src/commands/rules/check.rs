//! `rules check`: everything that is wrong with rule files, Sigma rules that can never fire among it, and which stateful
//! rules must be judged together.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;
use threatlockdown_ruleset::decode::mapping;
use threatlockdown_ruleset::sigma_sources;

use super::{components, sigma};
use crate::commands::rule_set::{self, Selection};
use crate::commands::{EXIT_ERROR, print, report, report_faults};

pub(super) fn execute(selection: Selection<'_>, as_json: bool) -> anyhow::Result<ExitCode> {
    let rule_set::Loaded { program, set, mut diagnostics, .. } = rule_set::load_all(selection);
    let reach = sigma_sources::check(&set.sigma, &mapping::builtin()?);
    diagnostics.extend(reach.diagnostics(&set.sigma));
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
            "sigma": sigma::object(&set.sigma, &reach),
        });
        print(&format!("{object}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("ok: {own} rules of yours, {builtin} built in");
    if !set.sigma.rules.is_empty() {
        let _ = write!(text, ", {} of Sigma", set.sigma.rules.len());
    }
    if !set.sigma.correlations.is_empty() {
        let _ = write!(text, ", {} correlations", set.sigma.correlations.len());
    }
    if !diagnostics.is_empty() {
        let _ = write!(text, "; {}", rule_set::summary(&diagnostics));
    }
    text.push('\n');
    text.push_str(&components::table(&program));
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
