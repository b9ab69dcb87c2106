//! `rules compile`: the rules that are loaded, as one file that loads without reading rule text.

use std::process::ExitCode;

use threatlockdown_ruleset::artefact;

use crate::cli::CompileArgs;
use crate::commands::{compiled, print, rule_set};

pub(super) fn execute(args: &CompileArgs) -> anyhow::Result<ExitCode> {
    let (program, set) = rule_set::program_and_set((&args.rules).into())?;
    let bytes = artefact::write(&set, program.version())?;
    compiled::write(&args.output, &bytes)?;
    let (rules, version) = (program.rules().len(), program.version());
    let (path, size) = (args.output.display(), crate::config::show_size(bytes.len() as u64));
    print(&format!("{path}: {rules} rules, version {version}, {size}\n"))?;
    Ok(ExitCode::SUCCESS)
}
