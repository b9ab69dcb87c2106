//! The running sources, each on its own thread, of `run` as of `collect`.
//!
//! Enters: the configured sources and their checkpoints. Leaves: units in the raw topic, until told to stop or, for
//! inputs that end, until their end. The HTTP source has two halves: its requests go into the journal, on the threads
//! of the server, and one thread here publishes what is in the journal. That thread also runs where the HTTP source was
//! taken out of the configuration but the journal still holds what was answered for.

pub(super) mod probes;

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use threatlockdown_connectors::formats::Limits;
use threatlockdown_connectors::http::{
    IngestOptions, IngestState, IngestStats, Secret, Token, journal_reader,
};
use threatlockdown_connectors::{
    Feed, FileConfig, FileError, FileSource, OwnFiles, ReadOptions, SourceStats, Stop, Timing, read_stdin,
};
use threatlockdown_topics::{Journal, JournalOptions, JournalReader, Publisher, Store};

use super::process::Left;
use crate::config::{self, Config, HttpSource, SinkKind, Source, SourceKind};

/// The running sources.
pub(super) struct Sources {
    running: Vec<Running>,
    stop: Stop,
    /// For metrics.
    pub(super) counted: Vec<Counted>,
    /// Those that may have something to catch up with.
    pub(super) files: Vec<Arc<SourceStats>>,
    /// The receiving half of the HTTP source.
    pub(super) ingest: Option<IngestState>,
}

/// One running source.
struct Running {
    name: String,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    /// Whether a run with `--once` waits for its end.
    ends: bool,
}

/// The counters of one log source of one connector.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) connector: String,
    pub(super) source: String,
    pub(super) stats: Arc<SourceStats>,
}

impl Counted {
    pub(super) fn new(connector: &str, source: &str) -> Self {
        Self { connector: connector.to_owned(), source: source.to_owned(), stats: Arc::default() }
    }
}

/// Where a file source reads and goes on.
pub(super) struct Place<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
    pub(super) once: bool,
    /// Other machines read the same files before this one.
    pub(super) travels: bool,
}

/// What sources are started with.
pub(super) struct Start<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
    pub(super) publisher: &'a Publisher,
    pub(super) once: bool,
    /// Those that are read here by these threads.
    pub(super) sources: Vec<&'a Source>,
    /// Log sources that are taken where the HTTP source names none.
    pub(super) known: Vec<String>,
}

impl Sources {
    /// Starts all of them; `journal` is there if anything was or will be pushed.
    pub(super) fn start(
        start: &Start<'_>,
        journal: Option<(Arc<Journal>, JournalReader)>,
    ) -> anyhow::Result<Self> {
        let (running, counted, files) = (Vec::new(), Vec::new(), Vec::new());
        let mut sources = Self { running, stop: Stop::default(), counted, files, ingest: None };
        for source in &start.sources {
            sources
                .start_reader(start, source)
                .with_context(|| format!("cannot start the source {}", source.name))?;
        }
        if let Some((journal, reader)) = journal {
            sources.start_push(start, &journal, reader)?;
        }
        Ok(sources)
    }

    /// Starts a source that reads by itself.
    fn start_reader(&mut self, start: &Start<'_>, source: &Source) -> anyhow::Result<()> {
        match &source.kind {
            SourceKind::File(file) => {
                let stats = self.count(source, &file.source);
                self.files.push(Arc::clone(&stats));
                let place =
                    Place { config: start.config, store: start.store, once: start.once, travels: false };
                let publisher = start.publisher.clone();
                let reader = file_reader(&place, &source.name, file, publisher, stats, self.stop.clone())?;
                self.spawn(&source.name, true, move || Ok(reader.run()?))
            }
            SourceKind::Stdin { source: log_source } => {
                let stats = self.count(source, log_source);
                let feed = feed(start.config, &source.name, log_source, start.publisher.clone(), stats);
                let stop = self.stop.clone();
                self.spawn(&source.name, true, move || Ok(read_stdin(std::io::stdin(), &feed, &stop)?))
            }
            SourceKind::Http(_) => Ok(()),
        }
    }

    /// Starts the reader of the journal, and makes the receiving half where an HTTP source is configured.
    fn start_push(
        &mut self,
        start: &Start<'_>,
        journal: &Arc<Journal>,
        reader: JournalReader,
    ) -> anyhow::Result<()> {
        let mut stats = Arc::new(IngestStats::new());
        if let Some((source, http)) = start.config.http() {
            let options = ingest_options(start, source, http);
            let state = IngestState::new(options, Arc::clone(journal), self.stop.clone());
            stats = state.stats();
            for (log_source, stats) in stats.iter() {
                let (connector, source) = (source.name.clone(), log_source.clone());
                self.counted.push(Counted { connector, source, stats: Arc::clone(stats) });
            }
            self.ingest = Some(state);
        }
        let (publisher, stop) = (start.publisher.clone(), self.stop.clone());
        self.spawn("journal", false, move || Ok(journal_reader::run(reader, &publisher, &stats, &stop)?))
    }

    fn count(&mut self, source: &Source, log_source: &str) -> Arc<SourceStats> {
        let counted = Counted::new(&source.name, log_source);
        self.counted.push(counted.clone());
        counted.stats
    }

