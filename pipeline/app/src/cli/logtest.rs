//! The command line of `logtest`.

use clap::{Args, ValueEnum};

use super::{RuleArgs, ZoneArg, source_name};
use crate::config::parse_duration;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Every line that is not empty is an event and gets one answer. What is remembered
from line to line (counters, keys seen before) is kept to the end of stdin.

Without --source the log source is taken from each line; with --home, lines are
taken as the installation's own engine does: as text (source syslog).

With --clock the first answered line is received at START, each further one STEP
later; empty lines do not count. So a file gives the same verdicts at any speed.

Exit codes: 0 at the end of stdin, 2 on an error.

Examples:
  threatlockdown logtest --source aws.cloudtrail < event.json
  threatlockdown logtest --rules my_rules.xml --format json < events.jsonl
  threatlockdown logtest --clock 1710316800,431ms --format json < day.log
  threatlockdown logtest --explain 80254 < event.json")]
pub(crate) struct LogtestArgs {
    /// Log source of the events [default: from each line; syslog with --home]
    #[arg(long, value_name = "NAME", value_parser = source_name)]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) zone: ZoneArg,
    /// Phases for people, or one JSON object an event
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: LogtestFormat,
    /// Receipt time of the first event in seconds since 1970, and from one to the next (431ms, 1s, 2m) [default: the clock]
    #[arg(long, value_name = "START,STEP", value_parser = clock)]
    pub(crate) clock: Option<ClockArg>,
    /// Say for each event why this rule, or Sigma rule, fired or did not
    #[arg(long, value_name = "RULE_ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) explain: Option<String>,
}

/// `logtest --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogtestFormat {
    /// The phases, for people
    Text,
    /// One object a line
    Json,
}

/// `logtest --clock`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockArg {
    /// Of the first event, since 1970.
    pub(crate) start: i64,
    /// From one event to the next.
    pub(crate) step: i64,
}

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

fn clock(text: &str) -> Result<ClockArg, String> {
    let form = "expected START,STEP: seconds since 1970 and a duration, for example 1710316800,431ms";
    let parsed = text.split_once(',').and_then(|(start, step)| {
        let start = start.trim().parse().ok().filter(|seconds| (0..=LAST_SECOND).contains(seconds))?;
        let step = i64::try_from(parse_duration(step)?.as_millis()).ok()?;
        Some(ClockArg { start: start * 1000, step })
    });
    parsed.filter(|clock| clock.step <= LAST_SECOND * 1000).ok_or_else(|| form.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_a_start_and_a_step() {
        let clock_of = |start, step| Some(ClockArg { start, step });
        for (text, expected) in [
            ("1710316800,431ms", clock_of(1_710_316_800_000, 431)),
            ("0, 2m", clock_of(0, 120_000)),
            ("5,0s", clock_of(5_000, 0)),
            ("5", None),
            ("5,7", None),
            ("-5,1s", None),
            ("x,1s", None),
            ("253402300800,1s", None),
            ("5,99999999999999d", None),
        ] {
            assert_eq!(clock(text).ok(), expected, "{text}");
        }
    }
}
