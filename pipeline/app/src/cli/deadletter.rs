//! The command line of `deadletter`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use threatlockdown_event::Millis;

use crate::config::parse_duration;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DeadletterCommand {
    /// List dead letters, the newest last
    List {
        #[command(flatten)]
        selection: Selection,
        /// Show the newest N of them
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one dead letter as a whole
    Show {
        /// Configuration file (YAML) with a `kafka` section
        #[arg(short = 'c', long = "config", value_name = "FILE")]
        config: PathBuf,
        /// Its place, as `list` shows it
        #[arg(value_name = "PARTITION:OFFSET", value_parser = place)]
        place: (i32, i64),
    },
    /// Send dead letters back, each once: records to their raw topic, alerts to the sink that refused them
    #[command(after_help = "\
What was sent back is noted beside the dead letters in the same transaction, so
it is sent once, whatever is interrupted; --again sends it once more. A dead
letter that holds only the head of a record cannot be sent back.

Exit codes: 0 when all that was selected is or was sent back, 1 when some cannot
be, 2 on an error.

Examples:
  threatlockdown deadletter redrive -c FILE --reason malformed --since 2h --dry-run
  threatlockdown deadletter redrive -c FILE 0:17 0:18")]
    Redrive(RedriveArgs),
}

/// Which dead letters.
#[derive(Debug, Clone, Args)]
pub(crate) struct Selection {
    /// Configuration file (YAML) with a `kafka` section
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Only those with this reason: malformed, too_deep, rejected …
    #[arg(long, value_name = "WORD")]
    pub(crate) reason: Option<String>,
    /// Only those of this log source
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Only those written since then: a duration such as 2h or 7d, or a time such as 2026-05-04T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub(crate) since: Option<Millis>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// These, as `list` shows their places
    #[arg(value_name = "PARTITION:OFFSET", value_parser = place)]
    pub(crate) places: Vec<(i32, i64)>,
    /// All of them, where nothing else selects
    #[arg(long)]
    pub(crate) all: bool,
    /// At most N
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only say what would be sent
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also what was sent back before
    #[arg(long)]
    pub(crate) again: bool,
}

fn place(text: &str) -> Result<(i32, i64), String> {
    let parts = text
        .split_once(':')
        .and_then(|(partition, offset)| Some((partition.parse::<u16>().ok()?, offset.parse::<u64>().ok()?)));
    match parts {
        Some((partition, offset)) => {
            Ok((i32::from(partition), i64::try_from(offset).map_err(|error| error.to_string())?))
        }
        None => Err("write the partition and the offset, for example 0:17".to_owned()),
    }
}

fn since(text: &str) -> Result<Millis, String> {
    let ago = |ago: Duration| {
        let millis = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        Millis(Millis::now().0.saturating_sub(millis))
    };
    let found = parse_duration(text).map(ago).or_else(|| Millis::parse(text));
    found
        .ok_or_else(|| "write a duration such as 2h or 7d, or a time such as 2026-05-04T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_times_are_read() {
        assert_eq!(place("0:17"), Ok((0, 17)));
        for wrong in ["17", "a:1", "1:", "-1:2", "1:-2", "1:99999999999999999999"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(Millis(1000)));
        assert!(since("2h").unwrap() < Millis::now());
        assert!(since("yesterday").is_err());
    }
}
