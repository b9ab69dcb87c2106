//! The command line of `topics`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Make the topics that are not there yet
    #[command(after_help = "\
Topics that are there stay as they are; what is wrong with them is shown as with
`topics check`.

Exit codes: 0 when all topics are there and lose nothing, 1 with faults that the
operator has to mend, 2 on an error.")]
    Create {
        /// Configuration file (YAML) with a `kafka` section
        #[arg(short = 'c', long = "config", value_name = "FILE")]
        config: PathBuf,
    },
    /// Tell which topics are missing, or would lose what is written to them
    #[command(after_help = "\
Exit codes: 0 when all topics are there and lose nothing (warnings are shown), 1
with faults, 2 on an error.")]
    Check {
        /// Configuration file (YAML) with a `kafka` section
        #[arg(short = 'c', long = "config", value_name = "FILE")]
        config: PathBuf,
    },
}
