//! `run`: everything in one process.
//!
//! ```text
//! sources ─▶ raw topic ─▶ workers ─▶ committer ─▶ commit log ─▶ one delivery for each sink
//!    ▲           (memory, bounded)      ▲             │ │ candidates
//!    │                                  └─ correlator ┼─┘
//!    └─────────────────────────────────────── store ◀─┘ checkpoints
//! ```
//!
//! Enters: flags and configuration. Leaves: alerts in the sinks, until a signal or, with `--once`, the end of the
//! inputs. Stages are started from the back, so that whatever arrives finds the next stage running; they end from the
//! front ([`shutdown`]).

mod banner;
mod probes;
mod settings;
mod shutdown;
mod sinks;
pub(super) mod stateful;
mod target;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};
use threatlockdown_analysis::{ActiveProgram, Committer, CommitterHandle, StageHandle, spawn_workers};
use threatlockdown_connectors::http;
use threatlockdown_event::Millis;
use threatlockdown_topics::{CommitLog, CommitLogOptions, Publisher, Store, raw_topic};

use self::sinks::Deliveries;
use self::stateful::Control;
use self::target::LogTarget;
use super::process::{End, Left, Process, Running};
use super::role::{Member, Options, Role};
use super::sources::{self, Sources, open_journal};
use super::{reload, report};
use crate::cli::RunArgs;
use crate::metrics::Metrics;
use crate::ops::Health;
use crate::telemetry;

/// Outcomes that may wait for the committer, for each worker; their bytes are bounded by the raw topic's budget.
const OUTCOMES_PER_WORKER: usize = 4;
/// So many looks in a row without work, and what was there at the start is read.
const IDLE_LOOKS: u32 = 3;

pub(crate) fn execute(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = settings::settle(args)?;
    if config.kafka.is_some() {
        let options = Options { once: args.once, compiled: args.rules.compiled.clone() };
        return Member::join(config, options)?.work(&Role::ALL);
    }
    telemetry::start(&config.log);
    let origin = reload::Origin::new(&config, args.rules.compiled.clone());
    let rules = origin.load()?;
    let program = Arc::clone(&rules.program);
    let mut process = Process::new(config)?;
    let active = ActiveProgram::new(Arc::clone(&program));
    let (mut stages, mut metrics) = start(&process, &active, args.once)?;
    super::suppressions::announce(&program, Millis::now());
    let status = reload::Status::new(program.version(), program.rules().len());
    status.show(&mut metrics);
    process.watch_signals(|| {})?;
    let own = stages.sources.ingest.clone().map(http::router);
    let address = process.serve(metrics, own)?;
    banner::show(&process.config, &program, address);
    // What lies there is judged by the rules of the start.
    if !args.once {
        let (health, requests) = (Arc::clone(&process.health), process.requests.clone());
        let parts = reload::Parts { origin, active, health, status, requests };
        reload::start(parts, rules).context("cannot start reloading rules")?;
    }
    stages.hint = banner::hint(&process.config, address);
    Ok(process.work(vec![Box::new(stages)]))
}

/// Everything that runs, in the order of the data.
struct Stages {
    sources: Sources,
    publisher: Publisher,
    workers: Vec<JoinHandle<()>>,
    committer: JoinHandle<LogTarget>,
    committer_handle: CommitterHandle,
    stateful: Stateful,
    deliveries: Deliveries,
    health: Arc<Health>,
    /// Told once the stages have nothing to do.
    hint: Option<String>,
    /// Looks in a row without work.
    idle: u32,
}

/// The stateful stage.
struct Stateful {
    thread: JoinHandle<bool>,
    handle: StageHandle,
    control: Control,
}

