//! The command line of `rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{RuleArgs, source_name};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RulesCommand {
    /// Report every fault in rule files, with line, column and what to do
    #[command(after_help = "Exit codes: 0 without errors (warnings are shown), 2 with.")]
    Check {
        /// Rule and decoder files (*.xml), Sigma files (*.yml), or folders of them
        #[arg(required_unless_present = "home", value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Folder of a Wazuh installation, or a copy, whose rules, decoders and lists are checked
        #[arg(long, value_name = "DIR")]
        home: Option<PathBuf>,
        /// Check without the built-in rules beside them
        #[arg(long)]
        no_builtin: bool,
        /// Write what came of it, with the components of stateful rules and the reach of Sigma rules, as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// List the rules that are loaded
    List(ListArgs),
    /// List what holds alerts back, why and until when, and how much of some files' alerts
    Suppressions(SuppressionsArgs),
    /// Run tests of rules: what events they fire on, and what they must let pass
    Test(TestArgs),
    /// Show what each rule costs and gives on the events of some files
    Profile(ProfileArgs),
    /// Write Wazuh rules as Sigma rules, or Sigma rules as Wazuh rules, and say what became of each
    Convert(ConvertArgs),
    /// Write the rules that are loaded as one file that loads without reading any rule text
    Compile(CompileArgs),
    /// Check rules and put them in force on all running copies of `analyze`
    Publish(PublishArgs),
    /// Put the rules in force again that were published before
    Rollback(RollbackArgs),
    /// Show which published rules there are, which are in force, since when and by whom
    Published {
        /// Configuration file (YAML) with a `kafka` section
        #[arg(short = 'c', long = "config", value_name = "FILE")]
        config: PathBuf,
        /// One JSON object a set
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  threatlockdown rules list console
  threatlockdown rules list T1110 --level 7
  threatlockdown rules list --rules my_rules/ --group authentication_failed --json")]
pub(crate) struct ListArgs {
    /// Show only rules whose id, description, groups, file or ATT&CK ids and names hold this text
    pub(crate) search: Option<String>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// Show only rules of at least this level
    #[arg(long, value_name = "MIN", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=16), help_heading = "Selection")]
    pub(crate) level: u8,
    /// Show only rules of this group
    #[arg(long, value_name = "NAME", help_heading = "Selection")]
    pub(crate) group: Option<String>,
    /// Show only rules of files whose path holds this text
    #[arg(long, value_name = "TEXT", help_heading = "Selection")]
    pub(crate) file: Option<String>,
    /// One JSON object a rule
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
FILES are *.tests.yaml (docs/rule-tests.md), *.jsonl with recorded cases or
sequences, or folders in which these are looked for. Without FILES the tests
beside the rule files that are loaded are run (x.tests.yaml beside x.xml), those
of the built-in rules included.

Each test has an engine of its own that remembers nothing. The last line is
`N passed, N failed`; before it every failure, with what was expected.

Exit codes:
  0  all passed
  1  at least one failed
  2  an error: a fault in the command line, the rules or the tests, or no tests

Examples:
  threatlockdown rules test
  threatlockdown rules test --rules my_rules/
  threatlockdown rules test --rules my_rules/ --view raw cases/*.jsonl")]
pub(crate) struct TestArgs {
    /// Test files, or folders with them [default: the tests beside the rule files]
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// What of a recorded case is fed
    #[arg(long, value_name = "VIEW", default_value = "envelope", help_heading = "Tests")]
    pub(crate) view: ViewArg,
    /// Compare the verdict of every event of a recorded case, not only of its last
    #[arg(long, help_heading = "Tests")]
    pub(crate) every_event: bool,
    /// Show how many checks of each suite passed
    #[arg(short = 'v', long, help_heading = "Output")]
    pub(crate) verbose: bool,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Process")]
    pub(crate) threads: Option<u16>,
}

/// `rules test --view`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewArg {
    /// The lines that an engine receives
    Envelope,
    /// The provider's records with what a connector knows; cases without a mapping are skipped
    Raw,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Reads the files as `scan` does, on one thread, and shows: the rules and the tests
that take most time, how often each rule is tried and matches, the rules that are
never tried, never match or are results, fields that rules name and no event has,
and decoders that no event reaches.

Time is taken of one event in eight; with few events shares are rough. A test that
rules share is paid for by the rule that asks first.

Exit codes: 0 when the files were read, 2 on an error.

Examples:
  threatlockdown rules profile --rules my_rules/ logs/day.json.gz
  threatlockdown rules profile --home /var/ossec --source syslog --top 50 /var/log/auth.log
  threatlockdown rules profile --format json logs/ | jq '.rules.unmatched'")]
pub(crate) struct ProfileArgs {
    /// Files, folders, or `-` for stdin
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Log source of all inputs [default: from each file's path and content]
    #[arg(long, value_name = "NAME", value_parser = source_name, help_heading = "Input")]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// Show so many lines of each table; JSON has all of them
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Output")]
    pub(crate) top: u32,
    /// Tables for people, or one JSON object
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    pub(crate) format: ProfileFormat,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Suppressions are read from *.suppressions.yaml among the rules (docs/suppressions.md).
With FILES it also shows how many of their alerts each would hold back; these are
read as `scan` reads them.

Exit codes: 0 when the list is shown, 2 on an error.

Examples:
  threatlockdown rules suppressions --rules my_rules/
  threatlockdown rules suppressions list --rules my_rules/ --json logs/")]
pub(crate) struct SuppressionsArgs {
    /// `list`, which is what is done anyway, and then files, folders, or `-` for stdin, whose alerts are counted
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Log source of all inputs [default: from each file's path and content]
    #[arg(long, value_name = "NAME", value_parser = source_name, help_heading = "Input")]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// Lowest rule level that is an alert
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=16), help_heading = "Input")]
    pub(crate) level: u8,
    /// One JSON object a suppression
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `rules profile --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileFormat {
    /// Tables
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Parents, variables, overwrites and filters are resolved first: what is written is
what a rule means with the others that are loaded. Rules of the named files are
converted, or with --home alone those of the installation; the others are loaded
beside them as their context. What is written is loaded again before it is given
out (docs/rules-convert.md).

The report lists every rule: converted, converted with a difference (which), not
convertible (why). With -o it goes to stdout; without, the rules go to stdout and
the report to stderr.

--prove reads files as `scan` does, runs each rule alone and what was made of it
on all their events, and tells where they differ; then both sets as a whole.

Exit codes:
  0  what can be converted was written; with --prove: and is equal on the files
     as far as no difference was reported
  1  --prove found a difference in a rule that was reported as converted
  2  an error: a fault in the command line or the rules, nothing to convert or
     nothing convertible, a file that is there already, or nothing to prove it on

Examples:
  threatlockdown rules convert --to sigma my_rules/ -o sigma/
  threatlockdown rules convert --to wazuh --first-id 110000 sigma/ > sigma.xml
  threatlockdown rules convert --to sigma my_rules/ -o sigma/ --prove logs/
  threatlockdown rules convert --to sigma --home /var/ossec --report json -o sigma/")]
pub(crate) struct ConvertArgs {
    /// Wazuh rule files (*.xml), Sigma files (*.yml), or folders of them
    #[arg(required_unless_present_any = ["home", "builtin"], value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The language to write
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) to: Language,
    /// Folder of a Wazuh installation, or a copy: converted where no PATH is named, else the context of the PATHs
    #[arg(long, value_name = "DIR", help_heading = "Rules")]
    pub(crate) home: Option<PathBuf>,
    /// Leave the built-in rules out: rules below them then have no parents
    #[arg(long, help_heading = "Rules")]
    pub(crate) no_builtin: bool,
    /// Convert the built-in rules, too
    #[arg(long, help_heading = "Rules", conflicts_with = "no_builtin")]
    pub(crate) builtin: bool,
    /// Folder for what is written, a file for each source file; it is made where there is none [default: stdout]
    #[arg(short = 'o', long = "output", value_name = "DIR", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    /// Replace files that are there already
    #[arg(long, help_heading = "Output", requires = "output")]
    pub(crate) force: bool,
    /// First id of the rules for `--to wazuh`; ids in use are passed over [default: 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=999_999), help_heading = "Output")]
    pub(crate) first_id: Option<u32>,
    /// The report: lines for people, or one JSON object a rule and one for all
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    pub(crate) report: ReportFormat,
    /// Compare on these files, folders, or `-` for stdin; repeatable
    #[arg(long, value_name = "FILES", num_args = 1.., help_heading = "Proof")]
    pub(crate) prove: Vec<PathBuf>,
    /// Log source of all these inputs [default: from each file's path and content]
    #[arg(long, value_name = "NAME", value_parser = source_name, help_heading = "Proof", requires = "prove")]
    pub(crate) source: Option<String>,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Proof", requires = "prove")]
    pub(crate) threads: Option<u16>,
}

/// `rules convert --to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Sigma rules and correlations (YAML)
    Sigma,
    /// Wazuh rules (XML)
    Wazuh,
}

/// `rules convert --report`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Lines
    Text,
    /// JSON lines
    Json,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The file is for this very version of threatlockdown: another one refuses it.
Load it with --compiled FILE on run, scan, logtest and rules.

Exit codes: 0 when the file is written, 2 with faults in the rules; the file is
then as it was.

Examples:
  threatlockdown rules compile --rules my_rules/ -o rules.tld
  threatlockdown scan --compiled rules.tld logs/")]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// The file to write
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The rules are checked as `rules check` does, and all tests beside them are run;
with a fault nothing is published. What is published is the texts, the built-in
ones among them (docs/kafka.md). Copies of `analyze` take the set between two
records, and alerts carry its version in ruleset.version. The last five sets are
kept for `rules rollback`. What is in force already is not published again.

Exit codes: 0 when the rules are in force, 2 on an error; nothing changed then,
unless it says that this is not known.

Examples:
  threatlockdown rules publish my_rules/ -c threatlockdown.yaml
  threatlockdown rules published -c threatlockdown.yaml
  threatlockdown rules rollback -c threatlockdown.yaml")]
pub(crate) struct PublishArgs {
    /// Rule and decoder files (*.xml), Sigma files (*.yml), or folders of them [default: the rules of the configuration]
    #[arg(value_name = "DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// Configuration file (YAML) with a `kafka` section
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Folder of a Wazuh installation, or a copy: its rules, decoders and lists, as etc/ossec.conf names them
    #[arg(long, value_name = "DIR", help_heading = "Rules")]
    pub(crate) home: Option<PathBuf>,
    /// Leave the built-in rules out, as `rules.builtin: false` in the configuration does
    #[arg(long, help_heading = "Rules")]
    pub(crate) no_builtin: bool,
    /// Who publishes [default: user and machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Without --to it is the set that was in force before this one, so that a second
call takes the first one back.

Exit codes: 0 when the rules are in force, 2 on an error; nothing changed then,
unless it says that this is not known.")]
pub(crate) struct RollbackArgs {
    /// Configuration file (YAML) with a `kafka` section
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The version to go back to, or its beginning, as `rules published` shows it
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<String>,
    /// Who does [default: user and machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}
