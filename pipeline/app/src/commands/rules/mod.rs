//! `rules`: one file for each of its commands.

mod check;
mod compile;
mod components;
mod convert;
mod list;
mod profile;
mod publish;
mod published;
mod sigma;
mod suppressions;
mod test;

use std::process::ExitCode;

use super::rule_set::Selection;
use crate::cli::RulesCommand;

pub(crate) fn execute(command: &RulesCommand) -> anyhow::Result<ExitCode> {
    match command {
        RulesCommand::Check { paths, home, no_builtin, json } => {
            let selection = Selection {
                paths,
                home: home.as_deref(),
                builtin: !no_builtin,
                compiled: None,
                before: None,
            };
            check::execute(selection, *json)
        }
        RulesCommand::List(args) => list::execute(args),
        RulesCommand::Suppressions(args) => suppressions::execute(args),
        RulesCommand::Test(args) => test::execute(args),
        RulesCommand::Profile(args) => profile::execute(args),
        RulesCommand::Convert(args) => convert::execute(args),
        RulesCommand::Compile(args) => compile::execute(args),
        RulesCommand::Publish(args) => publish::execute(args),
        RulesCommand::Rollback(args) => published::roll_back(args),
        RulesCommand::Published { config, json } => published::list(config, *json),
    }
}
