//! The configuration: one YAML file, flags over it, checked as a whole before anything starts.
//!
//! ```text
//! text ──tree──▶ nodes with places ──interpolate──▶ values ──read──▶ Config ──flags──▶ Config ──validate──▶ run
//! ```
//!
//! Every step adds its faults to one list and goes on, so that one run of `config check` shows all of them. Read by hand
//! and not through serde, because only so can each fault carry its line, its column and what to do about it.

mod changes;
mod fields;
mod interpolate;
mod kafka;
mod opensearch;
mod outlets;
mod quantity;
mod read;
mod secret;
mod state;
#[cfg(test)]
mod tests;
mod tree;
mod validate;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use threatlockdown_ruleset::correlate::Zone;
use threatlockdown_ruleset::diagnostic::Diagnostic;
use threatlockdown_ruleset::ir::Place;
use threatlockdown_sinks::opensearch::Options as OpenSearch;
use threatlockdown_sinks::{AlertFilter, Renewable};

pub(crate) use self::changes::Changes;
use self::interpolate::Lookup;
pub(crate) use self::kafka::Kafka;
pub(crate) use self::quantity::{parse_duration, show_size};
pub(crate) use self::read::parse_address;
pub(crate) use self::secret::Secret;
pub(crate) use self::state::State;
pub(crate) use self::validate::{is_source_name, validate};

/// Name of the sink that every run has for what could not be processed; its cursor is stored under it.
pub(crate) const DEAD_LETTER_SINK: &str = "dead-letters";

/// Everything that `run` needs to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// Where state lives: checkpoints, commit log, journal.
    pub(crate) data_dir: PathBuf,
    /// Analysis threads; 0 = one for each core.
    pub(crate) workers: usize,
    /// Ingest and operations endpoint; `None` = `off`.
    pub(crate) listen: Option<Listen>,
    pub(crate) log: Log,
    pub(crate) rules: Rules,
    /// Lowest rule level that is an alert.
    pub(crate) min_level: u8,
    pub(crate) sources: Vec<Source>,
    /// Empty = not configured: `run` then writes `alerts.jsonl` in the data directory.
    pub(crate) sinks: Vec<Sink>,
    pub(crate) limits: Limits,
    pub(crate) state: State,
    /// Topics in Kafka; `None`: in this process.
    pub(crate) kafka: Option<Kafka>,
    /// How long a graceful shutdown may take.
    pub(crate) shutdown_deadline: Duration,
    /// Where it was read, and the files that `${file:…}` names; none where no file was given.
    pub(crate) files: Vec<PathBuf>,
}

/// The endpoint, with the place that faults about it point to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    pub(crate) place: Option<Place>,
}

/// Diagnostics of the process itself, on stderr.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Log {
    pub(crate) level: tracing::Level,
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which rules are loaded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    pub(crate) builtin: bool,
    /// Files, or folders of `*.xml` and Sigma's `*.yml`.
    pub(crate) paths: Vec<PathBuf>,
    /// Folder of a Wazuh installation.
    pub(crate) home: Option<PathBuf>,
    /// The zone that `<time>` and `<weekday>` mean.
    pub(crate) time_zone: Zone,
    /// How often the files are looked at for changes while `run` runs; `None` = `off`.
    pub(crate) reload_interval: Option<Duration>,
}

/// One connector instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// The operator's name; part of the stream names, so that checkpoints hold as long as it stays.
    pub(crate) name: String,
    pub(crate) kind: SourceKind,
    /// Where it stands in the file; `None` for one from a flag.
    pub(crate) place: Option<Place>,
}

/// What a connector reads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SourceKind {
    File(FileSource),
    Http(HttpSource),
    Stdin { source: String },
}

/// Files that are followed as they grow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileSource {
    /// Log source of all records.
    pub(crate) source: String,
    /// Paths, folders and glob patterns.
    pub(crate) paths: Vec<String>,
    /// Facts that the mapping shows to rules beside the records.
    pub(crate) envelope: Vec<(String, String)>,
    /// The files lie where each copy of `collect` sees them: whichever copy the group names reads them.
    pub(crate) shared: bool,
}

/// `POST /v1/ingest/<log source>`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpSource {
    /// Log sources that are accepted; empty = all that have a mapping.
    pub(crate) sources: Vec<String>,
    /// Bearer tokens, any of which opens; empty = open, on a loopback address only.
    pub(crate) tokens: Vec<Secret>,
    /// Largest body, after decompression.
    pub(crate) body_limit: u64,
}

/// Where alerts go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sink {
    /// The operator's name; its delivery cursor is stored under it.
    pub(crate) name: String,
    pub(crate) kind: SinkKind,
    pub(crate) place: Option<Place>,
}

