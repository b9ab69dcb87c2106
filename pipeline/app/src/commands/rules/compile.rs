//! `rules compile`: the rules that are loaded, as one file that loads without reading rule text.

use std::io::Write as _;
use std::process::ExitCode;

use threatlockdown_ruleset::artefact;

use crate::cli::CompileArgs;
use crate::commands::{compiled, rule_set};

pub(super) fn execute(args: &CompileArgs) -> anyhow::Result<ExitCode> {
    let (program, set) = rule_set::program_and_set((&args.rules).into())?;
    let bytes = artefact::write(&set, program.version())?;
    compiled::write(&args.output, &bytes)?;
    let (rules, version) = (program.rules().len(), program.version());
    let (path, size) = (args.output.display(), crate::config::show_size(bytes.len() as u64));
    writeln!(std::io::stdout().lock(), "{path}: {rules} rules, version {version}, {size}")?;
    Ok(ExitCode::SUCCESS)
}