/// Opens the state and starts the stages, the last one first.
fn start(process: &Process, active: &Arc<ActiveProgram>, once: bool) -> anyhow::Result<(Stages, Metrics)> {
    let config = &process.config;
    let mut metrics = Metrics::new();
    let store = Store::open(&config.data_dir)?;
    let log = CommitLog::open(&config.data_dir, Arc::clone(&store), CommitLogOptions::default())?;
    let deliveries = Deliveries::default();
    deliveries.start(config, &log, &store, metrics.registry())?;
    probes::sinks(&mut metrics, &deliveries);

    let journal = open_journal(config, &store)?;
    let analysis = threatlockdown_analysis::Metrics::new(metrics.registry());
    let count = config.worker_count();
    let budget = usize::try_from(config.limits.in_flight_bytes).unwrap_or(usize::MAX);
    let (publisher, consumers) = raw_topic(count, budget);
    let topic = publisher.clone();
    sources::probes::topics(&mut metrics, move || vec![topic.clone()]);
    let (outcomes, committed) = sync_channel(count * OUTCOMES_PER_WORKER);
    let control = Control::hold(&outcomes);
    let (handle, thread, catching_up) = stateful::start(&stateful::Start {
        config,
        once,
        log: &log,
        store: &store,
        publisher: &publisher,
        active,
        outcomes: &outcomes,
        metrics: &analysis,
    })?;
    probes::state(&mut metrics, &handle);
    let target = LogTarget {
        log,
        stateful: handle.clone(),
        store: Arc::clone(&store),
        journal: journal.as_ref().map(|(journal, _)| Arc::clone(journal)),
        deliveries: deliveries.clone(),
    };
    if let Some((journal, _)) = &journal {
        sources::probes::journal(&mut metrics, journal);
    }
    let (committer_handle, committer) =
        Committer::new(target, &analysis).spawn(committed).context("cannot start the committer")?;
    probes::committer(&mut metrics, committer_handle.clone());

    let options = stateful::worker_options(config);
    let workers =
        spawn_workers(consumers, active, &options, &outcomes, &analysis).context("cannot start workers")?;

    let known = active.current().sources().map(str::to_owned).collect();
    let start = sources::Start {
        config,
        store: &store,
        publisher: &publisher,
        once,
        sources: config.sources.iter().collect(),
        known,
    };
    let sources = Sources::start(&start, journal)?;
    sources::probes::sources(&mut metrics, &sources.counted);
    catching_up.set(sources.files.clone()).ok();
    let stateful = Stateful { thread, handle, control };
    let stages = Stages {
        sources,
        publisher,
        workers,
        committer,
        committer_handle,
        stateful,
        deliveries,
        health: Arc::clone(&process.health),
        hint: None,
        idle: 0,
    };
    Ok((stages, metrics))
}

impl Stages {
    /// Whether all that was read is delivered.
    fn are_idle(&self) -> bool {
        self.publisher.bytes_in_flight() == 0
            && self.deliveries.states().iter().all(|state| state.lag_bytes == 0)
    }

    fn show_hint(&mut self) {
        self.idle = if self.are_idle() { self.idle + 1 } else { 0 };
        if self.idle >= IDLE_LOOKS
            && let Some(hint) = self.hint.take()
        {
            report(&hint);
        }
    }
}

impl Running for Stages {
    fn name(&self) -> &'static str {
        "run"
    }

    fn check(&mut self) -> anyhow::Result<bool> {
        self.show_hint();
        let failing = self.committer_handle.is_failing();
        let why = failing.then(|| String::from("the commit log refuses commits, see the log"));
        self.health.set_storage("run", why);
        if self.workers.iter().any(JoinHandle::is_finished) {
            bail!("a worker died");
        }
        if self.committer.is_finished() {
            bail!("the committer died");
        }
        if self.stateful.thread.is_finished() {
            bail!("the stateful stage died");
        }
        self.sources.all_ended()
    }

    fn finish(self: Box<Self>, end: &End) -> bool {
        shutdown::drain(*self, end)
    }

    fn left(&self) -> Left {
        let topic = self.publisher.clone();
        let (read, deliveries) = (sources::left(move || vec![topic.clone()]), self.deliveries.clone());
        Box::new(move || {
            for state in deliveries.states() {
                tracing::error!(
                    sink = state.name,
                    lag_bytes = state.lag_bytes,
                    "not everything is delivered"
                );
            }
            read();
        })
    }
}