    fn spawn(
        &mut self,
        name: &str,
        ends: bool,
        run: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let thread = std::thread::Builder::new().name(format!("source {name}")).spawn(run)?;
        self.running.push(Running { name: name.to_owned(), thread: Some(thread), ends });
        Ok(())
    }

    /// Whether every source has come to its end by itself, so that nothing can come any more; an error if one has died.
    pub(super) fn all_ended(&mut self) -> anyhow::Result<bool> {
        for source in &mut self.running {
            if source.thread.as_ref().is_some_and(JoinHandle::is_finished) {
                source.join()?;
                tracing::info!(source = source.name, "read to its end");
            }
        }
        let ended = self.running.iter().all(|source| source.thread.is_none() || !source.ends);
        Ok(ended && self.ingest.is_none())
    }

    /// Asks all to end and waits until nothing more will be published. Requests are refused from now on.
    pub(super) fn stop(&mut self) {
        self.stop.set();
        for source in &mut self.running {
            if let Err(error) = source.join() {
                tracing::error!(error = format!("{error:#}"), "a source ended with an error");
            }
        }
    }
}

/// A file source that goes on from the checkpoints of the store.
pub(super) fn file_reader(
    place: &Place<'_>,
    name: &str,
    file: &config::FileSource,
    publisher: Publisher,
    stats: Arc<SourceStats>,
    stop: Stop,
) -> Result<FileSource, FileError> {
    let feed =
        Feed { envelope: file.envelope.clone(), ..feed(place.config, name, &file.source, publisher, stats) };
    let config = FileConfig {
        paths: file.paths.clone(),
        once: place.once,
        timing: Timing::default(),
        own: own_files(place.config),
        travels: place.travels,
    };
    let checkpoints = place.store.checkpoints(&FileSource::stream_prefix(name));
    FileSource::new(config, feed, checkpoints, stop)
}

fn feed(
    config: &Config,
    name: &str,
    log_source: &str,
    publisher: Publisher,
    stats: Arc<SourceStats>,
) -> Feed {
    Feed {
        source: log_source.into(),
        connector: name.into(),
        envelope: Vec::new(),
        options: read_options(&config.limits),
        publisher,
        stats,
    }
}

/// Tells the log what was read and is not committed.
pub(super) fn left(topics: impl Fn() -> Vec<Publisher> + Send + 'static) -> Left {
    Box::new(move || {
        let topics = topics();
        let units: usize = topics.iter().map(Publisher::depth).sum();
        let bytes: usize = topics.iter().map(Publisher::bytes_in_flight).sum();
        tracing::error!(units, bytes, "not everything that was read is committed");
    })
}

/// The journal, where there is an HTTP source or something was left by one. The store has to know where it goes on already.
pub(super) fn open_journal(
    config: &Config,
    store: &Arc<Store>,
) -> anyhow::Result<Option<(Arc<Journal>, JournalReader)>> {
    if config.http().is_none() && !config.data_dir.join("journal").exists() {
        return Ok(None);
    }
    let options = JournalOptions { max_bytes: config.limits.journal_bytes, ..JournalOptions::default() };
    let (journal, reader) = Journal::open(&config.data_dir, Arc::clone(store), options)?;
    Ok(Some((Arc::new(journal), reader)))
}

impl Running {
    fn join(&mut self) -> anyhow::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let name = &self.name;
        match thread.join() {
            Ok(result) => result.with_context(|| format!("the source {name} failed")),
            Err(_) => anyhow::bail!("the source {name} panicked"),
        }
    }
}

/// What the sinks and the state are written to, which no pattern is to take in.
fn own_files(config: &Config) -> OwnFiles {
    let sinks = config.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::File { path, .. } => Some(path.clone()),
        SinkKind::OpenSearch(_) | SinkKind::Webhook(_) => {
            Some(super::outlets::rejected(&config.data_dir, &sink.name))
        }
        SinkKind::Stdout { .. } | SinkKind::Topic { .. } => None,
    });
    let state = ["lock", "state.redb", "memory.snapshot", "memory.new", "journal.id", "deadletter.jsonl"]
        .map(|name| config.data_dir.join(name));
    OwnFiles {
        files: sinks.chain(state).collect(),
        folders: ["commit", "journal", "deliver"].map(|name| config.data_dir.join(name)).to_vec(),
    }
}

fn ingest_options(start: &Start<'_>, source: &Source, http: &HttpSource) -> IngestOptions {
    let tokens =
        http.tokens.iter().map(|token| Token { secret: Secret::new(token.expose()), sources: Vec::new() });
    let sources = if http.sources.is_empty() { start.known.clone() } else { http.sources.clone() };
    let default = IngestOptions::default();
    let max_body_bytes = as_usize(http.body_limit);
    IngestOptions {
        connector: source.name.clone(),
        sources,
        tokens: tokens.collect(),
        max_body_bytes,
        max_event_bytes: as_usize(start.config.limits.max_event_bytes),
        // A body and what it decompresses to must both find room.
        memory_bytes: default.memory_bytes.max(max_body_bytes.saturating_mul(2)),
        ..default
    }
}

fn read_options(limits: &config::Limits) -> ReadOptions {
    let limits = Limits { max_event_bytes: as_usize(limits.max_event_bytes), ..Limits::default() };
    ReadOptions { limits, ..ReadOptions::default() }
}

fn as_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
