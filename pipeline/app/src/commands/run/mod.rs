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
use std::time::Duration;

use anyhow::{Context as _, bail};
use threatlockdown_analysis::{ActiveProgram, Committer, CommitterHandle, StageHandle, spawn_workers};
use threatlockdown_connectors::http;
use threatlockdown_event::Millis;
use threatlockdown_topics::{CommitLog, CommitLogOptions, Publisher, Store, raw_topic};

use self::sinks::Deliveries;
use self::stateful::Control;
use self::target::LogTarget;
use super::sources::{self, Sources, open_journal};
use super::{reload, renewal, report};
use crate::cli::RunArgs;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::ops::{self, Health, Phase};
use crate::signals::{self, Reason, StopRequest};
use crate::telemetry;

/// A stage failed, or the drain was not complete.
const EXIT_INCOMPLETE: u8 = 1;
/// Outcomes that may wait for the committer, for each worker; their bytes are bounded by the raw topic's budget.
const OUTCOMES_PER_WORKER: usize = 4;
/// How often the stages are looked after.
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// So many looks in a row without work, and what was there at the start is read.
const IDLE_LOOKS: u32 = 3;

pub(crate) fn execute(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = settings::settle(args)?;
    telemetry::start(&config.log);
    if let Some(path) = &args.config {
        renewal::watch(path, &config).context("cannot watch the configuration")?;
    }
    let origin = reload::Origin::new(&config, args.rules.compiled.clone());
    let rules = origin.load()?;
    let program = Arc::clone(&rules.program);
    let listener = ops::server::bind(&config)?;
    let health = Arc::new(Health::default());
    let stop = StopRequest::default();
    let active = ActiveProgram::new(Arc::clone(&program));
    let (mut stages, mut metrics) = start(&config, &active, args.once)?;
    super::suppressions::announce(&program, Millis::now());
    let status = reload::Status::new(program.version(), program.rules().len());
    status.show(&mut metrics);
    let (publisher, deliveries) = (stages.publisher.clone(), stages.deliveries.clone());
    let deadline = config.shutdown_deadline;
    let requests = reload::Requests::default();
    let asked = requests.clone();
    let first = move || shutdown::watchdog(deadline, publisher, deliveries);
    signals::watch(stop.clone(), move || asked.ask(), first).context("cannot watch for signals")?;
    let own = stages.sources.ingest.clone().map(http::router);
    let server = listener.map(|listener| ops::server::serve(listener, own, &health, metrics)).transpose()?;
    health.set_phase(Phase::Running);
    let address = server.as_ref().map(|server| server.address);
    banner::show(&config, &program, address);
    // What lies there is judged by the rules of the start.
    if !args.once {
        let health = Arc::clone(&health);
        let parts = reload::Parts { origin, active, health, status, requests: requests.clone() };
        reload::start(parts, rules).context("cannot start reloading rules")?;
    }

    let reason = look_after(&mut stages, &health, &stop, banner::hint(&config, address));
    requests.stop();
    health.set_phase(Phase::Draining);
    if let Reason::Failed(why) = &reason {
        tracing::error!(why, "stopping, since a stage died");
        health.stage_died(why);
    }
    let code = shutdown::drain(stages, &reason, deadline);
    if let Some(server) = server {
        server.stop();
    }
    Ok(code)
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
}

/// The stateful stage.
struct Stateful {
    thread: JoinHandle<bool>,
    handle: StageHandle,
    control: Control,
}

/// Opens the state and starts the stages, the last one first.
fn start(config: &Config, active: &Arc<ActiveProgram>, once: bool) -> anyhow::Result<(Stages, Metrics)> {
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
    sources::probes::topic(&mut metrics, &publisher);
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
    let start = sources::Start { config, store: &store, publisher: &publisher, once, known };
    let sources = Sources::start(&start, journal)?;
    sources::probes::sources(&mut metrics, &sources.counted);
    catching_up.set(sources.files.clone()).ok();
    let stateful = Stateful { thread, handle, control };
    Ok((Stages { sources, publisher, workers, committer, committer_handle, stateful, deliveries }, metrics))
}

/// Waits until there is a reason to stop, and keeps the health up to date meanwhile. `hint` is told once the stages have
/// nothing to do.
fn look_after(stages: &mut Stages, health: &Health, stop: &StopRequest, mut hint: Option<String>) -> Reason {
    let mut idle = 0;
    loop {
        if let Some(reason) = stop.wait(LOOK_AFTER) {
            return reason;
        }
        idle = if stages.are_idle() { idle + 1 } else { 0 };
        if idle >= IDLE_LOOKS
            && let Some(hint) = hint.take()
        {
            report(&hint);
        }
        let failing = stages.committer_handle.is_failing();
        health.set_disk(failing.then(|| String::from("the commit log refuses commits, see the log")));
        match stages.check() {
            Ok(true) => stop.set(Reason::Finished),
            Ok(false) => {}
            Err(error) => stop.set(Reason::Failed(format!("{error:#}"))),
        }
    }
}

impl Stages {
    /// Whether all that was read is delivered.
    fn are_idle(&self) -> bool {
        self.publisher.bytes_in_flight() == 0
            && self.deliveries.states().iter().all(|state| state.lag_bytes == 0)
    }

    /// Whether all sources have ended by themselves; an error when a stage has ended that should run.
    fn check(&mut self) -> anyhow::Result<bool> {
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
}
