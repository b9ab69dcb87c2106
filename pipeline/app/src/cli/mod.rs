//! The command line: what is typed, as types. No command runs here.
//!
//! Enters: the arguments. Leaves: a [`Cli`]; clap itself answers `--help`, `--version` and mistakes (exit code 2).

mod deadletter;
mod logtest;
mod role;
mod rules;
mod topics;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use threatlockdown_analysis::Composites;
use threatlockdown_ruleset::correlate::Zone;

pub(crate) use self::deadletter::{DeadletterCommand, RedriveArgs, Selection};
pub(crate) use self::logtest::{ClockArg, LogtestArgs, LogtestFormat};
pub(crate) use self::role::RoleArgs;
pub(crate) use self::rules::{
    CompileArgs, ConvertArgs, Language, ListArgs, ProfileArgs, ProfileFormat, PublishArgs, ReportFormat,
    RollbackArgs, RulesCommand, SuppressionsArgs, TestArgs, ViewArg,
};
pub(crate) use self::topics::TopicsCommand;
use crate::config::{LogFormat, StdoutFormat, is_source_name, parse_address};

/// Reads cloud logs, matches them against Wazuh rules and writes alerts: one process, no server beside it.
#[derive(Debug, Parser)]
#[command(
    name = "threatlockdown",
    version,
    max_term_width = 110,
    propagate_version = true,
    after_help = "\
Examples:
  Follow a folder, print alerts, accept events on HTTP:
    threatlockdown run --input aws.cloudtrail=/logs/AWSLogs
  The same from a configuration file:
    threatlockdown run -c threatlockdown.yaml
  Hunt in files at rest:
    threatlockdown scan logs/*.json.gz
  See how an event is decoded and which rule it hits:
    tail -1 app.log | threatlockdown logtest --rules my_rules/
  Before a restart:
    threatlockdown rules check my_rules/
    threatlockdown config check -c threatlockdown.yaml

`threatlockdown <command> --help` shows the options and exit codes of a command."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read sources as they grow, deliver alerts, until stopped
    Run(RunArgs),
    /// Read sources as they grow and write their records to Kafka, until stopped
    Collect(RoleArgs),
    /// Judge records from Kafka and write alerts to Kafka, until stopped
    Analyze(RoleArgs),
    /// Bring alerts from Kafka to the sinks, until stopped
    Deliver(RoleArgs),
    /// Read files at rest once, print alerts as JSON lines
    Scan(ScanArgs),
    /// Show for each line of stdin how it is decoded and which rule it hits
    Logtest(LogtestArgs),
    /// Check, list, test, profile, convert, compile or publish rules
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Check a configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make or check the topics in Kafka
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Look at what could not be processed, and send it back after a fix
    #[command(subcommand)]
    Deadletter(DeadletterCommand),
}

/// The rules of a command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RuleArgs {
    /// Rule or decoder file (*.xml), Sigma file (*.yml), values for its placeholders (*.placeholders.yaml), or folder of them, loaded in
    /// the order of their names; repeatable
    #[arg(id = "rules", long = "rules", value_name = "PATH", help_heading = "Rules")]
    pub(crate) paths: Vec<PathBuf>,
    /// Folder of a Wazuh installation, or a copy: its rules, decoders and lists, as etc/ossec.conf names them
    #[arg(long, value_name = "DIR", help_heading = "Rules")]
    pub(crate) home: Option<PathBuf>,
    /// Leave the built-in rules out
    #[arg(long, help_heading = "Rules")]
    pub(crate) no_builtin: bool,
    /// Load this compiled rule set (see `rules compile`) and no rule files
    #[arg(long, value_name = "FILE", help_heading = "Rules", conflicts_with_all = ["rules", "no_builtin", "home"])]
    pub(crate) compiled: Option<PathBuf>,
}

/// The zone of a command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ZoneArg {
    /// Zone that `<time>` and `<weekday>` of rules mean, by its IANA name, for example Europe/Berlin [default: UTC]
    #[arg(long, value_name = "NAME", value_parser = zone, help_heading = "Rules")]
    pub(crate) time_zone: Option<Zone>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Flags go before the configuration file: --input replaces its file and stdin
sources, --alerts the path of its file sink, --rules its rule paths. Without -c
alerts go to alerts.jsonl in the data directory and to stdout, and events are
accepted on http://127.0.0.1:7514/v1/ingest/<source>; with --once they are not.

With a `kafka` section in the file this process does what `collect`, `analyze`
and `deliver` do, with the topics in Kafka between them.

The first SIGTERM or SIGINT drains: nothing new is read, what was read is
delivered. A second one leaves at once. Nothing is lost in either case: the next
start goes on where delivery stood.

Rules are loaded again when their files change (rules.reload_interval in the
configuration: 2s, or off) and at SIGHUP, not with --once. Faulty ones are not
used: the log and /readyz say why, and the rules in force stay.

Exit codes:
  0        stopped after a complete drain, or --once and all was delivered
  1        a stage failed, or the drain did not end within the deadline
  2        faulty command line, configuration or rules, or the start failed
  130/143  a second SIGINT/SIGTERM

Examples:
  threatlockdown run --input aws.cloudtrail=logs/aws --input json=logs/other
  threatlockdown run --source syslog --input /var/log/auth.log --alerts a.jsonl
  journalctl -f | threatlockdown run --source syslog --input -
  threatlockdown run --once --source aws.cloudtrail --input day.json.gz")]
pub(crate) struct RunArgs {
    /// Configuration file (YAML)
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log source of each --input that does not name its own, for example aws.cloudtrail
    #[arg(long, value_name = "NAME", value_parser = source_name, help_heading = "Input")]
    pub(crate) source: Option<String>,
    /// File, folder, pattern or `-` to read, as PATH or SOURCE=PATH (./a=b for a path with `=`); repeatable
    #[arg(long = "input", value_name = "[SOURCE=]PATH", value_parser = input, num_args = 1.., help_heading = "Input")]
    pub(crate) inputs: Vec<Input>,
    /// End when the inputs are read to their end and everything is delivered
    #[arg(long, help_heading = "Input")]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) zone: ZoneArg,
    /// Write alerts to this file as JSON lines
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) alerts: Option<PathBuf>,
    /// Alerts on stdout [default without -c: pretty on a terminal, else json]
    #[arg(long, value_name = "FORM", help_heading = "Output")]
    pub(crate) stdout: Option<Stdout>,
    /// What becomes of the alert of an event that also completes a count: the composite rule's comes beside it, or instead
    #[arg(long, value_name = "WORD", help_heading = "Output")]
    pub(crate) composites: Option<CompositesArg>,
    /// Form of the log on stderr; its level is log.level or the variable TLD_LOG
    #[arg(long, value_name = "FORM", help_heading = "Output")]
    pub(crate) log_format: Option<LogFormat>,
    /// Folder for checkpoints, commit log and journal [default: ./tld-data]
    #[arg(long, value_name = "DIR", help_heading = "Process")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of ingest, /metrics, /healthz and /readyz, or off [default: 127.0.0.1:7514]
    #[arg(long, value_name = "ADDR", value_parser = listen, help_heading = "Process")]
    pub(crate) listen: Option<ListenArg>,
    /// Name of this copy in the cluster, with a `kafka` section [default: kafka.instance, or the host's name]
    #[arg(long, value_name = "NAME", value_parser = instance, help_heading = "Process")]
    pub(crate) instance: Option<String>,
    /// Analysis threads, 0 for one a core [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024), help_heading = "Process")]
    pub(crate) workers: Option<u16>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Alerts are JSON lines on stdout; for each log source in the order of its files.
What rules count over several events comes at the end, in the order of time.
Without --source the log source of each file is taken from its path and content:
CloudTrail, Log Analytics, other JSON, or text lines. Folders are read with all
that is below them.

Exit codes:
  0  read to the end, no alert
  1  read to the end, at least one alert
  2  an error: a fault in the command line or the rules, or nothing could be read
Records that cannot be processed (dead letters) do not change it.

Examples:
  threatlockdown scan logs/
  threatlockdown scan --rules my_rules.xml --level 7 logs/*.json.gz
  zcat day.json.gz | threatlockdown scan --stats json --dead-letters bad.jsonl -")]
pub(crate) struct ScanArgs {
    /// Files, folders, or `-` for stdin
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Log source of all inputs [default: from each file's path and content]
    #[arg(long, value_name = "NAME", value_parser = source_name, help_heading = "Input")]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) zone: ZoneArg,
    /// Lowest rule level that is an alert
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=16), help_heading = "Output")]
    pub(crate) level: u8,
    /// What becomes of the alert of an event that also completes a count: the composite rule's comes beside it, or instead
    #[arg(long, value_name = "WORD", default_value = "add", help_heading = "Output")]
    pub(crate) composites: CompositesArg,
    /// Figures as the last line of stderr
    #[arg(long, value_name = "FORM", help_heading = "Output")]
    pub(crate) stats: Option<Stats>,
    /// Write what could not be processed to this file, as JSON lines
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) dead_letters: Option<PathBuf>,
    /// Analysis threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Process")]
    pub(crate) threads: Option<u16>,
}

/// Value of `--composites`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompositesArg {
    Add,
    Replace,
}

impl From<CompositesArg> for Composites {
    fn from(arg: CompositesArg) -> Self {
        match arg {
            CompositesArg::Add => Self::Add,
            CompositesArg::Replace => Self::Replace,
        }
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report every fault in a configuration file, with line, column and what to do
    #[command(after_help = "\
References such as ${env:NAME} are resolved, ${exec:COMMAND} included.

Exit codes: 0 and a summary on stdout, 2 with faults on stderr.")]
    Check {
        /// Configuration file (YAML)
        #[arg(short = 'c', long = "config", value_name = "FILE")]
        config: PathBuf,
    },
}

/// One `--input`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// Its own log source, where one is named.
    pub(crate) source: Option<String>,
    /// Path or pattern; `-` is stdin.
    pub(crate) path: String,
}

/// `--listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenArg {
    Off,
    At(SocketAddr),
}

/// `run --stdout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stdout {
    /// No alerts on stdout
    None,
    /// JSON lines
    Json,
    /// One readable line an alert
    Pretty,
}

impl Stdout {
    pub(crate) fn format(self) -> Option<StdoutFormat> {
        match self {
            Self::None => None,
            Self::Json => Some(StdoutFormat::Json),
            Self::Pretty => Some(StdoutFormat::Pretty),
        }
    }
}

/// `scan --stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stats {
    /// One JSON object
    Json,
}

fn source_name(text: &str) -> Result<String, String> {
    if is_source_name(text) {
        return Ok(text.to_owned());
    }
    Err("a log source holds letters, digits, `.`, `_` and `-` only, for example aws.cloudtrail".into())
}

fn zone(text: &str) -> Result<Zone, String> {
    Zone::named(text).map_err(|reason| format!("{reason}; write its IANA name, for example Europe/Berlin"))
}

fn input(text: &str) -> Result<Input, String> {
    let (source, path) = match text.split_once('=') {
        Some((source, path)) if is_source_name(source) => (Some(source.to_owned()), path),
        _ => (None, text),
    };
    if path.is_empty() {
        return Err("the path is empty".into());
    }
    Ok(Input { source, path: path.to_owned() })
}

/// Tasks of `collect` have names that no instance may have.
fn instance(text: &str) -> Result<String, String> {
    let is_name = is_source_name(text);
    is_name.then(|| text.to_owned()).ok_or_else(|| "letters, digits, `.`, `_` and `-` make a name".into())
}

fn listen(text: &str) -> Result<ListenArg, String> {
    if text == "off" {
        return Ok(ListenArg::Off);
    }
    let address = parse_address(text).map(ListenArg::At);
    address.ok_or_else(|| "expected an IP address with a port, for example 127.0.0.1:7514, or off".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(std::iter::once("threatlockdown").chain(line.split_whitespace()))
            .map(|cli| cli.command)
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_inputs_of_several_sources() {
        let line = "run --input aws.cloudtrail=a/b=c --source json --input x.json --input ./k=v --input - --once \
                    --workers 2 --listen localhost:0 --stdout none --rules a --rules b --no-builtin --home h";
        let Ok(Command::Run(run)) = parse(line) else { panic!("{:?}", parse(line)) };
        let input =
            |source: Option<&str>, path: &str| Input { source: source.map(Into::into), path: path.into() };
        assert_eq!(
            run.inputs,
            [
                input(Some("aws.cloudtrail"), "a/b=c"),
                input(None, "x.json"),
                input(None, "./k=v"),
                input(None, "-")
            ]
        );
        assert_eq!(run.listen, Some(ListenArg::At(([127, 0, 0, 1], 0).into())));
        assert_eq!(run.stdout, Some(Stdout::None));
        assert_eq!(run.rules.paths, [PathBuf::from("a"), PathBuf::from("b")]);
        assert!(run.once && run.rules.no_builtin);
        assert_eq!(run.rules.home, Some(PathBuf::from("h")));
    }

    #[test]
    fn no_instance_has_the_name_of_a_task() {
        for command in ["collect -c a.yaml", "run -c a.yaml"] {
            assert!(parse(&format!("{command} --instance host-1.a_b")).is_ok(), "{command}");
            for name in ["task:archive", "a/b", "ä"] {
                let error = parse(&format!("{command} --instance {name}")).err().unwrap().to_string();
                assert!(error.contains("make a name"), "{error}");
            }
        }
    }

    #[test]
    fn scan_has_its_defaults() {
        let Ok(Command::Scan(scan)) = parse("scan --rules r.xml a.json -") else { panic!() };
        assert_eq!((scan.level, scan.stats, scan.threads), (3, None, None));
        // `--rules` takes one path, so what follows is input.
        assert_eq!(scan.paths, [PathBuf::from("a.json"), PathBuf::from("-")]);
    }

    #[test]
    fn a_home_is_enough_to_check() {
        let Ok(Command::Rules(RulesCommand::Check { paths, home, .. })) = parse("rules check --home h")
        else {
            panic!()
        };
        assert_eq!((paths, home), (Vec::new(), Some(PathBuf::from("h"))));
    }

    #[test]
    fn mistakes_end_with_code_2() {
        let wrong = [
            "",
            "run --workers many",
            "run --listen 7514",
            "run --source a/b",
            "run --input json=",
            "run --stdout xml",
            "scan",
            "scan --level 17 a",
            "scan --threads 0 a",
            "scan --stats yaml a",
            "rules check",
            "config check",
            "logtest --format xml",
            "logtest --clock 5",
            "logtest --explain",
            "rules compile",
            "rules convert own.xml",
            "rules convert --to yara own.xml",
            "rules convert --to sigma",
            "rules convert --to sigma own.xml --force",
            "rules convert --to sigma own.xml --builtin --no-builtin",
            "rules convert --to wazuh a.yml --first-id 0",
            "rules convert --to wazuh a.yml --source json",
            "rules list --level 17",
            "rules test --view both",
            "rules test --threads 0",
            "rules profile",
            "rules profile --top 0 a",
            "scan --compiled a --rules b c",
        ];
        for line in wrong {
            let Err(error) = parse(line) else { panic!("{line} is accepted") };
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