/// How alerts are delivered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SinkKind {
    /// JSON lines; a new file at `rotate_bytes`, `keep` old ones.
    File {
        path: PathBuf,
        rotate_bytes: u64,
        keep: u32,
        /// Dead letters, not alerts.
        dead_letters: bool,
    },
    Stdout {
        format: StdoutFormat,
    },
    /// A topic of its own in Kafka, named by the sink.
    Topic {
        filter: AlertFilter,
    },
    Webhook(Webhook),
    /// An index a day.
    OpenSearch(Box<OpenSearch>),
}

/// Requests to an HTTP address.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Webhook {
    /// Many have their key in it.
    pub(crate) url: Secret,
    pub(crate) headers: Renewable<Vec<(String, String)>>,
    /// Alerts in a request.
    pub(crate) batch: usize,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    pub(crate) filter: AlertFilter,
}

impl SinkKind {
    /// Default of `rotate_bytes`.
    pub(crate) const ROTATE_BYTES: u64 = 512 << 20;
    /// Default of `keep`.
    pub(crate) const KEEP: u32 = 5;
}

/// How alerts look on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StdoutFormat {
    Json,
    Pretty,
}

/// What bounds memory and disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    /// Raw records between connectors and the commit.
    pub(crate) in_flight_bytes: u64,
    /// Unread bytes in the journal of the push sources; beyond it they answer 429.
    pub(crate) journal_bytes: u64,
    /// A larger event becomes a dead letter.
    pub(crate) max_event_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./tld-data"),
            workers: 0,
            listen: Some(Listen { address: SocketAddr::from(([127, 0, 0, 1], 7514)), place: None }),
            log: Log { level: tracing::Level::INFO, format: LogFormat::Text },
            rules: Rules {
                builtin: true,
                paths: Vec::new(),
                home: None,
                time_zone: Zone::default(),
                reload_interval: Some(Duration::from_secs(2)),
            },
            min_level: 3,
            sources: Vec::new(),
            sinks: Vec::new(),
            limits: Limits::default(),
            state: State::default(),
            kafka: None,
            shutdown_deadline: Duration::from_secs(30),
            files: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_bytes: 64 << 20,
            journal_bytes: 1 << 30,
            max_event_bytes: threatlockdown_event::unit::DEFAULT_MAX_EVENT_BYTES as u64,
        }
    }
}

impl Default for HttpSource {
    fn default() -> Self {
        Self { sources: Vec::new(), tokens: Vec::new(), body_limit: 64 << 20 }
    }
}

impl Source {
    /// Whether any copy may read it, one at a time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(&self.kind, SourceKind::File(file) if file.shared)
    }
}

impl Config {
    /// Analysis threads, the number of cores where none is set.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            count => count,
        }
    }

    /// The HTTP source, if there is one; [`validate()`] refuses a second.
    pub(crate) fn http(&self) -> Option<(&Source, &HttpSource)> {
        self.sources.iter().find_map(|source| match &source.kind {
            SourceKind::Http(http) => Some((source, http)),
            SourceKind::File(_) | SourceKind::Stdin { .. } => None,
        })
    }
}

/// Reads a configuration file. Faults that one key shows alone are in the list; [`validate()`] finds those between keys.
pub(crate) fn load(path: &Path) -> (Config, Vec<Diagnostic>) {
    let file: Arc<str> = path.to_string_lossy().into();
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => {
            let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
            let lookup = Lookup { env: &|name| std::env::var(name).ok(), base, files: RefCell::default() };
            let (mut config, faults) = parse(&file, &text, &lookup);
            config.files.insert(0, path.to_owned());
            (config, faults)
        }
        Ok(Err(error)) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            let place = Place::new(&file, u32::try_from(line).unwrap_or(u32::MAX), 1);
            let help = "save the file as UTF-8";
            (Config::default(), vec![Diagnostic::error(place, "", "this line is not UTF-8 text", help)])
        }
        Err(error) => {
            let message = format!("cannot read the configuration: {error}");
            let help = "check the path after -c; without -c the defaults and the flags are used";
            (Config::default(), vec![Diagnostic::error(Place::new(&file, 1, 1), "", message, help)])
        }
    }
}

fn parse(file: &Arc<str>, text: &str, lookup: &Lookup<'_>) -> (Config, Vec<Diagnostic>) {
    let mut faults = Vec::new();
    let mut root = match tree::parse(file, text) {
        Ok(root) => root,
        Err(fault) => return (Config::default(), vec![*fault]),
    };
    lookup.resolve(&mut root, &mut faults);
    let mut config = read::config(&root, &mut faults);
    config.files = lookup.files.take();
    (config, faults)
}
