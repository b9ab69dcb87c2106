//! The command line of the roles of a cluster.

use std::path::PathBuf;

use clap::Args;

use super::ListenArg;
use crate::config::LogFormat;

/// What all roles take.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit codes:
  0  stopped by a signal, with all committed that was taken
  1  a part failed, another process has this one's name, or not all was committed by shutdown.deadline
  2  the configuration, the rules or the topics are faulty")]
pub(crate) struct RoleArgs {
    /// Configuration file (YAML) with a `kafka` section
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Address of /metrics, /healthz and /readyz (and, for `collect`, ingest), or off [default: 127.0.0.1:7514]
    #[arg(long, value_name = "ADDR", value_parser = super::listen)]
    pub(crate) listen: Option<ListenArg>,
    /// Name of this copy in the cluster, which no other may have [default: kafka.instance, or the host's name]
    #[arg(long, value_name = "NAME", value_parser = super::instance)]
    pub(crate) instance: Option<String>,
    /// Form of the log on stderr; its level is log.level or the variable TLD_LOG
    #[arg(long, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,
}
