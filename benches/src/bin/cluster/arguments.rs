//! The command line.

use std::path::PathBuf;

const USAGE: &str = "usage: cluster [--events N] [--rounds N] [--binary FILE] [--compression NAME] [--only STEP]\n\
    \x20             [--skip-latency] [--partitions N]\n\
    steps: scan, bare, plain, one, two; --binary is the product's, by default the one that stands beside this one;\n\
    --compression is that of `collect`";

/// The argument with which the process calls itself to be a bare consumer.
pub(crate) const BARE: &str = "--bare";
/// The same, for the worker's loop without transactions.
pub(crate) const PLAIN: &str = "--plain";

/// See [`USAGE`].
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) events: u64,
    pub(crate) rounds: usize,
    pub(crate) binary: PathBuf,
    pub(crate) compression: Option<String>,
    pub(crate) partitions: u32,
    pub(crate) only: Option<String>,
    pub(crate) skips_latency: bool,
    pub(crate) mode: Mode,
}

/// What this process is.
#[derive(Debug)]
pub(crate) enum Mode {
    Measure,
    Bare(Reading),
    Plain(Reading),
}

/// What a process that this one starts reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    pub(crate) brokers: String,
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) events: u64,
}

impl Reading {
    /// As arguments.
    pub(crate) fn words(&self) -> [String; 4] {
        [self.brokers.clone(), self.group.clone(), self.topic.clone(), self.events.to_string()]
    }
}

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("threatlockdown")));
        let mut arguments = Self {
            events: 400_000,
            rounds: 5,
            binary: beside.unwrap_or_default(),
            compression: None,
            partitions: 12,
            only: None,
            skips_latency: false,
            mode: Mode::Measure,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number\n{USAGE}"));
            match word.as_str() {
                "--events" => arguments.events = number(value()?)?,
                "--rounds" => arguments.rounds = usize::try_from(number(value()?)?).unwrap_or(1).max(1),
                "--partitions" => arguments.partitions = u32::try_from(number(value()?)?).unwrap_or(1),
                "--binary" => arguments.binary = value()?.into(),
                "--compression" => arguments.compression = Some(value()?),
                "--only" => arguments.only = Some(value()?),
                "--skip-latency" => arguments.skips_latency = true,
                BARE | PLAIN => {
                    let (brokers, group, topic) = (value()?, value()?, value()?);
                    let reading = Reading { brokers, group, topic, events: number(value()?)? };
                    arguments.mode = if word == BARE { Mode::Bare(reading) } else { Mode::Plain(reading) };
                }
                other => return Err(format!("unknown argument {other}\n{USAGE}")),
            }
        }
        Ok(arguments)
    }

    /// Whether a step is to be measured.
    pub(crate) fn wants(&self, step: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only.split(',').any(|name| name == step))
    }
}
